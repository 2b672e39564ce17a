"""The file of accounts, with real hashes."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters

from portway.users import accounts as module
from portway.users.accounts import (
    HASHER,
    Account,
    AccountExists,
    AccountFile,
    AccountsError,
    Change,
    NoSuchAccount,
    Role,
)
from portway.users.directory import UNKNOWN, Verification, Verified

NOW = 1_800_000_000.0
WRONG = Verified(Verification.WRONG, source="local")

# What a Portway of the first version wrote.
FIRST = """
BEGIN;
CREATE TABLE accounts (
  name TEXT PRIMARY KEY,
  hash TEXT NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""


def is_right(file: AccountFile, name: str, password: str, now: float = NOW) -> bool:
    return file.verify(name, password, now).verification is Verification.OK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / module.NAME


@pytest.fixture
def file(path: Path) -> AccountFile:
    accounts = AccountFile(path)
    accounts.add(Account("alice"), "wonder")
    return accounts


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def hash_of(path: Path, name: str) -> str:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT hash FROM accounts WHERE name = ?"
        return str(connection.execute(query, (name,)).fetchone()[0])


def test_a_right_password_a_wrong_one_and_no_account(file: AccountFile) -> None:
    assert is_right(file, "alice", "wonder")
    assert file.verify("alice", "Wonder", NOW) == WRONG
    assert file.verify("alice", "", NOW) == WRONG
    assert file.verify("Alice", "wonder", NOW) == UNKNOWN
    assert file.verify("al:ice", "wonder", NOW) == UNKNOWN
    assert file.verify("\udc80", "wonder", NOW) == UNKNOWN


def test_no_file_means_no_accounts(path: Path) -> None:
    accounts = AccountFile(path)
    assert accounts.verify("alice", "wonder", NOW) == UNKNOWN
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
    assert file.verify("alice", "wrong", NOW) == WRONG
    assert hash_of(path, "alice") == weak
    assert is_right(file, "alice", "wonder")
    assert extract_parameters(hash_of(path, "alice")).memory_cost == 19_456
    assert is_right(file, "alice", "wonder")


def test_an_account_that_is_off_is_wrong_and_known(
    file: AccountFile, path: Path
) -> None:
    change(path, "UPDATE accounts SET enabled = 0")
    assert file.verify("alice", "wonder", NOW) == WRONG
    assert file.knows("alice")
    assert file.accounts() == [Account("alice", enabled=False)]


def test_what_the_commands_do(file: AccountFile) -> None:
    with pytest.raises(AccountExists):
        file.add(Account("alice"), "other")
    with pytest.raises(ValueError, match="any of"):
        file.add(Account("b:b"), "x")
    file.add(Account("bob"), "builder")
    file.set_password("alice", "looking-glass")
    assert file.verify("alice", "wonder", NOW) == WRONG
    assert is_right(file, "alice", "looking-glass")
    assert [account.name for account in file.accounts()] == ["alice", "bob"]
    file.remove("alice")
    assert not file.knows("alice")
    with pytest.raises(NoSuchAccount):
        file.remove("alice")
    with pytest.raises(NoSuchAccount):
        file.set_password("alice", "x")


def test_a_name_is_one_in_whatever_spelling(file: AccountFile) -> None:
    file.add(Account("Zoe\u0308"), "x")
    with pytest.raises(AccountExists):
        file.add(Account("Zo\xeb"), "x")
    assert is_right(file, "Zo\xeb", "x")
    assert file.knows("Zoe\u0308")


def test_a_password_may_be_any_bytes(file: AccountFile) -> None:
    latin = b"\xe9t\xe9".decode(errors="surrogateescape")
    file.add(Account("bob"), latin)
    assert is_right(file, "bob", latin)
    assert file.verify("bob", "été", NOW) == WRONG


def test_an_unknown_name_costs_the_same_time(file: AccountFile) -> None:
    def cost(name: str) -> float:
        times = []
        for _ in range(5):
            begun = time.thread_time()
            file.verify(name, "wrong", NOW)
            times.append(time.thread_time() - begun)
        return min(times)

    known, unknown, unfit = cost("alice"), cost("nobody"), cost("no:body")
    assert 0.7 < unknown / known < 1.4
    assert 0.7 < unfit / known < 1.4


def test_a_damaged_file_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no accounts " * 999)
    with pytest.raises(AccountsError, match=f"{path}: .*not a database"):
        AccountFile(path).verify("alice", "wonder", NOW)
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
    assert accounts.verify("alice", "wonder", NOW) == UNKNOWN
    accounts.add(Account("alice"), "wonder")
    assert is_right(accounts, "alice", "wonder")


def test_no_password_shows_in_a_repr(file: AccountFile) -> None:
    assert "wonder" not in repr(file) + repr(file.accounts())


# Groups, role, expiry, enabled.


def test_what_an_account_is_made_with(file: AccountFile) -> None:
    bob = Account("bob", False, Role.ADMIN, NOW + 1, frozenset({"lab", "staff"}))
    file.add(bob, "x")
    assert file.accounts() == [Account("alice"), bob]


def test_groups_come_with_the_login(file: AccountFile) -> None:
    file.change("alice", Change(join=("lab", "staff", "lab")))
    file.change("alice", Change(join=("lab",), leave=("staff", "nothing")))
    found = file.verify("alice", "wonder", NOW)
    assert (found.user, found.groups, found.source) == (
        "alice",
        frozenset({"lab"}),
        "local",
    )


def test_an_account_counts_until_it_expires(file: AccountFile) -> None:
    file.change("alice", Change(expires=NOW))
    assert is_right(file, "alice", "wonder", NOW - 0.001)
    assert file.verify("alice", "wonder", NOW) == WRONG
    file.change("alice", Change(expires=0.0))
    assert is_right(file, "alice", "wonder", NOW * 9)


def test_a_change_is_whole_or_was_not_made(file: AccountFile) -> None:
    before = file.accounts()
    with pytest.raises(AccountsError):
        file.change("alice", Change(role=Role.ADMIN, join=[object()]))  # type: ignore[list-item]
    with pytest.raises(NoSuchAccount):
        file.change("bob", Change(enabled=False))
    assert file.accounts() == before


def test_who_is_removed_takes_the_groups_along(file: AccountFile) -> None:
    file.change("alice", Change(join=("lab",)))
    file.remove("alice")
    file.add(Account("alice"), "wonder")
    assert file.accounts() == [Account("alice")]


def test_what_ends_a_login_gives_another_stamp(file: AccountFile) -> None:
    stamps = [file.standings()["alice"].stamp]

    def differs() -> bool:
        stamps.append(file.standings()["alice"].stamp)
        return stamps[-1] not in {0, *stamps[:-1]}

    file.change("alice", Change(role=Role.ADMIN, join=("lab",), expires=NOW))
    assert not differs()
    file.set_password("alice", "wonder")
    assert differs()
    file.change("alice", Change(enabled=False))
    assert file.standings() == {}
    file.change("alice", Change(enabled=True))
    assert differs()
    file.remove("alice")
    file.add(Account("alice"), "wonder")
    assert differs()


def test_a_raised_hash_ends_no_login(file: AccountFile, path: Path) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("wonder")
    change(path, "UPDATE accounts SET hash = ?", weak)
    before = file.verify("alice", "wonder", NOW)
    assert hash_of(path, "alice") != weak
    assert file.verify("alice", "wonder", NOW) == before


# Files of older versions.


@pytest.fixture
def first(path: Path) -> Path:
    """A file that the first version left, with three accounts."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST)
        insert = "INSERT INTO accounts VALUES (?, ?, ?)"
        for name, password, enabled in (
            ("ada", "one", 1),
            ("bo", "two", 1),
            ("c", "", 0),
        ):
            connection.execute(insert, (name, HASHER.hash(password), enabled))
        connection.commit()
    return path


def test_a_file_of_the_first_version_is_brought_up_to_date(first: Path) -> None:
    file = AccountFile(first)
    assert is_right(file, "ada", "one")
    assert is_right(file, "bo", "two")
    assert file.verify("c", "", NOW) == WRONG
    assert file.accounts() == [
        Account("ada"),
        Account("bo"),
        Account("c", enabled=False),
    ]
    stamps = [standing.stamp for standing in file.standings().values()]
    assert len({0, *stamps}) == 3
    file.change("ada", Change(join=("lab",)))
    assert file.verify("ada", "one", NOW).groups == {"lab"}


def test_two_programs_bring_it_up_to_date_at_once(first: Path) -> None:
    with closing(sqlite3.connect(first, isolation_level=None)) as one:
        one.execute("BEGIN IMMEDIATE")  # as a program does that is about to
        with ThreadPoolExecutor(4) as programs:
            asked = [programs.submit(AccountFile(first).accounts) for _ in range(4)]
            one.execute("COMMIT")
            assert [len(each.result()) for each in asked] == [3] * 4


def test_a_file_is_not_half_brought_up_to_date(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = first.read_bytes()
    monkeypatch.setattr(
        module, "_STEPS", (*module._STEPS[:-1], (*module._STEPS[-1], "NO SQL"))
    )
    with pytest.raises(AccountsError):
        AccountFile(first).accounts()
    monkeypatch.undo()
    assert first.read_bytes() == before
    assert is_right(AccountFile(first), "ada", "one")
