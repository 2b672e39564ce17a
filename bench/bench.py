"""What all scenarios share: how long to measure, whom, and where.

Not here: any scenario. Invariant: a rival that fails is left out of its scenario with
a note, while Portway's failing fails the scenario.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import UnexpectedReplyError
from bench.load import LoadError, Task, Visit, anew, hammer
from bench.peers.peer import Peer
from bench.peers.portway import PORTWAY
from bench.processes import LOOPBACK, NotStartedError, Running, free_port, run
from bench.results import Report

FAILURES = (OSError, LoadError, NotStartedError, UnexpectedReplyError)
CLIENTS = 8


def say(text: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"  {text}", file=sys.stderr, flush=True)


def target_user(port: int) -> str:
    """Return the user name that names the server on *port* of loopback to a proxy."""
    return f"ftp@{LOOPBACK}:{port}"


@dataclass(slots=True)
class Bench:
    """One run. *folder* is on a disk, *memory* in memory where there is room.

    *peers* are FTP proxies; *only* are the names that were chosen, or none for all.
    """

    quick: bool
    peers: tuple[Peer, ...]
    only: frozenset[str]
    folder: Path
    memory: Path
    rounds: int
    size: int  # of the bulk file, bytes
    seconds: float  # of each measurement of sessions
    _made: int = field(default=0)

    def new_folder(self, *, memory: bool = False) -> Path:
        """Return a new, empty folder that servers of other users may enter."""
        self._made += 1
        folder = (self.memory if memory else self.folder) / str(self._made)
        folder.mkdir(mode=0o755)
        return folder

    @contextlib.contextmanager
    def running(self, peer: Peer) -> Iterator[Running]:
        """Hold *peer* running. Raises NotStartedError."""
        port, folder = free_port(), self.new_folder()
        with run(peer.command(folder, port), port, folder) as running:
            yield running

    def among(self, peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
        """Return those of *peers* that are there and were not left out."""
        chosen = [peer for peer in peers if not self.only or peer.program in self.only]
        return tuple(peer for peer in chosen if peer.version())

    @contextlib.contextmanager
    def all_running(
        self, report: Report, peers: tuple[Peer, ...]
    ) -> Iterator[dict[str, Running]]:
        """Hold all *peers* running, by name; who does not start is noted."""
        with contextlib.ExitStack() as stack:
            found: dict[str, Running] = {}
            for peer in peers:
                try:
                    running = stack.enter_context(self.running(peer))
                except FAILURES as error:
                    self.failed(peer.name, report, error)
                else:
                    found[peer.name] = running
            yield found

    def in_turns(
        self,
        report: Report,
        running: dict[str, Running],
        measure: Callable[[str, Running], None],
    ) -> None:
        """Measure all, round by round; who fails once is left out from then on."""
        for _ in range(self.rounds):
            for name, one in list(running.items()):
                try:
                    measure(name, one)
                except FAILURES as error:
                    self.failed(name, report, error)
                    del running[name]

    def failed(self, name: str, report: Report, error: Exception) -> None:
        """Note that a rival failed; raise *error* if it was Portway."""
        if name.startswith(PORTWAY.name):
            raise error
        say(f"{name}: {error}")
        report.notes.append(f"{name} was left out: {error}")

    def session_cost(
        self, running: Running, task: Task, server: int
    ) -> tuple[float, float]:
        """Return CPU milliseconds an FTP session, and sessions a second.

        Raises LoadError.
        """
        cost, speed = self.turn_cost(running, anew(task), target_user(server))
        return cost * 1000, speed

    def turn_cost(
        self, running: Running, visit: Visit, target: str
    ) -> tuple[float, float]:
        """Return CPU seconds of the proxy a turn of *visit*, and turns a second.

        Raises LoadError.
        """
        seconds = self.seconds
        before = running.settled_cpu()
        count = hammer(visit, running.port, target, clients=CLIENTS, seconds=seconds)
        if not count:
            raise LoadError("nothing was served")
        spent = running.settled_cpu() - before
        return spent / count, count / seconds
