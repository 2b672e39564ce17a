"""P1: one large file down and up, through each proxy, vsftpd behind, all in clear.

Not here: TLS. Invariant: every byte arrived, or the round does not count.
"""

from collections.abc import Callable
from pathlib import Path

from bench.bench import FAILURES, Bench, say, target_user
from bench.client import UnexpectedReplyError, timed_fetch, timed_store
from bench.peers.portway import PORTWAY
from bench.peers.servers import Vsftpd, vsftpd
from bench.processes import Running
from bench.results import Report, Samples, Target, ratio

NONE = "no proxy"
GIGABYTE = 1e9
COLUMNS = ("down GB/s", "down CPU s/GB", "up GB/s", "up CPU s/GB")


def measure(bench: Bench) -> Report:
    """Measure all peers in turn, round by round."""
    title = f"P1  FTP bulk, plain, {bench.size >> 20} MiB"
    report = Report(title, COLUMNS)
    samples = Samples()
    files = bench.new_folder(memory=True)
    with (
        vsftpd(bench.new_folder(), files, bench.size) as server,
        bench.all_running(report, bench.peers) as peers,
    ):
        for _ in range(bench.rounds):
            _measure_one(bench, samples, server, NONE, server.running)
            for name, running in list(peers.items()):
                try:
                    _measure_one(bench, samples, server, name, running)
                except FAILURES as error:
                    bench.failed(name, report, error)
                    del peers[name]
    for name in (NONE, *(peer.name for peer in bench.peers)):
        figures = tuple(samples.get(name, kind) for kind in COLUMNS)
        if any(figures):
            report.rows.append((name, figures))
    report.targets = _targets(samples)
    report.notes.append("The CPU of “no proxy” is vsftpd's own.")
    return report


def _measure_one(
    bench: Bench, samples: Samples, server: Vsftpd, name: str, running: Running
) -> None:
    say(f"{name}: {bench.size >> 20} MiB down, then up")
    user = "ftp" if name == NONE else target_user(server.running.port)

    def cost(way: str, move: Callable[[], float]) -> None:
        before = running.settled_cpu()
        seconds = move()
        spent = running.settled_cpu() - before
        samples.add(name, f"{way} GB/s", bench.size / GIGABYTE / seconds)
        samples.add(name, f"{way} CPU s/GB", spent / (bench.size / GIGABYTE))

    stored = server.uploads / "upload"
    cost("down", lambda: timed_fetch(running.port, user, "big", bench.size))
    try:
        cost("up", lambda: timed_store(running.port, user, "in/upload", bench.size))
        _check_size(stored, bench.size)
    finally:
        stored.unlink(missing_ok=True)


def _check_size(stored: Path, size: int) -> None:
    found = stored.stat().st_size
    if found != size:
        raise UnexpectedReplyError(f"STOR: {found} bytes of {size} arrived")


def _targets(samples: Samples) -> list[Target]:
    ours = PORTWAY.name

    def against(kind: str, *, highest: bool = False) -> float | None:
        others = samples.of_others(kind, ours, NONE)
        if not others:
            return None
        return ratio(samples.get(ours, kind), (max if highest else min)(others))

    own = ratio(samples.get(ours, COLUMNS[1]), samples.get(NONE, COLUMNS[1]))
    down, up = against(COLUMNS[0], highest=True), against(COLUMNS[2], highest=True)
    why = "Portway, or any rival, is not there"
    return [
        Target(
            "P1", "download CPU, of best rival's", against(COLUMNS[1]), 0.4, why=why
        ),
        Target("P1", "download CPU, of vsftpd's own", own, 1.1),
        Target(
            "P1", "download speed, of best rival's", down, 1.2, at_least=True, why=why
        ),
        Target("P1", "upload CPU, of best rival's", against(COLUMNS[3]), 0.55, why=why),
        Target("P1", "upload speed, of best rival's", up, 1.0, at_least=True, why=why),
    ]
