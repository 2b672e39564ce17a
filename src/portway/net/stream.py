"""Bytes to and from one peer, over a socket of our own.

Not here: how connections come about (listen.py, dial.py, dataport.py), and moving
payload from one stream to another (relay). Invariant: every failure is an error of
ours that names the stream's side; ``b""`` is an end that the peer meant.
"""

import socket
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from portway.errors import PeerError, PortwayError
from portway.model import Endpoint, IPAddress, Side
from portway.net.ends import address_of, endpoint_of
from portway.net.poll import Poll

CHUNK = 65536
NO_RESET = struct.pack("ii", 0, 0)
RESET = struct.pack("ii", 1, 0)  # linger on, zero seconds: close() sends a RST


class Stream(Protocol):
    """A connection as those who read and write it see it.

    One task may receive and one may send. Whatever fails raises PeerError, with the
    stream's side; what was given to `interrupt` is raised as it is.
    """

    side: Side

    @property
    def peer(self) -> Endpoint:
        """The other end, an IPv4 address mapped into IPv6 folded."""

    @property
    def local(self) -> Endpoint:
        """This end."""

    @property
    def spliceable(self) -> bool:
        """Whether the kernel may move what comes next without our seeing it."""

    async def receive(self, limit: int = CHUNK) -> bytes:
        """Return 1 to *limit* bytes, or ``b""`` at the end that the peer meant."""

    async def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* with what is ready, at least a byte; 0 is the end."""

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of *data*; on failure some, all or none of it may have gone."""

    async def send_eof(self) -> None:
        """Tell the peer that nothing more comes; receiving goes on."""

    def abort(self) -> None:
        """Close so that the peer sees something missing: a reset."""

    def unread(self, data: bytes) -> None:
        """Put *data* back; the next to receive gets it first."""

    def interrupt(self, error: PortwayError) -> None:
        """Raise *error* where the stream is waited for, and in every later call."""


