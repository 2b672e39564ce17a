"""What a ledger in PostgreSQL forgets, a small part at a time.

Not here: how long it is to be remembered (ledger.retention), and the room on the disk,
which is the database's own affair: what is deleted is used again after its vacuum.
Invariant: a step is short, several gateways may do theirs at once, and what still goes
on is left alone.
"""

import msgspec

from portway.ledger.ids import first_id
from portway.ledger.postgres.connection import Connection
from portway.ledger.retention import Anonymiser, Retention

MOST = 1000  # records deleted, or made anonymous, in one step
LOOKED_AT = 5000  # records that one step may have to look at

# What another gateway has left open for so long was its last word.
_EXPIRE = (
    "DELETE FROM portway.records WHERE number IN (SELECT number FROM portway.records "
    "WHERE id < %s AND (outcome <> 'open' OR gateway <> %s) ORDER BY id LIMIT %s "
    "FOR UPDATE SKIP LOCKED)"
)
_EXPIRE_PROTOCOL = (
    "DELETE FROM portway.records WHERE id >= %s AND id < %s AND protocol = %s "
    "AND outcome <> 'open'"
)
_FAR = (
    "SELECT time FROM portway.records WHERE id >= %s AND id < %s "
    "ORDER BY id LIMIT 1 OFFSET %s"
)
_NEXT = (
    'SELECT number, time, outcome, client, "user", server_login, facts '
    "FROM portway.records WHERE number > %s ORDER BY number LIMIT %s"
)
_MAKE_ANONYMOUS = (
    'UPDATE portway.records SET client = %s, client_port = 0, "user" = %s, '
    "server_login = %s, facts = %s WHERE number = %s"
)
_BEGIN_MARK = "INSERT INTO portway.marks VALUES (%s, 0) ON CONFLICT (name) DO NOTHING"
_MARK = "SELECT value FROM portway.marks WHERE name = %s FOR UPDATE"
_SET_MARK = "UPDATE portway.marks SET value = %s WHERE name = %s"


def forget(
    connection: Connection,
    retention: Retention,
    now: float,
    anonymiser: Anonymiser | None,
    gateway: str,
) -> bool:
    """Do a part of what *retention* asks for; return whether there is more to do.

    *now* is seconds since the epoch; *anonymiser* is there where it is needed;
    *gateway* is who we are. Raises psycopg.Error.
    """
    before = first_id(now - retention.keep)
    more = connection.execute(_EXPIRE, [before, gateway, MOST]).rowcount == MOST
    for protocol, seconds in retention.keep_for.items():
        if seconds < retention.keep:
            more |= _expire_protocol(connection, protocol, now - seconds)
    if anonymiser is not None and retention.anonymise is not None:
        more |= _anonymise(connection, now - retention.anonymise, anonymiser)
    return more


def _expire_protocol(connection: Connection, protocol: str, before: float) -> bool:
    """Delete what is older of one protocol, where the last step ended."""
    name = f"kept:{protocol}"
    with connection.transaction():
        begin = _mark(connection, name)
        bounds = [first_id(begin), first_id(before), LOOKED_AT]
        far = connection.execute(_FAR, bounds).fetchone()
        end = before if far is None else max(float(str(far[0])), begin + 0.001)
        if end <= begin:
            return False
        connection.execute(_EXPIRE_PROTOCOL, [first_id(begin), first_id(end), protocol])
        connection.execute(_SET_MARK, [end, name])
    return far is not None


def _anonymise(connection: Connection, before: float, anonymiser: Anonymiser) -> bool:
    """Make the next rows that began *before* name nobody any more.

    They come in the order in which they were written. What is open comes again, under
    a greater number, when it has ended.
    """
    with connection.transaction():
        after = _mark(connection, "anonymous")
        rows = connection.execute(_NEXT, [after, MOST]).fetchall()
        done: list[tuple[object, ...]] = []
        for number, time, outcome, *personal in rows:
            if outcome != "open":
                if float(str(time)) >= before:
                    break
                done.append((*_nameless(personal, anonymiser), number))
            after = float(str(number))
        with connection.cursor() as cursor:
            cursor.executemany(_MAKE_ANONYMOUS, done)
        connection.execute(_SET_MARK, [after, "anonymous"])
    return len(done) == MOST


def _nameless(personal: list[object], anonymiser: Anonymiser) -> tuple[str, ...]:
    client, user, login, facts = map(str, personal)
    if facts != "{}":
        told = msgspec.json.decode(facts, type=dict[str, str])
        facts = msgspec.json.encode(anonymiser.facts(told)).decode()
    return (
        anonymiser.client(client),
        anonymiser.user(user),
        anonymiser.user(login),
        facts,
    )


def _mark(connection: Connection, name: str) -> float:
    """Return a mark, which no other gateway changes until the transaction ends."""
    connection.execute(_BEGIN_MARK, [name])
    (value,) = connection.execute(_MARK, [name]).fetchone() or (0,)
    return float(str(value))
