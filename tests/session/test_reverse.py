"""A door that leads to servers of its own: which one, and what the client hears."""

import asyncio
import logging
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.certificates import issue
from tests.session.peers import Peer, Port, soon
from tests.session.secure import SecurePeer
from tests.session.stage import Stage, rule, stage

from portway.config.reverse import Route
from portway.config.schema import Group
from portway.model import Outcome, Reason
from portway.net.balance import Server
from portway.policy.groups import compile_groups
from portway.policy.routes import farms_of
from portway.protocols.ftp.settings import FtpSettings, Upstream

LONG = " " * 24
NONE_LEFT = "< 421 No server is available."
IN = f"""
{LONG}called
{LONG}< 220 inner one
< 220 inner one
> USER joe
{LONG}> USER joe
{LONG}< 230 In
< 230 In
"""


def farm(scene: Stage) -> Sequence[Server]:
    return scene.farms["door"].whole.servers


def ports(scene: Stage, count: int) -> list[str]:
    """Let *count* servers listen, the scene's own last; return where they are."""
    scene.others = [scene.listen("127.0.0.1") for _ in range(count - 1)]  # type: ignore[attr-defined]
    return [f"127.0.0.1:{one.number}" for one in (*scene.others, scene.port)]  # type: ignore[attr-defined]


def dead(scene: Stage, count: int) -> list[str]:
    """Return where *count* servers do not listen, and then the scene's own."""
    found = ports(scene, count + 1)
    for port in scene.others:  # type: ignore[attr-defined]
        port.close()
    return found


def three_dead(scene: Stage) -> list[str]:
    return dead(scene, 3)[:3]


async def test_the_server_greets_before_the_client_says_a_word() -> None:
    async with stage(mode="reverse") as scene:
        await scene.play(IN)
        assert farm(scene)[0].sessions == 1
        await scene.play(f"""
> QUIT
{LONG}> QUIT
{LONG}< 221 Bye
< 221 Bye
""")
        await scene.over()
        assert farm(scene)[0].sessions == 0
    [record] = scene.records
    assert (record.mode, record.method, record.outcome) == (
        *("reverse", "CONNECT"),
        Outcome.OK,
    )


async def test_an_at_sign_is_a_part_of_the_name() -> None:
    async with stage(mode="reverse") as scene:
        await scene.play(f"""
{LONG}called
{LONG}< 220 inner one
< 220 inner one
> USER joe@example.org
{LONG}> USER joe@example.org
""")


async def test_clients_are_told_the_outer_address() -> None:
    """Behind NAT, `data_address` is the one that clients can reach."""
    async with stage(mode="reverse", data_address=ip_address("203.0.113.7")) as scene:
        inner = scene.listen("127.0.0.1")
        await scene.play(f"""{IN}
> PASV
{LONG}> PASV
{LONG}< 227 Entering Passive Mode ({inner.as_port})
< 227 Entering Passive Mode (203,0,113,7,...).
""")


# Retry.


async def test_the_next_server_is_tried_and_the_client_sees_nothing_of_it() -> None:
    async with stage(
        mode="reverse", balance="round-robin", servers=lambda scene: dead(scene, 1)
    ) as scene:
        for _ in range(2):  # one of the two begins with the one that is dead
            await scene.play(IN)
            await scene.arrive()
            scene.server = None
    refused = [one for one in scene.records if one.reason is Reason.REFUSED]
    assert [one.outcome for one in refused] == [Outcome.FAILED]


async def test_what_was_tried_is_out_for_a_while_and_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "portway.protocols.ftp.farm"):
        async with stage(
            mode="reverse", balance="source", servers=lambda scene: dead(scene, 2)
        ) as scene:
            await scene.play(IN)
            now = asyncio.get_running_loop().time()
            out = [one for one in farm(scene) if one.state(now) == "out"]
            assert [one.sessions for one in out] == [0] * len(out)
            for one in out:
                assert 25 < one.down_until - now <= 30
                assert one.lives(one.down_until)
    said = [record.msg for record in caplog.records]
    assert said == ["farm.server_out"] * len(out)
    failed = [one for one in scene.records if one.outcome is Outcome.FAILED]
    assert [one.reason for one in failed] == [Reason.REFUSED] * len(out)


async def test_who_returns_is_tried_again_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with stage(mode="reverse", servers=three_dead) as scene:
        await scene.play(f"{NONE_LEFT}\nended")
        await scene.over()
        for server in farm(scene):
            server.down_until = asyncio.get_running_loop().time()
        with caplog.at_level(logging.INFO, "portway.protocols.ftp.farm"):
            await scene.arrive()
            await scene.play(f"{NONE_LEFT}\nended")
        said = [record.msg for record in caplog.records]
        assert said.count("farm.server_returns") == 3
        assert said[-3:] == ["farm.server_out"] * 3


