"""Bodies through an HTTP door: every framing, both ways, and what cuts them."""

import asyncio

import pytest
from msgspec import structs
from tests.session.peers import Peer
from tests.session.socks import Scene
from tests.session.stage import rule
from tests.session.web import ANY, OK, ask, asked, head, heard, reply, web

from portway.config.schema import Limit
from portway.model import Period, Quota
from portway.protocols.http import pace, upload
from portway.protocols.http.framing import LONGEST_BODY
from portway.protocols.http.settings import Upstream
from portway.units import Rate, Seconds

CHUNKED = "Transfer-Encoding: chunked"
LARGE = bytes(range(256)) * 4096  # 1 MiB: it is spliced


async def send(peer: Peer, data: bytes) -> None:
    """Send *data*, however long the peer takes to read it."""
    await asyncio.get_running_loop().sock_sendall(peer.sock, data)


async def chunks(peer: Peer) -> tuple[bytes, list[bytes]]:
    """Read a chunked body and its trailers."""
    body = b""
    while size := int((await peer.line()).partition(b";")[0], 16):
        body += await heard(peer, size)
        assert await peer.line() == b""
    trailers = []
    while line := await peer.line():
        trailers.append(line)
    return body, trailers


# Up.


async def test_a_small_body_goes_with_its_head() -> None:
    async with web() as scene:
        post = ask(scene, "Content-Length: 5", method="POST", body=b"hello")
        client, server, got = await asked(scene, post)
        assert got[b"content-length"] == b"5"
        assert await heard(server, 5) == b"hello"
        await server.say(OK)
        await reply(client)
        await client.say(post)
        await head(server)
        assert await heard(server, 5) == b"hello"
        await server.say(OK)
        await reply(client)
        client.close()
        await scene.over()
        assert [record.bytes_up for record in scene.records] == [5, 5]


async def test_a_large_body_with_its_length() -> None:
    async with web() as scene:
        fields = f"Content-Length: {len(LARGE)}"
        client, server, _ = await asked(scene, ask(scene, fields, method="PUT"))
        sending = asyncio.get_running_loop().create_task(send(client, LARGE))
        assert await heard(server, len(LARGE)) == LARGE
        await sending
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"
        await client.say(ask(scene))  # and the connections stay
        assert (await head(server)).line == b"GET / HTTP/1.1"
        await server.say(OK)
        await reply(client)
        client.close()
        await scene.over()
        assert scene.records[0].bytes_up == len(LARGE)


async def test_chunks_are_made_anew_and_trailers_go_on() -> None:
    async with web() as scene:
        post = ask(scene, CHUNKED, method="POST", body=b"5;ext=1\r\nhello\r\n")
        client, server, got = await asked(scene, post)
        assert got[b"transfer-encoding"] == b"chunked"
        await client.say(b"0006\r\n world\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n")
        assert await chunks(server) == (b"hello world", [b"X-Sum: 1"])
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"
        client.close()
        await scene.over()
        assert scene.records[0].bytes_up == 11


async def test_what_follows_a_chunked_body_is_the_next_request() -> None:
    async with web() as scene:
        both = ask(scene, CHUNKED, method="POST", body=b"2\r\nhi\r\n0\r\n\r\n")
        client, server, _ = await asked(scene, both + ask(scene, path="/2"))
        assert (await chunks(server))[0] == b"hi"
        await server.say(OK)
        assert (await head(server)).line == b"GET /2 HTTP/1.1"
        await server.say(OK)
        for _ in range(2):
            await reply(client)


