"""SOCKS clients: what they hear, and what is written down of it."""

import asyncio

import pytest
from tests.session.peers import Ended, Peer
from tests.session.socks import HELLO, NOWHERE, Scene, door, heard, to_name, to_port
from tests.session.stage import rule

from portway.errors import Refused
from portway.model import Endpoint, Outcome, Reason
from portway.protocols.socks.settings import Upstream
from portway.recheck import end

YES = b"\5\0\0\1\x7f\0\0\1"


def to_4(port: int, name: str = "", user: bytes = b"", command: int = 1) -> bytes:
    head = bytes((4, command)) + port.to_bytes(2)
    if name:
        return head + b"\0\0\0\1" + user + b"\0" + name.encode() + b"\0"
    return head + b"\x7f\0\0\1" + user + b"\0"


async def reply(client: Peer, count: int = 10) -> bytes:
    return await heard(client, count)


async def talks(scene: Scene, client: Peer) -> None:
    """Let both ends say something, and end."""
    server = await scene.called()
    await client.say(b"ping")
    assert await server.hear() == b"ping"
    await server.say(b"pong")
    assert await client.hear() == b"pong"
    client.end()
    assert await server.the_rest() == (b"", "eof")
    await server.say(b"and more")
    server.close()
    assert await client.the_rest() == (b"and more", "eof")
    await scene.over()


async def test_socks_5_by_address() -> None:
    async with door() as scene:
        client = await scene.arrive(HELLO)
        assert await heard(client, 2) == b"\5\0"
        await client.say(to_port(scene.port.number))
        answer = await reply(client)
        assert answer.startswith(YES)
        await talks(scene, client)
        (record,) = scene.records
        assert record.url == f"socks://127.0.0.1:{scene.port.number}"
        assert (record.method, record.action) == ("CONNECT", "connect")
        assert (record.outcome, record.status) == (Outcome.OK, "00")
        assert (record.bytes_up, record.bytes_down) == (4, 12)


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_however_the_words_are_cut(size: int) -> None:
    async with door(login="required", accounts={"alice": "pw"}) as scene:
        login = b"\1\5alice\2pw"
        words = b"\5\2\0\2" + login + to_name("here.test", scene.port.number) + b"early"
        client = await scene.arrive()
        for begin in range(0, len(words), size):
            await client.say(words[begin : begin + size])
            await asyncio.sleep(0)
        assert await heard(client, 4) == b"\5\2\1\0"
        assert (await reply(client)).startswith(YES)
        server = await scene.called()
        assert await heard(server, 5) == b"early"
        server.close()
        assert await client.the_rest() == (b"", "eof")
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.user, record.by) == ("alice", "password")
        assert record.host == "here.test"


@pytest.mark.parametrize("name", ["", "here.test"])
@pytest.mark.parametrize("size", [1, 1000])
async def test_socks_4_and_4a(name: str, size: int) -> None:
    async with door() as scene:
        words = to_4(scene.port.number, name, b"joe")
        client = await scene.arrive()
        for begin in range(0, len(words), size):
            await client.say(words[begin : begin + size])
        answer = await reply(client, 8)
        assert answer[:2] == b"\0\x5a"
        assert answer[4:] == b"\x7f\0\0\1"
        await talks(scene, client)
        (record,) = scene.records
        assert record.facts == {"claimed": "joe"}
        assert (record.user, record.status) == ("", "90")


async def test_a_hidden_address() -> None:
    async with door(hide_address=True) as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        assert await heard(client, 12) == b"\5\0\5\0" + NOWHERE


@pytest.mark.parametrize(
    ("host", "kind"), [("127.0.0.1", b"\1"), ("::1", b"\4")], ids=["v4", "v6"]
)
async def test_a_literal_that_is_written_as_a_name(host: str, kind: bytes) -> None:
    async with door() as scene:
        port = scene.port.number
        if ":" in host:
            scene.port.close()
            scene.port = type(scene.port)(host)
            scene.open.append(scene.port)
            port = scene.port.number
        client = await scene.arrive(HELLO + to_name(host, port))
        answer = await heard(client, 6)
        assert answer[2:6] == b"\5\0\0" + kind
        (await scene.called()).close()
        client.close()
        await scene.over()
        assert scene.records[0].host == host


