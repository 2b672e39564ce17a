"""The ledger that a configuration asks for.

Not here: the stores themselves. Invariant: what belongs to a store that was not asked
for is not loaded, nor needs to be installed.
"""

from pathlib import Path
from typing import NoReturn

from portway.config.schema import Ledger
from portway.config.stores import SQLITE
from portway.ledger.filters import Source
from portway.ledger.query import Reader
from portway.ledger.store import NAME, LedgerError, SqliteStore, Store


def store_of(settings: Ledger, state: Path) -> Store:
    """Return what is written to, not opened yet; *state* is the state folder.

    Raises LedgerError.
    """
    if settings.store == SQLITE:
        return SqliteStore(state / NAME)
    try:
        from portway.ledger.postgres.connection import Address  # noqa: PLC0415 - extra
        from portway.ledger.postgres.store import PostgresStore  # noqa: PLC0415 - extra
    except ImportError as error:
        _is_missing(error)
    return PostgresStore(Address(settings.store, settings.password), state)


def source_of(settings: Ledger, state: Path) -> Source:
    """Return what is read from; *state* is the state folder. Raises LedgerError."""
    if settings.store == SQLITE:
        return Reader(state / NAME)
    try:
        from portway.ledger.postgres.connection import Address  # noqa: PLC0415 - extra
        from portway.ledger.postgres.query import PostgresReader  # noqa: PLC0415 - extra
    except ImportError as error:
        _is_missing(error)
    return PostgresReader(Address(settings.store, settings.password))


def _is_missing(error: ImportError) -> NoReturn:
    text = "ledger.store: PostgreSQL needs psycopg; install portway[postgres]"
    raise LedgerError(text) from error
