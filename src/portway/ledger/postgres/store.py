"""The ledger as a table of a PostgreSQL database, which several gateways may share.

A batch is copied into a table of the connection's own, and from there, by one statement
that holds the lock of all writers, into the records. So nobody else waits for a network
in between, and rows come to be seen in the order of their numbers: who follows the
ledger misses none.

Not here: when to write (ledger.writer), what is forgotten (forget.py). Invariant: a row
is there once for each id, however often a batch is sent, and a row that has ended is
never open again.
"""

import contextlib
import logging
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.sql import SQL, Composed, Literal

from portway.ledger.filters import Cell
from portway.ledger.postgres.connection import (
    LOCK,
    Address,
    Connection,
    connect,
    explain,
    lock,
    migrate,
)
from portway.ledger.postgres.forget import forget
from portway.ledger.retention import Anonymiser, Retention, read_key
from portway.ledger.store import COLUMNS, LedgerError, Store, from_row, to_row
from portway.model import Record

NAME = "gateway.id"  # in the state folder: by what a gateway knows its own rows

# A gateway that stands still in the midst of a transaction must not hold up others.
SETTINGS = """
SET idle_in_transaction_session_timeout = '10s';
SET statement_timeout = '60s';
SET jit = off
"""
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_INCOMING = (
    "CREATE TEMPORARY TABLE incoming ON COMMIT DELETE ROWS "  # noqa: S608 - our names
    f"AS SELECT {_NAMES} FROM portway.records WITH NO DATA"
)
_COPY = f"COPY pg_temp.incoming ({_NAMES}) FROM STDIN"
_CHANGED = ", ".join(
    f'"{name}" = EXCLUDED."{name}"'
    for name in ("number", "gateway", *COLUMNS)
    if name != "id"
)
# Several statements in one message: the lock is let go without another word from us.
_TAKE_OVER = (
    f"SELECT pg_advisory_xact_lock({LOCK}); "  # noqa: S608 - our names
    f"INSERT INTO portway.records AS old ({_NAMES}, gateway) "
    f"SELECT {_NAMES}, {{}} FROM pg_temp.incoming "
    f"ON CONFLICT (id) DO UPDATE SET {_CHANGED} "
    "WHERE old.outcome = 'open' OR EXCLUDED.outcome <> 'open'; "
    "COMMIT"
)
_LOSE = (
    "UPDATE portway.records "  # noqa: S608 - our names
    "SET outcome = 'lost', number = nextval('portway.numbers') "
    f"WHERE outcome = 'open' AND gateway = %s RETURNING {_NAMES}"
)
# What may be wrong with a record, and not with the database; see `is_unwritable`.
_SUSPECT = (psycopg.Error, ValueError, TypeError, OverflowError)
_ID = re.compile("[0-9a-f]{32}")

log = logging.getLogger(__name__)


class PostgresStore:
    """The database at *address*. Each method raises LedgerError.

    *state* is the gateway's state folder.
    """

    def __init__(self, address: Address, state: Path) -> None:
        self._address = address
        self._state = state
        self._connection: Connection | None = None
        self._known = False  # whether the ledger was ever there
        self._gateway = ""
        self._take_over = Composed([])
        self._anonymiser: Anonymiser | None = None

    def open(self) -> list[Record]:
        """Get ready; return our rows that were open, which are lost now."""
        with self._translated():
            self._gateway = gateway_id(self._state)
            self._take_over = SQL(_TAKE_OVER).format(Literal(self._gateway))
            connection = self._opened()
            with connection.transaction():
                lock(connection)
                lost = connection.execute(_LOSE, [self._gateway]).fetchall()
        return [from_row(row) for row in lost]  # type: ignore[arg-type]  # as migrated

    def write(self, records: Sequence[Record]) -> None:
        """Keep *records*, all of them or none; those that no table takes are told."""
        with self._translated():
            connection = self._opened()
            try:
                self._insert(connection, records)
            except _SUSPECT as error:
                if not is_unwritable(error):
                    raise
                for record in records:
                    self._insert_alone(connection, record)

    def tend(self, retention: Retention, now: float) -> bool:
        """Forget a part of what is due; return whether there is more."""
        with self._translated():
            anonymiser = None
            if retention.anonymise is not None:
                anonymiser = self._anonymiser or Anonymiser(read_key(self._state))
                self._anonymiser = anonymiser
            connection = self._opened()
            return forget(connection, retention, now, anonymiser, self._gateway)

    def close(self) -> None:
        """Let go of the database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            connection = connect(self._address, SETTINGS)
            self._connection = connection  # whatever fails from here on closes it
            anew = migrate(connection, self._address.label)
            if anew and self._known:
                log.error("ledger.replaced", extra={"at": self._address.label})
            self._known = True
            connection.execute(_INCOMING)
        return self._connection

    def _insert(self, connection: Connection, records: Sequence[Record]) -> None:
        rows: dict[str, tuple[Cell, ...]] = {}
        for record in records:
            rows.pop(record.id, None)  # the last one counts, and comes last
            rows[record.id] = to_row(record)
        if not rows:
            return
        connection.execute("BEGIN")
        try:
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                for row in rows.values():
                    copy.write_row(without_nul(row))
            connection.execute(self._take_over)
        except BaseException:
            if not connection.closed:
                connection.execute("ROLLBACK")
            raise

    def _insert_alone(self, connection: Connection, record: Record) -> None:
        try:
            self._insert(connection, [record])
        except _SUSPECT as error:
            if not is_unwritable(error):
                raise
            extra = {"id": record.id, "error": type(error).__name__}
            log.error("ledger.unwritable", extra=extra)  # noqa: TRY400 - bytes of a peer

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Make a LedgerError of what fails, after which we connect anew."""
        try:
            yield
        except psycopg.Error as error:
            self.close()
            raise LedgerError(explain(self._address.label, error)) from error
        except OSError as error:
            self.close()
            if isinstance(error, LedgerError):
                raise
            raise LedgerError(f"{self._state}: {error.strerror or error}") from error


def is_unwritable(error: Exception) -> bool:
    """Say whether *error* means that no database would take the record."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return True
    # without a state it is psycopg's own word: a value that it knows nothing of
    unknown = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
    return unknown or not isinstance(error, psycopg.Error)


def without_nul(row: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return *row* with ``%00`` for NUL, which no text of PostgreSQL may hold."""
    if not any(isinstance(cell, str) and "\0" in cell for cell in row):
        return row
    return tuple(
        cell.replace("\0", "%00") if isinstance(cell, str) else cell for cell in row
    )


def gateway_id(state: Path) -> str:
    """Return what tells the gateway of the folder *state* from all others.

    It is made at the first look. Raises OSError.
    """
    path = state / NAME
    with contextlib.suppress(FileNotFoundError):
        known = path.read_text(encoding="ascii", errors="replace").strip()
        if _ID.fullmatch(known):
            return known
    made = uuid.uuid4().hex
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{NAME}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return made


if TYPE_CHECKING:
    _: type[Store] = PostgresStore
