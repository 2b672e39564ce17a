"""Local accounts as a source of logins, checked in threads of its own.

Not here: the file (accounts.py). Invariant: no hash is computed and no file is read on
the loop's thread, and no more hashes at once, or waiting, than `LocalAccounts` says.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users.accounts import SOURCE, AccountFile, AccountsError, Standing
from portway.users.directory import Directory, Overloaded, Source, Verified

WAITING = 64  # logins: security.md, section 3
QUEUED = 4.0  # seconds that one may wait; less than makes a source count as down
FRESH = 1.0  # seconds for which what the file said of open logins is believed
STILL = 2.0  # seconds: a file changed since may change again in the same tick

T = TypeVar("T")
Print = tuple[int, int, int]


class LocalAccounts:
    """The accounts in *path*; *clock* gives seconds since the epoch.

    *workers* passwords are checked at once, twice as many as there are cores if it is
    None; *waiting* more may wait, for `QUEUED`, and others are refused.
    """

    name = SOURCE

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        *,
        workers: int | None = None,
        waiting: int = WAITING,
    ) -> None:
        workers = workers or 2 * (os.cpu_count() or 1)
        self._file = AccountFile(path)
        self._clock = clock
        self._most = workers + waiting
        self._asked = 0
        self._lock = threading.Lock()
        self._hashing = ThreadPoolExecutor(workers, "login")
        # a look-up takes no time, and must not wait behind passwords
        self._looking = ThreadPoolExecutor(1, "account")
        self._watch = Watch(self._file, clock, self._looking)

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*; see `Source`."""
        with self._lock:
            if self._asked >= self._most:
                raise Overloaded
            self._asked += 1
        asked = self._hashing.submit(
            self._file.verify, credentials.user, credentials.password, self._clock()
        )
        # counted until it is over, not until whoever asked has gone
        asked.add_done_callback(self._one_less)
        found = asyncio.wrap_future(asked)
        try:
            await asyncio.wait({found}, timeout=QUEUED)
            if asked.cancel():  # no thread has taken it up
                raise Overloaded
            return await available(found)
        finally:
            found.cancel()

    async def knows(self, user: str) -> bool:
        """Say whether *user* is an account; see `Source`."""
        asked = self._looking.submit(self._file.knows, user)
        return await available(asyncio.wrap_future(asked))

    async def renewed(self, verified: Verified) -> Verified | None:
        """Return *verified* as it is now; see `Source`.

        What the file says is looked at once a second at most. While the file cannot be
        read, logins that were taken before go on.
        """
        standing = (await self._watch.standings()).get(verified.user)
        if standing is None or standing.stamp != verified.stamp:
            return None
        if standing.expires is not None and self._clock() >= standing.expires:
            return None
        if standing.groups == verified.groups:
            return verified
        return replace(verified, groups=standing.groups)

    def close(self) -> None:
        """Let the threads end, when they have done what they were asked before."""
        self._hashing.shutdown(wait=False)
        self._looking.shutdown(wait=False)

    def _one_less(self, asked: Future[Verified]) -> None:
        del asked
        with self._lock:
            self._asked -= 1


class Watch:
    """What a file of accounts says of open logins, as fresh as `FRESH`.

    The file is read again only when it was written to; *looking* does it.
    """

    def __init__(
        self, file: AccountFile, clock: Callable[[], float], looking: ThreadPoolExecutor
    ) -> None:
        self._file = file
        self._clock = clock
        self._looking = looking
        self._print: Print | None = None  # of the file that was read
        self._standings: Mapping[str, Standing] = {}
        self._fresh_until = float("-inf")
        self._look: asyncio.Future[None] | None = None

    async def standings(self) -> Mapping[str, Standing]:
        """Return what the file said a second ago, or says now. Raises nothing."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._fresh_until:
            if self._look is None or self._look.done():
                begun = loop.time()
                self._look = asyncio.wrap_future(self._looking.submit(self._renew))
                self._look.add_done_callback(
                    lambda _: setattr(self, "_fresh_until", begun + FRESH)
                )
            await asyncio.shield(self._look)  # others wait for it too
        return self._standings

    def _renew(self) -> None:
        try:
            there = self._file.path.stat()
        except OSError:
            there = None
        changed = there.st_mtime if there else 0.0
        now = (there.st_ino, there.st_mtime_ns, there.st_size) if there else (0, 0, 0)
        if now == self._print and self._clock() - changed > STILL:
            return
        try:
            self._standings = self._file.standings()
        except AccountsError:
            return  # neither right nor wrong: what was, is
        self._print = now


async def available(found: asyncio.Future[T]) -> T:
    """Return what a thread found out. Raises Refused if the file cannot be read."""
    try:
        return await found
    except AccountsError as error:
        raise Refused(Reason.LOGIN_UNAVAILABLE, str(error)) from error


if TYPE_CHECKING:
    _: type[Directory] = LocalAccounts
    _also: type[Source] = LocalAccounts
