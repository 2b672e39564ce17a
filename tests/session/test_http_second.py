"""Ways round the rules, and round the clocks, that somebody has tried."""

import asyncio

import pytest
from tests.session.peers import Peer
from tests.session.socks import Scene, door
from tests.session.stage import EVERYTHING, rule
from tests.session.test_http_tunnel import hello, joined
from tests.session.web import OK, ask, asked, head, reply, web

from portway.config.schema import Limit
from portway.model import Period, Quota
from portway.net.hello import RECORDS
from portway.protocols.http import tunnel
from portway.protocols.http.session import first_words
from portway.protocols.http.settings import HttpSettings
from portway.protocols.socks import association
from portway.units import Seconds

SECRET = rule("deny", to="here.test/secret/**", name="secret")
GUARDED = (SECRET, EVERYTHING)


async def refused(scene: Scene, request: bytes) -> Peer:
    client = await scene.arrive(request)
    assert (await reply(client))[0].status == 403
    return client


@pytest.mark.parametrize(
    "path",
    [
        "/pub/..%2Fsecret/x",
        "/secret%2fx",
        "/%2Fsecret/x",
        "/pub%5C..%5csecret%5Cx",
        "/pub\\..\\secret\\x",
    ],
)
async def test_an_escaped_slash_is_one_to_the_rules(path: str) -> None:
    async with web(rules=GUARDED) as scene:
        client = await refused(scene, ask(scene, path=path))
        client.close()
        await scene.over()
        assert scene.records[0].rule == "secret"


async def test_where_a_file_is_moved_to_is_asked_too() -> None:
    async with web(rules=GUARDED) as scene:
        for method in ("MOVE", "COPY"):
            to = f"Destination: http://here.test:{scene.port.number}/secret/x"
            await refused(scene, ask(scene, to, method=method, path="/pub/a"))
        to = "Destination: http://elsewhere.test/x"
        client = await scene.arrive(ask(scene, to, method="MOVE", path="/a"))
        assert (await reply(client))[0].status == 400
        to = f"Destination: http://here.test:{scene.port.number}/b"
        client, server, _ = await asked(scene, ask(scene, to, method="MOVE", path="/a"))
        await server.say(OK)
        assert (await reply(client))[0].status == 200


async def test_pages_of_ours_leave_records() -> None:
    async with web() as scene:
        for path, status in (("/proxy.pac", 200), ("/nothing", 404)):
            words = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            client = await scene.arrive(words)
            assert (await head(client)).status == status
            client.close()
        client = await scene.arrive(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await head(client)).status == 200
        client.close()
        await scene.over()
        found = [(r.rule, r.status, r.path) for r in scene.records]
        assert found == [
            ("own-page", "200", "/proxy.pac"),
            ("own-page", "404", "/nothing"),
            ("own-page", "200", "*"),
        ]


async def test_a_bad_websocket_leaves_a_record() -> None:
    async with web() as scene:
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
        client = await scene.arrive(ask(scene, *fields))
        assert (await reply(client))[0].status == 400
        client.close()
        await scene.over()
        assert scene.told == [("UPGRADE", "failed", "syntax", "400")]


async def test_a_head_that_never_ends_leaves_a_record() -> None:
    settings = HttpSettings(ports=("*",), head_time=Seconds(1.0))
    async with web(settings=settings) as scene:
        client = await scene.arrive(b"GET / HTTP/1.1\r\nHost")
        assert (await head(client)).status == 408
        client.close()
        await scene.over()
        assert scene.told[0][::2] == ("-", "idle")


async def test_the_body_of_a_refused_request_has_a_clock() -> None:
    settings = HttpSettings(ports=("*",), stall=Seconds(1.0))
    no = rule("deny", to="here.test", name="no")
    async with web(settings=settings, rules=(no,)) as scene:
        client = await scene.arrive(ask(scene, "Content-Length: 60000", method="POST"))
        assert (await reply(client))[0].status == 403
        assert (await client.the_rest())[1] in {"eof", "reset"}


async def test_who_never_reads_his_pages_is_let_go() -> None:
    settings = HttpSettings(ports=("*",), stall=Seconds(1.0))
    no = rule("deny", to="here.test", name="no")
    async with web(settings=settings, rules=(no,)) as scene:
        client = await scene.arrive()
        loop = asyncio.get_running_loop()
        sending = loop.create_task(say_on(client, ask(scene) * 100))
        await scene.over()  # which it never would be without a clock
        sending.cancel()
        await asyncio.wait({sending})


async def say_on(client: Peer, words: bytes) -> None:
    with pytest.raises((ConnectionError, TimeoutError)):
        for _ in range(10_000):
            await client.say(words)


