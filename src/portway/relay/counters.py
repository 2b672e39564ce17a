"""Keeps what is used of the quotas, in a file beside the ledger.

The counters live apart from the records, because they outlast them: a month's quota
must be there when `ledger.keep` is a week.

Not here: what a quota means. Invariant: what changed is in the file within a second,
and the file is never taken for less than it says. A disk that fails stops nobody: what
it did not take is counted in memory, and written once it can be; what could not be read
is added once it can be.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from portway.databases import (
    is_damage,
    keep_private,
    make_private,
    read_only,
    set_aside,
)
from portway.relay.quotas import Allowance, Key, Row

NAME = "quotas.db"  # in the state folder
VERSION = 1
PACE = 0.5  # seconds in which changes gather; at most a second may be lost
LONGEST_PAUSE = 5.0  # seconds between two attempts at a file that fails
LOOK = 60.0  # seconds in which it is seen that the file was taken away
LOCKED = 1.0  # seconds to wait for another program
KEPT = 40 * 86_400  # seconds that what has ended stays in the file
TIDIED = 86_400.0  # seconds between two looks for what has ended long ago

_TABLE = (
    "CREATE TABLE IF NOT EXISTS counters (rule TEXT, place INTEGER, member TEXT,"
    " period TEXT, per TEXT, used INTEGER, allowed INTEGER, start INTEGER,"
    " ends INTEGER, PRIMARY KEY (rule, place, member, period)) WITHOUT ROWID"
)
# Within one period, a count never becomes less.
_WRITE = (
    "INSERT INTO counters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " used = CASE WHEN excluded.start < ends AND start < excluded.ends"
    " THEN max(used, excluded.used) ELSE excluded.used END, per = excluded.per,"
    " allowed = excluded.allowed, start = excluded.start, ends = excluded.ends"
)
_READ = (
    "SELECT rule, place, member, period, per, used, allowed, start, ends FROM counters"
)
_ORDERS = (
    "ORDER BY rule, place, member, period",
    "ORDER BY rule DESC, place DESC, member DESC, period DESC",
)
_EXPIRE = "DELETE FROM counters WHERE ends < ?"

log = logging.getLogger(__name__)

Place = tuple[str, int, str, str]  # rule, place, member, period
Print = tuple[int, int, int, int]


class Counters:
    """The file *path*, and the thread that writes it once there is something.

    *clock* gives seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._changed: deque[Allowance] = deque()
        self._late: deque[Row] = deque()
        self._noted: dict[tuple[Key, str], Allowance] = {}  # as changed
        self._rows: dict[Place, Row] = {}  # what the file should hold
        self._unwritten: set[Place] = set()
        self._unread = False
        self._print: Print | None = None  # of the file that holds them
        self._tidied = clock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def read(self) -> list[Row]:
        """Return what was kept.

        What cannot be read now is read as soon as it can be, and is `late` then.
        """
        found = self._read()
        if found is None:
            self._unread = True
        if found is None or self._unwritten:
            self._begin()
        return found or []

    def late(self) -> list[Row]:
        """Return what was read since `read`; each row once. For the loop."""
        if not self._late:
            return []
        return [self._late.popleft() for _ in range(len(self._late))]

    def changed(self, allowance: Allowance) -> None:
        """Keep its row soon. For the loop."""
        self._changed.append(allowance)
        self._begin()

    def close(self, seconds: float = 5.0) -> None:
        """Write what changed last, for at most *seconds*. Blocks."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
        if self._thread is None or not self._thread.is_alive():
            self._work()

    def _begin(self) -> None:
        self._wake.set()
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(
                target=self._run, name="quotas", daemon=True
            )
            self._thread.start()

    # For the thread.

    def _run(self) -> None:
        pause = PACE
        while not self._closing.is_set():
            if not self._behind:
                self._wake.wait(LOOK)
            self._closing.wait(pause)
            self._wake.clear()
            self._work()
            pause = min(pause * 2, LONGEST_PAUSE) if self._behind else PACE

    @property
    def _behind(self) -> bool:
        return self._unread or bool(self._unwritten or self._noted)

    def _work(self) -> None:
        """Read what is still unread, then write what the file has not."""
        for _ in range(len(self._changed)):
            allowance = self._changed.popleft()
            allowance.dirty = False  # first: what is charged from here on comes again
            self._noted[allowance.key, allowance.period] = allowance
        if self._unread:
            self._read_late()
        if self._unread:
            return
        if not self._late:  # else what was read is not counted in yet
            self._note()
        self._tidy()
        try:
            if self._print is not None and print_of(self._path) != self._print:
                self._unwritten.update(self._rows)  # it is another, or gone
            if self._unwritten:
                self._commit()
        except (sqlite3.Error, OSError) as error:
            self._failed(error)

    def _note(self) -> None:
        for allowance in self._noted.values():
            row = allowance.row()
            self._rows[place_of(row)] = row
            self._unwritten.add(place_of(row))
        self._noted.clear()

    def _read_late(self) -> None:
        found = self._read()
        if found is not None:
            self._unread = False
            self._late.extend(found)

    def _read(self) -> list[Row] | None:
        """Return what the file holds, or None if that cannot be told."""
        try:
            if not self._path.exists():
                return []
            with closing(self._connect()) as connection, connection:
                connection.execute(_EXPIRE, (self._clock() - KEPT,))
                found = rows(connection.execute(_READ))
            self._works()
        except (sqlite3.Error, OSError) as error:
            kept = self._failed(error)
            if kept is None:
                return None
            found = saved(kept)
            self._unwritten.update(map(place_of, found))
        self._rows.update((place_of(row), row) for row in found)
        return found

    def _tidy(self) -> None:
        """Once a day, forget what ended long ago."""
        now = self._clock()
        if now - self._tidied < TIDIED:
            return
        self._tidied = now
        old = [place for place, row in self._rows.items() if row.ends < now - KEPT]
        for place in old:
            del self._rows[place]
            self._unwritten.discard(place)

    def _commit(self) -> None:
        """Write all or nothing; opened each time, as the file may be replaced."""
        with closing(self._connect()) as connection, connection:
            written = [self._rows[place] for place in self._unwritten]
            connection.executemany(_WRITE, written)
            connection.execute(_EXPIRE, (self._clock() - KEPT,))
        self._unwritten.clear()
        self._works()

    def _works(self) -> None:
        self._print = print_of(self._path)
        if self._failing:
            log.warning("quotas.works", extra={"counters": len(self._rows)})
        self._failing = False

    def _connect(self) -> sqlite3.Connection:
        make_private(self._path)
        keep_private(self._path)
        connection = sqlite3.connect(self._path, timeout=LOCKED)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _failed(self, error: sqlite3.Error | OSError) -> Path | None:
        """Tell of *error*; set the file aside if it is broken, and say where it is."""
        if is_damage(error):
            return self._set_aside(error)
        if not self._failing:
            cure = "quotas are counted in memory until it works"
            extra = {"at": str(self._path), "error": words(error), "cure": cure}
            log.error("quotas.failing", extra=extra)
        self._failing = True
        return None

    def _set_aside(self, error: BaseException) -> Path | None:
        """Keep a file that is broken under another name; all is to be written anew."""
        try:
            kept = set_aside(self._path)
        except OSError as failure:
            self._failed(failure)
            return None
        keep_private(kept)
        extra = {"at": str(self._path), "error": str(error), "kept": str(kept)}
        log.error("quotas.broken", extra=extra)
        self._print = None
        self._unwritten.update(self._rows)
        return kept


def migrate(connection: sqlite3.Connection) -> None:
    """Make the table, if it is not there."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise sqlite3.OperationalError("it was written by a newer version")
    if version < VERSION:
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def saved(path: Path) -> list[Row]:
    """Return what can still be read of a file that is broken, from both its ends."""
    found: dict[Place, Row] = {}
    for order in _ORDERS:
        try:
            with closing(read_only(path)) as connection:
                connection.execute("PRAGMA writable_schema = ON")  # else no cut file
                for row in connection.execute(f"{_READ} {order}"):
                    found.update((place_of(one), one) for one in rows([row]))
        except sqlite3.Error:
            continue
    log.warning("quotas.saved", extra={"counters": len(found), "of": str(path)})
    return list(found.values())


def rows(found: Iterable[tuple[object, ...]]) -> list[Row]:
    """Return those of *found* that are what we write."""
    kept = []
    for one in found:
        with suppress(msgspec.ValidationError):
            kept.append(msgspec.convert(one, Row))
    return kept


def place_of(row: Row) -> Place:
    """Return what a row is the only one of."""
    return row.rule, row.place, row.member, row.period


def print_of(path: Path) -> Print | None:
    """Return what shows that the file at *path* is as it was; None: there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def words(error: sqlite3.Error | OSError) -> str:
    """Return what *error* says, without its place."""
    return getattr(error, "strerror", None) or str(error)
