"""Accounts over FTP: whose a login is, how long it counts, what a wrong one costs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio
from tests.session.moving import LONG
from tests.session.peers import Ended, Peer
from tests.session.stage import EVERYTHING, Clock, Shelf, Stage, rule, stage

from portway.administration import Administration
from portway.config.schema import Group, Rule
from portway.control import Answer, Call, Request
from portway.policy.compile import compile_rules
from portway.protocols.ftp import replies
from portway.protocols.ftp.protocol import PROTOCOL
from portway.services import Current, Door
from portway.users import local
from portway.users.accounts import Account, AccountFile, Change
from portway.users.chain import Chain
from portway.users.local import LocalAccounts

HERS = rule(name="hers", who="user:alice", do="connect")
IN = f"""
< 220 edge FTP proxy ready.
> USER alice
< 331 Send password.
> PASS wonder
< 230 Login OK. Proceed.
> SITE {{at}}
{LONG}< 220 Welcome
< 220 Welcome
> USER u
{LONG}> USER u
{LONG}< 230 In
< 230 In
"""


@pytest.fixture
def file(tmp_path: Path) -> AccountFile:
    accounts = AccountFile(tmp_path / "accounts.db")
    accounts.add(Account("alice", groups=frozenset({"staff", "lab"})), "wonder")
    accounts.add(Account("bob"), "builder")
    return accounts


@pytest_asyncio.fixture
async def chain(
    file: AccountFile, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Chain]:
    monkeypatch.setattr(local, "FRESH", 0.0)
    made = Chain([LocalAccounts(file.path, Clock())])
    yield made
    made.close()


async def enter(peer: Peer, user: str, password: str) -> str:
    """Log in to the proxy; return the last reply's code, or how it ended."""
    try:
        for words in (f"USER {user}", f"PASS {password}"):
            await peer.say(f"{words}\r\n".encode())
            answer = (await peer.line()).decode()
    except Ended as ended:
        return ended.how
    return answer[:3]


async def another(scene: Stage, source: str = "") -> Peer:
    """Connect once more, and hear the greeting."""
    peer = await scene.call(scene.door.host, scene.door.port, source)
    assert (await peer.line()).startswith(b"220 ")
    return peer


async def answer_to(peer: Peer, words: str) -> str:
    await peer.say(f"{words}\r\n".encode())
    return (await peer.line()).decode()[:3]


async def test_two_users_behind_one_address_do_not_mix(chain: Chain) -> None:
    """Each connection is its own login's, in whatever order they speak."""
    async with stage(login="optional", rules=(HERS,), directory=chain) as scene:
        hers, his, nobodys = [await another(scene) for _ in range(3)]
        logins = (enter(hers, "alice", "wonder"), enter(his, "bob", "builder"))
        assert [*await asyncio.gather(*logins)] == ["230", "230"]
        for _ in range(3):
            assert await answer_to(his, f"SITE ftp.test:{scene.port.number}") == "530"
            assert await answer_to(nobodys, "SITE ftp.test") == "530"
        await hers.say(f"SITE ftp.test:{scene.port.number}\r\n".encode())
        server = await scene.called()
        await server.say(b"220 Welcome\r\n")
        assert (await hers.line()).startswith(b"220")
        assert await answer_to(his, f"SITE ftp.test:{scene.port.number}") == "530"
    found = [(one.user, one.by, one.verdict, one.client) for one in scene.records]
    assert found.count(("alice", "password", "allow", "127.0.0.1")) == 1
    assert found.count(("bob", "password", "deny", "127.0.0.1")) == 4
    assert found.count(("", "", "deny", "127.0.0.1")) == 3


async def test_a_login_is_forgotten_with_its_connection(chain: Chain) -> None:
    async with stage(login="required", directory=chain) as scene:
        first = await another(scene)
        assert await enter(first, "alice", "wonder") == "230"
        first.close()
        second = await another(scene)
        assert await answer_to(second, "SITE ftp.test") == "220"  # noted, no more
        assert await enter(second, "", "x") == "530"


