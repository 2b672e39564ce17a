"""What is looked for in the ledger, as text that is read through at memory's speed.

A span is a range of row numbers. For each field that people search by, it holds lines
of ``number TAB text``; see migration 2. A search reads the lines of its fields, and
then only the rows whose lines have what it looks for.

Not here: the search itself (query.py). Invariant: no row that a filter asks for is
missed; a hit may turn out to be none, so rows are put to the conditions still.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from portway.ledger.filters import Filters, Network, plain_host
from portway.model import read_address

ROWS = 4096  # numbers in a span: 300 KB of lines at most, as paths mostly are

# Each field that has a table of lines, and what it holds of a row.
FIELDS = {
    "user": '"user"',
    "client": "client",
    "host": "host",
    "address": "address",
    "place": "host || path",
}
# What an anonymous ledger has to write anew.
PERSONAL = ("user", "client")


def _lines(expression: str) -> str:
    """Return SQL for the lines of *expression*: a blob, or NULL without rows."""
    text = f"lower(replace({expression}, char(10), ' '))"
    joined = f"group_concat(number || char(9) || {text}, char(10))"
    return f"CAST(char(10) || {joined} || char(10) AS BLOB)"


def _gather(fields: tuple[str, ...]) -> str:
    columns = ", ".join(_lines(FIELDS[field]) for field in fields)
    return (
        f"SELECT min(time), max(time), {columns} FROM ("  # noqa: S608 - our names
        "SELECT * FROM records NOT INDEXED "
        "WHERE number BETWEEN ? AND ? ORDER BY number)"
    )


_GATHER = _gather(tuple(FIELDS))
_GATHER_PERSONAL = _gather(PERSONAL)
_PUT_LINES = {
    field: f"INSERT OR REPLACE INTO lines_{field} VALUES (?, ?)"  # noqa: S608 - ours
    for field in FIELDS
}
_GET_LINES = {
    field: f"SELECT text FROM lines_{field} WHERE last = ?"  # noqa: S608 - our names
    for field in FIELDS
}
_DROP_LINES = [f"DELETE FROM lines_{field} WHERE last = ?" for field in FIELDS]  # noqa: S608 - our names
_PUT_SPAN = (
    "INSERT OR REPLACE INTO spans (last, first, since, until) VALUES (?, ?, ?, ?)"
)


def mark(connection: sqlite3.Connection, name: str) -> float:
    """Return what the ledger remembers as *name*, 0 if it does not."""
    found = connection.execute(
        "SELECT value FROM marks WHERE name = ?", [name]
    ).fetchone()
    return float(found[0]) if found else 0.0


def set_mark(connection: sqlite3.Connection, name: str, value: float) -> None:
    """Let the ledger remember *value* as *name*."""
    connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", [name, value])


def newest(connection: sqlite3.Connection) -> int:
    """Return the number of the row that was written last, 0 if there is none."""
    (number,) = connection.execute("SELECT max(number) FROM records").fetchone()
    return int(number or 0)


def make_span(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Make the span of the rows *first* to *last*, if there are any.

    For within a transaction.
    """
    since, until, *texts = connection.execute(_GATHER, [first, last]).fetchone()
    if since is None:
        return
    connection.execute(_PUT_SPAN, [last, first, since, until])
    for field, text in zip(FIELDS, texts, strict=True):
        connection.execute(_PUT_LINES[field], [last, text])


