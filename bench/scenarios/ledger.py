"""P10: what a record costs, and whether the ledger keeps up and loses nothing.

DELE leaves a record, SIZE does not; both are one line to the server and one back. What
DELE costs more in the thread that serves is the price of all that is asked and kept:
decision, exchange and record. What the record alone costs, record.py says.

Not here: rivals; none has such a ledger. Invariant: every DELE that was answered is
looked for in the ledger's own file.
"""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.bench import CLIENTS, Bench, say, target_user
from bench.client import Session
from bench.load import LoadError, anew, hammer
from bench.peers import portway
from bench.peers.install import ROOT
from bench.peers.servers import load_server
from bench.processes import Running, free_port, run
from bench.results import Report, Samples, Target

RECORDS = 100_000
QUICK_RECORDS = 10_000
BURST = 100  # commands a session; the login before them is in both kinds alike
FLUSH_SECONDS = 15.0
WITH, WITHOUT = "DELE", "SIZE"
ALONE = {"decide": "decision alone", "record": "record alone"}
PRICE, PACE = "CPU µs", "a second"


def _burst(command: str, expected: bytes) -> Callable[[int, str], None]:
    def task(port: int, user: str) -> None:
        with Session(port) as session:
            session.login(user)
            for _ in range(BURST):
                session.ask(command, expected)
            session.quit()

    return task


TASKS = {WITH: _burst("DELE file", b"250"), WITHOUT: _burst("SIZE file", b"213")}


def measure(bench: Bench) -> Report:
    """Take turns between the two commands until there are records enough."""
    report = Report("P10  ledger", (PRICE, PACE))
    samples = Samples()
    wanted = QUICK_RECORDS if bench.quick else RECORDS
    answered, seconds = 0, 0.0
    port, folder = free_port(), bench.new_folder()
    with (
        load_server(bench.new_folder()) as server,
        run(portway.command(folder, port), port, folder) as running,
    ):
        while answered < wanted:
            say(f"Portway: {answered} records of {wanted}")
            _turn(bench, running, samples, WITHOUT, server.port)
            count, took = _turn(bench, running, samples, WITH, server.port)
            answered, seconds = answered + count, seconds + took
        found, late = _wait_for_rows(portway.state(folder) / "ledger.db", answered)
    for name, figure in _alone(bench).items():
        samples.add(ALONE[name], PRICE, figure)
    for name in (WITHOUT, WITH, *ALONE.values()):
        figures = tuple(samples.get(name, kind) for kind in report.columns)
        report.rows.append((name, figures))
    report.targets = _targets(samples, answered, seconds + late, answered - found)
    report.notes.append(
        f"{answered} records in {seconds:.1f} s, all in the file {late:.1f} s later; "
        f"{WITH} and {WITHOUT} differ by decision, exchange and record."
    )
    return report


def _alone(bench: Bench) -> dict[str, float]:
    """Return CPU microseconds of a decision, and of a record, in a quiet process."""
    folder = bench.new_folder()
    portway.command(folder, free_port())
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "bench.record"),
            *(str(folder / portway.FILE), str(bench.seconds)),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if ended.returncode:
        words = ended.stderr.strip().splitlines()[-1:] or ["records were lost"]
        raise LoadError(f"bench.record: {words[0]}")
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures


def _turn(
    bench: Bench, running: Running, samples: Samples, name: str, server: int
) -> tuple[int, float]:
    before, began = running.thread_cpu(), time.monotonic()
    user = target_user(server)
    visit = anew(TASKS[name])
    seconds = bench.seconds
    bursts = hammer(visit, running.port, user, clients=CLIENTS, seconds=seconds)
    took = time.monotonic() - began
    spent = running.thread_cpu() - before
    count = bursts * BURST
    if not count:
        raise LoadError("no command was answered")
    samples.add(name, PRICE, spent * 1e6 / count)
    samples.add(name, PACE, count / took)
    return count, took


def _wait_for_rows(ledger: Path, wanted: int) -> tuple[int, float]:
    """Return how many DELE records there are in the end, and how long that took."""
    began = time.monotonic()
    found = 0
    uri = f"file:{ledger}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        while found < wanted and time.monotonic() - began < FLUSH_SECONDS:
            query = "SELECT count(*) FROM records WHERE method = ?"
            (found,) = connection.execute(query, (WITH,)).fetchone()
            time.sleep(0.02)
    return found, time.monotonic() - began


def _targets(samples: Samples, records: int, seconds: float, lost: int) -> list[Target]:
    price = samples.get(ALONE["record"], PRICE)
    pace = records * 60 / seconds
    return [
        Target("P10", "a record, on the data path", price, 15.0, "µs"),
        Target("P10", "records a minute", pace, RECORDS, "", at_least=True),
        Target("P10", "records lost", float(lost), 0.0, ""),
    ]