async def test_records_tell_who_it_was_and_how_it_is_known(chain: Chain) -> None:
    async with stage(login="required", directory=chain) as scene:
        await scene.play(IN)
    (record,) = scene.records
    assert (record.user, record.by) == ("alice", "password")
    assert record.facts["groups"] == '["lab","staff"]'
    assert record.facts["login_source"] == "local"


@pytest.mark.parametrize("how", ["passwd", "disable", "expire", "remove"])
async def test_a_session_ends_with_its_login(
    file: AccountFile, chain: Chain, how: str
) -> None:
    ends = {
        "passwd": lambda: file.set_password("alice", "wonder"),
        "disable": lambda: file.change("alice", Change(enabled=False)),
        "expire": lambda: file.change("alice", Change(expires=Clock.now)),
        "remove": lambda: file.remove("alice"),
    }
    async with stage(login="required", directory=chain) as scene:
        await scene.play(IN + f"> NOOP\n{LONG}> NOOP\n{LONG}< 200 OK\n< 200 OK")
        await asyncio.to_thread(ends[how])
        await scene.play("""
            > PWD
            < 421 The proxy login counts no more. Log in again.
            ended
            """)
    last = scene.records[0]
    assert (last.method, last.outcome, last.reason) == ("LOGIN", "refused", "login")
    assert last.facts["claimed"] == "alice"


async def test_groups_follow_the_account(file: AccountFile, chain: Chain) -> None:
    async with stage(login="required", directory=chain) as scene:
        await scene.play(IN)
        await asyncio.to_thread(file.change, "alice", Change(leave=("lab",)))
        await scene.play(f"> DELE x\n{LONG}> DELE x\n{LONG}< 250 Gone\n< 250 Gone")
    assert [record.facts["groups"] for record in scene.records] == [
        '["staff"]',
        '["lab","staff"]',
    ]


# What a wrong login costs.


def failed(scene: Stage) -> list[tuple[str, str]]:
    return [(one.facts["claimed"], one.reason) for one in scene.records]


async def test_a_wrong_one_is_answered_after_a_second(chain: Chain) -> None:
    async with stage(login="required", directory=chain) as scene:
        peer = await another(scene)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await enter(peer, "alice", "wrong") == "530"
        assert await enter(peer, "nobody", "wrong") == "530"
        assert loop.time() - begun > 2.0
        assert failed(scene) == [("alice", "login-wrong"), ("nobody", "login-wrong")]