async def test_an_old_server_is_given_a_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload, "GATHERED", 20)
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(old)
        await reply(client)
        post = ask(scene, CHUNKED, "Expect: 100-continue", method="POST")
        await client.say(post)
        assert (await head(client)).status == 100  # it never says that itself
        await client.say(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        server = await scene.called()
        assert (await head(server))[b"content-length"] == b"11"
        assert await heard(server, 11) == b"hello world"
        await server.say(old)
        await reply(client)
        await client.say(ask(scene, CHUNKED, method="POST", body=b"15\r\n" + b"x" * 21))
        assert (await reply(client))[0].status == 411


async def test_the_client_waits_for_the_servers_100() -> None:
    async with web() as scene:
        fields = ("Content-Length: 5", "Expect: 100-continue")
        client, server, got = await asked(scene, ask(scene, *fields, method="PUT"))
        assert got[b"expect"] == b"100-continue"
        assert await client.silent()
        await server.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (await head(client)).line == b"HTTP/1.1 100 Continue"
        await client.say(b"hello")
        assert await heard(server, 5) == b"hello"
        await server.say(OK)
        assert b"connection" not in (await reply(client))[0].fields


async def test_a_no_instead_of_a_100() -> None:
    async with web() as scene:
        fields = ("Content-Length: 5", "Expect: 100-continue")
        client, server, _ = await asked(scene, ask(scene, *fields, method="PUT"))
        await server.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        told, _ = await reply(client)
        assert (told.status, told[b"connection"]) == (413, b"close")
        assert (await server.the_rest())[1] == "reset"


async def test_a_refusal_comes_before_the_body() -> None:
    deny = rule("deny", name="no")
    async with web(rules=(deny,)) as scene:
        fields = ("Content-Length: 5", "Expect: 100-continue")
        client = await scene.arrive(ask(scene, *fields, method="PUT"))
        told, _ = await reply(client)
        assert (told.status, told[b"connection"]) == (403, b"close")


async def test_a_refused_body_is_dropped_if_it_is_short() -> None:
    deny = rule("deny", name="no", do="write")
    async with web(rules=(deny, rule(name="yes"))) as scene:
        post = ask(scene, "Content-Length: 5", method="POST", body=b"hel")
        client = await scene.arrive(post)
        told, _ = await reply(client)
        assert told.status == 403
        await client.say(b"lo" + ask(scene, path="/2"))
        assert (await head(await scene.called())).line == b"GET /2 HTTP/1.1"


async def test_a_refused_body_that_is_long_ends_the_connection() -> None:
    deny = rule("deny", name="no")
    async with web(rules=(deny,)) as scene:
        client = await scene.arrive(ask(scene, "Content-Length: 99999", method="PUT"))
        await client.say(b"x" * 50_000)
        told, _ = await reply(client)
        assert told[b"connection"] == b"close"
        assert await client.the_rest() == (b"", "eof")


async def test_an_answer_in_the_middle_of_the_body() -> None:
    """Nothing more is sent then, and neither connection is used again."""
    async with web() as scene:
        client, server, _ = await asked(
            scene, ask(scene, "Content-Length: 9", method="PUT", body=b"hel")
        )
        assert await heard(server, 3) == b"hel"
        await server.say(b"HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n")
        told, _ = await reply(client)
        assert (told.status, told[b"connection"]) == (507, b"close")
        assert (await server.the_rest())[1] == "reset"


async def test_a_client_that_ends_in_its_body_is_no_whole_request() -> None:
    async with web() as scene:
        client, server, _ = await asked(
            scene, ask(scene, "Content-Length: 9", method="PUT", body=b"hel")
        )
        assert await heard(server, 3) == b"hel"
        client.end()
        assert (await server.the_rest())[1] == "reset"
        await scene.over()
        (record,) = scene.records
        assert (record.outcome.value, record.side, record.bytes_up) == (
            "cut",
            "client",
            3,
        )


@pytest.mark.parametrize("bad", [b"x\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1" * 2000])
async def test_chunks_that_are_none(bad: bytes) -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene, CHUNKED, method="POST"))
        await client.say(bad)
        told, _ = await reply(client)
        assert (told.status, told[b"connection"]) == (400, b"close")
        assert (await server.the_rest())[1] == "reset"


async def test_the_wait_for_a_reply_begins_behind_the_body() -> None:
    settings = structs.replace(ANY, upstream=Upstream(reply_timeout=Seconds(1.0)))
    async with web(settings=settings) as scene:
        client, server, _ = await asked(
            scene, ask(scene, "Content-Length: 4", method="PUT", body=b"hel")
        )
        assert await client.silent(1.3)
        await client.say(b"p")
        assert await heard(server, 4) == b"help"
        assert (await reply(client))[0].status == 504


# Down.


async def test_a_large_reply_with_its_length() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE)
        sending = asyncio.get_running_loop().create_task(send(server, said + LARGE))
        assert (await head(client))[b"content-length"] == str(len(LARGE)).encode()
        assert await heard(client, len(LARGE)) == LARGE
        await sending
        await client.say(ask(scene, path="/2"))
        assert (await head(server)).line == b"GET /2 HTTP/1.1"


async def test_a_chunked_reply_its_trailers_and_a_large_chunk() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene, "TE: trailers"))
        said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
        body = b"%x;a\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(LARGE), LARGE)
        sending = asyncio.get_running_loop().create_task(send(server, said + body))
        assert (await head(client))[b"transfer-encoding"] == b"chunked"
        assert await chunks(client) == (b"hi" + LARGE, [b"X-Sum: 1"])
        await sending
        await client.say(ask(scene, path="/2"))
        await head(server)
        client.reset()
        await scene.over()
        assert scene.records[0].bytes_down == len(LARGE) + 2


