"""The ledger on a real PostgreSQL server."""

import asyncio
import gc
import itertools
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import psycopg
import pytest
from tests.integration.gateway import PORTWAY
from tests.integration.process import Process, eventually, run
from tests.ledger.postgres_server import Postgres
from tests.ledger.records import NOON, record

from portway.config.schema import Ledger
from portway.config.secret import Secret
from portway.config.stores import StoreAt
from portway.ledger import retention
from portway.ledger.choice import source_of, store_of
from portway.ledger.files import LogFiles
from portway.ledger.filters import Filters
from portway.ledger.postgres import connection as link
from portway.ledger.postgres import forget
from portway.ledger.postgres.connection import Address
from portway.ledger.postgres.query import PostgresReader
from portway.ledger.postgres.store import NAME, PostgresStore
from portway.ledger.query import follow
from portway.ledger.retention import Retention
from portway.ledger.store import COLUMNS, LedgerError, SqliteStore
from portway.ledger.writer import Writer
from portway.model import Outcome, Record

DAY = 86_400.0
_turns = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = Postgres()
    made.start()
    with made.connect("template1") as template:
        template.execute("CREATE EXTENSION pg_trgm")
    yield made
    made.end()


@pytest.fixture
def address(server: Postgres) -> Address:
    return Address(server.make(f"ledger{next(_turns)}"))


@pytest.fixture
def ledger(address: Address, tmp_path: Path) -> Iterator[PostgresStore]:
    opened = PostgresStore(address, tmp_path)
    assert opened.open() == []
    yield opened
    opened.close()


@pytest.fixture
def reader(ledger: PostgresStore, address: Address) -> Iterator[PostgresReader]:
    opened = PostgresReader(address)
    yield opened
    opened.close()


def rows(address: Address, query: str, *, first: str = "") -> list[tuple[object, ...]]:
    with psycopg.connect(address.url, autocommit=True) as other:
        other.execute(first)
        return other.execute(query).fetchall()


def read(address: Address, filters: Filters | None = None) -> list[Record]:
    with closing(PostgresReader(address)) as opened:
        return list(opened.search(filters or Filters()))


def stored(address: Address) -> list[tuple[object, ...]]:
    query = "SELECT id, outcome FROM portway.records ORDER BY number"
    return rows(address, query)


# Writing.


def test_a_column_for_each_field(ledger: PostgresStore, address: Address) -> None:
    found = rows(
        address,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = "
        "'portway' AND table_name = 'records' ORDER BY ordinal_position",
    )
    assert [name for (name,) in found] == ["number", *COLUMNS, "gateway"]


def test_what_was_written_is_read_back(ledger: PostgresStore, address: Address) -> None:
    path = "/наука\n\\N\t\"'%s{}"
    given = [record(n, path=path, bytes_up=2**62) for n in range(3)]
    ledger.write(given)
    ledger.write([])
    ledger.write([record(9, path="/a\0b")])
    assert read(address) == [*given, read(address)[-1]]
    assert read(address)[-1].path == "/a%00b"


def test_one_row_for_each_id_and_a_greater_number_each_time(
    ledger: PostgresStore, address: Address
) -> None:
    started = record(id="A", outcome=Outcome.OPEN)
    ledger.write([started, record(id="B")])
    ledger.write([started, record(id="C"), record(id="A", outcome=Outcome.CUT)])
    assert stored(address) == [("B", "ok"), ("C", "ok"), ("A", "cut")]
    ledger.write([record(id="A", outcome=Outcome.OK)])
    ledger.write([started])  # late by way of a connection that was given up
    assert stored(address) == [("B", "ok"), ("C", "ok"), ("A", "ok")]


