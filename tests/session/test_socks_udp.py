"""UDP associations: what passes, both ways, and what is written down of it."""

import asyncio
from ipaddress import ip_address

import pytest
from tests.session.peers import Peer
from tests.session.socks import HELLO, NOWHERE, Scene, Udp, door, heard, to_port
from tests.session.stage import rule
from tests.wires import until

from portway.config.schema import Limit, Rule
from portway.errors import Refused
from portway.model import Outcome, Period, Quota, Reason
from portway.protocols.socks import association
from portway.protocols.socks.settings import Upstream
from portway.recheck import end

ASSOCIATE = 3
ASK = to_port(0, ASSOCIATE, "0.0.0.0")


def to(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    return b"\0\0\0\1" + ip_address(host).packed + port.to_bytes(2) + data


def named(name: str, port: int, data: bytes) -> bytes:
    return b"\0\0\0\3" + bytes((len(name),)) + name.encode() + port.to_bytes(2) + data


async def associated(scene: Scene, request: bytes = ASK) -> tuple[Peer, Udp, int]:
    """Return a client, its UDP socket, and the port that takes its datagrams."""
    client = await scene.arrive(HELLO + request)
    answer = await heard(client, 12)
    assert answer[:10] == b"\5\0\5\0\0\1\x7f\0\0\1"
    return client, scene.udp(), int.from_bytes(answer[10:])


async def test_there_and_back() -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        mine.say(to(server.port, b"ping"), port)
        data, gateway = await server.hear()
        assert data == b"ping"
        server.say(b"pong!", gateway)
        assert (await mine.hear())[0] == to(server.port, b"pong!")
        client.close()
        await scene.over()
        assert scene.told == [
            ("UDP", "ok", "", ""),
            ("ASSOCIATE", "ok", "", "00"),
        ]
        one, totals = scene.records
        assert one.url == f"socks://127.0.0.1:{server.port}"
        assert totals.url == "socks://"
        for record in scene.records:
            assert (record.bytes_up, record.bytes_down) == (4, 5)


async def test_a_name_is_resolved_and_judged_once() -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        for word in b"one", b"two", b"three":
            mine.say(named("here.test", server.port, word), port)
            data, gateway = await server.hear()
            assert data == word
        server.say(b"back", gateway)
        assert (await mine.hear())[0] == to(server.port, b"back")
        client.close()
        await scene.over()
        assert [record.host for record in scene.records] == ["here.test", ""]


async def test_only_those_who_were_asked_may_answer() -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        server, stranger = scene.udp(), scene.udp()
        mine.say(to(server.port, b"ping"), port)
        _, gateway = await server.hear()
        stranger.say(b"unasked", gateway)
        assert await mine.silent()
        client.close()


async def test_the_first_datagram_fixes_the_port() -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        other, far, server = scene.udp(), scene.udp("127.0.0.2"), scene.udp()
        far.say(to(server.port, b"from afar"), port)
        mine.say(to(server.port, b"mine"), port)
        assert (await server.hear())[0] == b"mine"
        other.say(to(server.port, b"other"), port)
        assert await server.silent()
        client.close()


async def test_the_request_may_fix_the_port() -> None:
    async with door() as scene:
        mine = scene.udp()
        request = to_port(mine.port, ASSOCIATE, "0.0.0.0")
        client, other, port = await associated(scene, request)
        server = scene.udp()
        other.say(to(server.port, b"other"), port)
        mine.say(to(server.port, b"mine"), port)
        assert (await server.hear())[0] == b"mine"
        client.close()


@pytest.mark.parametrize("form", [b"\0\0\1", b"\0\1\0", b"\0\0"])
async def test_fragments_and_what_is_none_are_lost(form: bytes) -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        mine.say(form + to(server.port, b"lost")[3:], port)
        mine.say(to(server.port, b"found"), port)
        assert (await server.hear())[0] == b"found"
        client.close()


async def test_what_is_refused_is_recorded_once() -> None:
    denied = rule("deny", name="no", to="127.0.0.2")
    async with door(rules=(denied, rule(name="all"))) as scene:
        client, mine, port = await associated(scene)
        server, never = scene.udp(), scene.udp("127.0.0.2")
        for _ in range(3):
            mine.say(to(never.port, b"no", "127.0.0.2"), port)
        mine.say(named("nowhere.test", 9, b"no"), port)
        mine.say(to(server.port, b"yes"), port)
        await server.hear()
        mine.say(named("nowhere.test", 9, b"no"), port)
        mine.say(to(server.port, b"yes"), port)
        await server.hear()
        assert await never.silent(0.01)
        client.close()
        await scene.over()
        found = {(r.method, r.host, r.reason) for r in scene.records}
        assert len(scene.records) == len(found)
        assert found == {
            ("UDP", "127.0.0.2", "rule"),
            ("UDP", "nowhere.test", "name"),
            ("UDP", "127.0.0.1", ""),
            ("ASSOCIATE", "", ""),
        }


async def test_an_association_needs_no_rule_and_opens_nothing() -> None:
    async with door(rules=(rule("deny", name="no"),)) as scene:
        client, mine, port = await associated(scene)
        mine.say(to(9, b"no"), port)
        await until(lambda: bool(scene.records))
        client.close()
        await scene.over()
        assert [(r.method, r.reason) for r in scene.records] == [
            ("UDP", "rule"),
            ("ASSOCIATE", ""),
        ]


async def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "KEPT", 2)
    async with door() as scene:
        client, mine, port = await associated(scene)
        servers = [scene.udp() for _ in range(3)]
        gateway = 0
        for server in servers:
            mine.say(to(server.port, b"x"), port)
            _, gateway = await server.hear()
        servers[0].say(b"late", gateway)
        servers[2].say(b"good", gateway)
        assert (await mine.hear())[0] == to(servers[2].port, b"good")
        assert [record.port for record in scene.records] == [servers[0].port]
        client.close()


