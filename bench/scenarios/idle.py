"""P4: what a logged-in session that does nothing weighs in memory.

Not here: the kernel's part, socket buffers above all, which is the same for all.
Invariant: the proxy is a fresh one, and its proportional set size is what counts.
"""

import time

from bench.bench import FAILURES, Bench, say, target_user
from bench.load import idle_sessions
from bench.peers.peer import Peer
from bench.peers.portway import PORTWAY
from bench.peers.servers import load_server
from bench.processes import raise_file_limit
from bench.results import Report, Target

KIB = 1024
MIB = 1024 * 1024
HELD = 5000
COLUMNS = ("sessions", "KiB each", "base MiB")


def measure(bench: Bench) -> Report:
    """Measure each peer once: memory does not waver as time does."""
    report = Report("P4  idle FTP sessions", COLUMNS)
    with load_server(bench.new_folder()) as server:
        for peer in bench.peers:
            wanted = max(peer.idle // 10, 20) if bench.quick else peer.idle
            say(f"{peer.name}: {wanted} idle sessions")
            try:
                figures = _weigh(bench, peer, server.port, wanted)
            except FAILURES as error:
                bench.failed(peer.name, report, error)
                continue
            report.rows.append((peer.name, figures))
            if figures[0] < wanted:
                held = f"{figures[0]:.0f} sessions of {wanted}"
                allowed = f"{raise_file_limit()} open files"
                report.notes.append(
                    f"{peer.name} took {held}; a process has {allowed}."
                )
            if peer is PORTWAY:
                report.targets = _targets(figures, whole=not bench.quick)
    return report


def _weigh(
    bench: Bench, peer: Peer, server: int, wanted: int
) -> tuple[float, float, float]:
    with bench.running(peer) as running:
        base = running.memory()
        with idle_sessions(running.port, target_user(server), wanted) as held:
            if not held:
                raise OSError("it took no session")
            time.sleep(0.3)  # what a login leaves behind goes in the next turns
            grown = running.memory() - base
        return float(held), grown / held / KIB, base / MIB


def _targets(figures: tuple[float, float, float], *, whole: bool) -> list[Target]:
    held, each, base = figures
    return [
        Target("P4", "memory a session", each, 12.0, "KiB"),
        Target(
            "P4",
            "sessions held at once",
            held if whole else None,
            HELD,
            "",
            at_least=True,
            why="a quick run opens fewer",
        ),
        Target("P4", "base memory", base, 60.0, "MiB"),
    ]
