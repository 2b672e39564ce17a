"""P10: what a record costs, and whether the ledger keeps up and loses nothing.

DELE leaves a record, SIZE does not; both are one line to the server and one back. What
DELE costs more in the thread that serves is the price of decision, exchange and record.

Not here: rivals; none has such a ledger. Invariant: every DELE that was answered is
looked for in the ledger's own file.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from bench.bench import CLIENTS, Bench, say, target_user
from bench.client import Session
from bench.load import LoadError, hammer
from bench.peers import portway
from bench.peers.servers import load_server
from bench.processes import Running, free_port, run
from bench.results import Report, Samples, Target

RECORDS = 100_000
QUICK_RECORDS = 10_000
BURST = 100  # commands a session; the login before them is in both kinds alike
FLUSH_SECONDS = 15.0
WITH, WITHOUT = "DELE", "SIZE"


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
    report = Report("P10  ledger", ("CPU µs/command", "commands/s"))
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
    for name in (WITHOUT, WITH):
        figures = tuple(samples.get(name, kind) for kind in report.columns)
        report.rows.append((name, figures))
    report.targets = _targets(samples, answered, seconds + late, answered - found)
    report.notes.append(
        f"{answered} records in {seconds:.1f} s, all in the file {late:.1f} s later; "
        f"DELE and SIZE differ by decision, exchange and record."
    )
    return report


def _turn(
    bench: Bench, running: Running, samples: Samples, name: str, server: int
) -> tuple[int, float]:
    before, began = running.thread_cpu(), time.monotonic()
    user = target_user(server)
    task = TASKS[name]
    bursts = hammer(task, running.port, user, clients=CLIENTS, seconds=bench.seconds)
    took = time.monotonic() - began
    spent = running.thread_cpu() - before
    count = bursts * BURST
    if not count:
        raise LoadError("no command was answered")
    samples.add(name, "CPU µs/command", spent * 1e6 / count)
    samples.add(name, "commands/s", count / took)
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
    kind = "CPU µs/command"
    dear, cheap = samples.get(WITH, kind), samples.get(WITHOUT, kind)
    price = None if dear is None or cheap is None else dear - cheap
    pace = records * 60 / seconds
    return [
        Target("P10", "a record, on the data path", price, 15.0, "µs"),
        Target("P10", "records a minute", pace, RECORDS, "", at_least=True),
        Target("P10", "records lost", float(lost), 0.0, ""),
    ]
