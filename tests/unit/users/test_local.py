"""Local accounts in a real file, with real hashes."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from argon2 import PasswordHasher, extract_parameters

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users import local
from portway.users.directory import Verification
from portway.users.local import (
    Account,
    AccountExists,
    AccountFile,
    AccountsError,
    LocalAccounts,
    NoSuchAccount,
)

OK, WRONG, UNKNOWN = Verification.OK, Verification.WRONG, Verification.UNKNOWN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / local.NAME


@pytest.fixture
def file(path: Path) -> AccountFile:
    accounts = AccountFile(path)
    accounts.add("alice", "wonder")
    return accounts


@pytest_asyncio.fixture
async def directory(path: Path) -> AsyncIterator[LocalAccounts]:
    accounts = LocalAccounts(path)
    yield accounts
    accounts.close()


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def hash_of(path: Path, name: str) -> str:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT hash FROM accounts WHERE name = ?"
        return str(connection.execute(query, (name,)).fetchone()[0])


def test_a_right_password_a_wrong_one_and_no_account(file: AccountFile) -> None:
    assert file.verify("alice", "wonder") is OK
    assert file.verify("alice", "Wonder") is WRONG
    assert file.verify("alice", "") is WRONG
    assert file.verify("Alice", "wonder") is UNKNOWN
    assert file.verify("al:ice", "wonder") is UNKNOWN
    assert file.verify("\udc80", "wonder") is UNKNOWN


def test_no_file_means_no_accounts(path: Path) -> None:
    accounts = AccountFile(path)
    assert accounts.verify("alice", "wonder") is UNKNOWN
    assert not accounts.knows("alice")
    assert accounts.accounts() == []
    with pytest.raises(NoSuchAccount):
        accounts.set_password("alice", "x")
    assert not path.parent.exists()


def test_the_file_is_for_its_owner_alone(file: AccountFile, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_hashes_are_as_the_design_has_them(file: AccountFile, path: Path) -> None:
    found = extract_parameters(hash_of(path, "alice"))
    assert found.type.name == "ID"
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19_456, 2, 1)
    assert b"wonder" not in path.read_bytes()


def test_a_hash_of_weaker_parameters_is_raised_at_the_next_login(
    file: AccountFile, path: Path
) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("wonder")
    change(path, "UPDATE accounts SET hash = ?", weak)
    assert file.verify("alice", "wrong") is WRONG
    assert hash_of(path, "alice") == weak
    assert file.verify("alice", "wonder") is OK
    assert extract_parameters(hash_of(path, "alice")).memory_cost == 19_456
    assert file.verify("alice", "wonder") is OK


def test_an_account_that_is_off_is_wrong_and_known(
    file: AccountFile, path: Path
) -> None:
    change(path, "UPDATE accounts SET enabled = 0")
    assert file.verify("alice", "wonder") is WRONG
    assert file.knows("alice")
    assert file.accounts() == [Account("alice", enabled=False)]


def test_what_the_commands_do(file: AccountFile) -> None:
    with pytest.raises(AccountExists):
        file.add("alice", "other")
    with pytest.raises(ValueError, match="any of"):
        file.add("b:b", "x")
    file.add("bob", "builder")
    file.set_password("alice", "looking-glass")
    assert file.verify("alice", "wonder") is WRONG
    assert file.verify("alice", "looking-glass") is OK
    assert [account.name for account in file.accounts()] == ["alice", "bob"]
    file.remove("alice")
    assert not file.knows("alice")
    with pytest.raises(NoSuchAccount):
        file.remove("alice")
    with pytest.raises(NoSuchAccount):
        file.set_password("alice", "x")


def test_a_name_is_one_in_whatever_spelling(file: AccountFile) -> None:
    file.add("Zoe\u0308", "x")
    with pytest.raises(AccountExists):
        file.add("Zo\xeb", "x")
    assert file.verify("Zo\xeb", "x") is OK
    assert file.knows("Zoe\u0308")


def test_a_password_may_be_any_bytes(file: AccountFile) -> None:
    latin = b"\xe9t\xe9".decode(errors="surrogateescape")
    file.add("bob", latin)
    assert file.verify("bob", latin) is OK
    assert file.verify("bob", "été") is WRONG


def test_an_unknown_name_costs_the_same_time(file: AccountFile) -> None:
    def cost(name: str) -> float:
        times = []
        for _ in range(5):
            begun = time.thread_time()
            file.verify(name, "wrong")
            times.append(time.thread_time() - begun)
        return min(times)

    known, unknown, unfit = cost("alice"), cost("nobody"), cost("no:body")
    assert 0.7 < unknown / known < 1.4
    assert 0.7 < unfit / known < 1.4


def test_a_damaged_file_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no accounts " * 999)
    with pytest.raises(AccountsError, match=f"{path}: .*not a database"):
        AccountFile(path).verify("alice", "wonder")
    with pytest.raises(AccountsError, match="not a database"):
        AccountFile(path).accounts()


def test_a_file_of_the_future_is_refused(file: AccountFile, path: Path) -> None:
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(AccountsError, match="a newer Portway"):
        file.knows("alice")


def test_a_file_left_empty_is_as_good_as_none(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    accounts = AccountFile(path)
    assert accounts.verify("alice", "wonder") is UNKNOWN
    accounts.add("alice", "wonder")
    assert accounts.verify("alice", "wonder") is OK


def test_no_password_shows_in_a_repr(file: AccountFile) -> None:
    assert "wonder" not in repr(file) + repr(file.accounts())


# The directory, which a loop asks.


async def test_a_change_counts_at_once(
    file: AccountFile, directory: LocalAccounts
) -> None:
    assert await directory.verify(Credentials("alice", "wonder")) is OK
    file.set_password("alice", "other")
    assert await directory.verify(Credentials("alice", "wonder")) is WRONG
    assert await directory.verify(Credentials("alice", "other")) is OK
    file.remove("alice")
    assert await directory.verify(Credentials("alice", "other")) is UNKNOWN
    assert not await directory.knows("alice")
    file.add("alice", "third")
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
    assert await asked == [OK] * 12
    assert turns > 10
    assert longest < 0.02


async def test_more_logins_than_may_wait_are_refused(
    file: AccountFile, path: Path
) -> None:
    directory = LocalAccounts(path, workers=1, waiting=2)
    asked = [
        asyncio.ensure_future(directory.verify(Credentials("alice", "wonder")))
        for _ in range(5)
    ]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert found[:3] == [OK] * 3
    for refusal in found[3:]:
        assert isinstance(refusal, Refused)
        assert refusal.reason is Reason.LOGIN_UNAVAILABLE
    assert await directory.verify(Credentials("alice", "wonder")) is OK
    directory.close()


async def test_who_goes_away_still_counts_until_the_hash_is_made(
    file: AccountFile, path: Path
) -> None:
    directory = LocalAccounts(path, workers=1, waiting=0)
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
