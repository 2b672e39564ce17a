"""The ledger as an SQLite file.

One file holds all months, and is emptied from its old end in small steps. A file that
is damaged is set aside, and a new one is begun: gateways do not stop for want of a log,
and no log is begun anew without a word.

Not here: when to write (writer.py), searching (query.py), and what is forgotten
(forget.py). Invariant: a row is there once for each id, and what was committed survives
the death of the process.
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from portway.databases import is_damage, set_aside
from portway.ledger.damage import LITTLE, Examination, Salvage, set_aside_log
from portway.ledger.filters import Cell
from portway.ledger.forget import forget, transaction
from portway.ledger.ids import new_id
from portway.ledger.retention import Anonymiser, Retention, read_key
from portway.ledger.spans import extend, make_span, mark, newest, set_mark
from portway.model import NO_FACTS, Outcome, Record

NAME = "ledger.db"  # in the state folder
VERSION = 2  # of the schema: the number of the last migration
LONG_WORK = 100_000  # rows to be brought up to date: it takes a second
LOCKED = 1.0  # seconds to wait for another program that writes
WAL_BYTES = 64 << 20  # what the write-ahead log may keep on the disk between two uses

T = TypeVar("T")
COLUMNS = Record._fields

_OUTCOME = COLUMNS.index("outcome")
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_read_facts = msgspec.json.Decoder(dict[str, str]).decode
_values = attrgetter(*COLUMNS[:-1])  # the last one is facts
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_MARKS = ", ".join("?" * len(COLUMNS))
_INSERT = (
    f"INSERT OR REPLACE INTO records ({_NAMES}) "  # noqa: S608 - our names
    f"VALUES ({_MARKS})"
)
_SELECT = f"SELECT {_NAMES} FROM records "  # noqa: S608 - our names
_OPEN = _SELECT + "WHERE outcome = 'open'"
_SAVE = (
    f"INSERT OR IGNORE INTO records (number, {_NAMES}) "  # noqa: S608 - our names
    f"VALUES (?, {_MARKS})"
)
_SAVED_LOST = (
    "UPDATE records SET outcome = 'lost' "
    "WHERE outcome = 'open' AND number BETWEEN ? AND ?"
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

log = logging.getLogger(__name__)


class LedgerError(OSError):
    """The ledger cannot be used now; one line that says what to do."""


class Store(Protocol):
    """What a `Writer` writes to, from one thread at a time."""

    def open(self) -> list[Record]:
        """Get ready, and return the rows that were open, which are lost now."""

    def write(self, records: Sequence[Record]) -> None:
        """Keep *records*, all of them or none; see `LedgerError`."""

    def tend(self, retention: Retention, now: float) -> bool:
        """Do a part of what is due beside writing; return whether there is more.

        That is to forget what *retention* says, at *now* seconds since the epoch.
        """

    def close(self) -> None:
        """Let go of the store."""


class SqliteStore:
    """The file *path*, made if it is not there. Each method raises LedgerError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._written = 0  # the number of the last row, as far as it is known
        self._spanned = 0
        self._examination: Examination | None = None
        self._salvage: Salvage | None = None
        self._starting = True  # nobody's exchanges go on yet
        self._at_start = False  # whether it was so when the file was set aside
        self._anonymiser: Anonymiser | None = None

    def open(self) -> list[Record]:
        """Get ready, and return the rows that were open, which are lost now."""
        with self._translated():
            unclean = size_of(Path(f"{self._path}-wal")) > 0
            kept = set_aside_log(self._path)
            if kept is not None:
                what = "what was written last is lost; the rest goes on"
                self._tell("its write-ahead log is damaged", kept, what)
            lost = self._guarded(self._lose_open)
            if unclean or size_of(self._path) < LITTLE:
                self._examination = Examination(self._path)
        self._starting = False
        return lost

    def write(self, records: Sequence[Record]) -> None:
        """Keep *records*, all of them or none."""
        with self._translated():
            if self._connection is not None and self._moved():
                log.error("ledger.replaced", extra={"at": str(self._path)})
                self.close()
            self._guarded(lambda connection: self._insert(connection, records))

    def tend(self, retention: Retention, now: float) -> bool:
        """Save what can be saved of a damaged file, and forget what is to be."""
        with self._translated():
            if self._salvage is not None:
                self._guarded(self._save_some)
                return True
            anonymiser = None
            if retention.anonymise is not None:
                anonymiser = self._anonymiser or Anonymiser(read_key(self._path.parent))
                self._anonymiser = anonymiser
            more = self._guarded(
                lambda connection: forget(connection, retention, now, anonymiser)
            )
            return more or self._salvage is not None

    def close(self) -> None:
        """Close the file, if it is open."""
        examination, self._examination = self._examination, None
        if examination is not None:
            examination.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connection = connect(self._path)
            self._file = identity(self._path)
            self._written = max(self._written, newest(connection))
            self._spanned = int(mark(connection, "spanned"))
            if newest(connection) - self._spanned > LONG_WORK:
                log.warning("ledger.upgrading", extra={"at": str(self._path)})
            self._spanned = extend(connection, self._spanned, newest(connection))
        return self._connection

    def _lose_open(self, connection: sqlite3.Connection) -> list[Record]:
        found = connection.execute(_OPEN).fetchall()
        lost = [from_row(row)._replace(outcome=Outcome.LOST) for row in found]
        if lost:
            insert(connection, lost)
        return lost

    def _insert(
        self, connection: sqlite3.Connection, records: Sequence[Record]
    ) -> None:
        try:
            insert(connection, records)
        except _UNWRITABLE:
            for record in records:
                self._insert_alone(connection, record)
        self._written = newest(connection)
        self._spanned = extend(connection, self._spanned, self._written)

    def _insert_alone(self, connection: sqlite3.Connection, record: Record) -> None:
        try:
            insert(connection, [record])
        except _UNWRITABLE as error:
            extra = {"id": record.id, "error": type(error).__name__}
            log.error("ledger.unwritable", extra=extra)  # noqa: TRY400 - bytes of a peer

    # A damaged file.

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do *work* on the file, or on a new one if it is damaged."""
        examination = self._examination
        if examination is not None and examination.found:
            self._begin_anew(examination.found)
        try:
            return work(self._opened())
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._begin_anew(str(error))
        return work(self._opened())

    def _begin_anew(self, wrong: str) -> None:
        """Set the file aside, begin a new one, and say so."""
        self.close()
        if self._salvage is not None:
            self._salvage.close()
        kept = set_aside(self._path)
        salvage = Salvage(kept, COLUMNS)
        base = max(self._written, salvage.newest)
        connection = self._opened()
        with transaction(connection):
            connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('records', ?)", [base]
            )
            for name in ("base", "spanned"):
                set_mark(connection, name, base)
        self._spanned = base
        self._salvage = salvage
        self._at_start = self._starting
        self._tell(f"it is damaged: {wrong}", kept, "what can be read of it is saved")

    def _tell(self, wrong: str, kept: Path, what: str) -> None:
        """Say what happened, on standard error and in the ledger itself."""
        log.error(
            "ledger.damaged",
            extra={
                "at": str(self._path),
                "error": wrong,
                "kept": str(kept),
                "so": what,
            },
        )
        now = time.time()  # noqa: TID251 - no exchange and no policy depends on it
        told = Record(
            id=new_id(now),
            time=now,
            method="ADMIN",
            action="manage",
            outcome=Outcome.FAILED,
            error=f"{self._path.name}: {wrong}; kept as {kept.name}; {what}",
            side="gateway",
            by="gateway",
        )
        self._guarded(lambda connection: insert(connection, [told]))

    def _save_some(self, connection: sqlite3.Connection) -> None:
        """Copy the next rows of the damaged file under the numbers that they had."""
        salvage = self._salvage
        rows = salvage.rows() if salvage is not None else []
        if salvage is None or not rows:
            self._salvage = None
            if salvage is not None:
                connection.execute("DELETE FROM marks WHERE name GLOB 'kept:*'")
                extra = {"at": str(salvage.path), "records": salvage.saved}
                log.warning("ledger.salvaged", extra=extra)
            return
        with transaction(connection):
            for row in rows:
                with contextlib.suppress(sqlite3.IntegrityError):
                    connection.execute(_SAVE, row)
            if self._at_start:
                connection.execute(_SAVED_LOST, [rows[0][0], rows[-1][0]])
            make_span(connection, int(rows[0][0]), int(rows[-1][0]))

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


def size_of(path: Path) -> int:
    """Return how many bytes the file *path* has, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


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
    with transaction(connection):
        connection.executemany(_INSERT, rows)


def explain(path: Path, error: Exception) -> str:
    """Say in one line what is wrong with the file, and what to do about it."""
    text = f"{path}: {getattr(error, 'strerror', None) or error}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return f"{text}; start the gateway anew: it saves what can be read"
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
    values: list[object] = list(row)
    values[_OUTCOME] = _OUTCOMES[str(row[_OUTCOME])]
    values[-1] = NO_FACTS if row[-1] == "{}" else _read_facts(str(row[-1]))
    return Record._make(values)
