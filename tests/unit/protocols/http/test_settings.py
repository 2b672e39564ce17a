"""What is wrong with the keys of an HTTP listener."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.certificates import issue

from portway.config.schema import Listener, Login, Mode
from portway.config.secret import Secret
from portway.model import Endpoint
from portway.protocols.http.certificates import contexts_of
from portway.protocols.http.settings import (
    USUAL_PORTS,
    HttpSettings,
    Pac,
    Ports,
    Upstream,
    read_ports,
)

SITE = {"hosts": ("www.test",), "servers": ("10.0.0.1:80",)}


def listener(
    settings: HttpSettings, mode: Mode = "forward", login: Login = "none"
) -> Listener:
    return Listener(
        name="x",
        where="",
        protocol="http",
        address=(Endpoint("127.0.0.1", 3128),),
        mode=mode,
        login=login,
        settings=settings,
    )


def wrong(
    settings: HttpSettings, mode: Mode = "forward", login: Login = "none"
) -> list[str]:
    return [one.key for one in settings.problems(listener(settings, mode, login))]


def test_the_defaults_are_right() -> None:
    settings = HttpSettings()
    assert wrong(settings) == []
    assert wrong(settings, "transparent") == []
    assert [*settings.in_words] == []
    assert settings.leads_anywhere(listener(settings))
    assert not settings.leads_anywhere(listener(settings, "reverse"))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"ports": ("0",)}, "ports"),
        ({"ports": ("http",)}, "ports"),
        ({"ports": ("9-1",)}, "ports"),
        ({"hosts": ("a.test",)}, "hosts"),
        ({"servers": ("10.0.0.1",)}, "servers"),
        ({"head_time": 0.5}, "head_time"),
        ({"keepalive": 0.0}, "keepalive"),
        ({"stall": 0.0}, "stall"),
        ({"tls": "implicit"}, "certificate"),
        ({"key": "x"}, "key"),
        ({"capture": "tproxy"}, "capture"),
        ({"proxy_protocol": (ip_network("::/0"),)}, "proxy_protocol"),
        ({"pac": Pac(proxy="nothing")}, "pac.proxy"),
        ({"pac": Pac(socks="a b:1")}, "pac.socks"),
        ({"pac": Pac(direct=('"',))}, "pac.direct"),
        ({"upstream": Upstream(via="gopher://x")}, "upstream.via"),
        ({"upstream": Upstream(via="ftp://10.0.0.1")}, "upstream.via"),
        ({"upstream": Upstream(key="x")}, "upstream.key"),
        ({"upstream": Upstream(ca="x", verify=False)}, "upstream.ca"),
        ({"upstream": Upstream(tls="implicit")}, "upstream.tls"),
        ({"upstream": Upstream(tls_name="x")}, "upstream.tls_name"),
        ({"upstream": Upstream(keep_client=True)}, "upstream.keep_client"),
        (
            {"upstream": Upstream(via_password=Secret("x"))},
            "upstream.via_password",
        ),
        (
            {"upstream": Upstream(via="http://10.0.0.1", proxy_protocol="v1")},
            "upstream.proxy_protocol",
        ),
    ],
)
def test_keys_that_are_wrong(keys: dict[str, object], named: str) -> None:
    assert wrong(HttpSettings(**keys)) == [named]  # type: ignore[arg-type]


def test_a_reverse_door_has_hosts_and_servers() -> None:
    assert wrong(HttpSettings(**SITE), "reverse") == []  # type: ignore[arg-type]
    assert wrong(HttpSettings(servers=("10.0.0.1",)), "reverse") == ["hosts"]
    assert wrong(HttpSettings(hosts=("a.test",)), "reverse") == ["servers"]


def test_nobody_logs_in_to_a_transparent_door() -> None:
    assert wrong(HttpSettings(), "transparent", "required") == ["login"]


def test_what_is_said_of_them() -> None:
    settings = HttpSettings(
        tls="implicit", upstream=Upstream(via="socks5://10.0.0.1", verify=False)
    )
    words = ["TLS with clients", "on by socks5://10.0.0.1:1080"]
    assert [*settings.in_words] == words
    assert [one.key for one in settings.risks] == ["upstream.verify"]
    assert [*settings.next_hops] == [("upstream.via", Endpoint("10.0.0.1", 1080))]


@pytest.mark.parametrize(
    ("word", "port", "admitted"),
    [
        ("http", 80, True),
        ("http", 22, False),
        ("https", 8443, True),
        ("ftp", 21, True),
        ("ftp", 80, False),
        ("connect", 443, True),
        ("connect", 80, False),
        ("connect", 25, False),
    ],
)
def test_the_usual_ports(word: str, port: int, *, admitted: bool) -> None:
    assert Ports(None).admit(word, port) is admitted


def test_ports_that_are_written_are_for_all() -> None:
    ports = Ports(("25", "8000-8999"))
    for word in USUAL_PORTS:
        assert ports.admit(word, 25)
        assert ports.admit(word, 8999)
        assert not ports.admit(word, 443)
        assert Ports(("*",)).admit(word, 1)
    assert read_ports(("*",)) == (range(1, 65536),)


def test_certificates(tmp_path: Path) -> None:
    pems = issue(tmp_path)
    settings = HttpSettings(
        tls="implicit",
        certificate=pems.certificate,
        key=pems.key,
        upstream=Upstream(ca=pems.ca),
    )
    contexts, problems = contexts_of(listener(settings))
    assert problems == ()
    assert contexts.accept is not None
    assert contexts.connect is not None
    missing = HttpSettings(
        tls="implicit",
        certificate=str(tmp_path / "none.pem"),
        upstream=Upstream(ca=str(tmp_path / "no-ca.pem")),
    )
    _, problems = contexts_of(listener(missing))
    assert [one.key for one in problems] == ["certificate", "upstream.ca"]