async def test_whoever_guesses_keeps_nobody_waiting_elsewhere(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.users.guessing.DELAYS", (60.0,))
    async with stage(login="required", directory=chain) as scene:
        loop = asyncio.get_running_loop()
        guessers = [await another(scene) for _ in range(5)]
        guessing = [
            asyncio.ensure_future(enter(peer, "alice", "wrong")) for peer in guessers
        ]
        while not scene.records:  # until the first was wrong
            await asyncio.sleep(0.01)
        begun = loop.time()
        owner = await another(scene, "127.0.0.2")
        assert await enter(owner, "alice", "wonder") == "230"
        assert loop.time() - begun < 10
        assert len(scene.records) == 1  # the others wait in line
        for task in guessing:
            task.cancel()
        await asyncio.gather(*guessing, return_exceptions=True)
        for peer in guessers:
            peer.close()
    assert len(scene.records) == 1  # and who leaves it has not tried


async def test_too_many_wrong_ones_end_the_logins_of_an_address(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.users.guessing.DELAYS", (0.01,))
    monkeypatch.setattr("portway.users.guessing.BAN_AFTER", 2)
    async with stage(login="required", directory=chain) as scene:
        peer = await another(scene)
        assert await enter(peer, "alice", "wrong") == "530"
        assert await enter(peer, "bob", "wrong") == "530"
        late = await another(scene)
        words = b"331 Send password.\r\n" + replies.TOO_MANY_WRONG
        await late.say(b"USER alice\r\nPASS wonder\r\n")
        assert await late.the_rest() == (words, "eof")
        owner = await another(scene, "127.0.0.2")
        assert await enter(owner, "alice", "wonder") == "230"
    assert failed(scene) == [
        ("alice", "login-wrong"),
        ("bob", "login-wrong"),
        ("alice", "rate"),
    ]


@pytest.mark.parametrize("login", ["optional", "required"])
async def test_accounts_that_cannot_be_read_are_neither_right_nor_wrong(
    chain: Chain, file: AccountFile, login: str
) -> None:
    file.path.write_bytes(b"no accounts " * 999)
    async with stage(login=login, directory=chain) as scene:  # type: ignore[arg-type]
        await scene.play("""
            < 220 edge FTP proxy ready.
            > USER alice
            < 331 Send password.
            > PASS wonder
            < 421 The proxy cannot check logins now.
            ended
            """)
    (record,) = scene.records
    assert (record.outcome, record.reason) == ("refused", "login-unavailable")
    assert "wonder" not in repr(record)


async def test_rules_see_the_groups_of_an_account(
    file: AccountFile, chain: Chain
) -> None:
    rules = (rule("deny", who="group:lab", do="delete", because="No."), EVERYTHING)
    lab = (Group(name="lab", where="test:1"),)
    async with stage(
        login="required", rules=rules, groups=lab, directory=chain
    ) as scene:
        await scene.play(IN + "> DELE x\n< 550 Denied: No.")
        await asyncio.to_thread(file.change, "alice", Change(leave=("lab",)))
        await scene.play(f"> DELE x\n{LONG}> DELE x\n{LONG}< 250 Gone\n< 250 Gone")


# A reload that looks at what goes on.


STAFF = rule("deny", name="no staff", who="group:staff", do="connect")
GROUPS = (Group(name="lab", where="test:1"), Group(name="staff", where="test:1"))


async def recheck(scene: Stage, *rules: Rule) -> str:
    """Take *rules*, look at what goes on, and return the administrator's answer."""
    compiled, _ = compile_rules(
        rules, timezone="UTC", protocols={"ftp": PROTOCOL.methods}, groups=GROUPS
    )

    async def reload() -> Answer:
        return Answer(done=True)

    def status() -> NoReturn:
        raise AssertionError

    async def keep(_: bytes) -> None:
        return

    services = replace(scene.services, rules=compiled, sink=Shelf())
    administration = Administration(
        Current(services),
        scene.sessions,
        reload=reload,
        status=status,
        doors=lambda: [Door("door", "ftp", 21, "forward")],
    )
    request = Request("reload", {"recheck": True})
    answer = await administration.answer(Call(request, 0, keep))
    return answer.lines[-1].partition(", ")[2]


async def test_a_recheck_judges_by_the_groups_of_now(
    file: AccountFile, chain: Chain
) -> None:
    async with stage(login="required", groups=GROUPS, directory=chain) as scene:
        await scene.play(IN)
        await asyncio.to_thread(file.change, "alice", Change(leave=("staff",)))
        assert await recheck(scene, STAFF, EVERYTHING) == "0 sessions ended"
        await asyncio.to_thread(file.change, "alice", Change(join=("staff",)))
        assert await recheck(scene, STAFF, EVERYTHING) == "1 sessions ended"
        await scene.play(f"< 421 Denied ...\nended\n{LONG}ended")
    (record,) = scene.records
    assert record.facts["ended_rule"] == "no staff (test:1)"


async def test_a_recheck_ends_a_login_that_counts_no_more(
    file: AccountFile, chain: Chain
) -> None:
    async with stage(login="required", directory=chain) as scene:
        await scene.play(IN)
        await asyncio.to_thread(file.change, "alice", Change(enabled=False))
        assert await recheck(scene, EVERYTHING) == "1 sessions ended"
        await scene.play(f"< 421 Log in to the proxy anew.\nended\n{LONG}ended")
    found = [(one.method, one.ended_by, one.reason) for one in scene.records]
    assert sorted(found) == [("CONNECT", "reload", "login"), ("LOGIN", "", "login")]