async def test_silence_ends_it() -> None:
    async with door(udp_idle=1.0) as scene:
        client, _, port = await associated(scene)
        assert await client.the_rest() == (b"", "eof")
        await scene.over()
        (record,) = scene.records
        assert (record.outcome, record.ended_by) == (Outcome.OK, "timeout")
        assert port


async def test_who_is_kicked_is_cut_off() -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        mine.say(to(server.port, b"x"), port)
        await server.hear()
        (gate,) = scene.sessions
        end(gate, list(scene.services.live), "admin", Refused(Reason.ADMIN))  # type: ignore[arg-type]
        assert await client.the_rest() == (b"", "reset")
        await scene.over()
        assert {record.ended_by for record in scene.records} == {"admin"}


async def test_without_udp() -> None:
    async with door(udp=False) as scene:
        client = await scene.arrive(HELLO + ASK)
        assert await client.the_rest() == (b"\5\0\5\7" + NOWHERE, "eof")
        client.close()
        await scene.over()
        assert scene.told == [("ASSOCIATE", "failed", "unsupported", "07")]


async def test_ipv6() -> None:
    async with door() as scene:
        client, mine, port = await associated(scene)
        server = scene.udp("::1")
        head = b"\0\0\0\4" + ip_address("::1").packed + server.port.to_bytes(2)
        mine.say(head + b"six", port)
        data, gateway = await server.hear()
        assert data == b"six"
        server.say(b"back", gateway, "::1")
        assert (await mine.hear())[0] == head + b"back"
        client.close()


# Limits.


def limited(**words: object) -> tuple[Rule, ...]:
    return (rule(name="all", limit=(Limit(**words),)),)  # type: ignore[arg-type]


async def test_a_quota_ends_a_destination() -> None:
    rules = limited(quota=(Quota(10, Period.DAY),))
    async with door(rules=rules) as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        mine.say(to(server.port, b"12345678"), port)
        _, gateway = await server.hear()
        server.say(b"12345678", gateway)
        await until(lambda: bool(scene.records))
        mine.say(to(server.port, b"again"), port)
        assert await mine.silent(0.02)
        assert await server.silent(0.02)
        client.close()
        await scene.over()
        one, totals = scene.records
        assert (one.outcome, one.reason) == (Outcome.CUT, "quota")
        assert one.bytes_up + one.bytes_down == 10
        assert totals.bytes_up == 8
        assert totals.bytes_down == 0


async def test_what_a_rate_holds_back_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = 0
    queue = association.Association._queue

    def watched(
        self: association.Association,
        destination: association.Destination,
        data: bytes,
        *,
        up: bool,
    ) -> None:
        nonlocal longest
        queue(self, destination, data, up=up)
        longest = max(longest, len(destination.queue))

    monkeypatch.setattr(association.Association, "_queue", watched)
    async with door(rules=limited(rate=1000.0)) as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        for _ in range(400):
            mine.say(to(server.port, b"x" * 500), port)
            await asyncio.sleep(0)
        await server.hear()
        await until(lambda: longest >= association.WAITING)
        client.close()
        await scene.over()
        assert longest == association.WAITING
        assert scene.records[0].bytes_up < 100_000


async def test_the_end_of_the_gateway_is_on_record() -> None:
    async with door() as scene:
        _, mine, port = await associated(scene)
        server = scene.udp()
        mine.say(to(server.port, b"ping"), port)
        await server.hear()
        await scene.sessions.cut()
        told = {(one.outcome, one.reason, one.ended_by) for one in scene.records}
        assert told == {(Outcome.CUT, "drain", "drain")}
        assert len(scene.records) == 2


# Through a parent, which another door of ours plays.


def by(scene: Scene, scheme: str = "socks5") -> Upstream:
    return Upstream(via=f"{scheme}://127.0.0.1:{scene.door.port}")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_by_a_parent(scheme: str) -> None:
    async with door() as parent, door(upstream=by(parent, scheme)) as scene:
        client, mine, port = await associated(scene)
        server = scene.udp()
        for words in (
            to(server.port, b"ping"),
            named("here.test", server.port, b"ping"),
        ):
            mine.say(words, port)
            data, gateway = await server.hear()
            assert data == b"ping"
            server.say(b"pong", gateway)
            assert (await mine.hear())[0] == to(server.port, b"pong")
        client.close()
        await scene.over()
        await parent.over()
        asked = sorted(r.host for r in parent.records)
        by_name = "here.test" if scheme == "socks5h" else "127.0.0.1"
        assert by_name in asked
        assert {r.facts.get("via") for r in scene.records} == {
            f"{scheme}://127.0.0.1:{parent.door.port}"
        }


async def test_a_parent_that_goes_away() -> None:
    async with door() as parent, door(upstream=by(parent)) as scene:
        client, _, _ = await associated(scene)
        await parent.sessions.cut()
        assert await client.the_rest() == (b"", "reset")
        await scene.over()
        (record,) = scene.records
        assert (record.outcome, record.reason) == (Outcome.FAILED, "gone")


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "http"])
async def test_other_parents_cannot(scheme: str) -> None:
    async with door() as parent, door(upstream=by(parent, scheme)) as scene:
        client = await scene.arrive(HELLO + ASK)
        assert await client.the_rest() == (b"\5\0\5\7" + NOWHERE, "eof")
        client.close()
        await scene.over()
        assert scene.told == [("ASSOCIATE", "failed", "unsupported", "07")]
