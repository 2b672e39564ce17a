"""A ledger that is damaged is set aside, saved as far as it can be, and never lost."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.ledger.records import NOON, record

from portway.databases import set_aside
from portway.ledger import damage, spans, store
from portway.ledger.query import Filters, Reader, follow
from portway.ledger.retention import Retention
from portway.ledger.store import SqliteStore
from portway.model import Outcome, Record

FOREVER = Retention(1e12)
MANY = 3000
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / store.NAME


@pytest.fixture
def ledgers(path: Path) -> Iterator[list[SqliteStore]]:
    """What a test opens, to be closed at its end."""
    opened: list[SqliteStore] = []
    yield opened
    for one in opened:
        one.close()


def begin(path: Path, ledgers: list[SqliteStore]) -> SqliteStore:
    opened = SqliteStore(path)
    ledgers.append(opened)
    opened.open()
    return opened


def filled(path: Path, count: int = MANY) -> list[str]:
    """Leave a closed ledger of *count* records; return their paths."""
    ledger = SqliteStore(path)
    ledger.open()
    for begin in range(0, count, 1000):
        numbers = range(begin, min(begin + 1000, count))
        ledger.write([record(n, path=f"/old/{n:05}") for n in numbers])
    ledger.write([record(count, path="/open", outcome=Outcome.OPEN)])
    ledger.close()
    return [f"/old/{n:05}" for n in range(count)]


def tend(ledger: SqliteStore, retention: Retention = FOREVER) -> None:
    """Do all that is due."""
    for _ in range(10_000):
        if not ledger.tend(retention, NOON + 10_000):
            return
    raise AssertionError("there is no end of it")


def kept(path: Path) -> list[Path]:
    """Return what was set aside, without what belongs to it."""
    found = path.parent.glob(f"{path.name}*corrupt-*")
    main = sorted(one for one in found if not one.name.endswith(("-wal", "-shm")))
    return main or sorted(path.parent.glob(f"{path.name}*corrupt-*-wal"))


def read(path: Path, filters: Filters | None = None) -> list[Record]:
    with closing(Reader(path)) as reader:
        return list(reader.search(filters or Filters()))


def told(path: Path) -> str:
    """Return what the ledger says of its own damage."""
    [one] = read(path, Filters(method="ADMIN"))
    return one.error


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    "content",
    [
        b"This is no ledger at all. " * 1000,
        b"SQLite format 3\0" + b"\xff" * 8192,
        os.urandom(20_000),
    ],
)
def test_what_is_no_ledger_is_kept_and_a_new_one_begun(
    path: Path,
    ledgers: list[SqliteStore],
    content: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path.write_bytes(content)
    ledger = begin(path, ledgers)
    [old] = kept(path)
    assert old.read_bytes() == content
    assert "ledger.damaged" in caplog.messages
    assert old.name in told(path)
    ledger.write([record(path="/new")])
    tend(ledger)
    assert "/new" in [one.path for one in read(path)]


def test_a_torn_header(path: Path, ledgers: list[SqliteStore]) -> None:
    filled(path)
    before = path.read_bytes()
    overwrite(path, 0, bytes(50))
    begin(path, ledgers)
    [old] = kept(path)
    assert old.read_bytes() == bytes(50) + before[50:]
    assert "damaged" in told(path)


def test_a_file_that_was_cut(path: Path, ledgers: list[SqliteStore]) -> None:
    filled(path)
    size = path.stat().st_size
    os.truncate(path, size * 2 // 3 // PAGE * PAGE)
    ledger = begin(path, ledgers)
    ledger.write([record(9000, path="/new")])
    if ledger._examination is not None:
        ledger._examination.wait()
    ledger.write([record(9001, path="/newer")])
    tend(ledger)
    found = [one.path for one in read(path)]
    assert len(kept(path)) == 1
    assert {"/new", "/newer"} <= set(found)
    assert found.count("/old/00000") == 1
    assert len(found) > MANY // 3
    assert "damaged" in told(path)


def test_a_torn_page_in_the_middle_is_found_and_all_else_saved(
    path: Path, ledgers: list[SqliteStore], caplog: pytest.LogCaptureFixture
) -> None:
    names = filled(path)
    torn = page_of(path, b"/old/01500")
    overwrite(path, torn * PAGE, os.urandom(PAGE))
    ledger = begin(path, ledgers)
    assert ledger._examination is not None
    ledger._examination.wait()
    with closing(Reader(path)) as reader:
        comes = follow(reader, Filters(), reader.newest())
        assert next(comes) == ()
        ledger.write([record(9000, path="/new")])
        [old] = kept(path)
        tend(ledger)
        assert {"ADMIN", "RETR"} == {one.method for one in next(comes)}
        assert next(comes) == ()
    found = {one.path: one for one in read(path)}
    missing = [name for name in names if name not in found]
    assert 0 < len(missing) <= 20  # what one page holds
    assert found["/new"].outcome is Outcome.OK
    assert caplog.messages.count("ledger.damaged") == 1
    assert "ledger.salvaged" in caplog.messages
    assert old.name in told(path)
    # what was saved is found by its text, and under the numbers that it had
    assert [one.path for one in read(path, Filters(texts=("LD/00007",)))] == [
        "/old/00007"
    ]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        query = "SELECT number FROM records WHERE path = '/old/00007'"
        assert connection.execute(query).fetchall() == [(8,)]


def page_of(path: Path, text: bytes) -> int:
    """Return the number of the page that holds a record of *text*, from 0."""
    data = path.read_bytes()
    at = data.index(b"ftp://ftp.example.org/pub/a.zip")  # some record at all
    at = data.index(text, at)
    return at // PAGE


def test_what_was_open_is_lost_also_in_a_ledger_set_aside(
    path: Path, ledgers: list[SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 100)
    with closing(sqlite3.connect(path)) as connection:  # an index alone is torn
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'records_open'"
        (root,) = connection.execute(query).fetchone()
    overwrite(path, (root - 1) * PAGE, os.urandom(PAGE))
    ledger = begin(path, ledgers)
    tend(ledger)
    outcomes = {one.path: one.outcome for one in read(path)}
    assert outcomes["/open"] is Outcome.LOST
    assert outcomes["/old/00099"] is Outcome.OK


def test_damage_while_it_runs_costs_no_record(
    path: Path, ledgers: list[SqliteStore]
) -> None:
    filled(path)
    ledger = begin(path, ledgers)
    assert ledger._examination is not None
    ledger._examination.wait()
    ledger.write([record(9000, id="A", path="/first", outcome=Outcome.OPEN)])
    ledger.close()  # so that it reads anew what is on the disk
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'records'"
        (root,) = connection.execute(query).fetchone()
    overwrite(path, (root - 1) * PAGE, os.urandom(PAGE))
    ledger.write([record(9001, path="/second")])
    ledger.write([record(9002, id="A", path="/first")])
    assert len(kept(path)) == 1
    found = {one.path: one.outcome for one in read(path, Filters(method="RETR"))}
    assert found == {"/first": Outcome.OK, "/second": Outcome.OK}


def test_a_write_ahead_log_that_is_none_is_kept(
    path: Path, ledgers: list[SqliteStore], caplog: pytest.LogCaptureFixture
) -> None:
    names = filled(path, 50)
    garbage = os.urandom(20_000)
    Path(f"{path}-wal").write_bytes(garbage)
    begin(path, ledgers)
    [old] = kept(path)
    assert old.read_bytes() == garbage
    assert "ledger.damaged" in caplog.messages
    assert "write-ahead log" in told(path)
    assert set(names) <= {one.path for one in read(path)}


def test_a_true_write_ahead_log_is_taken(
    path: Path, ledgers: list[SqliteStore], tmp_path: Path
) -> None:
    ledger = begin(path, ledgers)
    ledger.write([record(path="/logged")])
    copy = tmp_path / "copy" / store.NAME
    copy.parent.mkdir()
    for suffix in ("", "-wal"):  # as after kill -9
        source = Path(f"{path}{suffix}")
        Path(f"{copy}{suffix}").write_bytes(source.read_bytes())
    begin(copy, ledgers)
    assert [one.path for one in read(copy)] == ["/logged"]
    assert kept(copy) == []


def test_two_in_one_second_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    names = set()
    for number in range(3):
        path.write_text(str(number))
        names.add(set_aside(path))
    assert sorted(name.read_text() for name in names) == ["0", "1", "2"]


def test_an_examination_can_be_broken_off(path: Path) -> None:
    filled(path)
    examination = damage.Examination(path)
    examination.close()
    assert examination.found == ""
    names = [thread.name for thread in threading.enumerate()]
    assert "ledger examination" not in names


def test_what_is_saved_is_in_spans(path: Path, ledgers: list[SqliteStore]) -> None:
    filled(path, spans.ROWS + 500)
    overwrite(path, page_of(path, b"/old/04000") * PAGE, os.urandom(PAGE))
    ledger = begin(path, ledgers)
    assert ledger._examination is not None
    ledger._examination.wait()
    tend(ledger)
    times = [one.time for one in read(path)]
    assert times == sorted(times)
    assert len(times) > spans.ROWS + 470


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
