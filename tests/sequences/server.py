"""A pyftpdlib server that remembers what each of its visitors said.

Not here: what it is asked. Invariant: it has an address of its own, a free port there
and, where it may, port 21 as well, for clients that cannot name a port.
"""

import os
import re
import sys
from pathlib import Path
from typing import Self

from tests.integration.process import Process, eventually
from tests.sequences.walk import WORDS

PROGRAM = str(Path(__file__).with_name("pyftpd.py"))
READY = re.compile(r"^ready (\d+)( 21)?$", re.MULTILINE)


class Server:
    """The server, a process of its own that keeps its files in *folder*."""

    def __init__(self, folder: Path, files: Path) -> None:
        number = os.getpid()  # so that two test runs can have a port 21 each
        self.address = f"127.21.{number >> 8 & 255}.{number & 255}"
        self._record = folder / "heard"
        self._record.touch()
        words = (self.address, str(files), str(self._record), WORDS["u"], WORDS["p"])
        command = [sys.executable, PROGRAM, *words]
        self._process = Process(command, folder / "output")
        eventually(self._ready, "the server is ready", 10)

    def _ready(self) -> bool:
        output = self._process.output
        assert self._process.status is None, output
        found = READY.search(output)
        if found is not None:
            self.port = int(found[1])
            self.has_21 = found[2] is not None
        return found is not None

    @property
    def visits(self) -> list[list[str]]:
        """What each visitor said, in the order in which they came."""
        visits: list[list[str]] = []
        for entry in self._record.read_text().splitlines():
            number, _, line = entry.partition(" ")
            if line:
                visits[int(number)].append(line)
            else:
                visits.append([])
        return visits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
