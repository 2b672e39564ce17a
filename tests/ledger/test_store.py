"""The store on a real SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.ledger.records import record

from portway.ledger import store
from portway.ledger.store import LedgerError, SqliteStore, from_row
from portway.model import Outcome, Record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / store.NAME


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    assert opened.open() == []
    yield opened
    opened.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def read(path: Path) -> list[Record]:
    query = f"SELECT {', '.join(store.COLUMNS)} FROM records ORDER BY number"
    return [from_row(row) for row in rows(path, query)]  # type: ignore[arg-type]


def test_a_column_for_each_field(ledger: SqliteStore, path: Path) -> None:
    found = [name for _, name, *_ in rows(path, "PRAGMA table_info(records)")]
    assert found == ["number", *Record._fields]


def test_what_was_written_is_read_back(ledger: SqliteStore, path: Path) -> None:
    given = [record(n, path="/наука\n\0", bytes_up=2**62) for n in range(3)]
    ledger.write(given)
    ledger.write([])
    assert read(path) == given
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_one_row_for_each_id_and_a_greater_number_each_time(
    ledger: SqliteStore, path: Path
) -> None:
    started = record(id="A", outcome=Outcome.OPEN)
    ledger.write([started, record(id="B")])
    ledger.write([record(id="A", outcome=Outcome.CUT)])
    ledger.write([record(id="A", outcome=Outcome.OK)])
    found = rows(path, "SELECT id, outcome, number FROM records ORDER BY number")
    assert found == [("B", "ok", 2), ("A", "ok", 4)]


def test_only_the_owner_may_read_it(ledger: SqliteStore, path: Path) -> None:
    ledger.write([record()])
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_what_was_open_when_the_gateway_died_is_lost(
    ledger: SqliteStore, path: Path
) -> None:
    ledger.write([record(id="A", outcome=Outcome.OPEN), record(id="B")])
    ledger.close()
    again = SqliteStore(path)
    (lost,) = again.open()
    again.close()
    assert (lost.id, lost.outcome) == ("A", Outcome.LOST)
    assert [(r.id, r.outcome) for r in read(path)] == [("B", "ok"), ("A", "lost")]


def test_a_file_that_was_removed_is_begun_anew(
    ledger: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.write([record(id="A")])
    path.unlink()
    ledger.write([record(id="B")])
    assert [r.id for r in read(path)] == ["B"]
    assert caplog.messages == ["ledger.replaced"]


def test_a_record_that_no_table_takes_keeps_no_other_from_it(
    ledger: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [record(path="\udcff"), record(port="ftp"), record(bytes_up=2**70)]
    ledger.write([record(id="A"), *bad, record(id="B")])
    assert [r.id for r in read(path)] == ["A", "B"]
    assert caplog.messages == ["ledger.unwritable"] * 3


def test_a_batch_is_written_whole_or_not_at_all(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCKED", 0.01)
    ledger.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked; end the other program"):
            ledger.write([record(id="A"), record(id="B")])
        other.execute("COMMIT")
    ledger.write([record(id="A"), record(id="B")])
    assert len(read(path)) == 2


def test_a_ledger_of_the_future_is_refused(ledger: SqliteStore, path: Path) -> None:
    ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="a newer Portway"):
        SqliteStore(path).open()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    path = tmp_path / "state" / store.NAME
    with pytest.raises(LedgerError, match=str(path)):
        SqliteStore(path).open()
    (tmp_path / store.NAME).mkdir()
    with pytest.raises(LedgerError, match="Is a directory"):
        SqliteStore(tmp_path / store.NAME).open()
