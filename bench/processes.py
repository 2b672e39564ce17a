"""Start a program, count what all its processes cost, and stop it by its id.

Not here: what the programs are (peers). Invariant: whatever is started here is ended
here, with all its children, by process ids that were seen to descend from it.
"""

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20.0
STOP_SECONDS = 10.0
SETTLE_SECONDS = 3.0
REST = 4  # looks in a row that find the same number of processes
LOOPBACK = "127.0.0.1"

_given: set[int] = set()  # ports that are meant for a program which is about to start


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and what its environment has beside ours."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    hello: bytes = b"220"  # what a connection gets first; empty for nothing


class NotStartedError(Exception):
    """A program did not come up; the text says which, and its last words."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on, another one each time."""
    while True:
        with socket.create_server((LOOPBACK, 0)) as probe:
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def raise_file_limit() -> int:
    """Allow this process, and what it starts, as many descriptors as it may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _stat(pid: int) -> list[str] | None:
    """Return ``/proc/PID/stat`` from field 3, the state, on; None if it ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _own_cpu(pid: int, counted: float) -> float:
    """Return the CPU seconds of *pid* alone, to the nanosecond where possible.

    *counted* is the same in ticks of 10 ms, for one that has ended meanwhile. The id
    of another process' clock is what clock_getcpuclockid(3) makes of its pid.
    """
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return counted


def tree(root: int) -> list[int]:
    """Return *root* and all processes that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


class Running:
    """A program that was started; *port* is where it listens on loopback."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.port = port
        self.pid = process.pid
        self.start_seconds = 0.0
        self._process = process
        self._log = log
        self._fewest = 1 << 30

    def cpu(self) -> float:
        """Return the CPU seconds so far of all processes, ended ones included.

        A process that ended counts once its parent has waited for it.
        """
        total = 0.0
        for pid in tree(self.pid):
            if stat := _stat(pid):
                own, children = sum(map(int, stat[11:13])), sum(map(int, stat[13:15]))
                total += _own_cpu(pid, own / TICKS) + children / TICKS
        return total

    def settled_cpu(self) -> float:
        """Return `cpu`, once the processes of past sessions ended, or 3 s later."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.processes() > self._fewest and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.cpu()

    def come_to_rest(self) -> None:
        """Wait until the number of processes does not change any more."""
        deadline = time.monotonic() + SETTLE_SECONDS
        last, alike = 0, 0
        while alike < REST and time.monotonic() < deadline:
            time.sleep(0.02)
            count = self.processes()
            last, alike = count, alike + 1 if count == last else 0

    def thread_cpu(self) -> float:
        """Return the CPU seconds of the first process's first thread.

        From the scheduler, so in nanoseconds where `cpu` counts ticks.
        """
        text = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text("ascii")
        return int(text.split()[0]) / 1e9

    def processes(self) -> int:
        """Return how many processes there are."""
        count = len(tree(self.pid))
        self._fewest = min(self._fewest, count)
        return count

    def memory(self) -> int:
        """Return the proportional set size of all processes, in bytes."""
        total = 0
        for pid in tree(self.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            except (FileNotFoundError, ProcessLookupError):
                continue
            for line in rollup.splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def peak(self) -> int:
        """Return the most memory each process held since `forget_peak`, added up.

        In bytes of resident set: what processes share is counted for each.
        """
        total = 0
        for pid in tree(self.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
                total += int(found[1]) * 1024 if found else 0
        return total

    def forget_peak(self) -> None:
        """Let `peak` count from now on. proc_pid_clear_refs(5)."""
        for pid in tree(self.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def ended(self) -> bool:
        """Say whether the program ended by itself."""
        return self._process.poll() is not None

    def last_words(self) -> str:
        """Return the last line the program printed."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no word")

    def stop(self) -> None:
        """End the program and all its children."""
        family = tree(self.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        group = self.pid  # it leads a session of its own
        for pid in family:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == group or pid == self.pid:
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()


def answers(port: int, hello: bytes) -> bool:
    """Say whether a connection to *port* is taken, and begins with *hello*."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as probe:
            return not hello or probe.recv(256).startswith(hello)
    except OSError:
        return False


def start(command: Command, port: int, folder: Path) -> Running:
    """Start *command*, and return when *port* answers. Raises NotStartedError."""
    log = folder / "output.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **command.environment},
            cwd=folder,
            start_new_session=True,
        )
    running = Running(process, port, log)
    while not answers(port, command.hello):
        late = time.monotonic() - began > START_SECONDS
        if late or running.ended():
            running.stop()
            name = Path(command.words[0]).name
            raise NotStartedError(f"{name} did not start: {running.last_words()}")
        time.sleep(0.002)
    running.start_seconds = time.monotonic() - began
    running.come_to_rest()
    return running


@contextlib.contextmanager
def run(command: Command, port: int, folder: Path) -> Iterator[Running]:
    """Hold *command* running for as long as the block lasts."""
    running = start(command, port, folder)
    try:
        yield running
    finally:
        running.stop()
