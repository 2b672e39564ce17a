"""A connection to the PostgreSQL database that holds a ledger, and its schema.

Not here: what is written (store.py) and read (query.py). Invariant: a password is in no
error and no repr; it goes to libpq and nowhere else.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from portway.config.secret import Secret
from portway.config.stores import label
from portway.ledger.store import LedgerError

Connection = psycopg.Connection[tuple[object, ...]]

VERSION = 1  # of the schema: the number of the last migration
LOCK = 0x506F72747761  # held by who takes numbers, or changes the schema
CONNECT_TIME = 10  # seconds
# Seconds without an answer of the other machine's kernel until it is given up.
SILENCE = 20

# What is said to libpq unless the URL says otherwise: its documentation, "Parameter
# Key Words". What TCP has no part in is passed over for a socket of this machine.
_DEFAULTS: dict[str, str | int] = {
    "application_name": "portway",
    "connect_timeout": CONNECT_TIME,
    "keepalives_idle": SILENCE // 2,
    "keepalives_interval": SILENCE // 4,
    "keepalives_count": 2,
    "tcp_user_timeout": SILENCE * 1000,
}
# Asked of the table itself: what a name stands for is remembered from look to look.
_IS_THERE = (
    "SELECT 1 FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace "
    "ON pg_namespace.oid = relnamespace "
    "WHERE nspname = 'portway' AND relname = 'marks'"
)
_VERSION = "SELECT value FROM portway.marks WHERE name = 'version'"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is; *password* None leaves it to libpq (PGPASSFILE)."""

    url: str
    password: Secret | None = None

    @property
    def label(self) -> str:
        """What people are told of it: its host and its name."""
        return label(self.url)


def connect(address: Address, settings: str = "") -> Connection:
    """Return a connection on which each statement is a transaction of its own.

    *settings* is SQL to begin with. Raises LedgerError.
    """
    with translated(address.label):
        known = {**_DEFAULTS, **conninfo_to_dict(address.url)}
        known["client_encoding"] = "utf8"
        if address.password is not None:
            known["password"] = address.password.reveal()
        where = make_conninfo("", **known)
        connection = psycopg.connect(where, autocommit=True)
        try:
            if settings:
                connection.execute(settings)
        except BaseException:
            connection.close()
            raise
        return connection


def version_of(connection: Connection) -> int:
    """Return the version of the schema, 0 if there is none. Raises psycopg.Error."""
    if connection.execute(_IS_THERE).fetchone() is None:
        return 0
    row = connection.execute(_VERSION).fetchone()
    return int(float(str(row[0]))) if row else 0


def migrate(connection: Connection, name: str) -> bool:
    """Bring the schema up to `VERSION`, all of it or none, one gateway at a time.

    *name* is the label of the database. Return whether there was none before. Raises
    psycopg.Error, LedgerError.
    """
    if _is_right(connection, name):
        return False
    encoding = connection.execute("SHOW server_encoding").fetchone()
    if encoding != ("UTF8",):
        text = "make one with ENCODING 'UTF8' TEMPLATE template0"
        raise LedgerError(f"{name}: the database cannot hold every letter; {text}")
    with connection.transaction():
        lock(connection)
        if _is_right(connection, name):
            return False
        found = version_of(connection)
        for number in range(found + 1, VERSION + 1):
            script = files("portway.ledger.postgres") / f"{number:04}.sql"
            connection.execute(script.read_text(encoding="utf-8"))
        connection.execute(
            "INSERT INTO portway.marks VALUES ('version', %s) "
            "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
            [VERSION],
        )
    return not found


def _is_right(connection: Connection, name: str) -> bool:
    found = version_of(connection)
    if found > VERSION:
        raise LedgerError(f"{name}: a newer Portway wrote it; use that one")
    return found == VERSION


def lock(connection: Connection) -> None:
    """Wait until nobody else takes numbers; for within a transaction."""
    connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Make a LedgerError of what psycopg raises; *name* is the database's label."""
    try:
        yield
    except psycopg.Error as error:
        raise LedgerError(explain(name, error)) from error


def explain(name: str, error: psycopg.Error) -> str:
    """Say in one line what is wrong with the database, and what to do about it."""
    said = " ".join(str(error.diag.message_primary or error).split())
    text = f"{name}: {said or 'the connection broke'}"
    if isinstance(error, errors.DiskFull):
        return f"{text}; make room on the disk of the database"
    if isinstance(error, errors.InsufficientPrivilege):
        return f"{text}; make the role of ledger.store the owner of the database"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return f"{text}; name the primary server, not a copy of it"
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return f"{text}; it is no whole ledger: restore it, or use an empty database"
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return f"{text}; see that it runs, and that ledger.store may log in"
    return text
