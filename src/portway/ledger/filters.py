"""What may be asked of a ledger, and how that is said to a database.

Not here: the search itself (query.py; postgres has its own). Invariant: what a filter
holds reaches a database as a value, never as a part of its language.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from portway.ledger.ids import first_id
from portway.model import Record

Cell = str | int | float
Network = IPv4Network | IPv6Network

MILLISECOND = 0.001  # what an id tells of its time


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; what is left empty is anything.

    *client* is a network. *host* is a name, an address that was dialled, or a pattern
    with ``*``; so is *path*. Each of *texts* is any part of a host with its path, or of
    a user, whatever the case of its letters. *since* and *until* bound the start of a
    request, in seconds since the epoch. *limit* leaves that many, the newest.
    """

    user: str = ""
    client: Network | None = None
    host: str = ""
    protocol: str = ""
    verdict: str = ""
    method: str = ""
    path: str = ""
    texts: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    limit: int | None = None


class Dialect(Protocol):
    """How a database says what `conditions` has to say; each gives an expression.

    Column names are quoted with ``"`` throughout, which every database takes.
    """

    mark: str  # what stands for a value: ``?`` or ``%s``

    def like(self, column: str, pattern: str) -> tuple[str, str]:
        """Return the test whether *column* is like *pattern*, and its value.

        Only ``*`` is special in *pattern*; the case of letters counts.
        """

    def holds(self, expression: str, text: str) -> tuple[str, str]:
        """Return the test whether *text* is a part of it, in any case of letters."""

    def inside(self, column: str) -> str:
        """Return the test whether the address in *column* is in a network, a mark."""


def conditions(filters: Filters, dialect: Dialect) -> tuple[list[str], list[Cell]]:
    """Return what *filters* ask for, but *limit*, as conditions, and their values.

    There is at least one condition; all have to hold.
    """
    where: list[str] = ["1 = 1"]
    values: list[Cell] = []
    mark = dialect.mark

    def add(condition: str, *given: Cell) -> None:
        where.append(condition)
        values.extend(given)

    for column in ("user", "protocol", "verdict"):
        if text := getattr(filters, column):
            add(f'"{column}" = {mark}', text)
    if filters.method:
        add(f"method = {mark}", filters.method.upper())
    if filters.client is not None:
        add(dialect.inside("client"), str(filters.client))
    if filters.host:
        host = plain_host(filters.host)
        test, value = dialect.like("host", host)
        add(f"({test} OR address = {mark})", value, host)
    if filters.path:
        test, value = dialect.like("path", filters.path)
        add(test, value)
    for text in filters.texts:
        named, value = dialect.holds("host || path", text)
        whose, who = dialect.holds('"user"', text)
        add(f"({named} OR {whose})", value, who)
    if filters.since is not None:
        add(f"id >= {mark} AND time >= {mark}", first_id(filters.since), filters.since)
    if filters.until is not None:
        bound = first_id(filters.until + MILLISECOND)
        add(f"id < {mark} AND time < {mark}", bound, filters.until)
    return where, values


def plain_host(text: str) -> str:
    """Return *text* as hosts are written in the ledger."""
    return text.lower().rstrip(".")


def escaped(text: str) -> str:
    r"""Return *text* for LIKE with ``\`` as its escape, nothing in it special."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class Source(Protocol):
    """A ledger that can be read; each method raises LedgerError if it cannot be."""

    def newest(self) -> int:
        """Return the number of the row that was written last, 0 if there is none."""

    def search(self, filters: Filters, *, up_to: int | None = None) -> Iterator[Record]:
        """Yield what *filters* ask for, the newest last.

        *up_to* leaves out what was written after the row of that number.
        """

    def rows(
        self, filters: Filters, columns: Sequence[str]
    ) -> Iterator[tuple[Cell, ...]]:
        """Yield as `search` does, but only *columns*, which are fields of a Record.

        ``facts`` is a JSON object as text. For who reads very many.
        """

    def changes(self, filters: Filters, after: int) -> tuple[list[Record], int]:
        """Return what was written after the row of number *after*, and how far it is.

        A request that lasts comes more than once: open, and at its end.
        """

    def close(self) -> None:
        """Let go of it."""
