"""BIND: who may come in by the port that a client asked for."""

import asyncio
from ipaddress import ip_address

import pytest
from tests.session.peers import Peer, call
from tests.session.socks import HELLO, NOWHERE, Scene, door, heard, to_name, to_port
from tests.session.stage import rule

from portway.model import Outcome
from portway.protocols.socks import bind
from portway.protocols.socks.settings import Upstream

BIND = 2


async def bound(scene: Scene, request: bytes) -> tuple[Peer, str, int]:
    """Return a client whose BIND was granted, and where we listen for it."""
    client = await scene.arrive(HELLO + request)
    assert await heard(client, 6) == b"\5\0\5\0\0\1"
    at = await heard(client, 6)
    return client, ".".join(map(str, at[:4])), int.from_bytes(at[4:])


async def is_turned_away(address: str, port: int) -> bool:
    """Say whether somebody else, at 127.0.0.2, meets a reset."""
    try:
        stranger = await call(address, port, "127.0.0.2")
    except ConnectionResetError:
        return True
    try:
        return await stranger.the_rest() == (b"", "reset")
    finally:
        stranger.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "here.test", "0.0.0.0"])
async def test_the_second_reply_names_who_came(host: str) -> None:
    async with door() as scene:
        numeric = host != "here.test"
        request = to_port(0, BIND, host) if numeric else to_name(host, 0, BIND)
        client, address, port = await bound(scene, request)
        assert address == "127.0.0.1"
        server = await scene.call(address, port)
        mine = server.sock.getsockname()[1]
        assert await heard(client, 10) == b"\5\0\0\1\x7f\0\0\1" + mine.to_bytes(2)
        await server.say(b"hello")
        assert await client.hear() == b"hello"
        with pytest.raises(ConnectionRefusedError):
            await call(address, port)
        server.close()
        assert await client.the_rest() == (b"", "eof")
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.method, record.action) == ("BIND", "manage")
        assert (record.outcome, record.status) == (Outcome.OK, "00")
        assert record.address == "127.0.0.1"
        assert record.host == ("127.0.0.1" if numeric else host)
        assert record.bytes_down == 5


async def test_socks_4() -> None:
    async with door() as scene:
        client = await scene.arrive(b"\4\2\0\0\x7f\0\0\1joe\0")
        first = await heard(client, 8)
        assert first[:2] == b"\0\x5a"
        server = await scene.call("127.0.0.1", int.from_bytes(first[2:4]))
        assert (await heard(client, 8))[:2] == b"\0\x5a"
        server.close()
        client.close()
        await scene.over()
        assert scene.records[0].status == "90"


async def test_a_stranger_is_turned_away() -> None:
    async with door() as scene:
        client, address, port = await bound(scene, to_port(0, BIND))
        assert await is_turned_away(address, port)
        assert await client.silent()
        server = await scene.call(address, port)
        await heard(client, 10)
        server.close()
        client.close()
        await scene.over()


async def test_where_nobody_is_named_the_rules_say_who_may_come() -> None:
    rules = (
        rule("deny", name="no", to="127.0.0.2"),
        rule(name="all", do="manage"),
    )
    async with door(rules=rules) as scene:
        client, address, port = await bound(scene, to_port(0, BIND, "0.0.0.0"))
        assert await is_turned_away(address, port)
        server = await scene.call(address, port)
        await heard(client, 10)
        server.close()
        client.close()
        await scene.over()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_connecting_is_not_binding(host: str) -> None:
    async with door(rules=(rule(name="out", do="connect"),)) as scene:
        client = await scene.arrive(HELLO + to_port(0, BIND, host))
        assert await client.the_rest() == (b"\5\0\5\2" + NOWHERE, "eof")
        client.close()
        await scene.over()
        reason = "inside" if host == "127.0.0.1" else "default"
        assert scene.told == [("BIND", "refused", reason, "02")]


async def test_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind, "PATIENCE", 0.05)
    async with door() as scene:
        client, address, port = await bound(scene, to_port(0, BIND))
        assert await client.the_rest() == (b"\5\6" + NOWHERE, "eof")
        with pytest.raises(ConnectionRefusedError):
            await call(address, port)
        client.close()
        await scene.over()
        assert scene.told == [("BIND", "failed", "connect-timeout", "06")]


async def test_a_client_that_leaves_takes_its_port_along() -> None:
    async with door() as scene:
        client, address, port = await bound(scene, to_port(0, BIND))
        client.close()
        await scene.over()
        with pytest.raises(ConnectionRefusedError):
            await call(address, port)
        assert scene.records[0].reason == "gone"


async def test_the_address_and_the_ports_are_those_configured() -> None:
    async with door() as other:
        free = other.port.number
        other.port.close()
        ports, there = range(free, free + 1), ip_address("192.0.2.7")
        async with door(data_address=there, data_ports=ports) as scene:
            client, address, port = await bound(scene, to_port(0, BIND))
            assert (address, port) == ("192.0.2.7", free)
            server = await scene.call("127.0.0.1", port)
            await heard(client, 10)
            server.close()
            client.close()
            await scene.over()


# Through a parent, which another door of ours plays.


def by(scene: Scene, scheme: str = "socks5") -> Upstream:
    return Upstream(via=f"{scheme}://127.0.0.1:{scene.door.port}")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_the_parent_listens(scheme: str, host: str) -> None:
    async with door() as parent, door(upstream=by(parent, scheme)) as scene:
        client, address, port = await bound(scene, to_port(0, BIND, host))
        server = await scene.call(address, port)
        mine = server.sock.getsockname()[1]
        assert await heard(client, 10) == b"\5\0\0\1\x7f\0\0\1" + mine.to_bytes(2)
        await client.say(b"hello")
        assert await server.hear() == b"hello"
        server.close()
        client.close()
        await scene.over()
        await parent.over()
        assert scene.told == [("BIND", "ok", "", "00")]


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "http"])
async def test_other_parents_cannot(scheme: str) -> None:
    async with door() as parent, door(upstream=by(parent, scheme)) as scene:
        client = await scene.arrive(HELLO + to_port(0, BIND))
        assert await client.the_rest() == (b"\5\0\5\7" + NOWHERE, "eof")
        client.close()
        await scene.over()
        assert scene.told == [("BIND", "failed", "unsupported", "07")]


async def test_what_the_parent_refuses() -> None:
    strict = (rule("deny", name="no"),)
    async with door(rules=strict) as parent, door(upstream=by(parent)) as scene:
        client = await scene.arrive(HELLO + to_port(0, BIND))
        assert await client.the_rest() == (b"\5\0\5\2" + NOWHERE, "eof")
        client.close()
        await scene.over()
        await asyncio.sleep(0)
        assert scene.told == [("BIND", "failed", "via", "02")]


async def test_the_end_of_the_gateway_is_on_record() -> None:
    async with door() as scene:
        await bound(scene, to_port(0, BIND))
        await scene.sessions.cut()
        (record,) = scene.records
        assert (record.outcome, record.reason) == (Outcome.CUT, "drain")
        assert record.ended_by == "drain"
