"""Programs that a test starts, and how it waits for what they do.

Not here: which program. Invariant: what was started is stopped by its own number, with
all that it started in turn, and what it printed is kept.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

TICK = 0.02  # seconds between two looks at something that tells nobody


def eventually(condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Wait until *condition* holds. Raises AssertionError, naming *what*."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = f"not within {seconds} s: {what}"
            raise AssertionError(msg)
        time.sleep(TICK)


class Process:
    """A program in the foreground of its own process group, its output in *log*."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send *number* to the program alone, not to its children."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Return the exit status. Raises subprocess.TimeoutExpired."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it as ``kill -9`` does, with all its children, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(5)

    def stop(self, seconds: float = 3.0) -> None:
        """Ask it to end; after *seconds*, make it."""
        if self.status is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(seconds)
        self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(
    command: Sequence[str],
    *,
    seconds: float = 10.0,
    given: str = "",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[int, str]:
    """Return the exit status of *command*, and what it printed on either stream.

    *given* is its standard input. One that takes longer than *seconds* is killed with
    all its children, and its status is that of the signal.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if environment is None else dict(environment),
        cwd=folder,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(given.encode(), seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\n[killed after {seconds} s]\n".encode()
        return process.returncode, output.decode(errors="replace")
