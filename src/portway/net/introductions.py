"""Balancers in front of us: each of their connections begins with whom it is for.

Not here: the header itself (preface.py), and which callers are balancers. Invariant: a
caller is handed on once, after its whole header and not a byte more, or closed; none
waits longer than `PATIENCE`.
"""

import asyncio
from collections.abc import Callable

from portway.errors import PeerError, PortwayError, ProtocolError
from portway.model import Endpoint, Reason
from portway.net.preface import Preface, read_preface, wanted
from portway.net.stream import SocketStream

PATIENCE = 3.0  # seconds for a header

Met = Callable[[SocketStream, Endpoint | None], None]
Failed = Callable[[SocketStream, PortwayError], None]


async def read_header(stream: SocketStream, seconds: float = PATIENCE) -> Preface:
    """Read the header that *stream* begins with, and nothing behind it.

    Raises ProtocolError, also if it is late; PeerError GONE if not a byte came.
    """
    data = b""
    try:
        async with asyncio.timeout(seconds):
            while count := wanted(data):
                more = await stream.receive(count)
                if not more and not data:
                    raise PeerError(stream.side, "it left without a word", Reason.GONE)
                if not more:
                    raise ProtocolError(stream.side, "half a PROXY header")
                data += more
    except TimeoutError:
        text = "no PROXY header in time"
        raise ProtocolError(stream.side, text, Reason.TIMEOUT) from None
    return read_preface(data)


class Introductions:
    """The callers that have yet to say whom they are for."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Task[None], SocketStream] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait_for(self, stream: SocketStream, met: Met, failed: Failed) -> None:
        """Hear *stream* out; then *met* gets it, or *failed* does and the reason.

        What *met* gets has the address that was named for its peer's, if one was, and
        stands beside the address that was called.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._hear(stream, met, failed))
        self._waiting[task] = stream
        task.add_done_callback(self._forget)

    async def _hear(self, stream: SocketStream, met: Met, failed: Failed) -> None:
        task = asyncio.current_task()
        try:
            preface = await read_header(stream)
        except PortwayError as error:
            self._forget(task)
            failed(stream, error)
        else:
            self._forget(task)
            met(_on_behalf_of(preface.client, stream), preface.server)

    def _forget(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            self._waiting.pop(task, None)

    def close(self) -> None:
        """Close all that still wait."""
        waiting, self._waiting = self._waiting, {}
        for task, stream in waiting.items():
            task.cancel()
            stream.abort()


def _on_behalf_of(client: Endpoint | None, stream: SocketStream) -> SocketStream:
    if client is None:
        return stream
    sock, poll = stream.detach()
    return SocketStream(sock, stream.side, client, poll)