# Logins.


@pytest.mark.parametrize(
    ("login", "offered", "chosen"),
    [
        ("none", b"\0\2", 0),
        ("none", b"\2", 2),
        ("none", b"\1", 255),
        ("optional", b"\0\2", 2),
        ("optional", b"\0", 0),
        ("required", b"\0\2", 2),
        ("required", b"\0", 255),
        ("required", b"", 255),
    ],
)
async def test_which_login(login: str, offered: bytes, chosen: int) -> None:
    async with door(login=login) as scene:  # type: ignore[arg-type]
        client = await scene.arrive(bytes((5, len(offered))) + offered)
        assert await heard(client, 2) == bytes((5, chosen))
        if chosen != 255:
            return
        assert await client.the_rest() == (b"", "eof")
        client.close()
        await scene.over()
        assert scene.told == [("LOGIN", "refused", "login", "FF")]


async def test_any_pair_will_do_where_nobody_has_to_log_in() -> None:
    async with door() as scene:
        words = b"\5\1\2\1\3bob\1x" + to_port(scene.port.number)
        client = await scene.arrive(words)
        assert (await heard(client, 14))[:5] == b"\5\2\1\0\5"
        (await scene.called()).close()
        client.close()
        await scene.over()
        assert scene.records[0].facts == {"claimed": "bob"}
        assert scene.records[0].user == ""


@pytest.mark.parametrize(
    ("pair", "said", "reason"),
    [
        (b"\1\5alice\5wrong", b"\1\1", "login-wrong"),
        (b"\1\3eve\5wrong", b"\1\1", "login-wrong"),
        (b"\1\4down\1x", b"\1\2", "login-unavailable"),
    ],
)
async def test_wrong_logins(
    pair: bytes, said: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with door(login="required", accounts={"alice": "pw", "down": None}) as scene:
        monkeypatch.setattr(scene.services.turnstile, "failed", lambda *_: 0.0)
        client = await scene.arrive(b"\5\1\2" + pair + to_port(scene.port.number))
        assert await client.the_rest() == (b"\5\2" + said, "eof")
        client.close()
        await scene.over()
        assert scene.told == [("LOGIN", "refused", reason, f"{said[1]:02}")]
        assert "wrong" not in scene.records[0].error


async def test_the_user_id_of_socks_4_is_no_login() -> None:
    async with door(login="required", accounts={"alice": "pw"}) as scene:
        client = await scene.arrive(to_4(scene.port.number, user=b"alice"))
        assert await client.the_rest() == (b"\0\x5b\0\0\0\0\0\0", "eof")
        client.close()
        await scene.over()
        assert scene.told == [("LOGIN", "refused", "login", "91")]
        assert scene.records[0].facts == {"claimed": "alice"}


# Refusals.

INSIDE = rule(name="outside", to="*")


@pytest.mark.parametrize("version", [4, 5])
async def test_refusals_have_their_code(version: int) -> None:
    denied = rule("deny", name="no", to="192.0.2.1", because="Not there.")
    names = {"lan.test": "10.0.0.1"}
    async with door(rules=(denied, INSIDE), names=names) as scene:
        cases = [
            ("192.0.2.1", 2, "rule"),
            ("lan.test", 2, "inside"),
            ("nowhere.test", 4, "name"),
            ("down.test", 1, "resolver"),
        ]
        for host, code, reason in cases:
            if version == 5:
                client = await scene.arrive(HELLO + to_name(host, 80))
                expected = b"\5\0\5" + bytes((code,)) + NOWHERE
            else:
                client = await scene.arrive(to_4(80, host))
                expected = b"\0\x5b\0\0\0\0\0\0"
            assert await client.the_rest() == (expected, "eof")
            client.close()
            await scene.over()
            status = f"{code:02}" if version == 5 else "91"
            assert scene.records[-1].reason == reason
            assert scene.records[-1].status == status


async def test_a_server_that_refuses() -> None:
    async with door() as scene:
        port = scene.port.number
        scene.port.close()
        client = await scene.arrive(HELLO + to_port(port))
        assert await client.the_rest() == (b"\5\0\5\5" + NOWHERE, "eof")
        client.close()
        await scene.over()
        assert scene.told == [("CONNECT", "failed", "refused", "05")]


async def test_our_own_door_is_a_loop() -> None:
    async with door() as scene:
        client = await scene.arrive(HELLO + to_port(scene.door.port))
        assert await client.the_rest() == (b"\5\0\5\2" + NOWHERE, "eof")
        client.close()
        await scene.over()
        assert scene.told == [("CONNECT", "refused", "loop", "02")]


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (HELLO + b"\5\7\0\1\x7f\0\0\1\0\x50", b"\5\0\5\7" + NOWHERE, "07"),
        (HELLO + b"\5\1\0\5\x7f\0\0\1\0\x50", b"\5\0\5\x08" + NOWHERE, "08"),
        (b"\4\3\0\x50\x7f\0\0\1\0", b"\0\x5b\0\0\0\0\0\0", "91"),
    ],
)
async def test_what_is_not_served(words: bytes, said: bytes, status: str) -> None:
    async with door() as scene:
        client = await scene.arrive(words)
        assert await client.the_rest() == (said, "eof")
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.reason, record.status) == ("unsupported", status)