def test_a_record_that_no_table_takes_keeps_no_other_from_it(
    ledger: PostgresStore, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [record(path="\udcff"), record(port="ftp"), record(bytes_up=2**70)]
    ledger.write([record(id="A"), *bad, record(id="B")])
    assert stored(address) == [("A", "ok"), ("B", "ok")]
    assert caplog.messages == ["ledger.unwritable"] * 3


def test_each_gateway_loses_its_own_rows_only(address: Address, tmp_path: Path) -> None:
    one = PostgresStore(address, tmp_path / "one")
    other = PostgresStore(address, tmp_path / "other")
    for store in (one, other):
        assert store.open() == []
    one.write([record(id="A", outcome=Outcome.OPEN), record(id="B")])
    other.write([record(id="C", outcome=Outcome.OPEN)])
    one.close()
    (lost,) = one.open()
    assert (lost.id, lost.outcome) == ("A", Outcome.LOST)
    assert stored(address) == [("B", "ok"), ("C", "open"), ("A", "lost")]
    assert (tmp_path / "one" / NAME).stat().st_mode & 0o777 == 0o600
    (tmp_path / "one" / NAME).write_text("")  # as a full disk leaves it
    assert one.open() == []
    one.close()
    other.close()


def test_gateways_that_start_at_once_make_one_schema(
    address: Address, tmp_path: Path
) -> None:
    failed: list[BaseException] = []

    def begin(name: str) -> None:
        store = PostgresStore(address, tmp_path / name)
        try:
            store.open()
            store.write([record(id=name)])
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        store.close()

    threads = [threading.Thread(target=begin, args=[name]) for name in "ABCD"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(stored(address)) == [(name, "ok") for name in "ABCD"]


# A server that is not as it should be.


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    secret = "s3cret"
    address = Address(f"postgresql://bob@/ledger?host={tmp_path}", Secret(secret))
    with pytest.raises(LedgerError) as caught:
        PostgresStore(address, tmp_path).open()
    text = str(caught.value)
    assert text.startswith(f"postgresql://{tmp_path}/ledger: ")
    assert text.endswith("see that it runs, and that ledger.store may log in")
    assert "\n" not in text
    assert secret not in text + repr(address)


def test_a_database_that_is_not_there(server: Postgres, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match='database "nowhere" does not exist'):
        PostgresStore(Address(server.url("nowhere")), tmp_path).open()


def test_no_ledger_yet(address: Address) -> None:
    with pytest.raises(LedgerError, match="no ledger yet"):
        PostgresReader(address)
    assert rows(address, "SELECT to_regnamespace('portway')") == [(None,)]


def test_a_ledger_of_a_newer_version(
    ledger: PostgresStore, address: Address, tmp_path: Path
) -> None:
    with psycopg.connect(address.url) as other:
        other.execute("UPDATE portway.marks SET value = 99 WHERE name = 'version'")
    with pytest.raises(LedgerError, match="a newer Portway wrote it"):
        PostgresStore(address, tmp_path).open()
    with pytest.raises(LedgerError, match="of another version"):
        PostgresReader(address)


def test_a_database_of_few_letters(server: Postgres, tmp_path: Path) -> None:
    url = server.make("latin", "ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(LedgerError, match="ENCODING 'UTF8'"):
        PostgresStore(Address(url), tmp_path).open()


def test_a_role_that_may_do_nothing(
    server: Postgres, address: Address, tmp_path: Path
) -> None:
    with server.connect() as admin:
        admin.execute("CREATE ROLE guest LOGIN")
    poor = Address(address.url.replace("portway@", "guest@"))
    with pytest.raises(LedgerError, match="the owner of the database"):
        PostgresStore(poor, tmp_path).open()


def test_what_is_left_of_a_failed_migration_is_nothing(
    address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "VERSION", 1000)
    with pytest.raises(LedgerError, match=r"0002\.sql|No such file"):
        PostgresStore(address, tmp_path).open()
    assert rows(address, "SELECT to_regnamespace('portway')") == [(None,)]


def test_a_connection_that_broke_is_made_anew(
    ledger: PostgresStore, reader: PostgresReader, address: Address
) -> None:
    ledger.write([record(id="A")])
    rows(address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
         "datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    with pytest.raises(LedgerError):
        ledger.write([record(id="B")])
    with pytest.raises(LedgerError):
        reader.changes(Filters(), 0)
    ledger.write([record(id="B")])
    assert [one.id for one in reader.changes(Filters(), 0)[0]] == ["A", "B"]


def test_a_ledger_that_was_damaged_or_dropped_swallows_no_record(
    ledger: PostgresStore, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(address.url) as other:
        other.execute("ALTER TABLE portway.records RENAME TO lost")
    with pytest.raises(LedgerError, match="no whole ledger"):
        ledger.write([record(id="A")])
    with psycopg.connect(address.url) as other:
        other.execute("DROP SCHEMA portway CASCADE")
    assert caplog.messages == []
    ledger.write([record(id="A")])
    assert stored(address) == [("A", "ok")]
    assert caplog.messages == ["ledger.replaced"]


def test_a_role_that_may_write_no_longer(
    server: Postgres, ledger: PostgresStore, address: Address, tmp_path: Path
) -> None:
    with psycopg.connect(address.url) as admin:
        admin.execute("CREATE ROLE scribe LOGIN")
        admin.execute("GRANT USAGE ON SCHEMA portway TO scribe")
        admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA portway TO scribe")
        admin.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA portway TO scribe")
    poor = Address(address.url.replace("portway@", "scribe@"))
    with closing(PostgresStore(poor, tmp_path / "poor")) as store:
        store.open()
        store.write([record(id="A")])
        with psycopg.connect(address.url) as admin:
            admin.execute("REVOKE UPDATE ON portway.records FROM scribe")
        with pytest.raises(LedgerError, match="permission denied"):
            store.write([record(id="B")])
    assert stored(address) == [("A", "ok")]


def writer_on(store: PostgresStore, queue: int = 65_536) -> Writer:
    return Writer(
        store,
        LogFiles([], None),
        retention=Retention(1e9),
        clock=lambda: NOON,
        queue=queue,
    )


def test_a_restart_of_the_server_loses_nothing_and_doubles_nothing(
    server: Postgres,
    address: Address,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    writer = writer_on(PostgresStore(address, tmp_path))
    writer.open()
    writer.start()
    given = [record(n) for n in range(12_000)]
    for place, one in enumerate(given):
        writer.take(one)
        if place == 6000:
            server.stop("immediate")
            server.start()
    assert writer.close(15.0) == 0
    assert read(address) == given
    assert caplog.messages == ["ledger.failing", "ledger.works"]


async def test_a_slow_server_makes_requests_wait(
    address: Address, tmp_path: Path
) -> None:
    writer = writer_on(PostgresStore(address, tmp_path), queue=50)
    await asyncio.to_thread(writer.open)
    writer.start()
    taken = 0

    async def requests() -> None:
        nonlocal taken
        while taken < 200:
            await writer.ready()
            writer.take(record(taken))
            taken += 1

    waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(address.url) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({link.LOCK})")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(requests())
            while not await asyncio.to_thread(rows, address, waits):
                await asyncio.sleep(0.01)
            assert (taken, writer.pending) == (50, 50)
            other.commit()
    assert await asyncio.to_thread(writer.close) == 0
    assert len(read(address)) == 200


# Searching.

RECORDS = [
    record(0, user="alice", client="10.0.0.7", host="ftp.example.org"),
    record(60, user="bob", client="10.0.1.7", host="example.org", verdict="deny"),
    record(120, user="", client="2001:db8::7", host="ftp.example.net", method="STOR"),
    record(180, user="alice", client="10.0.0.8", host="a.b.example.org", path="/in/x"),
    record(240, protocol="http", host="203.0.113.9", address="203.0.113.9"),
]
FOUND: list[tuple[Filters, list[int]]] = [
    (Filters(), [0, 1, 2, 3, 4]),
    (Filters(user="alice"), [0, 3, 4]),
    (Filters(client=ip_network("10.0.0.7")), [0, 4]),
    (Filters(client=ip_network("10.0.0.0/23")), [0, 1, 3, 4]),
    (Filters(client=ip_network("2001:db8::/32")), [2]),
    (Filters(host="Example.ORG."), [1]),
    (Filters(host="*.example.org"), [0, 3]),
    (Filters(host="*example.*g"), [0, 1, 3]),
    (Filters(host="*amp*"), [0, 1, 2, 3]),
    (Filters(host="a.b.*"), [3]),
    (Filters(host="*"), [0, 1, 2, 3, 4]),
    (Filters(host="*_example.org"), []),
    (Filters(host="ftp.example.???"), []),
    (Filters(host="ftp.example.[on]*"), []),
    (Filters(host="ftp_example*"), []),
    (Filters(host="203.0.113.9"), [4]),
    (Filters(host="203.0.113.7"), [0, 1, 2, 3]),
    (Filters(protocol="http"), [4]),
    (Filters(verdict="deny"), [1]),
    (Filters(method="stor"), [2]),
    (Filters(path="/in/*"), [3]),
    (Filters(path="/IN/*"), []),
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
]


@pytest.mark.parametrize("drop", ["", "DROP INDEX portway.records_text"])
def test_filters(ledger: PostgresStore, address: Address, drop: str) -> None:
    ledger.write([*RECORDS[2:], *RECORDS[:2]])  # in another order than they began
    with psycopg.connect(address.url) as other:
        other.execute(drop)
        setting = "on" if drop else "off"  # few rows are read through otherwise
        name = address.label.rpartition("/")[2]
        other.execute(f"ALTER DATABASE {name} SET enable_seqscan = {setting}")
    with closing(PostgresReader(address)) as opened:
        for filters, expected in FOUND:
            found = opened.search(filters)
            times = [round(each.time - NOON) // 60 for each in found]
            assert times == expected, filters
        assert list(opened.search(Filters())) == RECORDS
        (row,) = opened.rows(Filters(verdict="deny"), ["user", "facts", "time"])
        assert row == (
            "bob",
            '{"client_data":"passive","server_data":"active"}',
            NOON + 60,
        )
        with pytest.raises(ValueError, match="no columns"):
            opened.rows(Filters(), ["number"])


def test_an_address_with_a_zone_and_no_address(
    ledger: PostgresStore, address: Address
) -> None:
    ledger.write([record(0, client="fe80::1%eth0"), record(1, client="")])
    found = read(address, Filters(client=ip_network("fe80::/10")))
    assert [one.client for one in found] == ["fe80::1%eth0"]


def test_parts_of_texts_are_looked_up(ledger: PostgresStore, address: Address) -> None:
    plan = rows(
        address,
        "EXPLAIN SELECT * FROM portway.records WHERE (host || path) ILIKE '%exam%'",
        first="SET enable_seqscan = off",
    )
    assert "records_text" in str(plan)


def test_without_the_extension_all_is_found_still(
    server: Postgres, tmp_path: Path
) -> None:
    url = server.make("bare", "TEMPLATE template0")
    with psycopg.connect(url) as other:  # as on a server that does not have it
        other.execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE feature_not_supported; END $$; CREATE EVENT TRIGGER refuse "
            "ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION') "
            "EXECUTE FUNCTION refuse()"
        )
    store = PostgresStore(Address(url), tmp_path)
    store.open()
    store.write(RECORDS)
    store.close()
    assert len(read(Address(url), Filters(texts=("ALI",)))) == 3
    assert rows(Address(url), "SELECT to_regclass('portway.records_text')") == [(None,)]


def test_a_search_holds_no_transaction_open(
    reader: PostgresReader, ledger: PostgresStore, address: Address
) -> None:
    ledger.write([record(n) for n in range(2500)])
    search = reader.search(Filters())
    next(search)
    busy = "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in%'"
    assert rows(address, busy) == []
    ledger.write([record(5000)])
    assert len(list(search)) == 2499  # as it was when the search began


def test_a_search_that_was_given_up_is_no_trouble(
    ledger: PostgresStore, address: Address
) -> None:
    ledger.write([record(n) for n in range(1500)])
    with closing(PostgresReader(address)) as opened:
        one, other = opened.search(Filters()), opened.search(Filters())
        assert next(one) == next(other)
        del one
        gc.collect()
        assert len(list(other)) == 1499
        left = opened.search(Filters())
        next(left)
    del left
    gc.collect()


# Following.


def test_following_gives_each_request_open_and_ended_once(
    reader: PostgresReader, ledger: PostgresStore
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


def test_what_follows_begins_where_the_search_ended(
    reader: PostgresReader, ledger: PostgresStore
) -> None:
    ledger.write(RECORDS)
    newest = reader.newest()
    ledger.write([record(300, id="A")])
    assert len(list(reader.search(Filters(), up_to=newest))) == 5
    assert [each.id for each in next(follow(reader, Filters(), newest))] == ["A"]


def test_following_misses_nothing_that_several_gateways_write(
    reader: PostgresReader, address: Address, tmp_path: Path
) -> None:
    """Numbers are given out in one order and seen in the same."""
    writers, batches, size = 4, 25, 20
    ended = threading.Barrier(writers + 1)

    def write(which: int) -> None:
        store = PostgresStore(address, tmp_path / str(which))
        store.open()
        for batch in range(batches):
            store.write(
                [record(id=f"{which}.{batch}.{place}") for place in range(size)]
            )
        store.close()
        ended.wait()

    threads = [threading.Thread(target=write, args=[n]) for n in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    after = 0
    while len(set(seen)) < writers * batches * size and ended.n_waiting < writers:
        found, after = reader.changes(Filters(), after)
        seen += [one.id for one in found]
    for _ in range(4):  # pages, after the last of them has written
        found, after = reader.changes(Filters(), after)
        seen += [one.id for one in found]
    ended.wait()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == writers * batches * size


# Forgetting.


def tend(ledger: PostgresStore, asked: Retention, now: float) -> int:
    """Do all that is due; return in how many steps."""
    for step in range(1, 1000):
        if not ledger.tend(asked, now):
            return step
    raise AssertionError("there is no end of it")


def times(address: Address) -> list[float]:
    return [one.time - NOON for one in read(address)]


def test_the_oldest_go_in_steps_but_not_what_goes_on(
    ledger: PostgresStore,
    address: Address,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forget, "MOST", 5)
    gone = PostgresStore(address, tmp_path / "gone")
    gone.open()
    gone.write([record(-6, outcome=Outcome.OPEN), record(99, outcome=Outcome.OPEN)])
    gone.close()
    ledger.write([record(n) for n in range(12)])
    ledger.write([record(-5, outcome=Outcome.OPEN)])
    assert tend(ledger, Retention(93.0), NOON + 100) == 2
    assert times(address) == [-5, 7, 8, 9, 10, 11, 99]


def test_one_protocol_may_be_kept_for_less(
    ledger: PostgresStore, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "LOOKED_AT", 7)
    ledger.write([record(n, protocol="dns" if n % 3 else "ftp") for n in range(50)])
    asked = Retention(1e9, {"dns": 100.0, "http": 1.0, "ftp": 2e9})
    assert tend(ledger, asked, NOON + 130) > 3
    assert times(address) == [n for n in range(50) if n % 3 == 0 or n >= 30]
    assert tend(ledger, asked, NOON + 140) <= 3
    assert times(address) == [n for n in range(50) if n % 3 == 0 or n >= 40]


def test_after_a_while_nobody_is_named_any_more(
    ledger: PostgresStore, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "MOST", 2)
    facts = {"claimed": "bob", "mac": "00:11:22:33:44:55", "agent": "curl"}
    ended = record(3, user="bob", id="A")
    ledger.write(
        [
            record(0, user="alice", client="10.0.0.7", facts=facts),
            record(1, user="alice", client="2001:db8:1:2::7"),
            ended._replace(outcome=Outcome.OPEN),
            record(2, user="", client="fe80::1%eth0", server_login="anonymous"),
            record(9 * DAY, user="alice", client="10.0.0.7"),
        ]
    )
    asked = Retention(1e9, anonymise=5 * DAY)
    tend(ledger, asked, NOON + 10 * DAY)
    first, second, third, last, goes_on = sorted(
        read(address), key=lambda one: (one.id == "A", one.time)
    )
    assert (first.client, first.client_port) == ("10.0.0.0", 0)
    assert (second.client, third.client) == ("2001:db8:1::", "fe80::")
    assert first.user == second.user
    assert first.user.startswith(retention.PREFIX)
    assert (third.user, third.server_login) == ("", "anonymous")
    assert first.facts["agent"] == "curl"
    assert set(first.facts) == {"agent", "claimed"}
    assert goes_on.user == "bob"
    assert (last.user, last.client) == ("alice", "10.0.0.7")
    # what went on then is made anonymous after its end, behind what is still young
    ledger.write([ended])
    tend(ledger, asked, NOON + 20 * DAY)
    assert {one.user for one in read(address)} == {
        first.user,
        "",
        first.facts["claimed"],
    }
    before = read(address)
    tend(ledger, asked, NOON + 20 * DAY)
    assert read(address) == before


# The password.


def test_a_password_that_is_kept_elsewhere(server: Postgres, tmp_path: Path) -> None:
    with server.connect() as admin:
        admin.execute("CREATE ROLE keeper LOGIN PASSWORD 'right'")
        admin.execute("CREATE DATABASE guarded OWNER keeper")
    rules = server.folder / "data" / "pg_hba.conf"
    trusting = rules.read_text()
    rules.write_text(f"local all keeper scram-sha-256\n{trusting}")
    with server.connect() as admin:
        admin.execute("SELECT pg_reload_conf()")
    url = server.url("guarded").replace("portway@", "keeper@")
    right = Address(url, Secret("right"))
    store = PostgresStore(right, tmp_path)
    store.open()
    store.close()
    with pytest.raises(LedgerError, match="password") as caught:
        PostgresStore(replace(right, password=Secret("wr0ng")), tmp_path).open()
    assert "wr0ng" not in str(caught.value)
    keys = tmp_path / "pgpass"
    keys.write_text("*:*:*:*:right\n")
    keys.chmod(0o600)
    store = PostgresStore(Address(f"{url}&passfile={keys}"), tmp_path)
    store.open()
    store.close()


# By the configuration.


def test_a_gateway_whose_ledger_it_is(
    server: Postgres, address: Address, tmp_path: Path
) -> None:
    text = f"""
[gateway]
state = "{tmp_path / "state"}"
[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:0"
[[rules]]
name = "nobody"
then = "deny"
[ledger]
store = "{address.url}"
"""
    path = tmp_path / "portway.toml"
    path.write_text(text)
    gateway = Process([PORTWAY, "serve", "-c", str(path)], tmp_path / "output")
    try:
        eventually(lambda: is_ready(gateway), "the line that says ready", 10)
        (port,) = re.findall(r"127\.0\.0\.1:(\d+)", gateway.output)
        door = ("127.0.0.1", int(port))
        with socket.create_connection(door) as client, client.makefile("rb") as replies:
            client.sendall(b"USER joe@ftp.example.org\r\n")
            while not replies.readline().startswith(b"5"):
                continue
        path.write_text(text.replace("?host", "?connect_timeout=9&host"))
        status, output = run([PORTWAY, "reload", "-c", str(path)])
        assert "ledger.store: cannot change while the gateway runs" in output
    finally:
        gateway.stop()
    for words in (["log", "--json"], ["replay", "--json"]):
        status, output = run([PORTWAY, *words, "-c", str(path)])
        assert status == 0, output
        first = json.loads(output.splitlines()[0])
        assert first.get("host", "ftp.example.org") == "ftp.example.org", first
    told = [(one.method, one.rule) for one in read(address)]
    assert told == [("CONNECT", "nobody"), ("ADMIN", "")]


def is_ready(gateway: Process) -> bool:
    assert gateway.status is None, gateway.output
    return "\nready\n" in gateway.output


def test_without_the_extra_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Ledger(store=StoreAt("postgresql://db/ledger"))
    for name in ("connection", "store", "query"):
        monkeypatch.delitem(sys.modules, f"portway.ledger.postgres.{name}")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for choose in (store_of, source_of):
        with pytest.raises(LedgerError, match=r"install portway\[postgres\]"):
            choose(settings, tmp_path)
    assert isinstance(store_of(Ledger(), tmp_path), SqliteStore)
