"""The writer's thread, on a real store and on stores that fail."""

import asyncio
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.ledger.records import NOON, record
from tests.starved import forgiven

from portway.config.schema import LogFile
from portway.ledger import store, writer
from portway.ledger.files import LogFiles
from portway.ledger.retention import Retention
from portway.ledger.store import LedgerError, SqliteStore
from portway.ledger.writer import Writer
from portway.model import Outcome, Record


class Memory:
    """A store in memory; it fails while *broken*, and waits while *held*."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}
        self.batches: list[int] = []
        self.broken: Exception | None = None
        self.attempts = 0
        self.held = threading.Event()
        self.held.set()
        self.written = threading.Event()
        self.attempted = threading.Event()

    def open(self) -> list[Record]:
        return []

    def write(self, records: Sequence[Record]) -> None:
        self.held.wait()
        self.attempts += 1
        self.attempted.set()
        if self.broken is not None:
            raise self.broken
        self.batches.append(len(records))
        self.rows |= {each.id: each for each in records}
        self.written.set()

    def tend(self, retention: Retention, now: float) -> bool:
        before = now - retention.keep
        old = [each.id for each in self.rows.values() if each.time < before][:1000]
        for name in old:
            del self.rows[name]
        return len(old) == 1000

    def close(self) -> None:
        return


class Slow(Memory):
    """A store on a disk that takes its time."""

    waits = 0

    def write(self, records: Sequence[Record]) -> None:
        self.waits += 1
        threading.Event().wait(0.02)
        super().write(records)


def make(
    into: store.Store, *files: LogFile, keep: float = 1e9, queue: int = writer.QUEUE
) -> Writer:
    return Writer(
        into,
        LogFiles(files, None),
        retention=Retention(keep),
        clock=lambda: NOON + 100,
        queue=queue,
    )


@pytest.fixture
def memory() -> Iterator[Memory]:
    held = Memory()
    yield held
    held.held.set()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_all_is_written_in_batches_once_each(tmp_path: Path) -> None:
    path, log = tmp_path / store.NAME, tmp_path / "log"
    ledger = make(SqliteStore(path), LogFile(path=str(log)))
    ledger.open()
    ledger.start()
    given = [record(number / 1000) for number in range(5000)]
    for each in given:
        ledger.take(each)
    assert ledger.close() == 0
    found = rows(path, "SELECT id FROM records ORDER BY number")
    assert [name for (name,) in found] == [each.id for each in given]
    lines = [json.loads(line)["id"] for line in log.read_text().splitlines()]
    assert lines == [each.id for each in given]


def test_a_batch_is_no_larger_than_it_may_be(memory: Memory) -> None:
    ledger = make(memory)
    for number in range(2500):
        ledger.take(record(number))
    ledger.open()
    ledger.start()
    assert ledger.close() == 0
    assert memory.batches == [1000, 1000, 500]


def test_a_record_wakes_the_thread_from_its_sleep(memory: Memory) -> None:
    ledger = make(memory)
    ledger.open()
    ledger.start()
    for name in ("A", "B"):
        memory.written.clear()
        ledger.take(record(id=name))
        assert memory.written.wait(5)
    assert ledger.close() == 0
    assert set(memory.rows) == {"A", "B"}


async def test_new_requests_wait_while_the_queue_is_full(memory: Memory) -> None:
    memory.held.clear()
    ledger = make(memory, queue=10)
    for number in range(10):
        ledger.take(record(number))
    waiting = [asyncio.ensure_future(ledger.ready()) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    ledger.open()
    ledger.start()
    memory.held.set()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5)
    await ledger.ready()
    assert ledger.close() == 0
    assert len(memory.rows) == 10
    assert not ledger._waiting


async def test_a_slow_disk_slows_requests_loses_nothing_and_fills_no_memory() -> None:
    slow = Slow()
    ledger = make(slow, queue=2000)
    ledger.open()
    ledger.start()
    most = 0
    for number in range(20_000):
        await ledger.ready()
        ledger.take(record(number / 1000, id=f"{number:05}"))
        most = max(most, ledger.pending)
    assert await asyncio.to_thread(ledger.close) == 0
    assert list(slow.rows) == [f"{number:05}" for number in range(20_000)]
    assert slow.waits >= 18
    # the queue, and the batch that is being written
    assert most <= 2000 + writer.BATCH


def appears(path: Path) -> None:
    """The writer has its own thread, which a busy machine may not run for a while."""
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} does not appear")


def test_no_line_is_lost_or_torn_while_files_are_renamed(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PACE", 0.001)
    monkeypatch.setattr(writer, "BATCH", 50)
    path = tmp_path / "log"
    ledger = make(memory, LogFile(path=str(path)))
    ledger.open()
    ledger.start()
    given = [f"{number:05}" for number in range(20_000)]
    renamed = 0
    for name in given:
        ledger.take(record(id=name))
        if int(name) % 500 == 499:
            appears(path)
            path.rename(tmp_path / f"old-{renamed:03}")  # as logrotate does
            ledger.reopen()
            renamed += 1
    assert ledger.close() == 0
    files = sorted(tmp_path.glob("old-*"))
    lines = b"".join(one.read_bytes() for one in [*files, path] if one.exists())
    assert lines.endswith(b"\n")
    assert [json.loads(line)["id"] for line in lines.splitlines()] == given
    assert renamed == 40
    assert sum(one.stat().st_size > 0 for one in files) >= 3


def test_what_has_ended_is_taken_when_the_queue_is_full(memory: Memory) -> None:
    ledger = make(memory, queue=10)
    for number in range(30):
        ledger.take(record(number))
        ledger.take(record(number, outcome=Outcome.OPEN))
    ledger.open()
    ledger.start()
    assert ledger.close() == 0
    ended = [each for each in memory.rows.values() if each.outcome is Outcome.OK]
    assert len(ended) == 30
    assert len(memory.rows) - len(ended) <= 6


@pytest.mark.parametrize(
    "error", [LedgerError("ledger.db: disk is full"), RuntimeError("ours")]
)
def test_a_store_that_fails_is_tried_again_and_nothing_is_lost(
    memory: Memory, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    memory.broken = error
    ledger = make(memory)
    ledger.open()
    ledger.start()
    given = [record(number, id=f"{number:04}") for number in range(1500)]
    for each in given:
        ledger.take(each)
    for _ in range(2):
        assert memory.attempted.wait(5)
        memory.attempted.clear()
    assert ledger.failure
    assert ledger.pending == 1500
    memory.broken = None
    assert memory.written.wait(5)
    assert ledger.close() == 0
    assert list(memory.rows.values()) == given
    assert ledger.failure == ""
    failures = [m for m in caplog.messages if m == "ledger.failing"]
    assert len(failures) == 1
    assert caplog.messages[-1] == "ledger.works"


def test_what_could_not_be_written_is_said_at_the_end(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    memory.broken = LedgerError("ledger.db: disk is full")
    ledger = make(memory)
    ledger.open()
    ledger.start()
    for number in range(3):
        ledger.take(record(number))
    begun = time.monotonic()
    assert ledger.close(0.3) == 3
    assert time.monotonic() - begun < 3
    assert caplog.messages[-1] == "ledger.unwritten"
    assert not ledger._thread.is_alive()


def test_a_store_that_hangs_does_not_hold_up_the_end(memory: Memory) -> None:
    memory.held.clear()
    ledger = make(memory)
    ledger.open()
    ledger.start()
    ledger.take(record())
    assert ledger.close(0.1) == 1


def test_a_gateway_that_never_began_can_be_closed(memory: Memory) -> None:
    assert make(memory).close() == 0


def test_what_is_kept_long_enough_is_deleted(memory: Memory) -> None:
    memory.rows = {each.id: each for each in (record(n) for n in range(3000))}
    ledger = make(memory, keep=50.0)
    ledger.open()
    ledger.start()
    until = time.monotonic() + 10
    while len(memory.rows) > 2950 and time.monotonic() < until:
        threading.Event().wait(0.02)
    ledger.close()
    assert min(each.time for each in memory.rows.values()) == NOON + 50


def test_after_a_reload_records_go_to_the_new_files(
    memory: Memory, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    ledger = make(memory, LogFile(path=str(old)))
    ledger.open()
    ledger.start()
    ledger.take(record(id="A"))
    assert memory.written.wait(5)
    while not old.exists():
        threading.Event().wait(0.01)
    ledger.change(LogFiles([LogFile(path=str(new))], None), retention=Retention(1e9))
    ledger.take(record(id="B"))
    ledger.close()
    assert [json.loads(line)["id"] for line in old.read_text().splitlines()] == ["A"]
    assert [json.loads(line)["id"] for line in new.read_text().splitlines()] == ["B"]


def test_what_a_dead_gateway_left_open_goes_to_the_files_too(tmp_path: Path) -> None:
    path, log = tmp_path / store.NAME, tmp_path / "log"
    before = SqliteStore(path)
    before.open()
    before.write([record(id="A", outcome=Outcome.OPEN)])
    before.close()
    ledger = make(SqliteStore(path), LogFile(path=str(log)))
    ledger.open()
    ledger.start()
    assert ledger.close() == 0
    assert json.loads(log.read_text())["outcome"] == "lost"


def test_a_ledger_that_cannot_be_opened_is_an_error_at_the_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / store.NAME
    path.mkdir()
    with pytest.raises(LedgerError, match="Is a directory"):
        make(SqliteStore(path)).open()


# What no thread of ours can survive is left to a process of its own.

CHILD = """
import sys, time
from pathlib import Path
from portway.ledger.files import LogFiles
from portway.ledger.retention import Retention
from portway.ledger.store import SqliteStore
from portway.ledger.writer import Writer
from portway.model import Outcome
from tests.ledger.records import record

