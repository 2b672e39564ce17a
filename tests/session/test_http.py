"""Requests of an HTTP door, and their replies: heads, keep-alive, pool, ends."""

import asyncio
from contextlib import closing

import pytest
from msgspec import structs
from tests.session.peers import Peer, Port
from tests.session.socks import Scene, door
from tests.session.stage import rule
from tests.session.web import ANY, OK, ask, asked, head, heard, reply, web

from portway.errors import Refused
from portway.model import Headers, Reason
from portway.protocols.http import forward, house
from portway.protocols.http.settings import HttpSettings, Upstream
from portway.units import Seconds


async def test_a_request_and_its_reply_are_written_anew() -> None:
    async with web() as scene:
        request = ask(
            scene,
            "Accept: */*",
            "Proxy-Connection: keep-alive",
            "Connection: x-mine, keep-alive",
            "X-Mine: 1",
            "X-Forwarded-For: 1.2.3.4",
            "User-Agent: test/1",
            "Referer: http://a.test/p?q=secret",
            path="/a%2Fb?q=1",
        )
        client, server, got = await asked(scene, request)
        assert got.line == b"GET /a%2Fb?q=1 HTTP/1.1"
        assert set(got.fields) == {
            b"host",
            b"accept",
            b"user-agent",
            b"referer",
            b"via",
        }
        assert got[b"host"] == f"here.test:{scene.port.number}".encode()
        assert got[b"via"] == b"1.1 edge-" + house.TAG.encode()
        await server.say(
            b"HTTP/1.1 200 Fine\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n"
            b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        )
        told, body = await reply(client)
        assert (told.line, body) == (b"HTTP/1.1 200 Fine", b"hi")
        assert set(told.fields) == {b"content-type", b"content-length", b"via"}
        client.close()
        await scene.over()
        (record,) = scene.records
        assert record.url == f"http://here.test:{scene.port.number}/a%2Fb"
        assert (record.method, record.action, record.status) == ("GET", "read", "200")
        assert (record.bytes_up, record.bytes_down) == (0, 2)
        assert record.address == "127.0.0.1"
        assert dict(record.facts) == {
            "agent": "test/1",
            "referer": "http://a.test/p",
            "type": "text/plain",
        }


async def test_requests_follow_each_other_on_one_connection_each() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene, path="/1"))
        await server.say(OK)
        await reply(client)
        for path in ("/2", "/3"):
            await client.say(ask(scene, path=path))
            assert (await head(server)).line == f"GET {path} HTTP/1.1".encode()
            await server.say(OK)
            assert (await reply(client))[1] == b"hi"
        assert await scene.port.nobody_comes()
        client.close()
        await scene.over()
        assert [record.path for record in scene.records] == ["/1", "/2", "/3"]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with web() as scene:
        two = ask(scene, path="/1") + ask(scene, path="/2")
        client, server, got = await asked(scene, two)
        assert got.line == b"GET /1 HTTP/1.1"
        assert await server.silent()
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        assert (await head(server)).line == b"GET /2 HTTP/1.1"
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
        assert [(await reply(client))[1] for _ in range(2)] == [b"1", b"2"]


async def test_another_client_uses_the_connection_that_waits() -> None:
    async with web() as scene:
        first, server, _ = await asked(scene, ask(scene))
        await server.say(OK)
        await reply(first)
        second = await scene.arrive(ask(scene, path="/2"))
        assert (await head(server)).line == b"GET /2 HTTP/1.1"
        await server.say(OK)
        assert (await reply(second))[1] == b"hi"


UNUSED = {
    "it closes": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "more behind": OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
}


@pytest.mark.parametrize("said", UNUSED.values(), ids=UNUSED)
async def test_a_connection_that_is_not_used_again(said: bytes) -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(said)
        await reply(client)
        await client.say(ask(scene, path="/2"))
        another = await scene.called()
        assert (await head(another)).line == b"GET /2 HTTP/1.1"
        await another.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
        assert (await reply(client))[1] == b"good"


async def test_what_comes_while_it_waits_ends_a_connection() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(OK)
        await reply(client)
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await client.say(ask(scene))
        another = await scene.called()
        await head(another)
        await another.say(OK)
        assert (await reply(client))[1] == b"hi"


async def test_a_login_of_the_connection_ties_it_to_its_client() -> None:
    async with web() as scene:
        request = ask(scene, "Authorization: NTLM abc")
        mine, server, _ = await asked(scene, request)
        await server.say(OK)
        await reply(mine)
        other, second, _ = await asked(scene, ask(scene, path="/other"))
        await second.say(OK)
        await reply(other)
        await mine.say(ask(scene, path="/mine"))
        assert (await head(server)).line == b"GET /mine HTTP/1.1"
        await server.say(OK)
        await reply(mine)


