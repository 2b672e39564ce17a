"""Local accounts as a loop asks for them."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users import accounts as module
from portway.users import local
from portway.users.accounts import Account, AccountFile, Change
from portway.users.directory import UNKNOWN, Overloaded, Verification, Verified
from portway.users.local import LocalAccounts

WRONG = Verified(Verification.WRONG, source="local")


class Clock:
    now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / module.NAME


@pytest.fixture
def file(path: Path) -> AccountFile:
    accounts = AccountFile(path)
    accounts.add(Account("alice"), "wonder")
    return accounts


@pytest_asyncio.fixture
async def directory(path: Path, clock: Clock) -> AsyncIterator[LocalAccounts]:
    accounts = LocalAccounts(path, clock)
    yield accounts
    accounts.close()


async def log_in(directory: LocalAccounts, password: str = "wonder") -> Verified:
    found = await directory.verify(Credentials("alice", password))
    assert found.verification is Verification.OK
    return found


async def test_a_change_counts_at_once(
    file: AccountFile, directory: LocalAccounts
) -> None:
    await log_in(directory)
    file.set_password("alice", "other")
    assert await directory.verify(Credentials("alice", "wonder")) == WRONG
    await log_in(directory, "other")
    file.remove("alice")
    assert await directory.verify(Credentials("alice", "other")) == UNKNOWN
    assert not await directory.knows("alice")
    file.add(Account("alice"), "third")
    assert await directory.knows("alice")


async def test_the_loop_goes_on_while_passwords_are_checked(
    file: AccountFile, directory: LocalAccounts
) -> None:
    longest = 0.0
    asked = asyncio.gather(
        *(directory.verify(Credentials("alice", "wonder")) for _ in range(12))
    )
    await asyncio.sleep(0)
    threads = {thread.name for thread in threading.enumerate()}
    assert any(name.startswith("login") for name in threads)
    turns = 0
    while not asked.done():
        begun = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - begun)
        turns += 1
    assert {found.verification for found in await asked} == {Verification.OK}
    assert turns > 10
    assert longest < 0.02


async def test_more_logins_than_may_wait_are_refused(
    file: AccountFile, path: Path, clock: Clock
) -> None:
    directory = LocalAccounts(path, clock, workers=1, waiting=2)
    asked = [
        asyncio.ensure_future(directory.verify(Credentials("alice", "wonder")))
        for _ in range(5)
    ]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, Verified) for each in found[:3])
    for refusal in found[3:]:
        assert isinstance(refusal, Refused)
        assert refusal.reason is Reason.LOGIN_UNAVAILABLE
    await log_in(directory)
    directory.close()


async def test_who_has_waited_too_long_is_one_too_many_and_is_not_checked(
    file: AccountFile, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    begun, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def verify(_: AccountFile, user: str, __: str, ___: float) -> Verified:
        checked.append(user)
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(10)
        return Verified(Verification.OK, user)

    monkeypatch.setattr(AccountFile, "verify", verify)
    directory = LocalAccounts(path, clock, workers=1)
    first = asyncio.ensure_future(directory.verify(Credentials("alice", "x")))
    await begun.wait()
    monkeypatch.setattr(local, "QUEUED", 0.05)
    with pytest.raises(Overloaded):
        await directory.verify(Credentials("bob", "x"))
    assert not first.done()
    goes_on.set()
    assert (await first).user == "alice"
    assert checked == ["alice"]
    directory.close()


async def test_who_goes_away_still_counts_until_the_hash_is_made(
    file: AccountFile, path: Path, clock: Clock
) -> None:
    directory = LocalAccounts(path, clock, workers=1, waiting=0)
    login = directory.verify(Credentials("alice", "wonder"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(login, 0.001)
    with pytest.raises(Refused):
        await directory.verify(Credentials("alice", "wonder"))
    directory.close()


async def test_a_file_that_cannot_be_read_is_neither_right_nor_wrong(
    path: Path, directory: LocalAccounts
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no accounts " * 999)
    for ask in (directory.verify(Credentials("a", "b")), directory.knows("a")):
        with pytest.raises(Refused) as caught:
            await ask
        assert caught.value.reason is Reason.LOGIN_UNAVAILABLE


async def test_what_was_asked_before_the_end_is_still_answered(
    file: AccountFile, path: Path, clock: Clock
) -> None:
    directory = LocalAccounts(path, clock, workers=1)
    asked = [asyncio.ensure_future(log_in(directory)) for _ in range(3)]
    await asyncio.sleep(0)
    directory.close()
    assert len(await asyncio.gather(*asked)) == 3


# Logins that were taken.


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing that the file said be believed for a second."""
    monkeypatch.setattr(local, "FRESH", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_a_login_counts_until_something_ends_it(
    file: AccountFile, directory: LocalAccounts
) -> None:
    ends: list[Callable[[], None]] = [
        lambda: file.set_password("alice", "wonder"),
        lambda: file.change("alice", Change(enabled=False)),
        lambda: file.remove("alice"),
    ]
    for end in ends:
        taken = await log_in(directory)
        assert await directory.renewed(taken) is taken
        end()
        assert await directory.renewed(taken) is None
        if not file.knows("alice"):
            file.add(Account("alice"), "wonder")
        file.change("alice", Change(enabled=True))
        assert await directory.renewed(taken) is None


@pytest.mark.usefixtures("at_once")
async def test_a_login_counts_until_its_account_expires(
    file: AccountFile, directory: LocalAccounts, clock: Clock
) -> None:
    taken = await log_in(directory)
    file.change("alice", Change(expires=clock.now + 9))
    assert await directory.renewed(taken) is taken
    clock.now += 9
    assert await directory.renewed(taken) is None


@pytest.mark.usefixtures("at_once")
async def test_the_groups_of_a_login_are_those_of_now(
    file: AccountFile, directory: LocalAccounts
) -> None:
    taken = await log_in(directory)
    file.change("alice", Change(join=("lab",)))
    renewed = await directory.renewed(taken)
    assert renewed is not None
    assert renewed.groups == {"lab"}
    assert await directory.renewed(renewed) is renewed


@pytest.mark.usefixtures("at_once")
async def test_a_file_that_cannot_be_read_ends_no_login(
    file: AccountFile, directory: LocalAccounts, path: Path
) -> None:
    taken = await log_in(directory)
    assert await directory.renewed(taken) is taken
    path.write_bytes(b"no accounts " * 999)
    assert await directory.renewed(taken) is taken
    path.unlink()  # no file means no accounts
    assert await directory.renewed(taken) is None


async def test_the_file_is_looked_at_once_a_second(
    file: AccountFile, directory: LocalAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await log_in(directory)
    looks: list[str] = []
    standings = AccountFile.standings
    monkeypatch.setattr(
        AccountFile,
        "standings",
        lambda self: looks.append(threading.current_thread().name) or standings(self),  # type: ignore[func-returns-value]
    )
    asked = [directory.renewed(taken) for _ in range(50)]
    assert await asyncio.gather(*asked) == [taken] * 50
    for _ in range(50):
        assert await directory.renewed(taken) is taken
    assert len(looks) == 1
    assert looks[0].startswith("account")


@pytest.mark.usefixtures("at_once")
async def test_a_file_that_lies_still_is_not_read_again(
    file: AccountFile,
    directory: LocalAccounts,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = await log_in(directory)
    os.utime(path, (1e9, 1e9))
    assert await directory.renewed(taken) is taken
    monkeypatch.setattr(AccountFile, "standings", None)
    assert await directory.renewed(taken) is taken


@pytest.mark.usefixtures("at_once")
async def test_a_change_that_leaves_the_file_s_time_as_it_was_is_seen(
    file: AccountFile, directory: LocalAccounts, path: Path
) -> None:
    taken = await log_in(directory)
    assert await directory.renewed(taken) is taken
    before = path.stat().st_mtime_ns  # another change in the same tick of the clock
    file.set_password("alice", "wonder")
    os.utime(path, ns=(before, before))
    assert await directory.renewed(taken) is None


@pytest.mark.usefixtures("at_once")
async def test_who_stops_waiting_for_a_look_stops_nobody_else(
    file: AccountFile, directory: LocalAccounts
) -> None:
    taken = await log_in(directory)
    impatient = asyncio.ensure_future(directory.renewed(taken))
    patient = asyncio.ensure_future(directory.renewed(taken))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is taken
    assert impatient.cancelled()