@pytest.mark.parametrize(
    "words",
    [
        HELLO + b"\5\1\1\1\x7f\0\0\1\0\x50",  # RSV
        HELLO + b"\4\1\0\1\x7f\0\0\1\0\x50",
        HELLO + to_name("127.1", 80),
        HELLO + to_name("a b", 80),
        HELLO + to_port(0),
        b"\5\1\2\2\1a\1b",  # a login of version 2
        b"\5\1\2\1\0\1b",
        b"\4\1\0\x50\x7f\0\0\1" + b"u" * 256,
        b"\x16\3\1\2\0\1",
        b"\0\1\2",
    ],
)
async def test_what_is_none_is_closed(words: bytes) -> None:
    async with door() as scene:
        client = await scene.arrive(words)
        heard, how = await client.the_rest()
        assert heard in {b"", b"\5\0", b"\5\2"}
        assert how == "eof"
        client.close()
        await scene.over()
        ((method, outcome, _, status),) = scene.told
        assert (method, outcome, status) == ("-", "failed", "")


async def test_no_record_tells_a_password() -> None:
    async with door() as scene:
        client = await scene.arrive(b"\5\1\2\1\3bob\6secret\5\1\7")
        assert await client.the_rest() == (b"\5\2\1\0", "eof")
        client.close()
        await scene.over()
        assert "secret" not in repr(scene.records)


async def test_a_client_of_http_is_told_where_to_go() -> None:
    places = {"http": (Endpoint("0.0.0.0", 3128),)}
    async with door(places=places) as scene:
        words = b"GET ftp://joe:secret@h/ HTTP/1.1\r\nAuthorization: Basic x\r\n\r\n"
        client = await scene.arrive(words)
        said, how = await client.the_rest()
        assert how == "eof"
        assert said.startswith(b"HTTP/1.1 400 ")
        assert b"127.0.0.1:3128" in said
        assert f"socks5h://127.0.0.1:{scene.door.port}".encode() in said
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.method, record.status) == ("-", "400")
        assert "secret" not in record.error
        assert "Basic" not in record.error


# Silence, and those who leave.


