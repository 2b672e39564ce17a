"""The file of local accounts: SQLite, with argon2id hashes, in the state folder.

Not here: who may log in where, and threads (local.py). Invariant: a change is whole or
was not made, and a file of an older Portway is brought up to date before it is used.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portway.databases import make_private
from portway.users.directory import UNKNOWN, Verification, Verified, fault, normal

NAME = "accounts.db"  # in the state folder
SOURCE = "local"
LOCKED = 2.0  # seconds to wait for another program that writes

# OWASP's second choice for argon2id: 25-35 ms, and 19 MiB while it lasts.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Of no password; checking it takes as long as any other hash of ours.
NOBODY = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"

# What each version of the file added to the one before.
_STEPS = (
    (
        """CREATE TABLE IF NOT EXISTS accounts (
             name TEXT PRIMARY KEY,
             hash TEXT NOT NULL,  -- argon2id, with its parameters
             enabled INTEGER NOT NULL DEFAULT 1
           ) STRICT, WITHOUT ROWID""",
    ),
    (
        "ALTER TABLE accounts ADD COLUMN role TEXT NOT NULL DEFAULT 'user'",
        # seconds since the epoch; NULL never
        "ALTER TABLE accounts ADD COLUMN expires REAL",
        # another one with each password: what a login that was taken is known by
        "ALTER TABLE accounts ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0",
        "UPDATE accounts SET stamp = (random() & 9223372036854775807) | 1",
        """CREATE TABLE memberships (
             account TEXT NOT NULL,
             belongs_to TEXT NOT NULL,  -- the name of a [group]
             PRIMARY KEY (account, belongs_to)
           ) STRICT, WITHOUT ROWID""",
    ),
)
VERSION = len(_STEPS)

_LOGIN = "SELECT hash, enabled, expires, stamp FROM accounts WHERE name = ?"
_GROUPS = "SELECT belongs_to FROM memberships WHERE account = ?"


class AccountsError(OSError):
    """The file of accounts cannot be used now; one line."""


class NoSuchAccount(Exception):  # noqa: N818 - its name says it
    """There is no account of that name."""


class AccountExists(Exception):  # noqa: N818 - its name says it
    """There is an account of that name already."""


class Role(StrEnum):
    """What an account may do on the dashboard."""

    USER = "user"  # its own data
    AUDITOR = "auditor"  # sees all, changes nothing
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it may be shown.

    *expires* is in seconds since the epoch, the first moment at which it does not count
    any more; None is never.
    """

    name: str
    enabled: bool = True
    role: Role = Role.USER
    expires: float | None = None
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change of an account; None leaves it. An *expires* of 0 is never."""

    join: Collection[str] = ()
    leave: Collection[str] = ()
    role: Role | None = None
    expires: float | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a login that was taken hangs on."""

    stamp: int
    expires: float | None
    groups: frozenset[str]


