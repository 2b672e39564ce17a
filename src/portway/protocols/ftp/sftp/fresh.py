"""A connection to an SSH server over which we have said nothing yet.

asyncssh wants the socket itself. Where bytes were read from it already, by who spoke to
a proxy on the way, it gets one end of a pair, and two tasks carry bytes between them.

Not here: SSH. Invariant: whatever the server has said is there, in its order, for who
speaks SSH to it.
"""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from portway.errors import PeerError, PortwayError, Refused
from portway.model import Reason, Side
from portway.net.poll import Poll
from portway.net.stream import SocketStream

PEEKED = 4096  # bytes in which the server must have said that it speaks SSH


@dataclass(frozen=True, slots=True)
class Fresh:
    """A connected socket, with its poll."""

    sock: socket.socket
    poll: Poll

    @classmethod
    def made_of(cls, stream: SocketStream, tasks: asyncio.TaskGroup) -> Self:
        """Take *stream* apart, or give *tasks* a bridge to it. Raises Refused, BUSY."""
        if stream.spliceable:
            return cls(*stream.detach())
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            stream.close()
            raise Refused(Reason.BUSY) from error
        theirs.setblocking(False)
        end = SocketStream(ours, Side.SERVER, stream.peer)
        tasks.create_task(_carry(stream, end))
        tasks.create_task(_carry(end, stream))
        return cls(theirs, Poll(theirs))

    async def answers_as_ssh(self) -> bool:
        """Say whether the server says that it speaks SSH. RFC 4253, section 4.2.

        What it said stays where it is. Raises PeerError.
        """
        await self.poll.readable()
        try:
            data = self.sock.recv(PEEKED, socket.MSG_PEEK)
        except OSError as error:
            text = "the server broke the connection"
            raise PeerError(Side.SERVER, text) from error
        if not data:
            raise PeerError(Side.SERVER, "the server closed the connection")
        return any(line.startswith(b"SSH-") for line in data.splitlines())

    def take(self) -> socket.socket:
        """Return the socket, for somebody else to wait for."""
        self.poll.close()
        return self.sock

    def close(self) -> None:
        """Close the socket."""
        self.take().close()


async def _carry(source: SocketStream, sink: SocketStream) -> None:
    """Send on what comes; SSH has no half of a connection, so both end with one."""
    try:
        with suppress(PortwayError):
            while data := await source.receive():
                await sink.send(data)
    finally:
        source.close()
        sink.close()
