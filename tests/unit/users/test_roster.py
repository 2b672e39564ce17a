import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portway.config.schema import Configuration, Gateway, Ledger, Limits, Logins
from portway.config.sources import Htpasswd
from portway.users.accounts import NAME, Account, AccountFile
from portway.users.roster import account_groups, account_names


def configuration(state: Path, logins: Logins | None = None) -> Configuration:
    return Configuration(
        path="p.toml",
        gateway=Gateway(state=str(state)),
        listeners=(),
        rules=(),
        ledger=Ledger(),
        limits=Limits(),
        logins=logins or Logins(),
    )


@pytest.fixture
def file(tmp_path: Path) -> AccountFile:
    accounts = AccountFile(tmp_path / NAME)
    accounts.add(Account("bob", groups=frozenset({"lab", "staff"})), "secret")
    accounts.add(Account("jos\u00e9", enabled=False), "secret")
    return accounts


@pytest.mark.usefixtures("file")
def test_local_accounts(tmp_path: Path) -> None:
    here = configuration(tmp_path)
    assert account_names(here) == frozenset({"bob", "jos\u00e9"})
    assert account_groups(here, "bob") == frozenset({"lab", "staff"})
    assert account_groups(here, "jose\u0301") == frozenset()
    assert account_groups(here, "eve") is None


def test_without_a_file_there_is_no_account(tmp_path: Path) -> None:
    here = configuration(tmp_path / "none")
    assert account_names(here) == frozenset()
    assert account_groups(here, "bob") is None
    assert not (tmp_path / "none").exists()


def test_a_file_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"this is no database")
    assert account_names(configuration(tmp_path)) is None
    assert account_groups(configuration(tmp_path), "bob") is None


def test_an_old_file_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE accounts (name TEXT PRIMARY KEY, hash TEXT NOT NULL);"
            "INSERT INTO accounts VALUES ('bob', 'x'); PRAGMA user_version = 1;"
        )
    before = path.read_bytes()
    here = configuration(tmp_path)
    assert account_names(here) == frozenset({"bob"})
    assert account_groups(here, "bob") == frozenset()
    assert path.read_bytes() == before


@pytest.mark.usefixtures("file")
def test_names_of_several_sources(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"eve:$5$salt${'x' * 43}\n")
    settings = Htpasswd(path=str(path))
    both = Logins(sources=("local", "htpasswd"), htpasswd=settings)
    assert account_names(configuration(tmp_path, both)) == frozenset(
        {"bob", "jos\u00e9", "eve"}
    )
    path.unlink()
    assert account_names(configuration(tmp_path, both)) is None


@pytest.mark.usefixtures("file")
def test_a_source_that_cannot_list_its_accounts(tmp_path: Path) -> None:
    logins = Logins(sources=("local", "pam"))
    assert account_names(configuration(tmp_path, logins)) is None
    other = Logins(sources=("pam",))
    assert account_groups(configuration(tmp_path, other), "bob") is None