class SocketStream:
    """A stream over *sock*, a connected socket that it owns from now on.

    It must be closed: one that is forgotten is closed with a ResourceWarning. *bare*
    says that what is on the socket is the payload itself, so that the kernel may move
    it. *poll* is the socket's, if it has one already.
    """

    bare = True

    __slots__ = ("_likely", "_local", "_peer", "_poll", "_sock", "_unread", "side")

    def __init__(
        self,
        sock: socket.socket,
        side: Side,
        peer: Endpoint | None = None,
        poll: Poll | None = None,
    ) -> None:
        if sock.gettimeout() != 0:
            sock.setblocking(False)
        self.side = side
        self._sock = sock
        self._poll = poll or Poll(sock)
        self._unread = b""
        self._likely = True  # that there is something to read at this moment
        self._peer = peer
        self._local: Endpoint | None = None

    def __del__(self) -> None:
        poll: Poll | None = getattr(self, "_poll", None)
        if poll is not None and not poll.closed:
            text = f"unclosed {self!r}"
            self.close()
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<SocketStream {self.side} fd={self._sock.fileno()}>"

    @property
    def peer(self) -> Endpoint:
        """The other end."""
        if self._peer is None:
            self._peer = self._ask(self._sock.getpeername)
        return self._peer

    @property
    def local(self) -> Endpoint:
        """This end."""
        if self._local is None:
            self._local = self._ask(self._sock.getsockname)
        return self._local

    def _ask(self, name: Callable[[], object]) -> Endpoint:
        try:
            return endpoint_of(name())
        except OSError as error:
            raise self.failed(error) from error

    def option(self, level: int, option: int, size: int) -> bytes:
        """Return a socket option of *size* bytes. Raises OSError."""
        return self._sock.getsockopt(level, option, size)

    @property
    def closed(self) -> bool:
        """Whether it is closed, or was given away by `detach`."""
        poll = getattr(self, "_poll", None)
        return poll is None or bool(poll.closed)

    @property
    def peer_address(self) -> IPAddress:
        """The other end's address."""
        return address_of(self.peer)

    @property
    def local_address(self) -> IPAddress:
        """This end's address."""
        return address_of(self.local)

    @property
    def spliceable(self) -> bool:
        """True unless bytes that were read already must go first."""
        return not self._unread

    @property
    def on_hangup(self) -> Callable[[], None] | None:
        """Called once, when the peer has closed or broken while nobody receives.

        Setting it keeps the stream alive until it is closed. Bytes that nobody
        receives hide the peer's end behind them.
        """
        return self._poll.on_hangup

    @on_hangup.setter
    def on_hangup(self, call: Callable[[], None] | None) -> None:
        self._poll.watch(call)

    def drop(self, ended: Callable[[], None]) -> None:
        """Read and drop all that comes; call *ended* once, at the peer's end."""
        self._unread = b""
        self._poll.dropping = True
        self._poll.watch(ended)

    async def receive(self, limit: int = CHUNK) -> bytes:
        """Return 1 to *limit* bytes, or ``b""`` at the end that the peer meant."""
        poll = self._poll
        if poll.error is not None:
            raise poll.error
        if self._unread:
            return self._take(limit)
        likely = self._likely
        while True:
            if likely:
                try:
                    data = self._sock.recv(limit)
                    break
                except BlockingIOError:
                    pass
                except OSError as error:
                    raise self.failed(error) from error
            await poll.readable()
            if poll.error is not None:
                raise poll.error
            likely = True
        self._likely = len(data) == limit
        if not data:
            self.ended()
        return data

    async def peek(self, limit: int) -> bytes:
        """Return what comes next, 1 to *limit* bytes, which stay; ``b""`` is the end.

        It does not see what was put back by `unread`.
        """
        while (data := self._peek(limit)) is None:
            await self.readable()
        if not data:
            self.ended()
        return data

    def wake_behind(self, count: int) -> None:
        """Let it be readable once more than *count* bytes wait, or at the end."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count + 1)

    async def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* with what is ready, at least a byte; 0 is the end."""
        poll = self._poll
        if poll.error is not None:
            raise poll.error
        if self._unread:
            data = self._take(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        while True:
            if self._likely:
                try:
                    count = self._sock.recv_into(buffer)
                    break
                except BlockingIOError:
                    pass
                except OSError as error:
                    raise self.failed(error) from error
            await self.readable()
        self._likely = count == len(buffer)
        if not count:
            self.ended()
        return count

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of *data*; on failure some, all or none of it may have gone."""
        sent = self.send_at_once(data)
        if sent < len(data):
            await self._send_rest(memoryview(data)[sent:], 0)

    def send_at_once(self, data: bytes | memoryview) -> int:
        """Send what can go without waiting; return how many bytes that was."""
        if self._poll.error is not None:
            raise self._poll.error
        try:
            return self._sock.send(data) if self.bare else 0
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.failed(error) from error

    async def send_urgent(self, data: bytes) -> None:
        """Send *data*, its last byte as TCP urgent data. For FTP's ABOR."""
        if self._poll.error is not None:
            raise self._poll.error
        await self._send_rest(memoryview(data), socket.MSG_OOB)

    async def _send_rest(self, data: memoryview, flags: int) -> None:
        while data:
            try:
                data = data[self._sock.send(data, flags) :]
            except BlockingIOError:
                await self.writable()
            except OSError as error:
                raise self.failed(error) from error

    async def send_eof(self) -> None:
        """Tell the peer that nothing more comes; receiving goes on."""
        if self._poll.error is not None:
            raise self._poll.error
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self.failed(error) from error

    def unread(self, data: bytes) -> None:
        """Put *data* back; the next to receive gets it first."""
        self._unread = data + self._unread

    def interrupt(self, error: PortwayError) -> None:
        """Raise *error* where the stream is waited for, and in every later call."""
        if not self._poll.closed:
            self._poll.interrupt(error)

    def has_ended(self) -> bool:
        """Say whether the peer has ended, or broken, and nothing waits before that."""
        if self._poll.closed or self._poll.error is not None:
            return True
        return not self._unread and self._peek() == b""

    def is_quiet(self) -> bool:
        """Say whether the peer is still there, and nothing that it sent waits."""
        if self._poll.closed or self._poll.error is not None or self._unread:
            return False
        return self._peek() is None

    def _peek(self, limit: int = 1) -> bytes | None:
        try:
            return self._sock.recv(limit, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError as error:  # which the socket tells only once
            self._poll.broken = error
            return b""

    def resume(self) -> None:
        """Let calls go on after an interruption that has been dealt with."""
        if not self._poll.closed:
            self._poll.error = None

    async def finish(self, seconds: float) -> None:
        """Read and drop what still comes, at most for *seconds*, then close.

        For after `send_eof`: closing over bytes that nobody read is a reset, by which
        the peer could lose what we sent last.
        """
        timer = self._poll.loop.call_later(seconds, self.close)
        try:
            while await self.receive():
                self._likely = False  # give way, however fast the peer sends
        except PortwayError:
            pass
        finally:
            timer.cancel()
            self.close()

    def close(self) -> None:
        """Close at once. What was sent still goes out, unless bytes wait unread."""
        if self.closed:
            return
        poll = self._poll
        if poll.error is None:
            poll.error = PeerError(self.side, "the connection was closed")
        poll.close()
        with suppress(OSError):
            self._sock.close()

    def abort(self) -> None:
        """Close so that the peer sees something missing: a reset."""
        if not self.closed:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close()

    def detach(self) -> tuple[socket.socket, Poll]:
        """Give the socket and its poll away; the stream is used no more."""
        sock, poll = self._sock, self._poll
        del self._sock, self._poll
        return sock, poll

    def reset_if_lost(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Let the peer see a reset, not an end, should the process die: or no more."""
        with suppress(OSError):
            self._sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET if on else NO_RESET
            )

    # For relay.splice, which moves bytes past us.

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""
        return self._sock.fileno()

    async def readable(self) -> None:
        """Wait until there may be something to read."""
        await self._poll.readable()
        self._likely = True
        if self._poll.error is not None:
            raise self._poll.error

    async def writable(self) -> None:
        """Wait until there may be room to write."""
        await self._poll.writable()
        if self._poll.error is not None:
            raise self._poll.error

    def failed(self, error: OSError) -> Exception:
        """Return what to raise for *error*, which a system call on the socket met.

        A reset is told to one system call alone, whichever comes first: it is kept,
        so that the peer's end does not look clean to the next.
        """
        if self._poll.error is not None:
            return self._poll.error
        self._poll.broken = error
        return PeerError(self.side, (error.strerror or "broken").lower())

    def ended(self) -> None:
        """Raise PeerError if an end that was read is no end that the peer meant."""
        if self._poll.broken is not None:
            raise self.failed(self._poll.broken)

    def _take(self, limit: int) -> bytes:
        data, self._unread = self._unread[:limit], self._unread[limit:]
        return data
