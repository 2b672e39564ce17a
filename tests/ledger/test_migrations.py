"""Ledgers of earlier versions, as those wrote them, are brought up to date."""

import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from tests.ledger.records import record

from portway.ledger import spans, store
from portway.ledger.query import Filters, Reader
from portway.ledger.store import COLUMNS, LedgerError, SqliteStore, to_row
from portway.model import Outcome

COUNT = spans.ROWS + 100


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A ledger of version 1 with rows, one of them open."""
    path = tmp_path / store.NAME
    script = files("portway.ledger") / "migrations" / "0001.sql"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN;\n{script.read_text()}\nPRAGMA user_version = 1;\nCOMMIT;"
        )
        marks = ", ".join("?" * len(COLUMNS))
        columns = ", ".join(COLUMNS)
        rows = [to_row(record(n, path=f"/old/{n:05}")) for n in range(COUNT)]
        rows.append(to_row(record(COUNT, path="/open", outcome=Outcome.OPEN)))
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO records ({columns}) VALUES ({marks})",
            rows,
        )
        connection.execute("COMMIT")
    return path


def test_a_ledger_of_version_1_is_taken_over_whole(first: Path) -> None:
    with pytest.raises(LedgerError, match="start its gateway anew first"):
        Reader(first)
    ledger = SqliteStore(first)
    (lost,) = ledger.open()
    ledger.write([record(9000, path="/new")])
    ledger.close()
    assert lost.path == "/open"
    with closing(Reader(first)) as reader:
        found = [one.path for one in reader.search(Filters())]
        (one,) = reader.search(Filters(texts=("OLD/00007",)))
        assert one == record(7, id=one.id, path="/old/00007")
    assert found == [*(f"/old/{n:05}" for n in range(COUNT)), "/open", "/new"]
    with closing(sqlite3.connect(first)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_upgrade_that_was_broken_off_is_begun_again(first: Path) -> None:
    with closing(sqlite3.connect(first, isolation_level=None)) as connection:
        store.migrate(connection, first)  # and no span was made yet
    ledger = SqliteStore(first)
    ledger.open()
    ledger.close()
    with closing(Reader(first)) as reader:
        assert len(list(reader.search(Filters(texts=("/old/",))))) == COUNT


def test_there_is_a_script_for_each_version() -> None:
    folder = files("portway.ledger") / "migrations"
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".sql"))
    assert names == [f"{number:04}.sql" for number in range(1, store.VERSION + 1)]
