"""Accounts in a file as web servers have it: ``name:hash``, a line each.

Not here: the hashes (hashes.py). Invariant: what counts is the file as it is at the
moment of a login; a line that is bad counts as an account that nobody can log in to.
"""

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from portway.config.sources import Htpasswd
from portway.errors import Refused
from portway.model import Credentials
from portway.users import hashes
from portway.users.asking import Asking, Unavailable, Until
from portway.users.directory import (
    UNKNOWN,
    Source,
    Verification,
    Verified,
    fault,
    normal,
)

NAME = "htpasswd"
LARGEST = 16 << 20  # bytes: some hundred thousand accounts
LOCKED = ""  # the hash of an account whose line is bad
# Of no password. An unknown name costs as much as the first one of the file, or, where
# it has none, as one that htpasswd -B has made.
NOBODY = f"$2y$05${'.' * 53}"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accounts:
    """A file as it was read: hashes by name, and what was wrong, by line."""

    hashes: Mapping[str, str] = field(repr=False)
    problems: tuple[tuple[int, str], ...] = ()


def read(text: str) -> Accounts:
    """Read the *text* of a file. What is wrong never shows a hash, or a password."""
    found: dict[str, str] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        hashed = rest.partition(":")[0].strip()
        name = normal(name.strip())
        wrong = fault(name) if colon else "no colon; a line is name:hash"
        if wrong:
            problems.append((number, wrong))
            continue
        if name in found:
            problems.append((number, "the name stands there twice; take one out"))
            found[name] = LOCKED
            continue
        wrong = hashes.fault(hashed)
        found[name] = LOCKED if wrong else hashed
        if wrong:
            problems.append((number, wrong))
    return Accounts(found, tuple(problems))


def read_file(path: Path) -> Accounts:
    """Read the file at *path*. Raises OSError; ValueError: it is no text."""
    with path.open("rb") as stream:
        data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB")
    return read(data.decode("utf-8-sig", errors="replace"))


class HtpasswdSource:
    """A source of the accounts in a file, which is read again when it has changed."""

    name = NAME

    def __init__(self, settings: Htpasswd) -> None:
        self._path = Path(settings.path)
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] = ()
        self._accounts = Accounts({})
        self._asking = Asking(NAME, at_once=2 * (os.cpu_count() or 1))

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*; see `Source`."""
        if fault(credentials.user):
            return UNKNOWN
        user = normal(credentials.user)
        password = credentials.password.encode(errors="surrogateescape")

        def ask(until: Until) -> Verified:
            del until
            return self._verify(user, password)

        return await self._asking.ask(ask)

    async def knows(self, user: str) -> bool:
        """Say whether *user* is an account; see `Source`."""

        def ask(until: Until) -> bool:
            del until
            return normal(user) in self._current().hashes

        return False if fault(user) else await self._asking.ask(ask)

    async def renewed(self, verified: Verified) -> Verified | None:
        """Return *verified* if the account's line is the one that it was."""

        def ask(until: Until) -> Accounts:
            del until
            return self._current()

        try:
            accounts = self._accounts
            if self._look() != self._stamp:
                accounts = await self._asking.ask(ask)
        except (Refused, OSError):  # it says neither yes nor no
            return verified
        hashed = accounts.hashes.get(verified.user)
        return verified if hashed and _mark(hashed) == verified.stamp else None

    def close(self) -> None:
        """Let go of the threads."""
        self._asking.close()

    def _verify(self, user: str, password: bytes) -> Verified:
        accounts = self._current().hashes
        hashed = accounts.get(user)
        others = (one for one in accounts.values() if one != LOCKED)
        right = hashes.matches(hashed or next(others, NOBODY), password)
        if hashed is None:
            return UNKNOWN
        if not right or hashed == LOCKED:
            return Verified(Verification.WRONG, source=NAME)
        return Verified(Verification.OK, user, source=NAME, stamp=_mark(hashed))

    def _current(self) -> Accounts:
        """Return the accounts of the file as it is now. Raises Unavailable."""
        try:
            stamp = self._look()
            with self._lock:
                if stamp != self._stamp:
                    self._accounts, self._stamp = read_file(self._path), stamp
                    self._tell()
                return self._accounts
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise Unavailable(f"{self._path}: {why}") from error

    def _look(self) -> tuple[int, ...]:
        """Return what tells the file as it is now from what it was. Raises OSError."""
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns

    def _tell(self) -> None:
        for line, text in self._accounts.problems:
            where = f"{self._path}:{line}"
            log.warning("login.htpasswd", extra={"where": where, "text": text})


def _mark(hashed: str) -> int:
    """Return what tells *hashed* from another one, within this process."""
    return hash(hashed)


if TYPE_CHECKING:
    _: type[Source] = HtpasswdSource