ledger = Writer(
    SqliteStore(Path(sys.argv[1])),
    LogFiles((), None),
    retention=Retention(1e12),
    clock=time.time,
)
ledger.start()
ledger.take(record(id="open", outcome=Outcome.OPEN))
number = 0
while True:
    for _ in range(20):
        ledger.take(record(number / 1000, id=f"N{number:08}"))
        number += 1
    print(number, time.monotonic(), flush=True)
    time.sleep(0.01)
"""


def late(steps: Sequence[tuple[int, float]]) -> float:
    return forgiven([moment for _, moment in steps])


def test_kill_9_costs_the_last_second_at_most_and_corrupts_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / store.NAME
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child, child.stdout as out:
        steps: list[tuple[int, float]] = []
        while not steps or steps[-1][1] - steps[0][1] < 2.0 + late(steps):
            number, moment = out.readline().split()
            steps.append((int(number), float(moment)))
        os.kill(child.pid, signal.SIGKILL)
        killed = time.monotonic()
        steps += [(int(n), float(t)) for n, t in map(str.split, out.readlines())]
    assert child.returncode == -signal.SIGKILL
    due = killed - 1.0 - late(steps)
    must = max(number for number, moment in steps if moment < due)
    assert must > 100
    again = SqliteStore(path)
    (lost,) = again.open()
    again.close()
    assert (lost.id, lost.outcome) == ("open", Outcome.LOST)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    found = [name for (name,) in rows(path, "SELECT id FROM records ORDER BY id")]
    assert found.pop() == "open"
    assert found == [f"N{number:08}" for number in range(len(found))]
    assert len(found) >= must


FULL = """
import sys, time
from pathlib import Path
from portway.ledger.files import LogFiles
from portway.ledger.retention import Retention
from portway.ledger.store import SqliteStore
from portway.ledger.writer import Writer
from tests.ledger.records import record

folder = Path(sys.argv[1])
ledger = Writer(
    SqliteStore(folder / "ledger.db"),
    LogFiles((), None),
    retention=Retention(1e12),
    clock=time.time,
)
ledger.start()
ballast = folder / "ballast"
try:
    ballast.write_bytes(bytes(8 << 20))
except OSError:
    pass
for number in range(2000):
    ledger.take(record(number, error="x" * 500))
while not ledger.failure:
    time.sleep(0.01)
print(ledger.failure)
ballast.unlink()
print(ledger.close(15))
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=4m none "$1" && "$2" -c "$3" "$1" && cp "$1"/*.db .'
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", mount, "sh", str(disk), sys.executable, FULL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    failure, left = done.stdout.splitlines()
    assert "disk is full" in failure
    assert "make room" in failure
    assert left == "0"
    assert rows(tmp_path / "ledger.db", "SELECT count(*) FROM records") == [(2000,)]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
