"""Ten gigabytes by one HTTP GET: the most memory a proxy holds, and what it costs.

Not here: many small ones (turns.py). Invariant: every byte arrived, and the peak is the
kernel's own count, in which nothing between two looks is missed.
"""

import contextlib
import time

from bench.bench import FAILURES, Bench, say
from bench.peers.doors import http_peers
from bench.peers.peer import Peer
from bench.peers.portway import PORTWAY
from bench.peers.servers import origin
from bench.results import Report, Target
from bench.web import Getter

MIB = 1 << 20
GIGABYTE = 10**9
SIZE, QUICK_SIZE = 10 * GIGABYTE, GIGABYTE
COLUMNS = ("peak MiB", "more than before", "GB/s", "CPU s/GB")
BOUND = 8.0  # MiB: a download is never held in memory


def measure(bench: Bench) -> Report:
    """Measure each peer once."""
    size = QUICK_SIZE if bench.quick else SIZE
    report = Report(f"HTTP, one GET of {size // GIGABYTE} GB", COLUMNS)
    with origin(bench.new_folder()) as server:
        for peer in bench.among(http_peers(server.port)):
            say(f"{peer.name}: {size // GIGABYTE} GB down")
            try:
                figures = _download(bench, peer, server.port, size)
            except FAILURES as error:
                bench.failed(peer.name, report, error)
                continue
            report.rows.append((peer.name, figures))
            if peer.name == PORTWAY.name:
                what = "memory at its peak, more than before"
                report.targets = [Target("-", what, figures[1], BOUND, "MiB")]
    report.notes.append("Memory is the resident set, and measured once.")
    return report


def _download(
    bench: Bench, peer: Peer, server: int, size: int
) -> tuple[float, float, float, float]:
    with bench.running(peer) as running:
        with contextlib.closing(Getter(running.port, str(server))) as small:
            small.get()  # what a first request loads is no download's
        running.forget_peak()
        rest, before = running.peak(), running.settled_cpu()
        with contextlib.closing(Getter(running.port, str(server), size)) as big:
            began = time.monotonic()
            big.get()
            seconds = time.monotonic() - began
        spent, peak = running.settled_cpu() - before, running.peak()
    gigabytes = size / GIGABYTE
    return peak / MIB, (peak - rest) / MIB, gigabytes / seconds, spent / gigabytes
