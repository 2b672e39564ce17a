"""Requests with more names than their protocol says, and what is made of them."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest
from tests.session.stage import rule
from tests.unit.config.test_rules import only_rule, wrong
from tests.unit.gating import ALL, HERE, Ground, Names, ground
from tests.wires import listener, port_of

from portway.config.amounts import Count
from portway.config.schema import Headers, Limit
from portway.errors import Refused
from portway.model import Action, Endpoint, Naming, Reason, Record
from portway.policy.compile import compile_rules
from portway.protocols.http.methods import UPGRADES, ftp_naming, naming_of

FILE = Naming("http", "ftp", "ftp:RETR")
HOST = Endpoint("files.test", 21)
OUT = Names(files=("198.51.100.7",))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with closing(listener()) as sock:
        yield sock


def last(place: Ground) -> Record:
    return place.shelf.records[-1]


@pytest.mark.parametrize("word", ["ftp", "ftp:RETR", "read", "*"])
async def test_rules_know_a_request_by_both_of_its_names(word: str) -> None:
    with ground(rule(do=word), names=OUT) as place:
        async with place.gate.open(
            Action.READ, HOST, method="GET", resource="/a b", naming=FILE
        ) as exchange:
            assert exchange.verdict.allowed
        record = last(place)
        assert (record.protocol, record.method) == ("http", "GET")
        assert record.url == "ftp://files.test/a%20b"
        assert record.facts["also"] == "ftp:RETR"


async def test_a_second_name_opens_nothing_else() -> None:
    with ground(rule(do="ftp:STOR"), names=OUT) as place, pytest.raises(Refused):
        await place.gate.begin(Action.READ, HOST, method="GET", naming=FILE)


async def test_the_port_of_a_url_is_left_out_where_its_scheme_says_it() -> None:
    names = Names(web=("198.51.100.7",))
    with ground(names=names) as place:
        for port, scheme in ((443, "https"), (80, "https"), (80, "http")):
            naming = naming_of(scheme)
            at = Endpoint("web.test", port)
            async with place.gate.open(Action.READ, at, resource="/", naming=naming):
                pass
        assert [record.url for record in place.shelf.records] == [
            "https://web.test/",
            "https://web.test:80/",
            "http://web.test/",
        ]


async def test_addresses_are_those_that_may_be_dialled() -> None:
    names = Names(two=("198.51.100.7", "10.0.0.9"))
    with ground(rule(to="*"), names=names) as place:
        at = Endpoint("two.test", 80)
        async with place.gate.open(Action.READ, at) as exchange:
            assert await exchange.addresses() == (ip_address("198.51.100.7"),)
            exchange.reached(ip_address("198.51.100.7"), "192.0.2.1")
        assert (last(place).address, last(place).source) == (
            "198.51.100.7",
            "192.0.2.1",
        )


async def test_who_is_reached_at_another_address_comes_under_its_rule() -> None:
    one = Limit(connections=Count(1))
    rules = (rule(to="198.51.100.7", name="a"), rule(to="198.51.100.8", limit=(one,)))
    names = Names(two=("198.51.100.7", "198.51.100.8"))
    with ground(*rules, names=names) as place:
        at = Endpoint("two.test", 80)
        async with place.gate.open(Action.READ, at) as exchange:
            await exchange.addresses()
            exchange.reached(ip_address("198.51.100.8"), "")
            assert exchange.verdict.rule == "rule 2"
            assert not exchange.up.limited  # connections alone


async def test_a_connection_whose_limit_is_reached_is_closed(
    server: socket.socket,
) -> None:
    one = Limit(connections=Count(1))
    names = Names(two=("127.0.0.2", "127.0.0.1"))
    rules = (
        rule(to="127.0.0.2", name="first"),
        rule(to="127.0.0.1", name="second", limit=(one,)),
    )
    at = Endpoint("two.test", port_of(server))
    with ground(*rules, names=names) as place, ground(*rules, names=names) as other:
        other.current.services = replace(
            other.current.services, limiter=place.current.services.limiter
        )
        async with place.gate.open(Action.CONNECT, at) as exchange:
            (await exchange.connect()).close()
            late = await other.gate.begin(Action.CONNECT, at)
            with pytest.raises(Refused) as caught:
                await late.connect()
            assert caught.value.reason is Reason.CONNECTIONS
            late.close(caught.value)


async def test_a_rule_may_name_the_port() -> None:
    for to, named in (
        ("127.0.0.1:8080", True),
        ("127.0.0.1", False),
        ("127.0.0.1:81", None),
        ("127.0.0.0/8:8080", True),
    ):
        with ground(rule(to=to), names=OUT) as place:
            at = Endpoint("127.0.0.1", 8080)
            if named is None:
                with pytest.raises(Refused):
                    await place.gate.begin(Action.CONNECT, at)
                continue
            async with place.gate.open(Action.CONNECT, at) as exchange:
                assert exchange.names_port is named


def test_every_ftp_method_is_named() -> None:
    for method, folder, verb in (
        ("GET", False, "RETR"),
        ("GET", True, "LIST"),
        ("HEAD", False, "SIZE"),
        ("PUT", False, "STOR"),
        ("DELETE", False, "DELE"),
        ("DELETE", True, "RMD"),
        ("MKCOL", True, "MKD"),
    ):
        found = ftp_naming(method, "ftps", folder=folder)
        assert found is not None
        assert found[1] == Naming("http", "ftps", f"ftp:{verb}")
    appended = ftp_naming("PUT", "ftp", folder=False, appends=True)
    assert appended == (Action.WRITE, Naming("http", "ftp", "ftp:APPE"))
    assert ftp_naming("POST", "ftp", folder=False) is None
    assert UPGRADES["http"].also == "http:GET"


# What a rule makes of a tunnel, and of fields.


def test_a_rule_says_how_a_tunnel_is_handled() -> None:
    made = only_rule(
        'tunnel = "tls"\nintercept = true\n'
        'headers = { remove = ["Referer"], set = { "X-One" = "a b" } }'
    )
    assert (made.tunnel, made.intercept) == ("tls", True)
    assert made.headers == Headers(remove=("Referer",), set=(("X-One", "a b"),))
    compiled, _ = compile_rules((made,), timezone="UTC", protocols={})
    handling = compiled.rules[0].handling
    assert (handling.tunnel, handling.intercept) == ("tls", True)
    assert handling.headers is not None
    assert handling.headers.set == (("X-One", "a b"),)
    assert compiled.intercepts


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("headers = 1", "table"),
        ("headers = {}", "changes nothing"),
        ('headers = { remove = "Referer" }', "must be a list"),
        ('headers = { remove = ["Content_Length"] }', "gateway's own"),
        ('headers = { remove = ["a b"] }', "no name"),
        ('headers = { set = { "Host" = "x" } }', "gateway's own"),
        ('headers = { set = { "X" = 1 } }', "text in quotes"),
        ('headers = { set = { "X" = "a\\r\\nb" } }', "control"),
        ('headers = { take = ["X"] }', "take"),
        ('tunnel = "open"', '"auto" or "tls" or "blind"'),
        ("intercept = 1", "true or false"),
    ],
)
def test_what_cannot_be_is_told(text: str, what: str) -> None:
    assert what in wrong(text)


def test_a_rule_that_denies_has_no_use_for_them() -> None:
    assert "no use" in wrong("intercept = true", then="deny")


async def test_a_verdict_tells_the_handling() -> None:
    with ground(rule(tunnel="blind"), ALL) as place:
        at = Endpoint("127.0.0.1", 443)
        async with place.gate.open(Action.CONNECT, at) as exchange:
            assert exchange.verdict.handling.tunnel == "blind"
        assert exchange.access.address == HERE
