"""Searching and following the ledger, while a gateway may be writing to it.

Not here: how a record is shown. Invariant: the file is only read, and no read lasts
longer than a page, so that the gateway's log never grows on account of a reader.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from portway.ledger.ids import first_id
from portway.ledger.store import (
    COLUMNS,
    VERSION,
    Cell,
    LedgerError,
    explain,
    from_row,
    identity,
)
from portway.model import Outcome, Record

PAGE = 1000  # records
MILLISECOND = 0.001  # what an id tells of its time

_SELECT = f"SELECT number, {', '.join(COLUMNS)} FROM records WHERE "  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; what is left empty is anything.

    *client* is a network. *host* is a name, an address that was dialled, or a pattern
    with ``*``; so is *path*. *since* and *until* bound the start of a request, in
    seconds since the epoch. *limit* leaves that many, the newest.
    """

    user: str = ""
    client: IPv4Network | IPv6Network | None = None
    host: str = ""
    protocol: str = ""
    verdict: str = ""
    method: str = ""
    path: str = ""
    since: float | None = None
    until: float | None = None
    limit: int | None = None


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
        (number,) = self._rows("SELECT max(number) FROM records", [])[0]
        return int(number or 0)

    def search(self, filters: Filters, *, up_to: int | None = None) -> Iterator[Record]:
        """Yield what *filters* ask for, the newest last.

        *up_to* leaves out what was written after the row of that number.
        """
        where, values = conditions(filters)
        if up_to is not None:
            where.append("number <= ?")
            values.append(up_to)
        begin = ""
        if filters.limit is not None:
            begin = self._nth_newest(where, values, filters.limit)
        found = f"{_SELECT}{' AND '.join([*where, 'id >= ?'])} ORDER BY id LIMIT {PAGE}"
        while rows := self._rows(found, [*values, begin]):
            for _, *row in rows:
                yield from_row(row)
            if len(rows) < PAGE:
                return
            begin = f"{rows[-1][1]}0"  # sorts right behind the last one

    def _nth_newest(self, where: list[str], values: list[Cell], count: int) -> str:
        """Return the id to begin with for the newest *count* records."""
        if count < 1:
            return "~"
        ids = f"SELECT id FROM records WHERE {' AND '.join(where)}"  # noqa: S608 - ours
        query = f"{ids} ORDER BY id DESC LIMIT 1 OFFSET {count - 1}"
        rows = self._rows(query, values)
        return str(rows[0][0]) if rows else ""

    def changes(self, filters: Filters, after: int) -> tuple[list[Record], int]:
        """Return what was written after the row of number *after*, and how far it is.

        A request that lasts comes more than once: open, and at its end.
        """
        if self._replaced():
            after = 0
        newest = self.newest()
        where, values = conditions(filters)
        where += ["number > ?", "number <= ?"]
        query = f"{_SELECT}{' AND '.join(where)} ORDER BY number LIMIT {PAGE}"
        rows = self._rows(query, [*values, after, newest])
        if len(rows) == PAGE:
            newest = int(rows[-1][0])
        return [from_row(row) for _, *row in rows], newest

    def _replaced(self) -> bool:
        """Open the file anew if another one has taken its place."""
        try:
            if identity(self._path) == self._file:
                return False
        except FileNotFoundError:
            return False  # there may be a new one by the next look
        self._connection.close()
        self._connection = connect(self._path)
        self._file = identity(self._path)
        return True

    def _rows(self, query: str, values: list[Cell]) -> list[tuple[Cell, ...]]:
        with translated(self._path):
            return self._connection.execute(query, values).fetchall()


def follow(
    reader: Reader, filters: Filters, after: int
) -> Iterator[tuple[Record, ...]]:
    """Yield what is written after row *after*, for ever; who asks waits in between.

    A request comes once while it is open, and once when it has ended.
    """
    seen: set[str] = set()
    while True:
        found, after = reader.changes(filters, after)
        new = []
        for record in found:
            if record.outcome is not Outcome.OPEN:
                seen.discard(record.id)
            elif record.id in seen:
                continue
            else:
                seen.add(record.id)
            new.append(record)
        yield tuple(new)


def connect(path: Path) -> sqlite3.Connection:
    """Open the ledger *path* for reading. Raises LedgerError."""
    if not path.exists():
        text = f'{path}: no ledger yet; it begins with the first "portway serve"'
        raise LedgerError(text)
    with translated(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None
        )
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


def conditions(filters: Filters) -> tuple[list[str], list[Cell]]:
    """Return what *filters* ask for as conditions of SQL, and their values."""
    where: list[str] = ["1"]
    values: list[Cell] = []

    def add(condition: str, *given: Cell) -> None:
        where.append(condition)
        values.extend(given)

    for column in ("user", "protocol", "verdict"):
        if text := getattr(filters, column):
            add(f"{column} = ?", text)
    if filters.method:
        add("method = ?", filters.method.upper())
    if filters.client is not None:
        add("inside(client, ?)", str(filters.client))
    if filters.host:
        host = filters.host.lower().rstrip(".")
        add("(host GLOB ? OR address = ?)", glob(host), host)
    if filters.path:
        add("path GLOB ?", glob(filters.path))
    if filters.since is not None:
        add("id >= ? AND time >= ?", first_id(filters.since), filters.since)
    if filters.until is not None:
        bound = first_id(filters.until + MILLISECOND)
        add("id < ? AND time < ?", bound, filters.until)
    return where, values


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
