"""What an SQLite ledger forgets, a small part at a time.

Not here: how long it is to be remembered (retention.py), nor other stores. Invariant:
a step is short, so that no record waits long; what still goes on is left alone.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

import msgspec

from portway.ledger.ids import first_id
from portway.ledger.retention import Anonymiser, Retention
from portway.ledger.spans import (
    drop_spans,
    make_span,
    mark,
    newest,
    renew_personal,
    set_mark,
)

MOST = 1000  # records deleted in one step
LOOKED_AT = 5000  # records that one step may have to look at
PAGES = 256  # given back to the disk in one step
SPARE = 4  # a step is worth it where one page in so many is free
SPANS = 8  # deleted in one step

_EXPIRE = (
    "DELETE FROM records WHERE number IN (SELECT number FROM records "
    "WHERE id < ? AND outcome <> 'open' ORDER BY id LIMIT ?)"
)
_EXPIRE_PROTOCOL = (
    "DELETE FROM records WHERE id >= ? AND id < ? AND protocol = ? "
    "AND outcome <> 'open'"
)
_OLDEST = "SELECT time FROM records WHERE outcome <> 'open' ORDER BY id LIMIT 1"
_PERSONAL = (
    'SELECT number, client, "user", server_login, facts FROM records NOT INDEXED '
    "WHERE number BETWEEN ? AND ? AND outcome <> 'open'"
)
_MAKE_ANONYMOUS = (
    'UPDATE records SET client = ?, client_port = 0, "user" = ?, server_login = ?, '
    "facts = ? WHERE number = ?"
)


def forget(
    connection: sqlite3.Connection,
    retention: Retention,
    now: float,
    anonymiser: Anonymiser | None,
) -> bool:
    """Do a part of what *retention* asks for; return whether there is more to do.

    *now* is seconds since the epoch; *anonymiser* is there where it is needed.
    """
    more = _expire(connection, now - retention.keep)
    for protocol, seconds in retention.keep_for.items():
        if seconds < retention.keep:
            more |= _expire_protocol(connection, protocol, now - seconds)
    more |= _fit(connection, retention.max_size)
    with transaction(connection):
        drop_spans(connection, _oldest(connection), SPANS)
    if anonymiser is not None and retention.anonymise is not None:
        more |= _anonymise(connection, now - retention.anonymise, anonymiser)
    return more


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _expire(connection: sqlite3.Connection, before: float) -> bool:
    gone = connection.execute(_EXPIRE, (first_id(before), MOST)).rowcount
    return gone == MOST


def _expire_protocol(
    connection: sqlite3.Connection, protocol: str, before: float
) -> bool:
    """Delete what is older of one protocol, where the last step ended."""
    name = f"kept:{protocol}"
    begin = mark(connection, name)
    far = connection.execute(
        "SELECT time FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 "
        "OFFSET ?",
        (first_id(begin), first_id(before), LOOKED_AT),
    ).fetchone()
    end = before if far is None else max(float(far[0]), begin + 0.001)
    if end <= begin:
        return False
    with transaction(connection):
        bounds = (first_id(begin), first_id(end), protocol)
        connection.execute(_EXPIRE_PROTOCOL, bounds)
        set_mark(connection, name, end)
    return far is not None


def _fit(connection: sqlite3.Connection, most: int | None) -> bool:
    """Delete the oldest where there is too much, and shorten the file."""
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    more = False
    if most is not None and (pages - free) * size > most:
        gone = connection.execute(_EXPIRE, (first_id(1e11), MOST)).rowcount
        more = gone > 0
    too_long = most is not None and pages * size > most and free > 0
    if too_long or (free > PAGES and free * SPARE > pages):
        connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        more |= too_long
    return more


def _oldest(connection: sqlite3.Connection) -> float:
    """Return when the oldest record began; if there is none, never."""
    found = connection.execute(_OLDEST).fetchone()
    return float(found[0]) if found else float("inf")


def _anonymise(
    connection: sqlite3.Connection, before: float, anonymiser: Anonymiser
) -> bool:
    """Make the next span of what began *before* name nobody any more."""
    found = connection.execute(
        "SELECT first, last FROM spans WHERE anonymous = 0 AND until < ? "
        "ORDER BY last LIMIT 1",
        [before],
    ).fetchone()
    if found is None:
        return _span_early(connection, before)
    first, last = found
    with transaction(connection):
        rows = [
            (
                anonymiser.client(client),
                anonymiser.user(user),
                anonymiser.user(login),
                _facts(facts, anonymiser),
                number,
            )
            for number, client, user, login, facts in connection.execute(
                _PERSONAL, [first, last]
            )
        ]
        connection.executemany(_MAKE_ANONYMOUS, rows)
        renew_personal(connection, first, last)
        connection.execute("UPDATE spans SET anonymous = 1 WHERE last = ?", [last])
    return True


def _facts(text: str, anonymiser: Anonymiser) -> str:
    if text == "{}":
        return text
    facts = msgspec.json.decode(text, type=dict[str, str])
    return msgspec.json.encode(anonymiser.facts(facts)).decode()


def _span_early(connection: sqlite3.Connection, before: float) -> bool:
    """Make a span of the last rows if they are old, though they are only a few."""
    spanned, last = int(mark(connection, "spanned")), newest(connection)
    (young,) = connection.execute(
        "SELECT min(number) FROM records NOT INDEXED WHERE number > ? AND time >= ?",
        [spanned, before],
    ).fetchone()
    end = last if young is None else young - 1
    if end <= spanned:
        return False
    with transaction(connection):
        make_span(connection, spanned + 1, end)
        set_mark(connection, "spanned", end)
    return True
