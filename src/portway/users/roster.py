"""Who the accounts are, for those who only read: checks and explanations.

Not here: logins, and changing accounts. Invariant: nothing is written, not even to
bring an old file up to date; what cannot be read is told as None.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from portway.config.schema import Configuration
from portway.users import htpasswd
from portway.users.accounts import LOCKED, NAME, SOURCE
from portway.users.directory import normal

WITH_GROUPS = 2  # the version of the file that has them first


def account_names(configuration: Configuration) -> frozenset[str] | None:
    """Return the names of all accounts; None where that cannot be told.

    It cannot where a source of accounts does not list them, or cannot be read. A
    gateway that has no file of accounts yet has none of its own.
    """
    found: frozenset[str] = frozenset()
    for source in configuration.logins.sources:
        names = _LISTING[source](configuration) if source in _LISTING else None
        if names is None:
            return None
        found |= names
    return found


def _local_names(configuration: Configuration) -> frozenset[str] | None:
    path = _path(configuration)
    try:
        there = path.exists()
    except OSError:  # nor may we look
        return None
    return _ask(path, "SELECT name FROM accounts") if there else frozenset()


def _htpasswd_names(configuration: Configuration) -> frozenset[str] | None:
    settings = configuration.logins.htpasswd
    if settings is None:
        return None
    try:
        return frozenset(htpasswd.read_file(Path(settings.path)).hashes)
    except (OSError, ValueError):
        return None


# The sources that can list their accounts.
_LISTING: Mapping[str, Callable[[Configuration], frozenset[str] | None]] = {
    SOURCE: _local_names,
    htpasswd.NAME: _htpasswd_names,
}


def unreadable(configuration: Configuration) -> str:
    """Return the path of the local accounts, if there are some that cannot be read."""
    path = _path(configuration)
    if SOURCE not in configuration.logins.sources:
        return ""
    try:
        there = path.exists()
    except OSError:
        return str(path)
    broken = there and _ask(path, "SELECT name FROM accounts") is None
    return str(path) if broken else ""


def account_groups(configuration: Configuration, user: str) -> frozenset[str] | None:
    """Return the groups of the local account *user*; None where there is none."""
    if SOURCE not in configuration.logins.sources:
        return None
    path, name = _path(configuration), normal(user)
    if not _ask(path, "SELECT name FROM accounts WHERE name = ?", name):
        return None
    query = "SELECT belongs_to FROM memberships WHERE account = ?"
    return _ask(path, query, name, since=WITH_GROUPS)


def _path(configuration: Configuration) -> Path:
    return Path(configuration.gateway.state) / NAME


def _ask(path: Path, query: str, *values: str, since: int = 1) -> frozenset[str] | None:
    """Return the first column; nothing where the file's version is before *since*."""
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCKED)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version < since:
                return frozenset()
            return frozenset(row[0] for row in connection.execute(query, values))
    except (sqlite3.Error, OSError):
        return None
