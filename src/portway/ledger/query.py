"""Searching and following the ledger, while a gateway may be writing to it.

A search goes through the spans (spans.py) in the order of time, takes from each what
it asks for, and hands a record on once no later span can hold an earlier one.

Not here: how a record is shown. Invariant: the file is only read, and no read lasts
longer than a span, so that the gateway's log never grows on account of a reader.
"""

import contextlib
import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from portway.databases import read_only
from portway.ledger.filters import (
    Cell,
    Filters,
    Source,
    conditions,
    escaped,
)
from portway.ledger.spans import Probe, hits, lines_of, mark, newest, probes
from portway.ledger.store import (
    COLUMNS,
    VERSION,
    LedgerError,
    explain,
    from_row,
    identity,
)
from portway.model import Outcome, Record

__all__ = ["Filters", "Reader", "Source", "follow"]

PAGE = 1000  # records of one look, following
PATIENCE = 20  # looks in a row that may fail before following is given up

_SPANS = (
    "SELECT first, last, since, until FROM spans "
    "WHERE until >= ? AND since < ? AND first <= ?"
)
_ENDED = "outcome <> 'open' AND number <= ? AND number"
_WITHIN = f"{_ENDED} BETWEEN ? AND ?"
_AMONG = f"{_ENDED} IN (SELECT value FROM json_each(?))"  # noqa: S608 - our words

