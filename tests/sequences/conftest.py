"""A gateway and a scripted server on this machine's loopback; no root is needed."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gateway import Gateway
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import Place
from tests.sequences.walk import PROXY_PASSWORD, PROXY_USER, Doors

HERE = "127.0.0.1"


@pytest.fixture(scope="session")
def place() -> Place:
    return Place()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def doors(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A gateway with a door for each login; where they are."""
    ports = {login: free_port() for login in ("none", "optional", "required")}
    tables = "".join(
        f"""
[listen.{login}]
protocol = "ftp"
address = "{HERE}:{port}"
login = "{login}"
"""
        for login, port in ports.items()
    )
    text = f"""
[gateway]
name = "edge"
state = "{{state}}"

[[ledger.file]]
path = "{{records}}"
format = "json"
{tables}
[[rules]]
name = "all"
who = ["127.0.0.0/8"]
to = ["*", "inside"]
then = "allow"
"""
    folder: Path = tmp_path_factory.mktemp("gateway")
    users = {PROXY_USER: PROXY_PASSWORD}
    with Gateway(place, folder, text, users=users) as gateway:
        yield Doors(gateway, ports)


@pytest.fixture
def server(place: Place) -> Iterator[NanoFtpd]:
    with NanoFtpd(place, HERE, 0) as nano:
        nano.files["sample.bin"] = bytes(range(256)) * 300
        yield nano
        assert not nano.failures
