"""Keeps what is used of the quotas, in a file beside the ledger.

The counters live apart from the records, because they outlast them: a month's quota
must be there when `ledger.keep` is a week.

Not here: what a quota means. Invariant: what changed is in the file within a second.
A disk that fails stops nobody: what it did not take is counted in memory, and written
once it can be.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from portway.relay.quotas import Allowance, Key, Row

NAME = "quotas.db"  # in the state folder
VERSION = 1
PACE = 0.5  # seconds in which changes gather; at most a second may be lost
LONGEST_PAUSE = 5.0  # seconds between two attempts at a file that fails
LOCKED = 1.0  # seconds to wait for another program
KEPT = 40 * 86_400  # seconds that what has ended stays in the file

_TABLE = (
    "CREATE TABLE IF NOT EXISTS counters (rule TEXT, place INTEGER, member TEXT,"
    " period TEXT, per TEXT, used INTEGER, allowed INTEGER, start INTEGER,"
    " ends INTEGER, PRIMARY KEY (rule, place, member, period)) WITHOUT ROWID"
)
_WRITE = "INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_READ = (
    "SELECT rule, place, member, period, per, used, allowed, start, ends FROM counters"
)
_EXPIRE = "DELETE FROM counters WHERE ends < ?"

log = logging.getLogger(__name__)


class Counters:
    """The file *path*, and the thread that writes it once there is something.

    *clock* gives seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._changed: deque[Allowance] = deque()
        self._unwritten: dict[tuple[Key, str], Allowance] = {}
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def read(self) -> list[Row]:
        """Return what was kept; nothing, and a word in the log, if that fails."""
        if not self._path.exists():
            return []
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute(_EXPIRE, (self._clock() - KEPT,))
                return [Row(*row) for row in connection.execute(_READ)]
        except sqlite3.OperationalError as error:
            self._failed(error)
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
        return []

    def changed(self, allowance: Allowance) -> None:
        """Keep its row soon. For the loop."""
        self._changed.append(allowance)
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="quotas", daemon=True
            )
            self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Write what changed last, for at most *seconds*. Blocks."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    # For the thread.

    def _run(self) -> None:
        pause = PACE
        while not self._closing.is_set():
            if not self._unwritten:
                self._wake.wait()
            self._closing.wait(pause)
            self._wake.clear()
            self._write()
            pause = min(pause * 2, LONGEST_PAUSE) if self._unwritten else PACE
        self._write()

    def _write(self) -> None:
        for _ in range(len(self._changed)):
            allowance = self._changed.popleft()
            allowance.dirty = False  # first: what is charged from here on comes again
            self._unwritten[allowance.key, allowance.period] = allowance
        if not self._unwritten:
            return
        try:
            self._commit([allowance.row() for allowance in self._unwritten.values()])
        except sqlite3.OperationalError as error:
            self._failed(error)
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
        else:
            if self._failing:
                log.warning("quotas.works", extra={"counters": len(self._unwritten)})
            self._failing = False
            self._unwritten.clear()

    def _commit(self, rows: Sequence[Row]) -> None:
        """Write *rows*, all or none; opened each time, as the file may be replaced."""
        with closing(self._connect()) as connection, connection:
            connection.executemany(_WRITE, rows)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=LOCKED)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _failed(self, error: sqlite3.Error) -> None:
        if not self._failing:
            cure = "quotas are counted in memory until it works"
            extra = {"at": str(self._path), "error": str(error), "cure": cure}
            log.error("quotas.failing", extra=extra)
        self._failing = True

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Keep a file that is broken under another name, and begin a new one."""
        kept = self._path.with_name(f"{NAME}.broken-{int(self._clock())}")
        extra = {"at": str(self._path), "error": str(error), "kept": str(kept)}
        log.error("quotas.broken", extra=extra)
        try:
            for end in ("-wal", "-shm", ""):
                old = self._path.with_name(self._path.name + end)
                if old.exists():
                    old.rename(kept.with_name(kept.name + end))
        except OSError as failure:
            extra = {"at": str(self._path), "error": failure.strerror or str(failure)}
            log.error("quotas.failing", extra=extra)  # noqa: TRY400 - one line says it
            self._failing = True


def migrate(connection: sqlite3.Connection) -> None:
    """Make the table, if it is not there."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise sqlite3.OperationalError("it was written by a newer version")
    if version < VERSION:
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {VERSION}")