class AccountFile:
    """The file *path*. It is opened for each use, so a change counts at once.

    Names are taken as `directory.normal` makes them. Raises AccountsError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, account: Account, password: str) -> None:
        """Make an account. Raises AccountExists; ValueError for an unfit name."""
        if wrong := fault(account.name):
            raise ValueError(wrong)
        name, hashed = normal(account.name), HASHER.hash(encoded(password))
        insert = """INSERT INTO accounts (name, hash, enabled, role, expires, stamp)
                    VALUES (?, ?, ?, ?, ?, ?)"""
        values = (account.enabled, account.role, account.expires, new_stamp())
        try:
            with self._opened(create=True) as connection, whole(connection):
                connection.execute(insert, (name, hashed, *values))
                _join(connection, name, account.groups)
        except sqlite3.IntegrityError as error:
            raise AccountExists from error

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password. Raises NoSuchAccount."""
        hashed = HASHER.hash(encoded(password))
        update = "UPDATE accounts SET hash = ?, stamp = ? WHERE name = ?"
        with self._of(name) as (connection, key):
            connection.execute(update, (hashed, new_stamp(), key))

    def change(self, name: str, change: Change) -> None:
        """Change what *change* says. Raises NoSuchAccount."""
        with self._of(name) as (connection, key):
            _set(connection, key, "role", change.role)
            _set(connection, key, "enabled", change.enabled)
            if change.expires is not None:
                _set(connection, key, "expires", change.expires)
                connection.execute("UPDATE accounts SET expires = NULL WHERE expires=0")
            if change.enabled is False:  # sessions of today stay ended tomorrow
                _set(connection, key, "stamp", new_stamp())
            leave = "DELETE FROM memberships WHERE account = ? AND belongs_to = ?"
            connection.executemany(leave, [(key, group) for group in change.leave])
            _join(connection, key, change.join)

    def remove(self, name: str) -> None:
        """Forget an account. Raises NoSuchAccount."""
        with self._of(name) as (connection, key):
            connection.execute("DELETE FROM accounts WHERE name = ?", (key,))
            connection.execute("DELETE FROM memberships WHERE account = ?", (key,))

    def accounts(self) -> list[Account]:
        """Return all accounts, by name."""
        if not self.path.exists():
            return []
        query = "SELECT name, enabled, role, expires FROM accounts ORDER BY name"
        with self._opened() as connection, whole(connection, "DEFERRED"):
            found = connection.execute(query).fetchall()
            groups = _memberships(connection)
        return [
            Account(name, bool(enabled), Role(role), expires, groups.get(name, _NONE))
            for name, enabled, role, expires in found
        ]

    def standings(self) -> dict[str, Standing]:
        """Return what the logins of the enabled accounts hang on."""
        if not self.path.exists():
            return {}
        query = "SELECT name, stamp, expires FROM accounts WHERE enabled"
        with self._opened() as connection, whole(connection, "DEFERRED"):
            found = connection.execute(query).fetchall()
            groups = _memberships(connection)
        return {
            name: Standing(stamp, expires, groups.get(name, _NONE))
            for name, stamp, expires in found
        }

    def knows(self, name: str) -> bool:
        """Say whether there is an account *name*."""
        return self._find(name) is not None

    def verify(self, name: str, password: str, now: float) -> Verified:
        """Check a password; it takes as long for a name that is unknown."""
        found = self._find(name)
        right = matches(found.hash if found else NOBODY, password)
        if found is None:
            return UNKNOWN
        if not right or not found.counts(now):
            return Verified(Verification.WRONG, source=SOURCE)
        key = normal(name)
        if HASHER.check_needs_rehash(found.hash):
            self._rehash(key, password, found.hash)
        return Verified(Verification.OK, key, found.groups, SOURCE, found.stamp)

    def _rehash(self, key: str, password: str, before: str) -> None:
        """Raise a hash to the parameters of today, unless it was changed meanwhile."""
        update = "UPDATE accounts SET hash = ? WHERE name = ? AND hash = ?"
        values = (HASHER.hash(encoded(password)), key, before)
        # the login was right all the same, and the next one will try again
        with contextlib.suppress(AccountsError), self._opened() as connection:
            connection.execute(update, values)

    def _find(self, name: str) -> "_Found | None":
        if fault(name) or not self.path.exists():
            return None
        key = normal(name)
        with self._opened() as connection, whole(connection, "DEFERRED"):
            found = connection.execute(_LOGIN, (key,)).fetchone()
            groups = connection.execute(_GROUPS, (key,)).fetchall()
        if found is None:
            return None
        hashed, enabled, expires, stamp = found
        belongs_to = frozenset(group for (group,) in groups)
        return _Found(hashed, enabled, expires, stamp, belongs_to)

    @contextlib.contextmanager
    def _of(self, name: str) -> Iterator[tuple[sqlite3.Connection, str]]:
        """Open the file for a change of the account *name*. Raises NoSuchAccount."""
        if fault(name) or not self.path.exists():
            raise NoSuchAccount
        key = normal(name)
        with self._opened() as connection, whole(connection):
            if connection.execute(_LOGIN, (key,)).fetchone() is None:
                raise NoSuchAccount
            yield connection, key

    @contextlib.contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if create:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                make_private(self.path)
            connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=rw",
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
            raise AccountsError(f"{self.path}: {text}") from error


_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Found:
    """An account as a login needs it."""

    hash: str
    enabled: int
    expires: float | None
    stamp: int
    groups: frozenset[str]

    def counts(self, now: float) -> bool:
        return bool(self.enabled) and (self.expires is None or now < self.expires)


def _set(
    connection: sqlite3.Connection, key: str, column: str, value: float | str | None
) -> None:
    if value is not None:  # the column is one of ours, and never a caller's word
        update = f"UPDATE accounts SET {column} = ? WHERE name = ?"  # noqa: S608 - see above
        connection.execute(update, (value, key))


def _join(connection: sqlite3.Connection, key: str, groups: Collection[str]) -> None:
    insert = "INSERT INTO memberships VALUES (?, ?) ON CONFLICT DO NOTHING"
    connection.executemany(insert, [(key, group) for group in groups])


def _memberships(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for account, group in connection.execute("SELECT * FROM memberships"):
        found.setdefault(account, set()).add(group)
    return {account: frozenset(groups) for account, groups in found.items()}


def new_stamp() -> int:
    """Return what no login of before was known by."""
    return secrets.randbits(63) | 1


def matches(hashed: str, password: str) -> bool:
    """Say whether *hashed* was made of *password*."""
    try:
        return HASHER.verify(hashed, encoded(password))
    except (VerificationError, InvalidHashError):
        return False


def encoded(password: str) -> bytes:
    """Return *password* as the bytes that were sent for it."""
    return password.encode(errors="surrogateescape")


@contextlib.contextmanager
def whole(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Do all of the block, or nothing of it."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it by itself
            connection.execute("ROLLBACK")
        raise


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file up to date. Raises OSError for a file of the future."""
    if version_of(connection) == VERSION:
        return
    with whole(connection):
        version = version_of(connection)  # another program may have been faster
        if version > VERSION:
            raise OSError("a newer Portway wrote it; use that one")
        for step in _STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the file's tables; 0 has none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