async def dies_before_its_reply(scene: Scene, request: bytes) -> Peer:
    """Let the connection that waits break, once the request came; return the client."""
    client, server, _ = await asked(scene, ask(scene))
    await server.say(OK)
    await reply(client)
    await client.say(request)
    await head(server)
    server.reset()
    return client


async def test_a_reused_connection_that_dies_is_tried_again() -> None:
    async with web() as scene:
        client = await dies_before_its_reply(scene, ask(scene, path="/2"))
        another = await scene.called()
        assert (await head(another)).line == b"GET /2 HTTP/1.1"
        await another.say(OK)
        assert (await reply(client))[1] == b"hi"


async def test_what_may_have_been_done_is_not_tried_again() -> None:
    async with web() as scene:
        post = ask(scene, "Content-Length: 2", method="POST", body=b"hi")
        client = await dies_before_its_reply(scene, post)
        told, _ = await reply(client)
        assert told.status == 502
        assert told[b"proxy-status"] == b"edge; error=connection_terminated"
        assert await scene.port.nobody_comes()


async def test_http_1_0_is_answered_and_closed() -> None:
    async with web() as scene:
        client, server, got = await asked(scene, ask(scene, minor=0))
        assert got.line == b"GET / HTTP/1.1"
        await server.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await server.say(b"2\r\nhi\r\n0\r\n\r\n")
        told = await head(client)
        assert told[b"connection"] == b"close"
        assert b"transfer-encoding" not in told.fields
        assert await client.the_rest() == (b"hi", "eof")


async def test_http_1_0_may_stay() -> None:
    async with web() as scene:
        request = ask(scene, "Connection: keep-alive", minor=0)
        client, server, _ = await asked(scene, request)
        await server.say(OK)
        told, _ = await reply(client)
        assert told[b"connection"] == b"keep-alive"
        await client.say(request)
        await head(server)
        await server.say(OK)
        await reply(client)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_reply_without_a_body(status: int) -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(b"HTTP/1.1 %d None\r\n\r\n" % status)
        assert (await head(client)).status == status
        await client.say(ask(scene))
        await head(server)
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"


async def test_head_has_a_length_and_no_body() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene, method="HEAD"))
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        assert (await head(client))[b"content-length"] == b"1000"
        await client.say(ask(scene))
        await head(server)
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"


async def test_early_hints_are_passed_and_a_bound_of_them() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(hint + OK)
        assert (await head(client))[b"link"] == b"</a>"
        assert (await reply(client))[1] == b"hi"
        await client.say(ask(scene))
        await head(server)
        await server.say(hint * (forward.INTERIM + 1))
        for _ in range(forward.INTERIM):
            assert (await head(client)).status == 103
        # the one that is too many is passed on before it is counted
        statuses = [(await head(client)).status for _ in range(2)]
        assert statuses[-1] == 502


