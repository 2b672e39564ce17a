"""Log files beside the ledger.

Not here: when to write; the ledger's thread does, once the ledger has the records. Nor
rotation by the day: who wants that renames the file and asks for it to be reopened.
Invariant: the ledger is the truth: a file that fails or would block is passed over, and
what it missed is counted. A line is never torn by a later one.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from portway.config.schema import LogFile
from portway.ledger.formats import FORMATS
from portway.model import Outcome, Record

MODE = 0o640  # a log analyser of the file's group may read it

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """One file: *rest* is the end of a line whose beginning is written.

    *size* is how many bytes it has.
    """

    setting: LogFile
    descriptor: int = -1
    rest: bytes = b""
    size: int = 0
    missed: int = 0
    failing: bool = False


class LogFiles:
    """The files of *settings*, with times of day as they are in *zone*.

    *zone* None is the machine's. All methods but `reopen` are for one thread.
    """

    def __init__(self, settings: Iterable[LogFile], zone: tzinfo | None) -> None:
        self._zone = zone
        self._files = [_Open(setting) for setting in settings]
        self._stale = False

    @property
    def missed(self) -> dict[str, int]:
        """How many records each file, by its path, did not get."""
        return {file.setting.path: file.missed for file in self._files}

    def problems(self) -> list[str]:
        """Try each file; return a line for each that cannot be written to."""
        found = []
        for file in self._files:
            try:
                os.close(open_to_append(file.setting.path))
            except OSError as error:
                found.append(f"{file.setting.path}: {error.strerror}")
        return found

    def write(self, records: Sequence[Record]) -> None:
        """Append those of *records* that have ended. Never raises, never waits."""
        if self._stale:
            self._stale = False
            self.close()
        ended = [record for record in records if record.outcome is not Outcome.OPEN]
        for file in self._files:
            if ended:
                self._append(file, ended)

    def reopen(self) -> None:
        """Open the files anew before the next write. For any thread."""
        self._stale = True

    def close(self) -> None:
        """Close the files; the next write would open them again."""
        for file in self._files:
            shut(file)

    def _append(self, file: _Open, records: Sequence[Record]) -> None:
        write = FORMATS[file.setting.format]
        lines = [line for record in records if (line := write(record, self._zone))]
        if not lines:
            return
        data = file.rest + "".join(f"{line}\n" for line in lines).encode()
        try:
            if file.descriptor < 0:
                file.descriptor = open_to_append(file.setting.path)
                file.size = os.fstat(file.descriptor).st_size
            done = os.write(file.descriptor, data)
        except OSError as error:
            file.missed += len(lines)
            self._failed(file, error)
            return
        file.size += done
        left = data[done:]
        file.rest = b""
        if left:
            # a full disk or pipe took a part; the line it stopped in is kept
            begun = data[done - 1 : done] != b"\n"
            file.rest = left[: left.index(b"\n") + 1] if begun else b""
            file.missed += left.count(b"\n") - begun
            self._failed(file, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return
        file.failing = False
        most = file.setting.rotate
        if most is not None and file.size >= most:
            self._rotate(file)

    def _rotate(self, file: _Open) -> None:
        """Rename the file and those before it; where that fails, it goes on."""
        path, rotated = file.setting.path, file.setting.rotated
        shut(file)
        try:
            for number in range(rotated, 0, -1):
                before = path if number == 1 else f"{path}.{number - 1}"
                with contextlib.suppress(FileNotFoundError):
                    Path(before).replace(f"{path}.{number}")
        except OSError as error:
            self._failed(file, error)

    def _failed(self, file: _Open, error: OSError) -> None:
        """Say what is wrong, once until it works again."""
        if not file.failing:
            extra = {"at": file.setting.path, "error": error.strerror}
            log.error("logfile.failing", extra=extra)
        file.failing = True
        if error.errno not in {errno.EAGAIN, errno.ENOSPC}:
            shut(file)


def open_to_append(path: str) -> int:
    """Return a descriptor that appends to *path* and never waits. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    return os.open(path, flags | os.O_NOCTTY | os.O_CLOEXEC, MODE)


def shut(file: _Open) -> None:
    """Close *file*; nothing is owed to the one that is opened next."""
    if file.descriptor >= 0:
        os.close(file.descriptor)
    file.descriptor = -1
    file.rest = b""
