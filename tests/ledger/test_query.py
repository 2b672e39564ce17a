"""Searching a real ledger, and following one that is written to."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.ledger.records import NOON, record

from portway.ledger import spans, store
from portway.ledger.query import Filters, Reader, follow, translated
from portway.ledger.store import LedgerError, SqliteStore
from portway.model import Outcome, Record

RECORDS = [
    record(0, user="alice", client="10.0.0.7", host="ftp.example.org"),
    record(60, user="bob", client="10.0.1.7", host="example.org", verdict="deny"),
    record(120, user="", client="2001:db8::7", host="ftp.example.net", method="STOR"),
    record(180, user="alice", client="10.0.0.8", host="a.b.example.org", path="/in/x"),
    record(240, protocol="http", host="203.0.113.9", address="203.0.113.9"),
]


@pytest.fixture(autouse=True, params=[2, spans.ROWS])
def rows_in_a_span(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it in spans but the last row, and nothing of it."""
    monkeypatch.setattr(spans, "ROWS", request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / store.NAME


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def reader(ledger: SqliteStore, path: Path) -> Iterator[Reader]:
    # written in another order than they began
    ledger.write([*RECORDS[2:], *RECORDS[:2]])
    opened = Reader(path)
    yield opened
    opened.close()


def found(reader: Reader, filters: Filters) -> list[int]:
    return [round(each.time - NOON) // 60 for each in reader.search(filters)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [0, 1, 2, 3, 4]),
        (Filters(user="alice"), [0, 3, 4]),
        (Filters(client=ip_network("10.0.0.7")), [0, 4]),
        (Filters(client=ip_network("10.0.0.0/23")), [0, 1, 3, 4]),
        (Filters(client=ip_network("2001:db8::/32")), [2]),
        (Filters(host="Example.ORG."), [1]),
        (Filters(host="*.example.org"), [0, 3]),
        (Filters(host="ftp.example.???"), []),
        (Filters(host="ftp.example.[on]*"), []),
        (Filters(host="203.0.113.9"), [4]),
        (Filters(host="203.0.113.7"), [0, 1, 2, 3]),
        (Filters(protocol="http"), [4]),
        (Filters(verdict="deny"), [1]),
        (Filters(method="stor"), [2]),
        (Filters(path="/in/*"), [3]),
        (Filters(path="/pub/a.zip"), [0, 1, 2, 4]),
        (Filters(since=NOON + 60, until=NOON + 180), [1, 2]),
        (Filters(since=NOON + 60.5), [2, 3, 4]),
        (Filters(limit=2), [3, 4]),
        (Filters(limit=2, host="*.example.*"), [2, 3]),
        (Filters(limit=99), [0, 1, 2, 3, 4]),
        (Filters(limit=0), []),
        (Filters(user="' OR 1 --"), []),
        (Filters(texts=("EXAMPLE.org/IN",)), [3]),
        (Filters(texts=("ALI",)), [0, 3, 4]),
        (Filters(texts=("%",)), []),
        (Filters(texts=("b.example",), host="*.org"), [3]),
        (Filters(texts=("alice", "a.b")), [3]),
        (Filters(texts=("alice", "bob")), []),
    ],
)
def test_filters(reader: Reader, filters: Filters, expected: list[int]) -> None:
    assert found(reader, filters) == expected


def test_what_was_written_comes_back_whole(reader: Reader) -> None:
    assert list(reader.search(Filters())) == RECORDS


def test_a_search_holds_no_read_open(
    reader: Reader, ledger: SqliteStore, path: Path
) -> None:
    search = reader.search(Filters())
    next(search)
    ledger.write([record(300)])
    with closing(sqlite3.connect(path, timeout=0)) as other:
        checked = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    assert checked[0] == 0
    assert len(list(search)) == 4  # as it was when the search began


def test_following_gives_each_request_open_and_ended_once(
    reader: Reader, ledger: SqliteStore
) -> None:
    comes = follow(reader, Filters(user="alice"), reader.newest())

    def ids(given: tuple[Record, ...]) -> list[tuple[str, str]]:
        return [(each.id, each.outcome.value) for each in given]

    assert ids(next(comes)) == []
    ledger.write([record(id="A", outcome=Outcome.OPEN), record(id="B", user="bob")])
    assert ids(next(comes)) == [("A", "open")]
    ledger.write([record(id="A", outcome=Outcome.OPEN), record(id="C")])
    assert ids(next(comes)) == [("C", "ok")]
    ledger.write([record(id="A")])
    assert ids(next(comes)) == [("A", "ok")]
    assert ids(next(comes)) == []


def test_following_goes_on_with_a_ledger_that_was_begun_anew(
    reader: Reader, ledger: SqliteStore, path: Path
) -> None:
    comes = follow(reader, Filters(), reader.newest())
    assert next(comes) == ()
    path.unlink()
    assert next(comes) == ()
    ledger.write([record(id="A")])
    assert [each.id for each in next(comes)] == ["A"]


def test_what_follows_begins_where_the_search_ended(
    reader: Reader, ledger: SqliteStore
) -> None:
    newest = reader.newest()
    ledger.write([record(300, id="A")])
    assert len(list(reader.search(Filters(), up_to=newest))) == 5
    assert [each.id for each in next(follow(reader, Filters(), newest))] == ["A"]


def test_no_ledger_yet(path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger yet"):
        Reader(path)
    assert not path.exists()


def test_a_ledger_can_be_read_while_no_gateway_runs(
    ledger: SqliteStore, path: Path
) -> None:
    ledger.write(RECORDS)
    ledger.close()
    reader = Reader(path)
    assert len(list(reader.search(Filters()))) == 5
    reader.close()


@pytest.mark.parametrize("content", [b"no ledger " * 999, b""])
def test_a_file_that_is_no_ledger(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=str(path)):
        Reader(path)


def test_a_reader_changes_nothing(reader: Reader, path: Path) -> None:
    with pytest.raises(LedgerError, match="readonly"):
        next(reader.rows(Filters(path="x"), ["id"]), None)
        with translated(path):
            reader._connection.execute("DELETE FROM records")