ODD = {
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
    "a 407": b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n",
    "a 101": b"HTTP/1.1 101 Switching\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
async def test_a_reply_that_is_none(said: bytes) -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(said)
        told, _ = await reply(client)
        assert told.status == 502
        assert told[b"proxy-status"] == b"edge; error=http_protocol_error"
        await client.say(ask(scene))  # the client is not to blame
        await head(await scene.called())
        client.reset()
        await scene.over()
        assert scene.records[0].status == "502"
        assert scene.records[0].side == "server"


async def test_old_devices_are_borne_with() -> None:
    settings = structs.replace(ANY, upstream=Upstream(tolerant=True))
    async with web(settings=settings) as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi")
        assert (await reply(client))[1] == b"hi"


async def test_a_server_that_says_nothing() -> None:
    settings = structs.replace(ANY, upstream=Upstream(reply_timeout=Seconds(1.0)))
    async with web(settings=settings) as scene:
        client, _, _ = await asked(scene, ask(scene))
        told, _ = await reply(client)
        assert told.status == 504
        assert told[b"proxy-status"] == b"edge; error=http_response_timeout"


async def test_a_client_that_is_gone_stops_the_server() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        client.reset()
        assert (await server.the_rest())[1] == "reset"
        await scene.over()
        (record,) = scene.records
        assert (record.outcome.value, record.side) == ("failed", "client")


async def test_an_end_behind_a_whole_request_is_none() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        client.end()
        assert await server.silent()
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"
        assert await client.the_rest() == (b"", "eof")


async def test_a_client_that_says_nothing_is_left() -> None:
    async with web(settings=structs.replace(ANY, head_time=Seconds(1.0))) as scene:
        client = await scene.arrive()
        assert await client.the_rest() == (b"", "eof")
        assert not scene.records


async def test_a_head_that_drips() -> None:
    async with web(settings=structs.replace(ANY, head_time=Seconds(1.0))) as scene:
        client = await scene.arrive(b"GET http://here.test/ HTTP/1.1\r\n")
        told, _ = await reply(client)
        assert told.status == 408
        assert told[b"connection"] == b"close"


async def test_an_idle_connection_is_left_after_its_time() -> None:
    async with web(settings=structs.replace(ANY, keepalive=Seconds(1.0))) as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(OK)
        await reply(client)
        assert await client.the_rest() == (b"", "eof")


async def test_an_administrator_ends_it_before_the_reply() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        (gate,) = scene.sessions
        gate.cut_off("admin", Refused(Reason.ADMIN))
        assert (await reply(client))[0].status == 403
        assert (await server.the_rest())[1] == "reset"


async def test_an_administrator_ends_it_in_the_middle() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
        await head(client)
        assert await heard(client, 2) == b"hi"
        (gate,) = scene.sessions
        gate.cut_off("admin", Refused(Reason.ADMIN))
        assert await client.the_rest() == (b"", "reset")


async def test_a_closing_gateway_lets_a_request_end() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        (gate,) = scene.sessions
        gate.drain()
        await server.say(OK)
        told, body = await reply(client)
        assert (told[b"connection"], body) == (b"close", b"hi")
        assert await client.the_rest() == (b"", "eof")


async def test_a_closing_gateway_leaves_who_says_nothing() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(OK)
        await reply(client)
        await asyncio.sleep(0)
        (gate,) = scene.sessions
        gate.drain()
        assert await client.the_rest() == (b"", "eof")


async def test_the_fields_of_a_rule() -> None:
    handling = Headers(remove=("Referer",), set=(("YouTube-Restrict", "Strict"),))
    one = rule(name="r", headers=handling)
    async with web(rules=(one,)) as scene:
        _, server, got = await asked(scene, ask(scene, "Referer: x", "Accept: y"))
        assert b"referer" not in got.fields
        assert got[b"youtube-restrict"] == b"Strict"
        assert server is not None


async def test_our_own_tag_is_a_loop() -> None:
    async with web() as scene:
        client = await scene.arrive(ask(scene, f"Via: 1.1 edge-{house.TAG}"))
        told, _ = await reply(client)
        assert told.status == 502
        assert told[b"proxy-status"] == b"edge; error=proxy_loop_detected"


async def test_options_for_the_gateway() -> None:
    async with web() as scene:
        client = await scene.arrive(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        told, _ = await reply(client)
        assert told.status == 200
        assert b"CONNECT" in told[b"allow"]
        await client.say(ask(scene, "Max-Forwards: 0", method="OPTIONS"))
        assert (await reply(client))[0].status == 200
        await client.say(ask(scene, "Max-Forwards: 7", method="OPTIONS", path=""))
        got = await head(await scene.called())
        assert (got.line, got[b"max-forwards"]) == (b"OPTIONS * HTTP/1.1", b"6")


# On through an HTTP proxy.


async def test_a_parent_is_told_the_whole_url() -> None:
    with closing(Port()) as parent:
        await by_a_parent(parent)


async def by_a_parent(parent: Port) -> None:
    settings = HttpSettings(
        ports=("*",), upstream=Upstream(via=f"http://bob@127.0.0.1:{parent.number}")
    )
    async with door(protocol="http", settings=settings) as scene:
        client = await scene.arrive(
            b"GET http://far.test/a?b HTTP/1.1\r\nHost: far.test\r\n\r\n"
        )
        server = await parent.accept()
        scene.open.append(server)
        got = await head(server)
        assert got.line == b"GET http://far.test/a?b HTTP/1.1"
        assert got[b"proxy-authorization"] == b"Basic Ym9iOg=="
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"
        await client.say(b"GET http://else.test/ HTTP/1.1\r\nHost: else.test\r\n\r\n")
        assert (await head(server)).line == b"GET http://else.test/ HTTP/1.1"
        await server.say(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
        assert (await reply(client))[0].status == 502
        client.close()
        await scene.over()
        assert [record.reason for record in scene.records] == ["", "via"]


async def test_a_server_is_told_whom_it_serves() -> None:
    upstream = Upstream(proxy_protocol="v1")
    async with web(settings=structs.replace(ANY, upstream=upstream)) as scene:
        client = await scene.arrive(ask(scene))
        server = await scene.called()
        words = (await server.line()).split(b" ")
        assert words[:4] == [b"PROXY", b"TCP4", b"127.0.0.1", b"127.0.0.1"]
        await head(server)
        await server.say(OK)
        await reply(client)
        other = await scene.arrive(ask(scene))  # who must not use that connection
        second = await scene.called()
        assert (await second.line()).startswith(b"PROXY TCP4")
        assert other is not client
