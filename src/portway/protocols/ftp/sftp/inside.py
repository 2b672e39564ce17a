"""Connections inside the gateway that pass for a server's.

A session speaks FTP to a translator over them. An end inside tells the addresses of the
connection that the translator has with the real server.

Not here: who speaks what. Invariant: an end that was aborted is never taken for one
that was closed on purpose.
"""

import socket
from collections.abc import Callable

from portway.model import Endpoint, Side
from portway.net.stream import SocketStream

SFTP = "SFTP"  # how such a leg was agreed upon, in a record's word
BUFFER = 1 << 20  # bytes in each direction; the kernel may grant less


class InsideStream(SocketStream):
    """One end of a pair; *local* and *peer* are those of the real connection.

    *cut* says that the other end was aborted: what came from it has no end.
    """

    __slots__ = ("_other", "cut")

    def __init__(self, sock: socket.socket, local: Endpoint, peer: Endpoint) -> None:
        super().__init__(sock, Side.SERVER, peer)
        self._local = local
        self._other: InsideStream | None = None
        self.cut = False

    def abort(self) -> None:
        """Close so that the other end knows that something is missing."""
        if self._other is not None:
            self._other.cut = True
        self.close()

    def close(self) -> None:
        """Close at once; what was sent can still be read at the other end."""
        self._other = None
        super().close()

    def is_paired_with(self, other: "InsideStream") -> None:
        """Tell *other* when this end is aborted."""
        self._other = other

    async def send_urgent(self, data: bytes) -> None:
        """Send *data*; there is nobody here who needs a signal to read on."""
        await self.send(data)


def pair(local: Endpoint, peer: Endpoint) -> tuple[InsideStream, InsideStream]:
    """Return the session's end and the translator's end of a new connection.

    Raises OSError where no descriptor is left.
    """
    first, second = socket.socketpair()
    for sock in first, second:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    near, far = InsideStream(first, local, peer), InsideStream(second, local, peer)
    near.is_paired_with(far)
    far.is_paired_with(near)
    return near, far


class InsideLeg:
    """The session's end of a data connection, until a transfer takes it."""

    __slots__ = ("_stream",)

    def __init__(self, stream: InsideStream) -> None:
        self._stream: InsideStream | None = stream

    async def accept(self) -> InsideStream:
        """Return the stream; closing it is the taker's business from now on."""
        stream, self._stream = self._stream, None
        if stream is None:
            raise RuntimeError("the leg was taken")
        return stream

    def close(self, *, reset: bool = False) -> None:
        """Close the stream, if nobody took it."""
        del reset  # nothing was sent
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class InsideControl(InsideStream):
    """The session's end of a control connection.

    *offer_leg* makes a data connection; the next transfer command is for it. *on_close*
    is called when the session has enough.
    """

    __slots__ = ("offer_leg", "on_close")

    def __init__(self, sock: socket.socket, local: Endpoint, peer: Endpoint) -> None:
        super().__init__(sock, local, peer)
        self.offer_leg: Callable[[], InsideLeg]
        self.on_close: Callable[[], object] | None = None

    def close(self) -> None:
        """Close at once, and tell the translator."""
        super().close()
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()


def control_pair(local: Endpoint, peer: Endpoint) -> tuple[InsideControl, InsideStream]:
    """Return the session's end and the translator's end of a control connection.

    Raises OSError where no descriptor is left.
    """
    first, second = socket.socketpair()
    near, far = InsideControl(first, local, peer), InsideStream(second, local, peer)
    near.is_paired_with(far)
    far.is_paired_with(near)
    return near, far
