"""Searching and following a ledger in PostgreSQL, while gateways write to it.

Not here: how a record is shown. Invariant: the database is only read, and no
transaction stays open while somebody looks at what was found.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from psycopg import ServerCursor

from portway.ledger.filters import (
    Cell,
    Filters,
    Source,
    conditions,
    escaped,
    plain_host,
)
from portway.ledger.postgres.connection import (
    VERSION,
    Address,
    Connection,
    connect,
    translated,
    version_of,
)
from portway.ledger.store import COLUMNS, LedgerError, from_row
from portway.model import Record

PAGE = 1000  # records of one look
# All of what is found is asked for, though by way of a cursor.
_SETTINGS = """
SET default_transaction_read_only = on;
SET cursor_tuple_fraction = 1;
SET jit = off
"""
_NEWEST = (
    "SELECT (SELECT coalesce(max(number), 0) FROM portway.records), last_value "
    "FROM portway.numbers"
)

Row = tuple[Cell, ...]


class PostgresDialect:
    """How PostgreSQL says what `conditions` has to say."""

    mark = "%s"

    def like(self, column: str, pattern: str) -> tuple[str, str]:
        """Return the test whether *column* is like *pattern*, and its value."""
        if column == "host" and pattern.startswith("*"):  # its end is known: so indexed
            return f"reverse({column}) LIKE %s", like(pattern[::-1])
        return f"{column} LIKE %s", like(pattern)

    def holds(self, expression: str, text: str) -> tuple[str, str]:
        """Return the test whether *text* is a part of it, in any case of letters."""
        return f"({expression}) ILIKE %s", f"%{escaped(text)}%"

    def inside(self, column: str) -> str:
        """Return the test whether the address in *column* is in a network."""
        return f"portway.address({column}) <<= %s::inet"


class PostgresReader:
    """The ledger at *address*. Each method raises LedgerError if it cannot be read."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection = self._connect()
        self._turns = itertools.count()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def newest(self) -> int:
        """Return the number of the row that was written last, 0 if there is none."""
        with translated(self._address.label):
            number, _ = self._newest()
        return number

    def search(self, filters: Filters, *, up_to: int | None = None) -> Iterator[Record]:
        """Yield what *filters* ask for, the newest last; see `Source`."""
        return map(from_row, self._found(filters, COLUMNS, up_to))

    def rows(self, filters: Filters, columns: Sequence[str]) -> Iterator[Row]:
        """Yield as `search` does, but only *columns*; see `Source`."""
        unknown = set(columns) - set(COLUMNS)
        if unknown:
            raise ValueError(f"no columns of a record: {sorted(unknown)}")
        return self._found(filters, columns, None)

    def changes(self, filters: Filters, after: int) -> tuple[list[Record], int]:
        """Return what was written after the row of number *after*; see `Source`.

        Rows are seen in the order of their numbers: store.py.
        """
        with translated(self._address.label):
            if self._connection.closed:
                self._connection = self._connect()
            last, given = self._newest()
            after = min(after, given)  # more in a database that was restored
            where, values = narrowed(filters)
            query = (
                f"SELECT number, {named(COLUMNS)} FROM portway.records "  # noqa: S608 - our names
                f"WHERE {' AND '.join(where)} AND number > %s AND number <= %s "
                f"ORDER BY number LIMIT {PAGE}"
            )
            rows = self._ask(query, [*values, after, last])
        if len(rows) == PAGE:
            last = int(rows[-1][0])
        return [from_row(row) for _, *row in rows], max(last, after)

    def _connect(self) -> Connection:
        connection = connect(self._address, _SETTINGS)
        name = self._address.label
        try:
            with translated(name):
                refuse_others(version_of(connection), name)
        except BaseException:
            connection.close()
            raise
        return connection

    def _newest(self) -> tuple[int, int]:
        """Return the greatest number that can be seen, and the last one given."""
        ((number, given),) = self._ask(_NEWEST, [])
        return int(number), int(given)

    def _ask(self, query: str, values: Sequence[Cell]) -> list[Row]:
        return self._connection.execute(query, values).fetchall()  # type: ignore[return-value]  # as migrated

    def _found(
        self, filters: Filters, columns: Sequence[str], up_to: int | None
    ) -> Iterator[Row]:
        """Yield *columns*, the newest last.

        Ids sort by the moment of their beginning, so theirs is the order of time.
        """
        where, values = narrowed(filters)
        if up_to is not None:
            where.append("number <= %s")
            values.append(up_to)
        query = (
            f"SELECT {named(columns)} FROM portway.records "  # noqa: S608 - our names
            f"WHERE {' AND '.join(where)} ORDER BY id"
        )
        with translated(self._address.label):
            if filters.limit is not None:
                newest = f"{query} DESC LIMIT {filters.limit:d}"
                yield from reversed(self._ask(newest, values))
                return
            name = f"search_{next(self._turns)}"
            # held: what was found is kept there, and no transaction is
            with ServerCursor(self._connection, name, withhold=True) as cursor:
                cursor.itersize = PAGE
                yield from cursor.execute(query, values)


def narrowed(filters: Filters) -> tuple[list[str], list[Cell]]:
    """Return the conditions of *filters*, and more that follow from them.

    These are such as the index of parts of texts answers.
    """
    where, values = conditions(filters, PostgresDialect())
    implied = []
    if filters.path:
        implied.append(f"*{filters.path}")
    host = plain_host(filters.host)
    if host.startswith("*") and host.endswith("*"):  # so it is no address either
        implied.append(f"{host}*")
    for pattern in implied:
        where.append("(host || path) LIKE %s")
        values.append(like(pattern))
    return where, values


def like(pattern: str) -> str:
    """Return *pattern*, in which only ``*`` is special, as LIKE has it."""
    return escaped(pattern).replace("*", "%")


def refuse_others(version: int, name: str) -> None:
    """Raise LedgerError unless *version* is ours; *name* is the database's label."""
    if not version:
        text = 'no ledger yet; it begins with the first "portway serve"'
        raise LedgerError(f"{name}: {text}")
    if version != VERSION:
        text = "of another version; start its gateway anew first"
        raise LedgerError(f"{name}: {text}")


def named(columns: Sequence[str]) -> str:
    """Return *columns* as SQL names them."""
    return ", ".join(f'"{column}"' for column in columns)


if TYPE_CHECKING:
    _: type[Source] = PostgresReader