@pytest.mark.parametrize("words", [b"", b"\5", HELLO])
async def test_a_dialogue_has_its_time(words: bytes) -> None:
    async with door(head_time=1.0) as scene:
        client = await scene.arrive(words)
        heard, how = await client.the_rest()
        assert heard in {b"", b"\5\0"}
        assert how == "eof"
        client.close()
        await scene.over()
        assert scene.records == []


async def test_a_client_that_leaves_ends_the_dial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("portway.chain.dial", never)
    async with door() as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        await begun.wait()
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.outcome, record.reason, record.side) == (
            Outcome.FAILED,
            "gone",
            "client",
        )


async def test_a_server_that_breaks_off() -> None:
    async with door() as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        await heard(client, 12)
        server = await scene.called()
        await server.say(b"half")
        assert await client.hear() == b"half"
        server.reset()
        assert await client.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.told == [("CONNECT", "cut", "gone", "00")]


async def test_who_is_kicked_is_cut_off() -> None:
    async with door() as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        await heard(client, 12)
        server = await scene.called()
        (gate,) = scene.sessions
        end(gate, list(scene.services.live), "admin", Refused(Reason.ADMIN))  # type: ignore[arg-type]
        for peer in (client, server):
            assert await peer.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.records[0].ended_by == "admin"


async def test_a_closing_gateway_resets_who_has_not_asked() -> None:
    async with door() as scene:
        client = await scene.arrive(HELLO)
        await heard(client, 2)
        await scene.sessions.drain(5)
        with pytest.raises(Ended) as ended:
            await client.hear()
        assert ended.value.how == "reset"


async def test_the_server_is_told_of_the_client() -> None:
    async with door(upstream=Upstream(proxy_protocol="v1")) as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        await heard(client, 12)
        server = await scene.called()
        mine = client.sock.getsockname()[1]
        at = scene.door.port
        line = f"PROXY TCP4 127.0.0.1 127.0.0.1 {mine} {at}"
        assert (await server.line()).decode() == line


# What is within.


async def whoever_is_spoken_to(scene: Scene, server: Peer) -> Peer:
    """Return the connection on which a request has begun: this one, or another."""
    loop = asyncio.get_running_loop()
    here = loop.create_task(server.line())
    there = loop.create_task(scene.called())
    await asyncio.wait({here, there}, return_when=asyncio.FIRST_COMPLETED)
    for task in here, there:
        task.cancel()
    await asyncio.wait({here, there})
    return server if here.done() and not here.cancelled() else there.result()


async def test_http_in_clear_is_judged_by_its_requests() -> None:
    rules = (
        rule("deny", name="no", do="http", to="here.test/private/**"),
        rule(name="all"),
    )
    async with door(rules=rules) as scene:
        port = scene.port.number
        client = await scene.arrive(HELLO + to_name("here.test", port))
        await heard(client, 12)
        server = await scene.called()
        for path in "x", "private/x":
            words = f"GET /{path} HTTP/1.1\r\nHost: here.test:{port}\r\n\r\n"
            await client.say(words.encode())
            if path == "x":
                spoken_to = await whoever_is_spoken_to(scene, server)
                while await spoken_to.line():
                    pass
                await spoken_to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            said = await client.line()
            assert said.startswith(b"HTTP/1.1 " + (b"200" if path == "x" else b"403"))
            while await client.line():
                pass
        client.close()
        await scene.over()
        found = [(r.method, r.protocol, r.reason, r.path) for r in scene.records]
        assert found == [
            ("GET", "http", "", "/x"),
            ("GET", "http", "rule", "/private/x"),
            ("CONNECT", "socks", "", ""),
        ]


async def test_a_tunnel_may_be_for_tls_alone() -> None:
    async with door(rules=(rule(name="tls", tunnel="tls"),)) as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        await heard(client, 12)
        server = await scene.called()
        await client.say(b"SSH-2.0-x\r\n")
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.told == [("CONNECT", "refused", "rule", "00")]


async def test_a_silent_tunnel_ends() -> None:
    async with door(idle=1.0) as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        await heard(client, 12)
        server = await scene.called()
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.records[0].reason == "idle"
