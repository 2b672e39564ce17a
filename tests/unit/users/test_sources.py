"""The directory that [login] describes, from one reload to the next."""

import asyncio
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from portway.config.schema import Logins
from portway.model import Credentials
from portway.users import sources as module
from portway.users.accounts import NAME, Account, AccountFile
from portway.users.directory import Verification
from portway.users.sources import SOURCES, Directories

CLOSED, NEXT = Logins(), Logins(on_failure="next")


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    AccountFile(tmp_path / NAME).add(Account("alice"), "wonder")
    return Directories(tmp_path, lambda: 1_800_000_000.0)


def test_every_source_that_may_be_named_can_be_made() -> None:
    (of_tuple, _) = get_args(get_type_hints(Logins)["sources"])
    assert set(get_args(of_tuple)) == set(SOURCES)


async def test_local_accounts_are_found(directories: Directories) -> None:
    chain = directories.of(CLOSED)
    found = await chain.verify(Credentials("alice", "wonder"))
    assert (found.verification, found.source) == (Verification.OK, "local")
    directories.close()


async def test_a_reload_that_changes_nothing_keeps_the_directory(
    directories: Directories,
) -> None:
    chain = directories.of(CLOSED)
    directories.settle()
    assert directories.of(Logins()) is chain
    directories.settle()
    assert directories.of(CLOSED) is chain
    directories.close()


async def test_one_that_changes_it_still_answers_who_asked_before(
    directories: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", -1.0 / len(SOURCES))  # closed at once
    before = directories.of(CLOSED)
    directories.settle()
    asked = asyncio.ensure_future(before.verify(Credentials("alice", "wonder")))
    await asyncio.sleep(0)
    after = directories.of(NEXT)
    assert after is not before
    directories.settle()
    await asyncio.sleep(0.01)
    assert (await asked).verification is Verification.OK
    assert directories.of(NEXT) is after
    with pytest.raises(RuntimeError):  # its threads are gone
        await before.verify(Credentials("alice", "wonder"))
    directories.close()


async def test_one_that_comes_to_nothing_leaves_what_was(
    directories: Directories,
) -> None:
    chain = directories.of(CLOSED)
    directories.settle()
    directories.of(NEXT)  # and then a listener could not be opened
    assert directories.of(CLOSED) is chain
    directories.of(NEXT)
    directories.close()