# A row with the number and the time in front, and its id: by these two they are sorted.
Row = tuple[Cell, ...]
Found = tuple[float, str, Row]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of rows: their numbers, and from when to when they began."""

    first: int
    last: int
    since: float
    until: float


class SqliteDialect:
    """How SQLite says what `conditions` has to say."""

    mark = "?"

    def like(self, column: str, pattern: str) -> tuple[str, str]:
        """Return the test whether *column* is like *pattern*, and its value."""
        return f"{column} GLOB ?", glob(pattern)

    def holds(self, expression: str, text: str) -> tuple[str, str]:
        """Return the test whether *text* is a part of it, in any case of letters."""
        return f"({expression}) LIKE ? ESCAPE '\\'", f"%{escaped(text)}%"

    def inside(self, column: str) -> str:
        """Return the test whether the address in *column* is in a network."""
        return f"inside({column}, ?)"


class Reader:
    """The ledger at *path*. Each method raises LedgerError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._file = identity(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def newest(self) -> int:
        """Return the number of the row that was written last, 0 if there is none."""
        with translated(self._path):
            return newest(self._connection)

    def search(self, filters: Filters, *, up_to: int | None = None) -> Iterator[Record]:
        """Yield what *filters* ask for, the newest last; see `Source`."""
        with translated(self._path):
            yield from map(
                from_row, search(self._connection, filters, COLUMNS, up_to=up_to)
            )

    def rows(self, filters: Filters, columns: Sequence[str]) -> Iterator[Row]:
        """Yield as `search` does, but only *columns*; see `Source`."""
        unknown = set(columns) - set(COLUMNS)
        if unknown:
            raise ValueError(f"no columns of a record: {sorted(unknown)}")
        with translated(self._path):
            yield from search(self._connection, filters, columns)

    def changes(self, filters: Filters, after: int) -> tuple[list[Record], int]:
        """Return what was written after the row of number *after*; see `Source`."""
        with translated(self._path):
            after = self._continued(after)
            last = newest(self._connection)
            where, values = conditions(filters, SqliteDialect())
            query = (
                f"SELECT number, {named(COLUMNS)} FROM records NOT INDEXED "  # noqa: S608 - our names
                f"WHERE {' AND '.join(where)} AND number > ? AND number <= ? "
                f"ORDER BY number LIMIT {PAGE}"
            )
            rows = self._ask(query, [*values, after, last])
        if len(rows) == PAGE:
            last = int(rows[-1][0])
        return [from_row(row) for _, *row in rows], last

    def _continued(self, after: int) -> int:
        """Open the file anew if another one has taken its place.

        Return the number that it goes on from: one that took a damaged one's place
        goes on with its numbers, any other begins with its first row.
        """
        try:
            if identity(self._path) == self._file:
                return after
            connection = connect(self._path)
        except (FileNotFoundError, LedgerError):
            return after  # there may be a new one by the next look
        self._connection.close()
        self._connection = connection
        self._file = identity(self._path)
        return after if after <= mark(connection, "base") else 0

    def _ask(self, query: str, values: Sequence[Cell]) -> list[Row]:
        return self._connection.execute(query, values).fetchall()


def search(
    connection: sqlite3.Connection,
    filters: Filters,
    columns: Sequence[str],
    *,
    up_to: int | None = None,
) -> Iterator[Row]:
    """Yield *columns* of what *filters* ask for, the newest last; see `Source`."""
    asked = _Search(connection, filters, columns, up_to)
    found = asked.oldest_first() if filters.limit is None else asked.newest()
    for _, _, row in found:
        yield row


class _Search:
    """One search, as the ledger was when it began."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        filters: Filters,
        columns: Sequence[str],
        up_to: int | None,
    ) -> None:
        self._connection = connection
        self._probes = probes(filters)
        where, values = conditions(filters, SqliteDialect())
        self._values = values
        self._limit = -1 if filters.limit is None else filters.limit
        self._query = (
            f"SELECT time, id, {named(columns)} FROM records {{}} "  # noqa: S608 - our names
            f"WHERE {' AND '.join(where)} AND {{}}"
        )
        if filters.limit is not None:
            self._query += f" ORDER BY time DESC, id DESC LIMIT {self._limit}"
        self._spans, self._first = self._snapshot(filters, up_to)

    def _snapshot(
        self, filters: Filters, up_to: int | None
    ) -> tuple[list[Span], list[Found]]:
        """Return the spans that matter, and what is in none of them.

        Rows that are open are taken here, and from no span: by the time that a span is
        read, they may have ended under another number.
        """
        since = float("-inf") if filters.since is None else filters.since
        until = float("inf") if filters.until is None else filters.until
        self._connection.execute("BEGIN")
        try:
            spanned = int(mark(self._connection, "spanned"))
            last = newest(self._connection) if up_to is None else up_to
            bounds = [since, until, last]
            spans = [Span(*row) for row in self._connection.execute(_SPANS, bounds)]
            tail = "number > ? AND number <= ?"
            first = self._find("NOT INDEXED", tail, [spanned, last])
            still = "outcome = 'open' AND number <= ?"
            open_rows = self._find(
                "INDEXED BY records_open", still, [min(spanned, last)]
            )
        finally:
            self._connection.execute("ROLLBACK")
        self._last = last
        return spans, [*first, *open_rows]

    def oldest_first(self) -> Iterator[Found]:
        """Yield all of it."""
        spans = sorted(self._spans, key=lambda span: span.since)
        waiting = self._first
        heapq.heapify(waiting)
        for span in spans:
            while waiting and waiting[0][0] < span.since:
                yield heapq.heappop(waiting)
            for found in self._in_span(span):
                heapq.heappush(waiting, found)
        while waiting:
            yield heapq.heappop(waiting)

    def newest(self) -> list[Found]:
        """Return the newest, as many as the limit allows."""
        best = sorted(self._first)[-self._limit :] if self._limit else []
        for span in sorted(self._spans, key=lambda span: span.until, reverse=True):
            if len(best) == self._limit and (not best or best[0][0] > span.until):
                break
            best = sorted([*best, *self._in_span(span)])[-self._limit :]
        return best

    def _in_span(self, span: Span) -> list[Found]:
        if not self._probes:
            bounds: list[Cell] = [self._last, span.first, span.last]
            return self._find("NOT INDEXED", _WITHIN, bounds)
        numbers: set[int] | None = None
        for probe in self._probes:
            there = self._numbers(span, probe)
            numbers = there if numbers is None else numbers & there
            if not numbers:
                return []
        listed = msgspec.json.encode(sorted(numbers or ())).decode()
        return self._find("NOT INDEXED", _AMONG, [self._last, listed])

    def _numbers(self, span: Span, probe: Probe) -> set[int]:
        """Return the numbers of the rows of *span* whose lines have *probe*."""
        found: set[int] = set()
        for part in probe:
            found.update(hits(lines_of(self._connection, part.field, span.last), part))
        return found

    def _find(self, how: str, where: str, values: Sequence[Cell]) -> list[Found]:
        query = self._query.format(how, where)
        rows = self._connection.execute(query, [*self._values, *values]).fetchall()
        return [(row[0], row[1], row[2:]) for row in rows]


def follow(
    source: Source, filters: Filters, after: int
) -> Iterator[tuple[Record, ...]]:
    """Yield what is written after row *after*, for ever; who asks waits in between.

    A request comes once while it is open, and once when it has ended. A damaged ledger
    is waited for: its gateway may be about to begin another.
    """
    seen: set[str] = set()
    failed = 0
    while True:
        try:
            found, after = source.changes(filters, after)
        except LedgerError:
            failed += 1
            if failed > PATIENCE:
                raise
            found = []
        else:
            failed = 0
        yield tuple(record for record in found if _is_new(record, seen))


def _is_new(record: Record, seen: set[str]) -> bool:
    """Say whether *record* tells more than one that is among the *seen*."""
    if record.outcome is not Outcome.OPEN:
        seen.discard(record.id)
        return True
    if record.id in seen:
        return False
    seen.add(record.id)
    return True


def named(columns: Sequence[str]) -> str:
    """Return *columns* as SQL names them."""
    return ", ".join(f'"{column}"' for column in columns)


def connect(path: Path) -> sqlite3.Connection:
    """Open the ledger *path* for reading. Raises LedgerError."""
    if not path.exists():
        text = f'{path}: no ledger yet; it begins with the first "portway serve"'
        raise LedgerError(text)
    with translated(path):
        connection = read_only(path)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.create_function("inside", 2, is_inside, deterministic=True)
        except BaseException:
            connection.close()
            raise
    if version != VERSION:
        connection.close()
        raise LedgerError(f"{path}: of another version; start its gateway anew first")
    return connection


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Make a LedgerError of what SQLite raises."""
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(explain(path, error)) from error


def glob(pattern: str) -> str:
    """Return *pattern*, in which only ``*`` is special, as SQLite's GLOB has it."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


@lru_cache(4096)
def is_inside(client: str, network: str) -> bool:
    """Say whether the address *client* is in *network*; what is no address is not."""
    try:
        return ip_address(client) in ip_network(network)
    except ValueError:
        return False


if TYPE_CHECKING:
    _: type[Source] = Reader
