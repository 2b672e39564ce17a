"""Measure Portway beside its rivals: ``python -m bench [SCENARIO ...]``.

Not here: what is measured (scenarios). Invariant: whatever happens, all that was
started is stopped and all that was written to temporary folders is removed.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import namespace, report
from bench.bench import FAILURES, Bench
from bench.peers import doors, haproxy
from bench.peers.install import ROOT, install_all
from bench.peers.peer import Peer
from bench.peers.portway import PORTWAY
from bench.peers.rivals import RIVALS
from bench.peers.servers import vsftpd_version
from bench.processes import raise_file_limit
from bench.results import Report
from bench.scenarios import (
    bulk,
    decision,
    download,
    growth,
    idle,
    ledger,
    replay,
    sessions,
    start,
    tls,
    tunnel,
    tunnels,
    turns,
)

SCENARIOS: dict[str, Callable[[Bench], Report]] = {
    "bulk": bulk.measure,
    "tls": tls.measure,
    "logins": sessions.measure_logins,
    "fetches": sessions.measure_fetches,
    "idle": idle.measure,
    "http": turns.measure_gets,
    "tunnel": tunnel.measure,
    "socks": turns.measure_socks,
    "tunnels": tunnels.measure,
    "download": download.measure,
    "ledger": ledger.measure,
    "start": start.measure,
    "growth": growth.measure,
    "decision": decision.measure,
    "replay": replay.measure,
}
FULL_SIZE, QUICK_SIZE = 2 << 30, 512 << 20
PLENTY = 3  # times the bulk file: its upload lies beside it
MEMORY = Path("/dev/shm")
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; or all"
    )
    parser.add_argument("--quick", action="store_true", help="smaller, under 4 minutes")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    parser.add_argument("--only", action="append", help="this peer only; repeatable")
    parser.add_argument("--size", type=int, help="of the bulk file, MiB")
    parser.add_argument(
        "--write", metavar="DATE", help="update docs/benchmarks.md, as of DATE"
    )
    chosen = parser.parse_args()
    unknown = [name for name in chosen.scenario if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]}; there are: {', '.join(SCENARIOS)}")
    if chosen.write and (chosen.scenario or chosen.only):
        parser.error("--write is for a whole run: name no scenario, and no --only")
    return chosen


def _peers(only: list[str] | None) -> tuple[Peer, ...]:
    """Return the peers that are there, and say which are not."""
    wanted = [peer for peer in (PORTWAY, *RIVALS) if not only or peer.name in {*only}]
    there = tuple(peer for peer in wanted if peer.version())
    for peer in wanted:
        if peer not in there:
            print(f"bench: {peer.name} is not there", file=sys.stderr)
    return there


def _memory_folder(size: int) -> Path | None:
    """Return where files lie in memory, if there is room for the bulk ones."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > size * PLENTY:
        return MEMORY
    return None


def _run(chosen: argparse.Namespace, bench: Bench) -> tuple[dict[str, Report], int]:
    """Run the scenarios; return their reports, and how many failed."""
    reports: dict[str, Report] = {}
    failures = 0
    for name in chosen.scenario or SCENARIOS:
        began = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            reports[name] = SCENARIOS[name](bench)
        except FAILURES as error:
            failures += 1
            print(f"bench: {name}: {error}", file=sys.stderr)
            continue
        took = time.monotonic() - began
        print(f"{report.as_text(reports[name])}\n  ({took:.0f} s)\n", flush=True)
    return reports, failures


def main() -> int:
    """Run; 1 if a scenario could not be measured, whether or not targets are met."""
    chosen = _arguments()
    raise_file_limit()
    for failure in install_all():
        print(f"bench: {failure}", file=sys.stderr)
    try:
        namespace.enter()
    except OSError as error:
        cure = "the ports of this machine may not be enough; root has its own"
        print(f"bench: no network namespace: {error.strerror}; {cure}", file=sys.stderr)
    peers = _peers(chosen.only)
    size = chosen.size << 20 if chosen.size else FULL_SIZE
    size = min(size, QUICK_SIZE) if chosen.quick else size
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        tempfile.TemporaryDirectory(
            prefix="bench-", dir=_memory_folder(size)
        ) as memory,
    ):
        for path in (folder, memory):
            Path(path).chmod(0o755)
        bench = Bench(
            quick=chosen.quick,
            peers=peers,
            only=frozenset(chosen.only or ()),
            folder=Path(folder),
            memory=Path(memory),
            rounds=chosen.rounds or (1 if chosen.quick else 3),
            size=size,
            seconds=1.0 if chosen.quick else 2.5,
        )
        reports, failures = _run(chosen, bench)
    there = (*peers, *bench.among(doors.RIVALS))
    versions = {peer.name: peer.version() for peer in there}
    setting = report.Setting(
        chosen.write or time.strftime("%Y-%m-%d"),
        report.machine(),
        {**versions, haproxy.NAME: haproxy.version(), "vsftpd": vsftpd_version()},
        chosen.quick,
    )
    _keep(chosen, setting, reports)
    portway_missing = not chosen.only and PORTWAY not in peers
    return 1 if failures or portway_missing else 0


def _keep(
    chosen: argparse.Namespace, setting: report.Setting, reports: dict[str, Report]
) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    result.write_text(report.as_json(setting, reports), encoding="utf-8")
    print(f"results: {result.relative_to(ROOT)}")
    if chosen.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(report.as_markdown(setting, reports), encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
