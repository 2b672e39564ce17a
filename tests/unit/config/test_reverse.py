from typing import Any

import pytest
from tests.unit.config.kinds import Settings

from portway.config.reverse import Health, Route, read_server
from portway.config.schema import Listener, Mode, Wrong
from portway.model import Endpoint
from portway.protocols.ftp.settings import FtpSettings, Upstream
from portway.units import Seconds


def door(settings: FtpSettings, mode: Mode = "reverse") -> Listener:
    return Listener(
        name="x",
        where="p.toml:1",
        protocol="ftp",
        address=(Endpoint("0.0.0.0", 21),),
        mode=mode,
        settings=settings,
    )


def wrong(mode: Mode = "reverse", **keys: Any) -> dict[str, str]:
    settings = FtpSettings(**keys)
    return {one.key: one.text for one in settings.problems(door(settings, mode))}


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.11:2121", "10.0.0.11", 2121),
        ("10.0.0.11", "10.0.0.11", 21),
        ("ftp1.lan", "ftp1.lan", 21),
        ("ftp1:990", "ftp1", 990),
        ("ftp.example.org.:21", "ftp.example.org.", 21),
        ("[2001:db8::1]:2121", "2001:db8::1", 2121),
        ("[2001:db8::1]", "2001:db8::1", 21),
        ("2001:db8::1:2121", "2001:db8::1:2121", 21),
    ],
)
def test_a_server(text: str, host: str, port: int) -> None:
    assert read_server(text, 21) == Endpoint(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":21",
        "a b",
        "10.0.0.11:",
        "10.0.0.11:0",
        "10.0.0.11:65536",
        "10.0.0.11:ftp",
        "10.0.0.256",
        "127.1",
        "0x7f.0x1",
        "a..b",
        "[a]b:21",
        "fe80::1%eth0",
        "x" * 64,
        "a." * 127 + "a",
        "ftp://ftp1.lan",
    ],
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no server|a port is a number"):
        read_server(text, 21)


def test_the_port_left_out_is_that_of_what_is_spoken() -> None:
    inside = FtpSettings(servers=("a",), upstream=Upstream(tls="implicit"))
    assert inside.read_server("a") == Endpoint("a", 990)
    assert FtpSettings().read_server("a") == Endpoint("a", 21)


def test_what_is_right() -> None:
    assert wrong(servers=("a:21", "b:21"), health=Health()) == {}
    assert wrong(route=(Route(who=("*",), servers=("a",)),)) == {}
    assert wrong("forward") == {}


def test_what_is_wrong() -> None:
    assert "name one" in wrong()["servers"]
    assert wrong(servers=("a", "a:21"))["servers"].startswith("a:21 stands there twice")
    assert "is no server" in wrong(servers=("a b",))["servers"]
    route = (Route(who=(), servers=("a", "b c")),)
    found = wrong(servers=("a",), route=route)
    assert sorted(found) == ["route.0.servers", "route.0.who"]
    health = Health(every=Seconds(0.5), timeout=Seconds(0.5), fall=0, rise=0)
    found = wrong(servers=("a",), health=health)
    assert sorted(found) == [
        *("health.every", "health.fall", "health.rise", "health.timeout"),
    ]
    found = wrong(
        servers=("a",), health=Health(), upstream=Upstream(via="socks5://10.0.0.1:1080")
    )
    assert list(found) == ["health"]


@pytest.mark.parametrize("mode", ["forward", "transparent"])
def test_servers_are_for_reverse_doors(mode: Mode) -> None:
    found = wrong(mode, servers=("a",), health=Health(), data_ports=range(50000, 50010))
    assert sorted(found) == ["health", "servers"]


def test_nobody_could_tell_whose_login_an_optional_one_is() -> None:
    settings = FtpSettings(servers=("a",))
    listener = Listener(
        name="x",
        where="p.toml:1",
        protocol="ftp",
        address=(),
        mode="reverse",
        login="optional",
        settings=settings,
    )
    assert [one.key for one in settings.problems(listener)] == ["login"]
    assert isinstance(next(iter(settings.problems(listener))), Wrong)


@pytest.mark.parametrize(
    ("keys", "asks"),
    [
        ({}, False),
        ({"balance": "source"}, False),
        ({"balance": "user"}, True),
        ({"route": (Route(who=("user:a",), servers=("b",)),)}, True),
        ({"route": (Route(who=("10.0.0.0/8", "group:a"), servers=("b",)),)}, True),
        ({"route": (Route(who=("10.0.0.0/8",), servers=("b",)),)}, False),
    ],
)
def test_whether_the_client_must_have_a_name(keys: Any, *, asks: bool) -> None:
    assert FtpSettings(servers=("a",), **keys).asks_who is asks


def test_a_farm_that_leads_to_ourselves() -> None:
    door_of = FtpSettings(servers=("10.0.0.11", "10.0.0.12:2121", "a b"))
    assert list(door_of.next_hops) == [
        ("servers", Endpoint("10.0.0.11", 21)),
        ("servers", Endpoint("10.0.0.12", 2121)),
    ]


def test_where_clients_choose() -> None:
    """An open proxy is one where they do; see portway.prepare."""
    closed = FtpSettings(servers=("a",))
    assert not closed.leads_anywhere(door(closed))
    assert closed.leads_anywhere(door(closed, "forward"))
    assert closed.leads_anywhere(door(closed, "transparent"))
    opened = FtpSettings(servers=("a",), methods=("user@host",))
    assert opened.leads_anywhere(door(opened))
    assert Settings().leads_anywhere(door(closed))
