"""Local accounts: an SQLite file of argon2id hashes in the state folder.

Not here: who may log in where. Invariant: no hash is computed on the loop's thread,
nor more of them at once, or waiting, than `LocalAccounts` says.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users.directory import Directory, Verification, fault, normal

NAME = "accounts.db"  # in the state folder
VERSION = 1
LOCKED = 2.0  # seconds to wait for another program that writes
WAITING = 64  # logins: security.md, section 3

# OWASP's second choice for argon2id: 25-35 ms, and 19 MiB while it lasts.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Of no password; checking it takes as long as any other hash of ours.
NOBODY = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS accounts (
  name TEXT PRIMARY KEY,
  hash TEXT NOT NULL,  -- argon2id, with its parameters
  enabled INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""

T = TypeVar("T")


class AccountsError(OSError):
    """The file of accounts cannot be used now; one line."""


class NoSuchAccount(Exception):  # noqa: N818 - its name says it
    """There is no account of that name."""


class AccountExists(Exception):  # noqa: N818 - its name says it
    """There is an account of that name already."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it may be shown."""

    name: str
    enabled: bool


class AccountFile:
    """The file *path*. It is opened for each use, so a change counts at once.

    Names are taken as `directory.normal` makes them. Raises AccountsError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, password: str) -> None:
        """Make an account. Raises AccountExists; ValueError for an unfit name."""
        if wrong := fault(name):
            raise ValueError(wrong)
        hashed = HASHER.hash(encoded(password))
        insert = "INSERT INTO accounts (name, hash) VALUES (?, ?)"
        try:
            with self._opened(create=True) as connection:
                connection.execute(insert, (normal(name), hashed))
        except sqlite3.IntegrityError as error:
            raise AccountExists from error

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password. Raises NoSuchAccount."""
        hashed = HASHER.hash(encoded(password))
        self._change("UPDATE accounts SET hash = ? WHERE name = ?", hashed, name)

    def remove(self, name: str) -> None:
        """Forget an account. Raises NoSuchAccount."""
        self._change("DELETE FROM accounts WHERE name = ?", name)

    def accounts(self) -> list[Account]:
        """Return all accounts, by name."""
        if not self._path.exists():
            return []
        query = "SELECT name, enabled FROM accounts ORDER BY name"
        with self._opened() as connection:
            found = connection.execute(query).fetchall()
        return [Account(name, bool(enabled)) for name, enabled in found]

    def knows(self, name: str) -> bool:
        """Say whether there is an account *name*."""
        return self._find(name) is not None

    def verify(self, name: str, password: str) -> Verification:
        """Check a password; it takes as long for a name that is unknown."""
        found = self._find(name)
        hashed, enabled = found or (NOBODY, False)
        right = matches(hashed, password)
        if found is None:
            return Verification.UNKNOWN
        if not right or not enabled:
            return Verification.WRONG
        if HASHER.check_needs_rehash(hashed):
            self._rehash(normal(name), password, hashed)
        return Verification.OK

    def _rehash(self, name: str, password: str, before: str) -> None:
        """Raise a hash to the parameters of today, unless it was changed meanwhile."""
        update = "UPDATE accounts SET hash = ? WHERE name = ? AND hash = ?"
        values = (HASHER.hash(encoded(password)), name, before)
        # the login was right all the same, and the next one will try again
        with contextlib.suppress(AccountsError), self._opened() as connection:
            connection.execute(update, values)

    def _find(self, name: str) -> tuple[str, bool] | None:
        if fault(name) or not self._path.exists():
            return None
        query = "SELECT hash, enabled FROM accounts WHERE name = ?"
        with self._opened() as connection:
            found = connection.execute(query, (normal(name),)).fetchone()
        return (found[0], bool(found[1])) if found else None

    def _change(self, statement: str, *values: str) -> None:
        *others, name = values
        if fault(name) or not self._path.exists():
            raise NoSuchAccount
        with self._opened() as connection:
            if not connection.execute(statement, (*others, normal(name))).rowcount:
                raise NoSuchAccount

    @contextlib.contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if create:
                make_private(self._path)
            connection = sqlite3.connect(
                f"{self._path.resolve().as_uri()}?mode=rw",
                uri=True,
                timeout=LOCKED,
                isolation_level=None,
            )
            with contextlib.closing(connection):
                migrate(connection)
                yield connection
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as error:
            text = getattr(error, "strerror", None) or str(error)
            raise AccountsError(f"{self._path}: {text}") from error


class LocalAccounts:
    """A directory of the accounts in *path*, checked in threads of its own.

    *workers* passwords are checked at once, twice as many as there are cores if it is
    None; *waiting* more may wait, and others are refused.
    """

    def __init__(
        self, path: Path, *, workers: int | None = None, waiting: int = WAITING
    ) -> None:
        workers = workers or 2 * (os.cpu_count() or 1)
        self._file = AccountFile(path)
        self._most = workers + waiting
        self._asked = 0
        self._lock = threading.Lock()
        self._hashing = ThreadPoolExecutor(workers, "login")
        # a look-up takes no time, and must not wait behind passwords
        self._looking = ThreadPoolExecutor(1, "account")

    async def verify(self, credentials: Credentials) -> Verification:
        """Check *credentials*; see `Directory`."""
        with self._lock:
            if self._asked >= self._most:
                raise Refused(Reason.LOGIN_UNAVAILABLE)
            self._asked += 1
        name, password = credentials.user, credentials.password
        asked = self._hashing.submit(self._file.verify, name, password)
        # counted until it is over, not until whoever asked has gone
        asked.add_done_callback(self._one_less)
        return await available(asked)

    async def knows(self, user: str) -> bool:
        """Say whether *user* is an account; see `Directory`."""
        return await available(self._looking.submit(self._file.knows, user))

    def close(self) -> None:
        """Let the threads end; what they were asked is not answered any more."""
        self._hashing.shutdown(wait=False, cancel_futures=True)
        self._looking.shutdown(wait=False, cancel_futures=True)

    def _one_less(self, asked: Future[Verification]) -> None:
        del asked
        with self._lock:
            self._asked -= 1


async def available(asked: Future[T]) -> T:
    """Return what a thread found out. Raises Refused if the file cannot be read."""
    try:
        return await asyncio.wrap_future(asked)
    except AccountsError as error:
        raise Refused(Reason.LOGIN_UNAVAILABLE) from error


def matches(hashed: str, password: str) -> bool:
    """Say whether *hashed* was made of *password*."""
    try:
        return HASHER.verify(hashed, encoded(password))
    except (VerificationError, InvalidHashError):
        return False


def encoded(password: str) -> bytes:
    """Return *password* as the bytes that were sent for it."""
    return password.encode(errors="surrogateescape")


def migrate(connection: sqlite3.Connection) -> None:
    """Make the table in a new file. Raises OSError for a file of the future."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise OSError("a newer Portway wrote it; use that one")
    if not version:
        connection.executescript(_SCHEMA)


def make_private(path: Path) -> None:
    """Make *path* for its owner alone, if it is not there.

    Made by root, it becomes that of the folder's owner, whom the gateway runs as.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)


if TYPE_CHECKING:
    _: type[Directory] = LocalAccounts
