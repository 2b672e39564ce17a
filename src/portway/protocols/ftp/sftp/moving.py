"""Payload between a file at an SFTP server and a stream, many requests at a time.

Not here: which file, and what is said when it ends. Invariant: bytes go on in their
order, no more are held than the requests on their way ask for, and whoever takes them
slowly slows the server down.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from asyncssh import Error, SFTPClientFile

from portway.net.stream import Stream
from portway.protocols.ftp.sftp.textlines import Lines

BLOCK = 131072  # bytes asked for at once, where the server allows it
AHEAD = 2097152  # bytes on their way at most: what SSH's window lets through
FIRST = 2  # requests to begin with: most files are small

Failure = Error | OSError
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Passage:
    """How payload goes between *file* and a stream, from *offset* on.

    *block* is how many bytes one request may be about. *tasks* gets the requests.
    """

    file: SFTPClientFile
    lines: Lines
    offset: int
    block: int
    tasks: asyncio.TaskGroup

    @property
    def width(self) -> int:
        """How many requests may be on their way."""
        return max(FIRST, AHEAD // self.block)

    def read(self, at: int) -> asyncio.Task[bytes | Failure]:
        """Ask for a block; the task returns a failure, as a group bears none."""
        return self.tasks.create_task(_read(self.file, self.block, at))

    def write(self, data: bytes, at: int) -> asyncio.Task[Failure | None]:
        """Have *data* written; the task returns as `read`'s does."""
        return self.tasks.create_task(_write(self.file, data, at))


async def download(passage: Passage, sink: Stream, size: int | None) -> None:
    """Send what the file holds to *sink*.

    *size* is the file's, if it is known: it ends there without a question more.
    Raises what the server's failure raises, and PeerError of the sink.
    """
    due: deque[asyncio.Task[bytes | Failure]] = deque()
    at = asked = passage.offset
    block, width = passage.block, FIRST
    try:
        while True:
            while len(due) < width:
                due.append(passage.read(asked))
                asked += block
            data = _good(await due.popleft())
            at += len(data)
            if data:
                await sink.send(passage.lines.feed(data))
            if not data or at == size:
                break
            if len(data) < block:  # a short read, not the end: ask anew from here
                _cancel(due)
                due.clear()
                asked = at
            width = min(width * 2, passage.width)
        rest = passage.lines.end()
        if rest:
            await sink.send(rest)
    finally:
        _cancel(due)


async def upload(passage: Passage, source: Stream) -> None:
    """Write all that *source* has to the file; the server has it on return.

    Raises as `download` does.
    """
    due: deque[asyncio.Task[Failure | None]] = deque()
    at, lines = passage.offset, passage.lines
    try:
        more = True
        while more:
            data = await source.receive(passage.block)
            more = bool(data)
            data = lines.feed(data) if more else lines.end()
            if not data:
                continue
            while len(due) >= passage.width or (due and due[0].done()):
                _good(await due.popleft())
            due.append(passage.write(data, at))
            at += len(data)
        while due:
            _good(await due.popleft())
    finally:
        _cancel(due)


async def _read(file: SFTPClientFile, block: int, at: int) -> bytes | Failure:
    try:
        data = await file.read(block, at)
    except (Error, OSError) as error:
        return error
    return data if isinstance(data, bytes) else data.encode()


async def _write(file: SFTPClientFile, data: bytes, at: int) -> Failure | None:
    try:
        await file.write(data, at)
    except (Error, OSError) as error:
        return error
    return None


def _good(result: T | Failure) -> T:
    if isinstance(result, Error | OSError):
        raise result
    return result


def _cancel(due: Iterable[asyncio.Task[T]]) -> None:
    for task in due:
        task.cancel()