async def test_trailers_stay_here_unless_they_are_asked_for() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await server.say(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
        await head(client)
        assert await chunks(client) == (b"hi", [])


async def test_a_reply_that_ends_with_the_connection_goes_on_in_chunks() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
        server.end()
        assert (await head(client))[b"transfer-encoding"] == b"chunked"
        assert await chunks(client) == (b"hello", [])
        await client.say(ask(scene, path="/2"))  # the client's connection stays
        assert (await head(await scene.called())).line == b"GET /2 HTTP/1.1"


CUT = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi",
    "no last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
}


@pytest.mark.parametrize("said", CUT.values(), ids=CUT)
async def test_a_reply_that_ends_too_early_is_cut(said: bytes) -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(said)
        await head(client)
        assert await heard(client, 2)
        server.close()
        rest, how = await client.the_rest()
        assert how == "reset"
        assert b"0\r\n\r\n" not in rest
        await scene.over()
        (record,) = scene.records
        assert (record.outcome.value, record.side, record.reason) == (
            "cut",
            "server",
            "gone",
        )


async def test_a_broken_end_is_no_end() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        await server.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await head(client)
        assert await client.line() == b"5"
        server.reset()
        rest, how = await client.the_rest()
        assert how == "reset"
        assert b"0\r\n" not in rest


async def test_a_quota_cuts_the_reply() -> None:
    limit = Limit(quota=(Quota(100, Period.DAY),))
    async with web(rules=(rule(name="few", limit=(limit,)),)) as scene:
        client, server, _ = await asked(scene, ask(scene))
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n" + b"x" * 150
        await server.say(said)
        await head(client)
        rest, how = await client.the_rest()
        assert (len(rest), how) == (100, "reset")
        again = await scene.arrive(ask(scene))
        told, _ = await reply(again)
        assert (told.status, told[b"retry-after"]) == (429, b"3600")
        again.close()
        await scene.over()
        assert scene.records[0].bytes_down == 100
        assert [record.reason for record in scene.records] == ["quota", "quota"]


async def test_limited_chunks_are_counted_by_their_payload() -> None:
    limit = Limit(quota=(Quota(12, Period.DAY),))
    async with web(rules=(rule(name="few", limit=(limit,)),)) as scene:
        post = ask(scene, CHUNKED, method="POST", body=b"5\r\nhello\r\n0\r\n\r\n")
        client, server, _ = await asked(scene, post)
        assert (await chunks(server))[0] == b"hello"
        await server.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await server.say(b"7\r\nwelcome\r\n0\r\n\r\n")
        await head(client)
        assert (await chunks(client))[0] == b"welcome"
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.bytes_up, record.bytes_down) == (5, 7)


async def stalls(scene: Scene, *, reads: bool) -> tuple[Peer, Peer]:
    """Let a reply of ten bytes begin, or one so large that nobody reads it."""
    client, server, _ = await asked(scene, ask(scene))
    size = 10 if reads else 1 << 26
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhi" % size
    await server.say(said)
    return client, server


async def test_a_reply_that_stands_still() -> None:
    async with web(settings=structs.replace(ANY, stall=Seconds(1.0))) as scene:
        client, _ = await stalls(scene, reads=True)
        await head(client)
        assert await client.the_rest() == (b"hi", "reset")
        await scene.over()
        (record,) = scene.records
        assert (record.outcome.value, record.side) == ("cut", "server")
        assert record.reason == "timeout"


async def test_a_client_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "TICK", 0.2)
    settings = structs.replace(ANY, min_rate=Rate(1e6))
    async with web(settings=settings) as scene:
        _, server = await stalls(scene, reads=False)
        with pytest.raises(OSError):  # it is reset while we fill all buffers
            await send(server, bytes(1 << 26))
        await scene.over()
        (record,) = scene.records
        assert (record.side, record.reason) == ("client", "timeout")


async def test_a_slow_server_is_borne_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events may come seldom: the rate is the client's to keep."""
    monkeypatch.setattr(pace, "TICK", 0.05)
    async with web() as scene:
        client, server = await stalls(scene, reads=True)
        await head(client)
        assert await heard(client, 2) == b"hi"
        assert await client.silent(0.5)
        await server.say(b"12345678")
        assert await heard(client, 8) == b"12345678"


async def test_the_longest_length_is_no_memory() -> None:
    async with web() as scene:
        client, server, _ = await asked(scene, ask(scene))
        said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhi" % LONGEST_BODY
        await server.say(said)
        assert (await head(client))[b"content-length"] == str(LONGEST_BODY).encode()
        assert await heard(client, 2) == b"hi"
