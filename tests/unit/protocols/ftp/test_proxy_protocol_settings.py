"""`proxy_protocol`, as it is written: what is taken, and what is refused at start."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from portway.errors import ConfigurationError
from portway.prepare import prepare

TABLE = """\
[listen.door]
protocol = "ftp"
address = "127.0.0.1:2121"
"""


def problems(tmp_path: Path, keys: str) -> list[str]:
    """Return what is wrong with *keys*, without where."""
    path = tmp_path / "portway.toml"
    path.write_text(TABLE + keys)
    try:
        prepare(path)
    except ConfigurationError as error:
        return [f"{one.key}: {one.text}" for one in error.problems]
    return []


def test_balancers_are_addresses_and_networks(tmp_path: Path) -> None:
    path = tmp_path / "portway.toml"
    path.write_text(
        TABLE + 'proxy_protocol = ["10.0.0.2", "fd00::/64"]\n'
        '[listen.door.upstream]\nproxy_protocol = "v2"'
    )
    [listener] = prepare(path).configuration.listeners
    found = ip_network("10.0.0.2/32"), ip_network("fd00::/64")
    assert listener.settings.balancers == found
    assert prepare(None).configuration.listeners[0].settings.balancers == ()


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('proxy_protocol = ["0.0.0.0/0"]', "everybody could claim"),
        ('proxy_protocol = ["10.0.0.2", "::/0"]', "everybody could claim"),
        ('proxy_protocol = ["balancer.test"]', "balancer.test"),
        ('proxy_protocol = "v1"', "v1"),
        ('[listen.door.upstream]\nproxy_protocol = "v3"', "v3"),
        (
            'proxy_protocol = ["10.0.0.2"]\nmode = "transparent"\ndata_ports = "5-9"',
            "on its way to us",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, keys: str, problem: str) -> None:
    [found] = problems(tmp_path, keys)
    assert "proxy_protocol" in found
    assert problem in found