@pytest.mark.parametrize(
    "balance", ["round-robin", "least-sessions", "random", "source", "user"]
)
async def test_every_balance_serves(balance: str) -> None:
    async with stage(
        mode="reverse", balance=balance, servers=lambda scene: ports(scene, 3)
    ) as scene:
        listening = (scene.port, *scene.others)  # type: ignore[attr-defined]
        late = balance == "user"
        for number in range(6):
            if number:
                await scene.arrive()
            if late:
                assert await scene.client.line() == b"220 edge FTP proxy ready."
                await scene.client.say(b"USER joe\r\n")
            server = await one_of(scene, *listening)
            await server.say(b"220 inner\r\n")
            if not late:
                assert await scene.client.line() == b"220 inner"
        sessions = sorted(one.sessions for one in farm(scene))
    assert sum(sessions) == 6
    if balance in {"round-robin", "least-sessions"}:
        assert sessions == [2, 2, 2]
    elif balance in {"source", "user"}:
        assert sessions == [0, 0, 6]


async def test_a_greeting_that_refuses_is_a_server_that_failed() -> None:
    async with stage(
        mode="reverse",
        balance="least-sessions",
        servers=lambda scene: ports(scene, 2),
    ) as scene:
        other: Port = scene.others[0]  # type: ignore[attr-defined]
        first = await one_of(scene, other)
        await first.say(b"421 Full up\r\n")
        second = await one_of(scene, other)
        assert second.sock.getsockname() != first.sock.getsockname()
        await second.say(b"220 inner two\r\n")
        assert await scene.client.line() == b"220 inner two"
        assert sorted(one.sessions for one in farm(scene)) == [0, 1]
    assert {record.status for record in scene.records} >= {"421"}


async def one_of(scene: Stage, *others: Port) -> Peer:
    """Return the connection that comes to the scene's server, or one of *others*."""
    listening = dict.fromkeys((scene.port, *others))
    waiting = [asyncio.ensure_future(port.accept()) for port in listening]
    done, late = await soon(asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))
    for one in late:
        one.cancel()
    await asyncio.wait(waiting)
    peer = done.pop().result()
    scene.keep(peer)
    return peer


async def test_three_servers_are_tried_and_no_more() -> None:
    async with stage(
        mode="reverse", balance="source", servers=lambda scene: dead(scene, 5)[:5]
    ) as scene:
        await scene.play(f"{NONE_LEFT}\nended")
        await scene.over()
        out = [one for one in farm(scene) if one.down_until]
        assert len(out) == 3
        assert all(one.sessions == 0 for one in farm(scene))
    assert len(scene.records) == 3


async def test_where_all_are_down_the_client_is_told_so_and_it_is_recorded() -> None:
    async with stage(mode="reverse", servers=three_dead) as scene:
        await scene.play(f"{NONE_LEFT}\nended")
        await scene.over()
        before = len(scene.records)
        await scene.arrive()
        await scene.play(f"{NONE_LEFT}\nended")
        await scene.over()
        [record] = scene.records[before:]
    assert (record.outcome, record.reason) == (Outcome.FAILED, Reason.UNREACHABLE)
    assert record.error == "no server is available"


async def test_no_next_server_once_one_has_greeted() -> None:
    async with stage(
        mode="reverse", balance="source", servers=lambda scene: ports(scene, 2)
    ) as scene:
        other: Port = scene.others[0]  # type: ignore[attr-defined]
        first = await one_of(scene, other)
        await first.say(b"220 hello\r\n")
        assert await scene.client.line() == b"220 hello"
        await scene.client.say(b"USER joe\r\n")
        assert await first.line() == b"USER joe"
        first.close()
        assert await scene.client.line() == b"421 Server closed the connection."
        assert await other.nobody_comes()


async def test_a_client_that_leaves_while_we_dial_is_no_fault_of_the_server() -> None:
    async with stage(mode="reverse") as scene:
        await scene.called()
        scene.client.close()
        await scene.over()
        assert farm(scene)[0].lives(asyncio.get_running_loop().time())
        assert farm(scene)[0].sessions == 0


async def test_a_server_without_the_tls_that_it_must_have_is_passed_over() -> None:
    async with stage(
        mode="reverse",
        servers=lambda scene: ports(scene, 2),
        upstream=Upstream(tls="required", verify=False),
    ) as scene:
        other: Port = scene.others[0]  # type: ignore[attr-defined]
        for _ in range(2):
            server = await one_of(scene, other)
            await server.say(b"220 plain\r\n")
            assert await server.line() == b"AUTH TLS"
            await server.say(b"502 What?\r\n")
            assert await server.line() == b"AUTH SSL"
            await server.say(b"502 What?\r\n")
        await scene.play(f"{NONE_LEFT}\nended")
        await scene.over()
    assert [record.reason for record in scene.records] == [Reason.TLS] * 2


