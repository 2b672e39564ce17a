"""P5: one large file down and up, in clear to the client, inside TLS to the server.

Portway has a vsftpd behind it, HAProxy a server that gives and takes the same bytes
without FTP, since it knows none: what is measured is the price of TLS on one side.

Not here: bytes that nobody encrypts (bulk.py). Invariant: every byte arrived, and the
server takes none in clear.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

from bench import bytes as raw
from bench.bench import FAILURES, Bench, say, target_user
from bench.client import UnexpectedReplyError, timed_fetch, timed_store
from bench.peers import haproxy, portway
from bench.peers.install import ROOT
from bench.peers.portway import PORTWAY
from bench.peers.servers import Vsftpd, vsftpd
from bench.processes import LOOPBACK, Command, Running, free_port, run
from bench.results import Report, Samples, Target, ratio

GIGABYTE = 1e9
COLUMNS = ("down GB/s", "down CPU s/GB", "up GB/s", "up CPU s/GB")
DOWN, UP = COLUMNS[1], COLUMNS[3]
BOUND = 1.1
UPLOAD = "in/upload"


@dataclass(frozen=True, slots=True)
class Signed:
    """An authority, and a server's certificate with its key, each a file in PEM."""

    ca: Path
    server: Path


@dataclass(frozen=True, slots=True)
class Ways:
    """How one proxy moves the bytes: each way returns its seconds."""

    running: Running
    down: Callable[[], float]
    up: Callable[[], float]


def measure(bench: Bench) -> Report:
    """Measure both in turn, round by round."""
    report = Report(f"P5  TLS on the server side, {bench.size >> 20} MiB", COLUMNS)
    samples = Samples()
    with contextlib.ExitStack() as stack:
        signed = _certificates(bench.new_folder())
        peers: dict[str, Ways] = {}
        if PORTWAY in bench.peers:
            peers[PORTWAY.name] = stack.enter_context(_portway(bench, signed))
        try:
            peers[haproxy.NAME] = stack.enter_context(_haproxy(bench, signed))
        except FAILURES as error:
            bench.failed(haproxy.NAME, report, error)
        for _ in range(bench.rounds):
            for name, ways in list(peers.items()):
                say(f"{name}: {bench.size >> 20} MiB down, then up")
                try:
                    _measure_one(bench, samples, name, ways)
                except FAILURES as error:
                    bench.failed(name, report, error)
                    del peers[name]
    for name in (PORTWAY.name, haproxy.NAME):
        figures = tuple(samples.get(name, kind) for kind in COLUMNS)
        if any(figures):
            report.rows.append((name, figures))
    report.targets = _targets(samples)
    report.notes.append(
        "Behind Portway is vsftpd inside TLS, behind HAProxy a server of bytes: "
        "the speeds are of different servers, the CPU is the proxies' own."
    )
    return report


def _certificates(folder: Path) -> Signed:
    authority = trustme.CA()
    leaf = authority.issue_cert(LOOPBACK)
    ca, server = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(ca))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(server))
    return Signed(ca, server)


@contextlib.contextmanager
def _portway(bench: Bench, signed: Signed) -> Iterator[Ways]:
    files, folder, port = bench.new_folder(memory=True), bench.new_folder(), free_port()
    upstream = f'tls = "required"\nca = "{signed.ca}"\n'
    command = portway.command(folder, port, upstream=upstream)
    with (
        vsftpd(bench.new_folder(), files, bench.size, pem=signed.server) as server,
        run(command, port, folder) as running,
    ):
        user = target_user(server.running.port)
        yield Ways(
            running,
            partial(timed_fetch, port, user, "big", bench.size),
            partial(_store, server, port, bench.size),
        )


def _store(server: Vsftpd, port: int, size: int) -> float:
    stored = server.uploads / "upload"
    try:
        seconds = timed_store(port, target_user(server.running.port), UPLOAD, size)
        found = stored.stat().st_size
    finally:
        stored.unlink(missing_ok=True)
    if found != size:
        raise UnexpectedReplyError(f"STOR: {found} bytes of {size} arrived")
    return seconds


@contextlib.contextmanager
def _haproxy(bench: Bench, signed: Signed) -> Iterator[Ways]:
    port, behind = free_port(), free_port()
    words = (sys.executable, "-m", "bench.bytes", str(behind), str(signed.server))
    server = Command(words, {"PYTHONPATH": str(ROOT)}, hello=b"")
    folder = bench.new_folder()
    command = haproxy.command(folder, port, behind, signed.ca)
    with (
        run(server, behind, bench.new_folder()),
        run(command, port, folder) as running,
    ):
        yield Ways(
            running,
            partial(raw.timed, port, raw.DOWN, bench.size),
            partial(raw.timed, port, raw.UP, bench.size),
        )


def _measure_one(bench: Bench, samples: Samples, name: str, ways: Ways) -> None:
    for way, move in (("down", ways.down), ("up", ways.up)):
        before = ways.running.settled_cpu()
        seconds = move()
        spent = ways.running.settled_cpu() - before
        samples.add(name, f"{way} GB/s", bench.size / GIGABYTE / seconds)
        samples.add(name, f"{way} CPU s/GB", spent / (bench.size / GIGABYTE))


def _targets(samples: Samples) -> list[Target]:
    def against(kind: str) -> float | None:
        ours, theirs = PORTWAY.name, haproxy.NAME
        return ratio(samples.get(ours, kind), samples.get(theirs, kind))

    why = "Portway or HAProxy is not there"
    return [
        Target("P5", "download CPU, of HAProxy's", against(DOWN), BOUND, why=why),
        Target("P5", "upload CPU, of HAProxy's", against(UP), BOUND, why=why),
    ]
