"""A ledger that is damaged: noticed, and read as far as it goes.

Not here: when to do so (store.py), and setting it aside (databases.py). Invariant: no
byte of a damaged ledger is deleted or changed.
"""

import contextlib
import logging
import sqlite3
import struct
import threading
from pathlib import Path

from portway.databases import free_name, is_damage, read_only

log = logging.getLogger(__name__)

LITTLE = 64 << 20  # bytes that are examined in less than half a second
Row = tuple[str | int | float, ...]

STEP = 1000  # rows saved in one go
FARTHEST = 1 << 40  # rows that are passed over before the rest is given up

# The write-ahead log's header: SQLite's file format, section 4.1.
_WAL_HEADER = struct.Struct(">8I")
_WAL_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}


def set_aside_log(path: Path) -> Path | None:
    """Rename the write-ahead log of *path* if it is none; return its new name.

    SQLite would begin it anew without a word, and what it held were lost unnoticed.
    """
    wal = Path(f"{path}-wal")
    try:
        with wal.open("rb") as file:
            header = file.read(_WAL_HEADER.size)
    except FileNotFoundError:
        return None
    if not header or _is_wal(header):
        return None
    kept = Path(f"{free_name(path)}-wal")
    wal.rename(kept)
    with contextlib.suppress(FileNotFoundError):
        Path(f"{path}-shm").unlink()  # an index of it, made anew
    return kept


def _is_wal(header: bytes) -> bool:
    if len(header) < _WAL_HEADER.size:
        return False
    magic, *_, first, second = _WAL_HEADER.unpack(header)
    order = _WAL_MAGIC.get(magic)
    if order is None:
        return False
    one = two = 0
    for low, high in struct.iter_unpack(f"{order}2I", header[:24]):
        one = (one + low + two) & 0xFFFFFFFF
        two = (two + high + one) & 0xFFFFFFFF
    return (one, two) == (first, second)


class Examination:
    """Reads through all of a ledger in a thread of its own, once.

    *found* is what is wrong, or empty.
    """

    def __init__(self, path: Path) -> None:
        self.found = ""
        self._ended = False
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(
            target=self._run, name="ledger examination", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Break it off."""
        self._ended = True
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def wait(self) -> None:
        """Wait until all was read."""
        self._thread.join()

    def _run(self) -> None:
        try:
            connection = read_only(self._path)
        except sqlite3.Error:
            return  # who writes to it will see
        with self._lock:
            self._connection = connection
        try:
            if not self._ended:
                (words,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                self.found = "" if words == "ok" else str(words).splitlines()[-1]
        except sqlite3.Error as error:
            if is_damage(error):
                self.found = str(error)
        finally:
            with self._lock:
                self._connection = None
            connection.close()


class Salvage:
    """What can still be read of the ledger at *path*, from its old end on.

    *columns* are those of its records. Rows that cannot be read are passed over.
    """

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path = path
        self.saved = 0
        self.newest = 0  # the greatest number that it is known to have given
        names = ", ".join(f'"{name}"' for name in ("number", *columns))
        self._query = (
            f"SELECT {names} FROM records NOT INDEXED "  # noqa: S608 - our names
            "WHERE number > ? ORDER BY number LIMIT ?"
        )
        self._after = 0
        self._connection: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error):
            self._connection = read_only(path)
            # else a file that was cut is not read at all
            self._connection.execute("PRAGMA writable_schema = ON")
        for query in (
            "SELECT seq FROM sqlite_sequence WHERE name = 'records'",
            "SELECT max(number) FROM records",
        ):
            with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
                (number,) = self._ask(query, [])[0]
                self.newest = max(self.newest, int(str(number)))

    def rows(self) -> list[Row]:
        """Return the next rows, their numbers first; none when all was read."""
        if self._connection is None:
            return []
        step = STEP
        while True:
            try:
                found = self._ask(self._query, [self._after, step])
            except sqlite3.Error:
                if step > 1:
                    step = 1 if step < 8 else step // 8  # as far as it goes
                    continue
                self._pass_over()
                if self._connection is None:
                    return []
                step = STEP
                continue
            if not found:
                self.close()
                return []
            self._after = int(found[-1][0])
            self.saved += len(found)
            return found

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pass_over(self) -> None:
        """Go on behind the rows that cannot be read, or give up."""
        jump = 1
        while not self._can_read(self._after + jump):
            jump *= 2
            if jump > FARTHEST or self._after + jump > self.newest > 0:
                self.close()
                return
        bad, good = jump // 2, jump
        while good - bad > 1:
            middle = (bad + good) // 2
            if self._can_read(self._after + middle):
                good = middle
            else:
                bad = middle
        self._after += good

    def _can_read(self, after: int) -> bool:
        try:
            return bool(self._ask(self._query, [after, 1]))
        except sqlite3.Error:
            return False

    def _ask(self, query: str, values: list[int]) -> list[Row]:
        if self._connection is None:
            raise sqlite3.ProgrammingError(query)
        return self._connection.execute(query, values).fetchall()
