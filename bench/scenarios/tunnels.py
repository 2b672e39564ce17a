"""What a tunnel that does nothing weighs in memory: 2,000 at once, by each way.

One word has gone through each, there and back. Not here: the kernel's part, socket
buffers above all, which is the same for all. Invariant: the proxy is a fresh one, and
its proportional set size is what counts.
"""

import time

from bench.bench import FAILURES, Bench, say
from bench.peers.doors import Way, ways
from bench.peers.peer import BY
from bench.peers.portway import PORTWAY
from bench.peers.servers import origin
from bench.processes import raise_file_limit
from bench.results import Report, Target
from bench.tunnel import idle

KIB, MIB = 1024, 1024 * 1024
COLUMNS = ("tunnels", "KiB each", "base MiB")
BOUND = 12.0  # KiB, as P4
SETTLED = 0.5  # seconds: what a connection leaves behind goes in the next turns


def measure(bench: Bench) -> Report:
    """Measure each way once: memory does not waver as time does."""
    report = Report("Idle tunnels", COLUMNS)
    with origin(bench.new_folder()) as server:
        for way in ways(server.port):
            if not bench.among((way.peer,)):
                continue
            name = way.peer.name
            wanted = way.peer.idle // 10 if bench.quick else way.peer.idle
            say(f"{name}: {wanted} idle tunnels")
            try:
                figures = _weigh(bench, way, server.port, wanted)
            except FAILURES as error:
                bench.failed(name, report, error)
                continue
            report.rows.append((name, figures))
            if figures[0] < wanted:
                report.notes.append(
                    f"{name} took {figures[0]:.0f} tunnels of {wanted}; a process has "
                    f"{raise_file_limit()} open files."
                )
            if way.peer.program == PORTWAY.name:
                what = f"memory a tunnel, {name.partition(BY)[2]}"
                report.targets.append(Target("-", what, figures[1], BOUND, "KiB"))
    return report


def _weigh(
    bench: Bench, way: Way, server: int, wanted: int
) -> tuple[float, float, float]:
    with bench.running(way.peer) as running:
        base = running.memory()
        with idle(running.port, server, way.shake, wanted) as held:
            if not held:
                raise OSError("it took no tunnel")
            time.sleep(SETTLED)
            grown = running.memory() - base
    return float(held), grown / held / KIB, base / MIB