async def test_small_chunks_hold_nobody_up() -> None:
    async with web() as scene:
        client, server, _ = await asked(
            scene, ask(scene, "Transfer-Encoding: chunked", method="POST")
        )
        loop = asyncio.get_running_loop()
        gaps = [0.0]

        async def watch() -> None:
            while True:
                began = loop.time()
                await asyncio.sleep(0)
                gaps.append(loop.time() - began)

        watching = loop.create_task(watch())
        sending = loop.create_task(client.say(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"))
        heard = b""
        while not heard.endswith(b"0\r\n\r\n"):
            heard += await server.hear()
        await sending
        watching.cancel()
        await asyncio.wait({watching})
        await server.say(OK)
        await reply(client)
        assert len(gaps) > 50  # turns of others, while it was read


# Tunnels.


@pytest.mark.parametrize(
    "words",
    [
        b"\r\nGET /secret/x HTTP/1.1\r\n",
        b"GET  /secret/x HTTP/1.1\r\n",
        b"GET /secret/x HTTP/1.2\r\n",
        b"GET /secret/x\r\n",
        b"GE_T /secret/x HTTP/1.1\r\n",
        b"X" * 40 + b" /secret/x HTTP/1.1\r\n",
    ],
)
async def test_what_servers_take_for_a_request_reaches_none(words: bytes) -> None:
    async with web(rules=GUARDED) as scene:
        client, server = await joined(scene)
        await client.say(words + b"Host: here.test\r\n\r\n")
        assert b" 200 " not in (await client.hear())[:20]
        server.close()


@pytest.mark.parametrize("begins", [b"GE", b"GET /" + b"x" * 20_000, b"\x16\x03\x01\2"])
async def test_what_has_no_end_goes_nowhere(
    begins: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "LOOK_TIME", 0.3)
    async with web(rules=GUARDED) as scene:
        client, server = await joined(scene)
        await client.say(begins)
        assert (await client.the_rest())[1] == "reset"
        assert await server.the_rest() == (b"", "reset")


async def test_a_hello_in_many_records_is_not_read_past_the_rules() -> None:
    no = rule("deny", to="evil.test", name="evil")
    async with web(rules=(no, EVERYTHING)) as scene:
        client, server = await joined(scene)
        body = hello("evil.test")[5:]
        size = len(body) // (RECORDS + 2) + 1
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        head_of = [b"\x16\x03\x01" + len(piece).to_bytes(2) for piece in pieces]
        await client.say(b"".join(map(bytes.__add__, head_of, pieces)))
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")


# Secrets.


@pytest.mark.parametrize(
    "words",
    [
        b"CONNECT bob:PW@h:443 HTTP/1.1\r\n",
        b"GET bob:PW@h/x HTTP/1.1\r\n",
        b"GET http://bob:P/PW@h/ HTTP/1.1\r\n",
        b"GET ftp://bob:p@PW@h/x HTTP/1.1\r\n",
        b"GET / HTTP/1.1\nProxy-Authorization: Basic PW\n\n",
        b"GET /?password=PW HTTP/1.1\r\n",
    ],
)
def test_a_record_holds_no_secret(words: bytes) -> None:
    assert "PW" not in first_words(words)


async def test_a_login_that_nobody_asked_for_is_not_recorded() -> None:
    async with door() as scene:
        client = await scene.arrive(b"\5\2\0\2" + b"\1\5alice\7hunter2")
        assert (await client.hear())[:2] == b"\5\0"
        client.close()
        await scene.over()
        assert "hunter2" not in repr(scene.records)


# SOCKS.


async def test_who_comes_after_bind_comes_under_his_rule() -> None:
    quota = Limit(quota=(Quota(1000, Period.DAY),))
    few = rule(to="127.0.0.5", name="few", limit=(quota,))
    async with door(rules=(few, EVERYTHING)) as scene:
        client = await scene.arrive(b"\5\1\0" + b"\5\2\0\1\0\0\0\0\0\0")
        data = b""
        while len(data) < 12:
            data += await client.hear()
        address, port = "127.0.0.1", int.from_bytes(data[10:12])
        server = await call_from(scene, "127.0.0.5", address, port)
        await server.say(b"x" * 50_000)
        rest, _ = await client.the_rest()
        assert len(rest) <= 1000 + 10
        server.close()
        await scene.over()
        assert [r.rule for r in scene.records] == ["few"]


async def call_from(scene: Scene, source: str, host: str, port: int) -> Peer:
    from tests.session.peers import call  # noqa: PLC0415 - beside one of that name

    peer = await call(host, port, source)
    scene.open.append(peer)
    return peer


def test_associations_are_judged_each_minute() -> None:
    assert association.TICK == tunnel.TICK == 60.0


async def test_a_websocket_has_no_body() -> None:
    async with web() as scene:
        key = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
        fields = ("Connection: Upgrade", "Upgrade: websocket", key)
        more = ("Sec-WebSocket-Version: 13", "Content-Length: 10")
        client = await scene.arrive(ask(scene, *fields, *more))
        assert (await head(client)).status == 400


async def test_who_leaves_an_association_at_once_is_no_fault() -> None:
    async with door() as scene:
        for _ in range(20):
            client = await scene.arrive(b"\5\1\0" + b"\5\3\0\1\0\0\0\0\0\0")
            client.reset()
        await scene.over()
        assert "Group" not in repr(scene.records)
