"""What is wrong with the keys of a SOCKS listener."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from tests.certificates import issue

from portway.config.schema import Listener, Mode
from portway.config.secret import Secret
from portway.model import Endpoint
from portway.protocols.socks.certificates import contexts_of
from portway.protocols.socks.settings import SocksSettings, Upstream


def listener(settings: SocksSettings, mode: Mode = "forward") -> Listener:
    at = (Endpoint("127.0.0.1", 1080),)
    return Listener(
        name="x", where="", protocol="socks", address=at, mode=mode, settings=settings
    )


def wrong(settings: SocksSettings, mode: Mode = "forward") -> list[str]:
    return [one.key for one in settings.problems(listener(settings, mode))]


def by(**keys: object) -> SocksSettings:
    return SocksSettings(upstream=Upstream(**keys))  # type: ignore[arg-type]


def test_the_defaults_are_right() -> None:
    settings = SocksSettings()
    assert wrong(settings) == []
    assert [*settings.in_words] == []
    assert settings.leads_anywhere(listener(settings))


@pytest.mark.parametrize("mode", ["transparent", "reverse"])
def test_there_is_one_mode(mode: Mode) -> None:
    assert wrong(SocksSettings(), mode) == ["mode"]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"head_time": 0.5}, "head_time"),
        ({"idle": 0.0}, "idle"),
        ({"udp_idle": 0.0}, "udp_idle"),
        ({"data_address": ip_address("0.0.0.0")}, "data_address"),
        ({"proxy_protocol": (ip_network("0.0.0.0/0"),)}, "proxy_protocol"),
        ({"tls": "implicit"}, "certificate"),
        ({"key": "key.pem"}, "key"),
        ({"client_ca": "ca.pem"}, "client_ca"),
    ],
)
def test_keys_that_are_wrong(keys: dict[str, object], named: str) -> None:
    assert wrong(SocksSettings(**keys)) == [named]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"connect_timeout": 0.0}, "connect_timeout"),
        ({"via": "gopher://x"}, "via"),
        ({"via": "ftp://10.0.0.1"}, "via"),
        ({"via_password": Secret("x")}, "via_password"),
        ({"verify": False, "ca": "ca.pem"}, "ca"),
        ({"via": "socks5://10.0.0.1", "proxy_protocol": "v1"}, "proxy_protocol"),
    ],
)
def test_keys_of_the_servers_side(keys: dict[str, object], named: str) -> None:
    assert wrong(by(**keys)) == [f"upstream.{named}"]


def test_a_file_that_is_none_is_told_by_its_key(tmp_path: Path) -> None:
    path = str(tmp_path / "ca.pem")
    table = listener(by(ca=path))
    (problem,) = contexts_of(table)[1]
    assert problem.key == "upstream.ca"
    assert path in problem.text


def test_servers_that_prove_nothing_are_a_risk() -> None:
    assert [one.key for one in by(verify=False).risks] == ["upstream.verify"]
    assert not [*by().risks]


def test_what_check_says_of_it() -> None:
    settings = by(via="socks5://10.0.0.1")
    assert [*settings.in_words] == ["on by socks5://10.0.0.1:1080"]
    assert [*settings.next_hops] == [("upstream.via", Endpoint("10.0.0.1", 1080))]
    assert [*SocksSettings(udp=False, tls="implicit").in_words] == [
        "TLS with clients",
        "no UDP",
    ]


def test_files(tmp_path: Path) -> None:
    issue(tmp_path)
    settings = SocksSettings(
        tls="implicit", certificate="certificate.pem", key="key.pem"
    )
    settings = settings.with_whole_paths(lambda path: path and str(tmp_path / path))
    contexts, problems = contexts_of(listener(settings))
    assert problems == ()
    assert contexts.accept is not None
    for key in ("certificate", "key", "client_ca"):
        words = {"certificate": settings.certificate, "key": settings.key}
        words[key] = str(tmp_path / "nothing.pem")
        broken = SocksSettings(tls="implicit", **words)  # type: ignore[arg-type]
        contexts, problems = contexts_of(listener(broken))
        assert contexts.accept is None
        assert [one.key for one in problems] == [key]
