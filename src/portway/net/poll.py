"""One descriptor's place in the event loop.

The reader stays registered between waits: no system call per wait. An event while
nobody waits stands the registration down, which is our back-pressure, and the next wait
takes it up again.

Not here: reading and writing. Invariant: `close` comes before the socket is closed;
a number that is closed while registered is dead for the next socket that gets it.
"""

import asyncio
import socket
from collections.abc import Callable

Waiter = asyncio.Future[None]
DROPPED = 65536  # bytes at once; then others in the loop get their turn


class Poll:
    """The one poll of a socket, shared by all that is laid over it.

    One task may wait to read and one to write. *error* is what they find when
    `interrupt` woke them. *on_hangup* is called, once, when the peer is gone and
    nobody reads; bytes that wait unread hide the peer's end until they are read, or are
    dropped where the poll is *dropping*. *broken* is then how it went, if it was no
    clean end.
    """

    __slots__ = (
        "_forgets",
        "_gone",
        "_reader",
        "_reading",
        "_sock",
        "_woken",
        "_writer",
        "_writing",
        "broken",
        "closed",
        "dropping",
        "error",
        "fd",
        "loop",
        "on_hangup",
    )

    def __init__(self, sock: socket.socket) -> None:
        self.fd = sock.fileno()
        self.closed = False
        self.dropping = False
        self.error: Exception | None = None
        self.broken: OSError | None = None
        self._sock = sock
        self._gone: Callable[[], bool | None] | None = None
        self.loop = asyncio.get_running_loop()
        self._reader: Waiter | None = None
        self._writer: Waiter | None = None
        self._reading = False
        self._writing = False
        self._woken = False
        # uvloop drops a registration by itself once it has told of an error, of which
        # the bytes that came before it may have hidden the sight
        self._forgets = not isinstance(self.loop, asyncio.BaseEventLoop)
        self.on_hangup: Callable[[], None] | None = None

    def readable(self) -> Waiter:
        """Return what to await until there may be something to read."""
        if not self._reading or self._forgets:
            self._arm_reader()
        if self._reader is not None and not self._reader.done():
            raise RuntimeError("two tasks read one stream")
        self._reader = waiter = self.loop.create_future()
        return waiter

    def writable(self) -> Waiter:
        """Return what to await until there may be room to write."""
        if self._writer is not None and not self._writer.done():
            raise RuntimeError("two tasks write one stream")
        if not self._writing:
            if self.closed:
                raise RuntimeError("the poll is closed")
            self.loop.add_writer(self.fd, self._on_writable)
            self._writing = True
        self._writer = waiter = self.loop.create_future()
        return waiter

    def begin(self) -> None:
        """Take up the place in the loop that a first wait would take."""
        if not self._reading:
            self._arm_reader()

    def watch(self, on_hangup: Callable[[], None] | None) -> None:
        """Call *on_hangup* when the peer is gone and nobody reads; None: no more."""
        self.on_hangup = on_hangup
        if on_hangup is not None:
            self._keep_watching()

    def take_over(
        self, sock: socket.socket, gone: Callable[[], bool | None] | None
    ) -> None:
        """Go on for *sock*, another object on the same descriptor.

        *gone* says whether its peer has ended, where that is not to be seen on the
        descriptor; it reads and keeps all that has come, or returns None if that is
        too much.
        """
        self._sock = sock
        self._gone = gone

    def interrupt(self, error: Exception) -> None:
        """Wake whoever waits, to find *error*."""
        self.error = error
        release(self._reader)
        release(self._writer)

    def close(self) -> None:
        """Leave the loop, and wake whoever waits."""
        if self.closed:
            return
        self.closed = True
        self.on_hangup = None
        if not self.loop.is_closed():
            if self._reading:
                self.loop.remove_reader(self.fd)
            if self._writing:
                self.loop.remove_writer(self.fd)
            release(self._reader)
            release(self._writer)
        self._reading = self._writing = False

    def _arm_reader(self) -> None:
        if self.closed:
            raise RuntimeError("the poll is closed")
        try:
            self.loop.add_reader(self.fd, self._on_readable)
        except RuntimeError:  # uvloop has closed what it had of this descriptor
            self.loop.remove_reader(self.fd)
            self.loop.add_reader(self.fd, self._on_readable)
        self._reading = True

    def _on_readable(self) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            self._reader = None
            self._woken = True
            reader.set_result(None)
        elif self._woken and not self._forgets:
            # asyncio's own loop polls again before the reader it woke could read
            self._woken = False
        else:
            self._nobody_reads()

    def _nobody_reads(self) -> None:
        gone: bool | None = None
        if self.on_hangup is not None:
            try:
                gone = self._has_ended()
            except BlockingIOError:
                return
            except OSError as error:
                self.broken = error  # the socket tells it only once
                gone = True
            if self.dropping and not gone:
                self.loop.call_soon(self._keep_watching)
                return
            if self._gone is not None and gone is False:
                return
        self.loop.remove_reader(self.fd)
        self._reading = False
        if gone and self.on_hangup is not None:
            on_hangup, self.on_hangup = self.on_hangup, None
            on_hangup()

    def _keep_watching(self) -> None:
        if not self.closed and (not self._reading or self._forgets):
            self._arm_reader()

    def _has_ended(self) -> bool | None:
        """Look what has come; it stays, if it is wanted."""
        # the socket's own way, past TLS if that is laid over it
        if self.dropping:
            return not socket.socket.recv(self._sock, DROPPED)
        if self._gone is not None:
            return self._gone()
        return not self._sock.recv(1, socket.MSG_PEEK)

    def _on_writable(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None or writer.done():
            self.loop.remove_writer(self.fd)
            self._writing = False
        else:
            writer.set_result(None)


def release(waiter: Waiter | None) -> None:
    """Let go whoever waits; a cancelled wait leaves a done future behind."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
