"""What a real ledger forgets, and what it goes on remembering."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.ledger.records import NOON, record

from portway.ledger import forget, retention, spans, store
from portway.ledger.query import Filters, Reader
from portway.ledger.retention import Anonymiser, Retention, read_key
from portway.ledger.store import SqliteStore
from portway.model import Outcome, Record

DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / store.NAME


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    opened.open()
    yield opened
    opened.close()


def tend(ledger: SqliteStore, asked: Retention, now: float) -> int:
    """Do all that is due; return in how many steps."""
    for step in range(1, 10_000):
        if not ledger.tend(asked, now):
            return step
    raise AssertionError("there is no end of it")


def read(path: Path, filters: Filters | None = None) -> list[Record]:
    with closing(Reader(path)) as reader:
        return list(reader.search(filters or Filters()))


def times(path: Path) -> list[float]:
    return [one.time - NOON for one in read(path)]


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_the_oldest_go_in_steps_but_not_what_goes_on(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "MOST", 5)
    ledger.write([record(n) for n in range(12)])
    ledger.write([record(-5, outcome=Outcome.OPEN)])
    assert tend(ledger, Retention(93.0), NOON + 100) == 2
    assert times(path) == [-5, 7, 8, 9, 10, 11]


def test_one_protocol_may_be_kept_for_less(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "LOOKED_AT", 7)
    other = {"protocol": "dns"}
    ledger.write([record(n, **(other if n % 3 else {})) for n in range(50)])
    asked = Retention(1e9, {"dns": 100.0, "http": 1.0, "ftp": 2e9})
    assert tend(ledger, asked, NOON + 130) > 3
    assert times(path) == [n for n in range(50) if n % 3 == 0 or n >= 30]
    # it goes on where it was
    assert tend(ledger, asked, NOON + 140) <= 3
    assert times(path) == [n for n in range(50) if n % 3 == 0 or n >= 40]


def test_a_ledger_has_the_size_that_it_may_have(
    ledger: SqliteStore, path: Path
) -> None:
    for begin in range(0, 9000, 1000):
        ledger.write(
            [record(n, error=f"{n:04}" * 100) for n in range(begin, begin + 1000)]
        )
    most = 4 << 20
    ledger.close()
    assert path.stat().st_size > most
    tend(ledger, Retention(1e9, max_size=most), NOON + 10_000)
    ledger.close()
    assert path.stat().st_size <= most
    left = times(path)
    assert left == [float(n) for n in range(9000 - len(left), 9000)]
    assert len(left) > 1000
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_is_half_empty_becomes_shorter(
    ledger: SqliteStore, path: Path
) -> None:
    ledger.write([record(n, error="x" * 1000) for n in range(3000)])
    ledger.write([record(4000)])
    pages = rows(path, "PRAGMA page_count")
    tend(ledger, Retention(500.0), NOON + 4000)
    ledger.tend(Retention(500.0), NOON + 4000)
    assert rows(path, "PRAGMA page_count") < pages
    assert times(path) == [4000]


def test_spans_go_with_their_rows(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "ROWS", 10)
    ledger.write([record(n) for n in range(45)])
    assert rows(path, "SELECT last FROM spans") == [(10,), (20,), (30,), (40,)]
    tend(ledger, Retention(75.0), NOON + 100)
    assert rows(path, "SELECT last FROM spans") == [(30,), (40,)]
    for field in spans.FIELDS:
        assert rows(path, f"SELECT last FROM lines_{field}") == [(30,), (40,)]
    assert times(path) == list(range(25, 45))
    tend(ledger, Retention(1.0), NOON + 100)
    for field in spans.FIELDS:
        assert rows(path, f"SELECT last FROM lines_{field}") == []


def test_after_a_while_nobody_is_named_any_more(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "ROWS", 4)
    facts = {"claimed": "bob", "mac": "00:11:22:33:44:55", "agent": "curl"}
    ledger.write(
        [
            record(0, user="alice", client="10.0.0.7", facts=facts),
            record(1, user="alice", client="2001:db8:1:2::7"),
            record(2, user="", client="fe80::1%eth0", server_login="anonymous"),
            record(3, user="bob", outcome=Outcome.OPEN),
            record(4, user="bob"),  # a span of its own: it is old enough
            record(9 * DAY, user="alice", client="10.0.0.7"),
        ]
    )
    asked = Retention(1e9, anonymise=5 * DAY)
    tend(ledger, asked, NOON + 10 * DAY)
    first, second, third, goes_on, fifth, last = read(path)
    assert (first.client, first.client_port) == ("10.0.0.0", 0)
    assert second.client == "2001:db8:1::"
    assert third.client == "fe80::"
    assert first.user == second.user
    assert first.user.startswith(retention.PREFIX)
    assert fifth.user != first.user
    assert (third.user, third.server_login) == ("", "anonymous")
    assert first.server_login.startswith(retention.PREFIX)
    assert first.facts == {"claimed": fifth.user, "agent": "curl"}
    assert goes_on.user == "bob"
    assert (last.user, last.client) == ("alice", "10.0.0.7")
    # neither is anybody found by a name that was forgotten
    assert [one.time for one in read(path, Filters(user="alice"))] == [last.time]
    assert read(path, Filters(texts=("bob",))) == [goes_on]
    assert len(read(path, Filters(user=first.user))) == 2
    assert len(read(path, Filters(client=ip_network("10.0.0.0/24")))) == 4
    # and once more changes nothing
    before = read(path)
    tend(ledger, asked, NOON + 10 * DAY)
    assert read(path) == before
    ledger.close()
    data = b"".join(one.read_bytes() for one in path.parent.glob("ledger.db*"))
    assert b"2001:db8:1:2::7" not in data


def test_the_key_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    key = read_key(tmp_path)
    file = tmp_path / retention.KEY_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(key) == retention.KEY_BYTES
    assert read_key(tmp_path) == key
    file.write_bytes(b"cut")
    assert len(read_key(tmp_path)) == retention.KEY_BYTES
    assert repr(key) not in repr(Anonymiser(key))


def test_another_key_gives_other_names() -> None:
    one, other = Anonymiser(b"1" * 32), Anonymiser(b"2" * 32)
    assert one.user("alice") == one.user("alice") != other.user("alice")
    assert one.user(one.user("alice")) == one.user("alice")
    assert one.client("no address") == ""


def test_searching_goes_on_while_much_is_forgotten(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "ROWS", 10)
    ledger.write([record(n) for n in range(100)])
    with closing(Reader(path)) as reader:
        search = reader.search(Filters())
        first = next(search)
        tend(ledger, Retention(50.0), NOON + 100)
        later = [one.time - NOON for one in search]
    assert first.time == NOON
    assert later[-50:] == list(range(50, 100))
    assert later == sorted(later)
