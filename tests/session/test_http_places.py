"""Doors whose clients name no server: transparent and reverse ones, and WebSocket."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
from tests.session.peers import Ended, Peer, Port
from tests.session.socks import Scene, door, heard
from tests.session.stage import EVERYTHING, rule
from tests.session.test_http_tunnel import ANY, hello

from portway.config.schema import Rule
from portway.model import Endpoint
from portway.net.balance import Farm
from portway.policy.routes import Farms
from portway.protocols.http import captured, errands
from portway.protocols.http.settings import HttpSettings
from portway.protocols.http.upgrade import accept_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
KEY = b64encode(b"0123456789abcdef")


async def head(peer: Peer) -> list[bytes]:
    """Return the lines of a head."""
    lines = []
    while line := await peer.line():
        lines.append(line)
    return lines


def field(lines: list[bytes], name: bytes) -> list[bytes]:
    start = name.lower() + b": "
    return [one[len(start) :] for one in lines if one.lower().startswith(start)]


# Reverse.


@asynccontextmanager
async def site(
    *servers: Endpoint, hosts: tuple[str, ...] = ("www.test",)
) -> AsyncIterator[Scene]:
    settings = HttpSettings(hosts=hosts, servers=tuple(map(str, servers)))
    farms = {"door": Farms(Farm(servers, "round-robin"), ())}
    async with door(
        protocol="http", mode="reverse", settings=settings, farms=farms
    ) as scene:
        yield scene


async def test_a_reverse_door_leads_to_its_server() -> None:
    with closing(Port()) as port:
        await asks_and_hears(port)


async def asks_and_hears(port: Port) -> None:
    async with site(Endpoint("127.0.0.1", port.number)) as scene:
        client = await scene.arrive(
            b"GET /a HTTP/1.1\r\nHost: www.test\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        )
        server = await port.accept()
        scene.open.append(server)
        lines = await head(server)
        assert lines[0] == b"GET /a HTTP/1.1"
        assert field(lines, b"Host") == [b"www.test"]
        assert field(lines, b"X-Forwarded-For") == [b"127.0.0.1"]
        assert field(lines, b"X-Forwarded-Host") == [b"www.test"]
        await server.say(OK)
        assert (await head(client))[0] == b"HTTP/1.1 200 OK"
        assert await heard(client, 2) == b"hi"
        client.close()
        await scene.over()
        assert scene.records[0].address == "127.0.0.1"


async def test_a_host_of_another_site() -> None:
    async with site(Endpoint("127.0.0.1", 9)) as scene:
        for host in (b"evil.test", b"www.test.evil.test"):
            client = await scene.arrive(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            assert (await client.line()) == b"HTTP/1.1 421 Misdirected Request"


async def test_a_dead_server_loses_the_request_to_the_next() -> None:
    dead, living = Port(), Port()
    dead.close()
    places = [Endpoint("127.0.0.1", one.number) for one in (dead, living)]
    with closing(living):
        await asked_of(places, living)


async def asked_of(places: list[Endpoint], living: Port) -> None:
    async with site(*places) as scene:
        for _ in range(2):  # whoever's turn it is
            client = await scene.arrive(
                b"GET / HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n"
            )
            server = await living.accept()
            scene.open.append(server)
            await head(server)
            await server.say(OK)
            server.end()
            assert (await head(client))[0] == b"HTTP/1.1 200 OK"
        await scene.over()
        assert {r.outcome.value for r in scene.records} <= {"ok", "failed"}


async def test_no_server_at_all() -> None:
    dead = Port()
    dead.close()
    async with site(Endpoint("127.0.0.1", dead.number)) as scene:
        client = await scene.arrive(b"GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
        lines = await head(client)
        assert lines[0] == b"HTTP/1.1 502 Bad Gateway"
        text = (await client.hear()).decode()
        assert str(dead.number) not in text  # which nobody need know


# Transparent.


@asynccontextmanager
async def on_the_way(
    monkeypatch: pytest.MonkeyPatch, *rules: Rule
) -> AsyncIterator[Scene]:
    """A transparent door, whose clients were on their way to `Scene.port`."""
    async with door(
        protocol="http", mode="transparent", settings=ANY, rules=rules or (EVERYTHING,)
    ) as scene:
        at = Endpoint("127.0.0.1", scene.port.number)
        for module in (captured, errands):
            monkeypatch.setattr(module, "original_destination", lambda _: at)
        yield scene


async def test_host_names_the_url_if_it_leads_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on_the_way(monkeypatch) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n" % at)
        server = await scene.called()
        assert field(await head(server), b"Host") == [at]
        await server.say(OK)
        await head(client)
        client.close()
        await scene.over()
        (record,) = scene.records
        assert record.url == f"http://{at.decode()}/a"
        assert "host_unproven" not in record.facts


async def test_a_host_that_leads_elsewhere_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no = rule("deny", to="forbidden.test", name="no")
    async with on_the_way(monkeypatch, no, EVERYTHING) as scene:
        port = str(scene.port.number).encode()
        client = await scene.arrive(
            b"GET /a HTTP/1.1\r\nHost: unknown.test:%b\r\n\r\n" % port
        )
        server = await scene.called()
        await head(server)
        await server.say(OK)
        await head(client)
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.host, record.facts["host_unproven"]) == (
            "127.0.0.1",
            "unknown.test",
        )
        other = await scene.arrive(
            b"GET /a HTTP/1.1\r\nHost: forbidden.test:%b\r\n\r\n" % port
        )
        assert (await other.line()) == b"HTTP/1.1 403 Forbidden"


async def test_captured_tls_is_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    no = rule("deny", to="forbidden.test", name="no")
    async with on_the_way(monkeypatch, no, EVERYTHING) as scene:
        client = await scene.arrive(hello("here.test"))
        server = await scene.called()
        assert await heard(server, 5)
        client.close()
        server.close()
        await scene.over()
        record = scene.records[0]
        assert (record.method, record.host) == ("CONNECT", "here.test")
        assert record.facts["sni"] == "here.test"
        other = await scene.arrive(hello("forbidden.test"))
        assert await other.the_rest() == (b"", "reset")


# WebSocket.


def wish(at: bytes, **other: bytes) -> bytes:
    fields = {
        b"Host": at,
        b"Connection": b"keep-alive, Upgrade",
        b"Upgrade": b"websocket",
        b"Sec-WebSocket-Version": b"13",
        b"Sec-WebSocket-Key": KEY,
        **{re.sub("_", "-", name).encode(): value for name, value in other.items()},
    }
    lines = b"".join(b"%b: %b\r\n" % pair for pair in fields.items())
    return b"GET http://%b/chat HTTP/1.1\r\n%b\r\n" % (at, lines)


async def test_a_websocket_becomes_a_tunnel() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(wish(at))
        server = await scene.called()
        lines = await head(server)
        assert lines[0] == b"GET /chat HTTP/1.1"
        assert field(lines, b"Upgrade") == [b"websocket"]
        await server.say(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n\x81\x02hi"
            % accept_of(KEY)
        )
        assert (await head(client))[0] == b"HTTP/1.1 101 Switching Protocols"
        assert await heard(client, 4) == b"\x81\x02hi"
        await client.say(b"\x81\x80abcd")
        assert await heard(server, 6) == b"\x81\x80abcd"
        client.end()
        with pytest.raises(Ended, match="eof"):
            await server.hear()
        server.end()
        await scene.over()
        (record,) = scene.records
        assert (record.method, record.status) == ("UPGRADE", "101")
        assert record.facts["also"] == "http:GET"


async def test_a_server_may_say_no() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(wish(at))
        server = await scene.called()
        await head(server)
        await server.say(OK)
        assert (await head(client))[0] == b"HTTP/1.1 200 OK"
        client.close()


async def test_a_wrong_answer_makes_no_tunnel() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(wish(at))
        server = await scene.called()
        await head(server)
        await server.say(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"
        )
        assert (await client.line()) == b"HTTP/1.1 502 Bad Gateway"


@pytest.mark.parametrize(
    "other", [{"Sec_WebSocket_Version": b"8"}, {"Sec_WebSocket_Key": b"short"}]
)
async def test_a_wish_that_is_wrong(other: dict[str, bytes]) -> None:
    async with door(protocol="http", settings=ANY) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(wish(at, **other))
        assert (await client.line()) == b"HTTP/1.1 400 Bad Request"


async def test_other_upgrades_are_taken_out() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(wish(at, Upgrade=b"h2c", HTTP2_Settings=b"AAA"))
        server = await scene.called()
        lines = await head(server)
        assert field(lines, b"Upgrade") == []
        assert field(lines, b"HTTP2-Settings") == []
        await server.say(OK)
        await head(client)
        client.close()
