"""Tunnels of an HTTP door: what goes through, what is looked at, and how they end."""

import asyncio
import ssl

import pytest
from tests.session.peers import Ended, Peer
from tests.session.socks import Scene, door, heard
from tests.session.stage import EVERYTHING, rule

from portway.config.schema import Limit, Rule
from portway.errors import Refused
from portway.model import Period, Quota, Reason
from portway.net.hello import Hello, read_hello
from portway.protocols.http import tunnel
from portway.protocols.http.settings import HttpSettings
from portway.protocols.http.tunnel import Kind, look_at
from portway.units import Seconds

ANY = HttpSettings(ports=("*",))
YES = b"HTTP/1.1 200 Connection established\r\n\r\n"


def hello(name: str = "here.test") -> bytes:
    """Return the first bytes of a client of TLS that wants *name*."""
    context = ssl.create_default_context()
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context.wrap_bio(into, out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        inside.do_handshake()
    return out.read()


async def joined(scene: Scene, host: str = "here.test") -> tuple[Peer, Peer]:
    """Return a client, and the server that it was joined with."""
    at = f"{host}:{scene.port.number}".encode()
    client = await scene.arrive(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (at, at))
    server = await scene.called()
    assert await heard(client, len(YES)) == YES
    return client, server


async def test_bytes_go_both_ways_and_each_end_by_itself() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await client.say(b"\0hello")
        assert await heard(server, 6) == b"\0hello"
        await server.say(b"welcome")
        assert await heard(client, 7) == b"welcome"
        client.end()
        with pytest.raises(Ended, match="eof"):
            await server.hear()
        await server.say(b"still here")
        server.end()
        assert await client.the_rest() == (b"still here", "eof")
        await scene.over()
        (record,) = scene.records
        assert (record.method, record.status) == ("CONNECT", "200")
        assert record.url == f"http://here.test:{scene.port.number}"
        assert (record.bytes_up, record.bytes_down) == (6, 17)


async def test_what_came_behind_the_request_goes_first() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        at = f"here.test:{scene.port.number}".encode()
        words = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n\1early" % (at, at)
        client = await scene.arrive(words)
        server = await scene.called()
        assert await heard(server, 6) == b"\1early"
        client.close()


async def test_a_server_that_speaks_first_is_heard() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await server.say(b"220 ready\r\n")
        assert await heard(client, 11) == b"220 ready\r\n"
        await client.say(b"GET / HTTP/1.1\r\n\r\n")  # which is no request any more
        assert await heard(server, 18) == b"GET / HTTP/1.1\r\n\r\n"
        client.close()


async def test_a_reset_goes_on_as_a_reset() -> None:
    for who in ("client", "server"):
        async with door(protocol="http", settings=ANY) as scene:
            client, server = await joined(scene)
            await client.say(b"\0x")
            await heard(server, 2)
            breaks, hears = (client, server) if who == "client" else (server, client)
            breaks.reset()
            assert await hears.the_rest() == (b"", "reset")
            await scene.over()
            (record,) = scene.records
            assert record.outcome.value == "cut"
            assert record.side == who


async def test_who_has_ended_in_order_may_be_gone_for_the_rest() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await client.say(b"\0x")
        await heard(server, 2)
        client.close()
        with pytest.raises(Ended, match="eof"):
            await server.hear()
        for _ in range(3):  # the first of which is answered by a reset
            await server.say(b"too late")
            await asyncio.sleep(0.01)
        server.close()
        await scene.over()
        assert scene.records[0].outcome.value == "ok"


async def test_tls_goes_on_unopened_and_its_name_is_noted() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        first = hello("other.test")
        await client.say(first[:40])
        await client.say(first[40:])
        assert await heard(server, len(first)) == first
        client.close()
        server.close()
        await scene.over()
        assert scene.records[0].facts["sni"] == "other.test"


async def test_a_tls_name_that_the_rules_refuse_ends_the_tunnel() -> None:
    no = rule("deny", to="evil.test", name="evil")
    async with door(protocol="http", settings=ANY, rules=(no, EVERYTHING)) as scene:
        client, server = await joined(scene)
        await client.say(hello("evil.test"))
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        (record,) = scene.records
        assert (record.verdict, record.rule) == ("deny", "evil")
        assert record.facts["sni"] == "evil.test"


async def test_http_in_clear_is_judged_request_by_request() -> None:
    no = rule("deny", to="here.test/secret", name="secret", because="No.")
    async with door(protocol="http", settings=ANY, rules=(no, EVERYTHING)) as scene:
        client, server = await joined(scene)
        at = f"here.test:{scene.port.number}".encode()
        await client.say(b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n" % at)
        assert (await server.line()) == b"GET /a HTTP/1.1"
        while await server.line():
            pass
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        assert (await client.line()) == b"HTTP/1.1 200 OK"
        while await client.line():
            pass
        assert await heard(client, 2) == b"hi"
        await client.say(b"GET /secret HTTP/1.1\r\nHost: %b\r\n\r\n" % at)
        assert (await client.line()) == b"HTTP/1.1 403 Forbidden"
        client.close()
        await scene.over()
        methods = [(r.method, r.outcome.value) for r in scene.records]
        assert methods == [("GET", "ok"), ("GET", "refused"), ("CONNECT", "ok")]
        assert scene.records[2].facts["taken_over"] == "http"


async def test_another_host_within_is_refused() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, _ = await joined(scene)
        await client.say(b"GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n")
        assert (await client.line()) == b"HTTP/1.1 421 Misdirected Request"


async def test_http_2_in_clear_is_cut() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await client.say(tunnel.PREFACE)
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")


async def test_only_tls_where_a_rule_says_so() -> None:
    only = rule(tunnel="tls")
    async with door(protocol="http", settings=ANY, rules=(only,)) as scene:
        client, server = await joined(scene)
        await client.say(b"SSH-2.0-x\r\n")
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        client, server = await joined(scene)
        first = hello()
        await client.say(first)
        assert await heard(server, len(first)) == first
        client.close()
        server.close()


async def test_a_blind_tunnel_is_not_looked_into() -> None:
    async with door(
        protocol="http", settings=ANY, rules=(rule(tunnel="blind"),)
    ) as scene:
        client, server = await joined(scene)
        words = b"GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n"
        await client.say(words)
        assert await heard(server, len(words)) == words
        client.close()


async def test_a_tunnel_in_which_nothing_moves_ends() -> None:
    settings = HttpSettings(ports=("*",), idle=Seconds(1.0))
    async with door(protocol="http", settings=settings) as scene:
        client, server = await joined(scene)
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.records[0].reason == "idle"


async def test_a_tunnel_is_judged_again_as_time_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnel, "TICK", 0.2)
    timed = Rule(
        where="test:1",
        lines={},
        to=("*", "inside"),
        when=("10:00-12:00",),
        then="allow",
    )
    async with door(protocol="http", settings=ANY, rules=(timed,)) as scene:
        clock = scene.services.clock
        start = clock()
        noon = start - start % 86400 + 11 * 3600
        clock.now = noon  # type: ignore[attr-defined]
        client, server = await joined(scene)
        clock.now = noon + 2 * 3600  # type: ignore[attr-defined]
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.records[0].reason == "inside"


async def test_a_quota_cuts_a_tunnel_to_the_byte() -> None:
    quota = Limit(quota=(Quota(1000, Period.DAY),))
    async with door(
        protocol="http", settings=ANY, rules=(rule(limit=(quota,)),)
    ) as scene:
        client, server = await joined(scene)
        await server.say(b"x" * 5000)
        data, how = await client.the_rest()
        assert (len(data), how) in {(1000, "reset"), (0, "reset")}
        await scene.over()
        assert scene.records[0].bytes_down == 1000
        assert scene.records[0].reason == "quota"


async def test_an_administrator_ends_a_tunnel() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        (gate,) = scene.sessions
        gate.cut_off("admin", Refused(Reason.ADMIN))
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")


async def test_a_port_that_is_not_on_the_list() -> None:
    async with door(protocol="http", settings=HttpSettings()) as scene:
        client = await scene.arrive(b"CONNECT here.test:25 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.line()) == b"HTTP/1.1 403 Forbidden"
        client.close()
        await scene.over()
        assert scene.told == [("CONNECT", "refused", "port", "403")]


async def test_a_dead_server() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        scene.port.close()
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive(b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % at)
        assert (await client.line()) == b"HTTP/1.1 502 Bad Gateway"
        client.close()


def test_what_first_bytes_are() -> None:
    whole = hello("a.test")
    assert look_at(whole[:50]) is None
    seen = look_at(whole)
    assert seen is not None
    assert (seen.kind, seen.hello.server_name) == (Kind.TLS, "a.test")
    for data, kind in (
        (b"GET /", None),
        (b"GET / HTTP/1.1", None),
        (b"GET / HTTP/1.1\r\n", Kind.HTTP),
        (b"OPTIONS * HTTP/1.0\r\n", Kind.HTTP),
        (b"NICK me\r\n", Kind.OTHER),
        (b"PRI * HTTP/2.0", None),
        (tunnel.PREFACE, Kind.HTTP_2),
        (b"SSH-2.0-x", Kind.OTHER),
        (b"SSH-2.0-x\r\n", Kind.OTHER),
        (b"\r\nGET /secret HTTP/1.1\r\n", Kind.HTTP),
        (b"GET  /secret HTTP/1.1\r\n", Kind.HTTP),
        (b"GET /secret HTTP/1.2\r\n", Kind.HTTP),
        (b"GET /secret\r\n", Kind.HTTP),
        (b"get k\r\n", Kind.OTHER),
        (b"ping", Kind.OTHER),
        (b"0032git-upload-pack /x\0host=y\0", Kind.OTHER),
        (b"GE_T /secret HTTP/1.1\n", Kind.HTTP),
        (b"\x16\x03\x01\0\0", Kind.BROKEN),
        (b"\x16nothing", Kind.OTHER),
        (b"\0", Kind.OTHER),
    ):
        found = look_at(data)
        assert (found and found.kind) == kind, data


def test_the_name_in_a_hello() -> None:
    assert read_hello(hello("A.test")) == Hello("a.test", frozenset())