def renew_personal(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Write the lines that name people anew. For within a transaction."""
    found = connection.execute(_GATHER_PERSONAL, [first, last]).fetchone()
    for field, text in zip(PERSONAL, found[2:], strict=True):
        connection.execute(_PUT_LINES[field], [last, text or b""])


def extend(connection: sqlite3.Connection, spanned: int, up_to: int) -> int:
    """Make spans of what was written after *spanned*; return how far they reach.

    Each whole one is a transaction of its own; the rest up to *up_to* has to wait.
    """
    while spanned + ROWS <= up_to:
        connection.execute("BEGIN IMMEDIATE")
        try:
            make_span(connection, spanned + 1, spanned + ROWS)
            set_mark(connection, "spanned", spanned + ROWS)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        spanned += ROWS
    return spanned


def lines_of(connection: sqlite3.Connection, field: str, last: int) -> bytes:
    """Return the lines of *field* in the span that ends with *last*, if it is there."""
    found = connection.execute(_GET_LINES[field], [last]).fetchone()
    return bytes(found[0]) if found else b""


def drop_spans(connection: sqlite3.Connection, before: float, most: int) -> None:
    """Delete up to *most* spans of which all began *before*, in epoch seconds."""
    old = "SELECT last FROM spans WHERE until < ? ORDER BY last LIMIT ?"
    for (last,) in connection.execute(old, [before, most]).fetchall():
        for query in _DROP_LINES:
            connection.execute(query, [last])
        connection.execute("DELETE FROM spans WHERE last = ?", [last])


# Looking for something.


@dataclass(frozen=True, slots=True)
class Part:
    """A field of lines, and what is in a line that is looked for.

    *keep* looks closer at the text of a line.
    """

    field: str
    needle: bytes
    keep: Callable[[bytes], bool] | None = None


Probe = tuple[Part, ...]  # one of the parts has to be there


def probes(filters: Filters) -> list[Probe]:
    """Return what has to be in the lines of a row, all of it; the cheapest first."""
    found: list[Probe] = []
    if filters.user:
        found.append((Part("user", _whole(filters.user)),))
    if filters.host:
        host = plain_host(filters.host)
        parts = [Part("host", _pattern(host, whole=True))]
        if read_address(host) is not None:
            parts.append(Part("address", _whole(host)))
        found.append(tuple(parts))
    for text in filters.texts:
        needle = _small(text)
        found.append((Part("place", needle), Part("user", needle)))
    if filters.path:
        found.append((Part("place", _pattern(filters.path, whole=False)),))
    if filters.client is not None:
        found.append((_network_part(filters.client),))
    return [probe for probe in found if all(part.needle for part in probe)]


def hits(text: bytes, part: Part) -> Iterator[int]:
    """Yield the numbers of those lines of *text* that have *part*."""
    needle, keep = part.needle, part.keep
    at = text.find(needle)
    while at >= 0:
        begin = text.rfind(b"\n", 0, at) + 1
        tab = text.find(b"\t", begin)
        end = text.find(b"\n", tab)
        # digits of the number itself are no hit
        there = at >= tab or text.find(needle, tab, end + 1) >= 0
        if there and (keep is None or keep(text[tab + 1 : end])):
            yield int(text[begin:tab])
        at = text.find(needle, end)


def _small(text: str) -> bytes:
    """Return *text* as lines have it: in small letters, as far as ASCII has them."""
    return text.replace("\n", " ").encode(errors="surrogateescape").lower()


def _whole(text: str) -> bytes:
    return b"\t" + _small(text) + b"\n"


def _pattern(pattern: str, *, whole: bool) -> bytes:
    """Return the longest part of *pattern* between its stars.

    *whole* says that the pattern is for all of a line's text, not its end alone.
    """
    pieces = [_small(piece) for piece in re.split(r"\*+", pattern)]
    pieces[-1] += b"\n"
    if whole:
        pieces[0] = b"\t" + pieces[0]
    best = max(pieces, key=len)
    return b"" if best in {b"\n", b"\t", b"\t\n"} else best


def _network_part(network: Network) -> Part:
    """Return what the text of each address in *network* has to have."""
    if network.prefixlen == network.max_prefixlen:
        return Part("client", _whole(str(network.network_address)))
    needle = b"\t" + _common(network).encode()
    known: dict[bytes, bool] = {}

    def keep(text: bytes) -> bool:
        answer = known.get(text)
        if answer is None:
            known[text] = answer = _is_in(text, network)
        return answer

    return Part("client", needle, keep)


def _common(network: Network) -> str:
    """Return what the addresses of *network* begin with, as far as that is sure."""
    if isinstance(network, IPv4Network):
        octets = str(network.network_address).split(".")[: network.prefixlen // 8]
        return "".join(f"{octet}." for octet in octets)
    groups = network.network_address.exploded.split(":")[: network.prefixlen // 16]
    sure = []
    for group in groups:
        if group == "0000":  # may stand as "::"
            break
        sure.append(f"{group.lstrip('0')}:")
    return "".join(sure)


def _is_in(text: bytes, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(text.decode()) in network
    except ValueError:
        return False