async def test_tls_ends_at_the_gateway(tmp_path: Path) -> None:
    files = issue(tmp_path)
    async with stage(
        mode="reverse", tls="required", certificate=files.certificate, key=files.key
    ) as scene:
        await scene.play(f"""
{LONG}called
{LONG}< 220 inner one
< 220 inner one
> USER joe
< 530 TLS is required: send AUTH TLS first.
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        scene.client = secure = SecurePeer(
            scene.client, files.connecting(), server_hostname="127.0.0.1"
        )
        await secure.shake_hands()
        await scene.play(f"""
> USER joe
{LONG}> USER joe
{LONG}< 230 In
< 230 In
""")
        assert farm(scene)[0].sessions == 1
    [record] = scene.records
    assert record.facts["tls_client"].startswith("TLSv1.3")


# The policy.


async def test_a_rule_must_allow_the_inside() -> None:
    outside = rule(name="outside", to=("*",))
    async with stage(mode="reverse", rules=(outside,)) as scene:
        await scene.play("< 530 Denied by policy.\nended")
        await scene.over()
        assert farm(scene)[0].lives(asyncio.get_running_loop().time())
    [record] = scene.records
    assert (record.outcome, record.reason) == (Outcome.REFUSED, Reason.INSIDE)


async def test_a_refusal_of_ours_tries_no_other_server() -> None:
    no = rule("deny", name="no", because="Not today.")
    async with stage(
        mode="reverse", rules=(no,), servers=lambda scene: ports(scene, 3)
    ) as scene:
        await scene.play("< 530 Denied: Not today.\nended")
        await scene.over()
    assert len(scene.records) == 1


# Who gets which.


async def test_a_user_stays_with_one_server() -> None:
    async with stage(
        mode="reverse", balance="user", servers=lambda scene: ports(scene, 2)
    ) as scene:
        other: Port = scene.others[0]  # type: ignore[attr-defined]
        seen: dict[bytes, set[object]] = {b"alice": set(), b"bob": set(), b"c": set()}
        for user in [*seen, *seen, *seen]:
            await scene.arrive()
            assert await scene.client.line() == b"220 edge FTP proxy ready."
            await scene.client.say(b"USER " + user + b"\r\n")
            server = await one_of(scene, other)
            await server.say(b"220 inner\r\n")
            assert await server.line() == b"USER " + user
            await server.say(b"331 Password\r\n")
            assert await scene.client.line() == b"331-inner"
            assert await scene.client.line() == b"331 Password"
            seen[user].add(server.sock.getsockname())
        assert all(len(at) == 1 for at in seen.values())


async def test_a_proxy_login_comes_first_and_decides() -> None:
    async with stage(mode="reverse", login="required", accounts={"fu": "fp"}) as scene:
        await scene.play(f"""
< 220 edge FTP proxy ready.
> USER fu
< 331 Send password.
> PASS fp
{LONG}called
{LONG}< 220 inner
< 230-inner
< 230 Login OK. Proceed.
> USER joe
{LONG}> USER joe
{LONG}< 331 Password
< 331 Password
""")
    assert scene.records[-1].user == "fu"


ALICES = Route(who=("user:alice", "group:lab"), servers=("127.0.0.1:1",))
LAB = (Group(name="lab", where="p:1", members=("user:joe",), lines=("p:2",)),)


@pytest.mark.parametrize("user", ["alice", "joe"])
async def test_a_route_leads_its_users_to_their_server(user: str) -> None:
    async with stage(
        mode="reverse", route=(ALICES,), groups=LAB, servers=lambda _: ["127.0.0.1:2"]
    ) as scene:
        at = (f"127.0.0.1:{scene.port.number}",)
        keys = FtpSettings(
            servers=("127.0.0.1:2",), route=(Route(who=ALICES.who, servers=at),)
        )
        found, _ = farms_of(keys, compile_groups(LAB, []))
        assert found is not None
        scene.farms["door"] = found
        await scene.play(f"""
< 220 edge FTP proxy ready.
> USER {user}
{LONG}called
{LONG}< 220 inner
{LONG}> USER {user}
{LONG}< 331 Password
< 331-inner
< 331 Password
""")


async def test_whom_no_route_is_for_is_refused_and_may_try_again() -> None:
    async with stage(mode="reverse", route=(ALICES,), groups=LAB) as scene:
        found, _ = farms_of(FtpSettings(route=(ALICES,)), compile_groups(LAB, []))
        assert found is not None
        scene.farms["door"] = found
        await scene.play("""
< 220 edge FTP proxy ready.
> USER mallory
< 530 No server is for this login.
> USER eve
< 530 No server is for this login.
""")
    assert [record.reason for record in scene.records] == [Reason.DEFAULT] * 2


async def test_a_door_that_went_with_a_reload_has_no_servers() -> None:
    async with stage(mode="reverse", balance="user") as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        scene.farms.clear()
        await scene.play(f"> USER joe\n{NONE_LEFT}\nended")
