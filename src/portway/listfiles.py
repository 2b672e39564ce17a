"""The files of named lists: read, and read again only once they have changed.

Not here: what their lines mean (policy.listreader), and when to look (watch.py).
Invariant: a list is taken from its file as a whole, as it stood while nobody wrote to
it, or not at all; and the same bytes are not read twice.
"""

import os
import secrets
import stat
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from portway.config.schema import ListFile
from portway.errors import Problem
from portway.policy.listreader import Format, Reader
from portway.policy.lists import KEY_BYTES, NamedList

BLOCK = 1 << 14  # bytes: some milliseconds of work, after which others may go on
ATTEMPTS = 3  # to read a file that somebody writes to

Stamp = tuple[int, ...]  # of a file; empty where there is none


@dataclass(frozen=True, slots=True)
class Found:
    """What a file held when it bore *stamp*; without a list there are *problems*."""

    stamp: Stamp
    list: NamedList | None = None
    problems: tuple[Problem, ...] = ()


class ListFiles:
    """The files of all lists. Any thread may ask it.

    *pause* is what it rests, in seconds, after every block of a file, so that whatever
    else this process does goes on meanwhile.
    """

    def __init__(self) -> None:
        self.pause = 0.0
        self._key = secrets.token_bytes(KEY_BYTES)
        self._known: dict[ListFile, Found] = {}
        self._seen: dict[ListFile, Stamp] = {}  # at the last look
        self._lock = threading.Lock()

    def read(
        self, wanted: Iterable[ListFile]
    ) -> tuple[dict[str, NamedList], tuple[Problem, ...]]:
        """Return the lists by their names, and what is wrong with those that lack."""
        lists: dict[str, NamedList] = {}
        problems: list[Problem] = []
        with self._lock:
            for file in wanted:
                found = self._read(file)
                problems += found.problems
                if found.list is not None:
                    lists[file.name] = found.list
        return lists, tuple(problems)

    def changed(self, wanted: Iterable[ListFile]) -> tuple[ListFile, ...]:
        """Return those whose files are not as they were when they were read.

        A file must have stood as it is since the last call, lest it be read while
        somebody writes it.
        """
        changed: list[ListFile] = []
        with self._lock:
            for file in wanted:
                now = stamp_of(file.path)
                known = self._known.get(file)
                fresh = known is None or known.stamp != now
                if fresh and self._seen.get(file) == now:
                    changed.append(file)
                self._seen[file] = now
        return tuple(changed)

    def keep(self, wanted: Iterable[ListFile]) -> None:
        """Forget all but those that are *wanted*."""
        with self._lock:
            files = set(wanted)
            self._known = {f: found for f, found in self._known.items() if f in files}
            self._seen = {f: stamp for f, stamp in self._seen.items() if f in files}

    def _read(self, file: ListFile) -> Found:
        known = self._known.get(file)
        if known is not None and known.stamp == stamp_of(file.path):
            return known
        try:
            found = self._take(file)
        except OSError as error:
            text = f"{file.path}: {error.strerror or error}"
            found = Found(stamp_of(file.path), problems=(_problem(file, text),))
        self._known[file] = found
        return found

    def _take(self, file: ListFile) -> Found:
        """Read a file from its beginning. Raises OSError."""
        for _ in range(ATTEMPTS):
            before = stamp_of(file.path)
            if not before:
                text = f"there is no such file: {file.path}"
                return Found(before, problems=(_problem(file, text),))
            if not stat.S_ISREG(before[0]):
                text = f"{file.path} is no regular file"
                return Found(before, problems=(_problem(file, text),))
            reader = Reader(file.name, Format(file.format), self._key)
            with Path(file.path).open("rb", buffering=0) as stream:
                while block := stream.read(BLOCK):
                    reader.feed(block)
                    if self.pause:
                        time.sleep(self.pause)
            if stamp_of(file.path) == before:
                return _judged(file, before, reader.finish())
        text = f"{file.path} changes while it is read; write it beside and rename it"
        return Found(before, problems=(_problem(file, text),))


def stamp_of(path: str) -> Stamp:
    """Return what changes with a file; its mode comes first."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a NUL in a Path raises ValueError, too
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ()
    except OSError as error:  # the next look may find it
        return (0, error.errno or 0)
    return (
        found.st_mode,
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def _judged(file: ListFile, stamp: Stamp, found: NamedList) -> Found:
    """Return *found*, or the lines that are wrong in it, if those count."""
    if not found.bad_lines or file.bad_lines == "skip":
        return Found(stamp, found)
    key = f"list.{file.name}"
    problems = [Problem(f"{file.path}:{at}", key, text) for at, text in found.bad]
    if found.bad_lines > len(found.bad):
        more = found.bad_lines - len(found.bad)
        cure = 'bad_lines = "skip" leaves bad lines out'
        text = f"and {more:,} more lines that are no entries; {cure}"
        problems.append(Problem(file.path, key, text))
    return Found(stamp, problems=tuple(problems))


def _problem(file: ListFile, text: str) -> Problem:
    return Problem(file.where, f"list.{file.name}.path", text)
