"""The ledger as an SQLite file.

One file holds all months; `keep` empties it from its old end in small steps. As an id
begins with its time, rows can be moved to a file a month whenever that is wanted.

Not here: when to write (writer.py), and searching (query.py). Invariant: a row is
there once for each id, and what was committed survives the death of the process.
"""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import msgspec

from portway.ledger.ids import first_id
from portway.model import NO_FACTS, Outcome, Record

NAME = "ledger.db"  # in the state folder
VERSION = 1  # of the schema: the number of the last migration
LOCKED = 1.0  # seconds to wait for another program that writes
WAL_BYTES = 64 << 20  # what the write-ahead log may keep on the disk between two uses
PAGES = 256  # given back to the disk in one step
SPARE = 4  # a step is worth it where one page in so many is free

COLUMNS = Record._fields

_values = attrgetter(*COLUMNS[:-1])  # the last one is facts
_INSERT = (
    f"INSERT OR REPLACE INTO records ({', '.join(COLUMNS)}) "  # noqa: S608 - our names
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM records "  # noqa: S608 - our names
_OPEN = _SELECT + "WHERE outcome = 'open'"
_EXPIRE = (
    "DELETE FROM records WHERE number IN (SELECT number FROM records "
    "WHERE id < ? AND outcome <> 'open' ORDER BY id LIMIT ?)"
)

# What is wrong with a record, and not with the store.
_UNWRITABLE = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    ValueError,
    TypeError,
    OverflowError,
)

_FOREIGN = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

Cell = str | int | float

log = logging.getLogger(__name__)


class LedgerError(OSError):
    """The ledger cannot be used now; one line that says what to do."""


class Store(Protocol):
    """What a `Writer` writes to, from one thread at a time."""

    def open(self) -> list[Record]:
        """Get ready, and return the rows that were open, which are lost now."""

    def write(self, records: Sequence[Record]) -> None:
        """Keep *records*, all of them or none; see `LedgerError`."""

    def expire(self, before: float, most: int) -> int:
        """Delete up to *most* records from before then; return how many."""

    def close(self) -> None:
        """Let go of the store."""


class SqliteStore:
    """The file *path*, made if it is not there. Each method raises LedgerError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    def open(self) -> list[Record]:
        """Open the file; what a gateway that died left open becomes ``lost``."""
        with self._translated():
            found = self._opened().execute(_OPEN).fetchall()
        lost = [from_row(row)._replace(outcome=Outcome.LOST) for row in found]
        self.write(lost)
        return lost

    def write(self, records: Sequence[Record]) -> None:
        """Commit *records* in one transaction.

        A record that no table could take is left out, and logged by its id.
        """
        if not records:
            return
        with self._translated():
            if self._connection is not None and self._moved():
                log.error("ledger.replaced", extra={"at": str(self._path)})
                self.close()
            connection = self._opened()
            try:
                insert(connection, records)
            except _UNWRITABLE:
                for record in records:
                    self._insert_alone(connection, record)

    def _insert_alone(self, connection: sqlite3.Connection, record: Record) -> None:
        try:
            insert(connection, [record])
        except _UNWRITABLE as error:
            extra = {"id": record.id, "error": type(error).__name__}
            log.error("ledger.unwritable", extra=extra)  # noqa: TRY400 - bytes of a peer

    def expire(self, before: float, most: int) -> int:
        """Delete the oldest of what began *before*, and shorten a half-empty file."""
        with self._translated():
            connection = self._opened()
            gone = connection.execute(_EXPIRE, (first_id(before), most)).rowcount
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            if free > PAGES and free * SPARE > pages:
                connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        return gone

    def close(self) -> None:
        """Close the file, if it is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
            self._file = identity(self._path)
        return self._connection

    def _moved(self) -> bool:
        """Say whether the path is another file by now, or none."""
        try:
            return identity(self._path) != self._file
        except FileNotFoundError:
            return True

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Make a LedgerError of what fails, after which the file is opened anew."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            if isinstance(error, LedgerError):
                raise
            raise LedgerError(explain(self._path, error)) from error


def identity(path: Path) -> tuple[int, int]:
    """Return what tells the file at *path* from any other."""
    status = path.stat()
    return status.st_dev, status.st_ino


def connect(path: Path) -> sqlite3.Connection:
    """Open *path* for writing, made and brought up to date where need be.

    Only the owner may read it. Raises sqlite3.Error, OSError, LedgerError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=LOCKED, isolation_level=None, check_same_thread=False
    )
    try:
        # only ever taken before the first table is made
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to `VERSION`, one migration and transaction at a time."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise LedgerError(f"{path}: a newer Portway wrote it; use that one")
    for number in range(found + 1, VERSION + 1):
        script = files("portway.ledger") / "migrations" / f"{number:04}.sql"
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script.read_text()}\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )


def insert(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Write *records* in a transaction of their own."""
    rows = list(map(to_row, records))
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_INSERT, rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def explain(path: Path, error: Exception) -> str:
    """Say in one line what is wrong with the file, and what to do about it."""
    text = f"{path}: {getattr(error, 'strerror', None) or error}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return f"{text}; move it away, and a new ledger is begun"
    if code == sqlite3.SQLITE_FULL:
        return f"{text}; make room on the disk"
    if code == sqlite3.SQLITE_BUSY:
        return f"{text}; end the other program that writes to it"
    if code in _FOREIGN or isinstance(error, PermissionError):
        return f"{text}; its folder and itself must belong to who runs this"
    return text


def to_row(record: Record) -> tuple[Cell, ...]:
    """Return *record* in the order of `COLUMNS`."""
    facts = record.facts
    text = msgspec.json.encode(dict(facts)).decode() if facts else "{}"
    row: tuple[Cell, ...] = (*_values(record), text)
    return row


def from_row(row: Sequence[Cell]) -> Record:
    """Return the record that `to_row` made *row* of."""
    given: dict[str, object] = dict(zip(COLUMNS, row, strict=True))
    given["outcome"] = Outcome(str(given["outcome"]))
    facts = msgspec.json.decode(str(given["facts"]), type=dict[str, str])
    given["facts"] = facts or NO_FACTS
    return Record(**given)  # type: ignore[arg-type]
