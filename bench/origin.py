"""What stands behind HTTP and SOCKS proxies: ``python -m bench.origin PORT``.

To ``GET /N`` it gives N zero bytes, 1 KiB or 10 GB; what is no GET it sends back, and
ends behind a last word. Not here: anything a person could use; field lines are not
read. Invariant: one process, one epoll loop, nothing blocks, and nothing is made that
could be there from the start.
"""

import contextlib
import selectors
import socket
import sys
import time
from collections.abc import Callable
from email.utils import formatdate

from bench.tunnel import LAST_WORD

BLOCK = memoryview(bytes(256 * 1024))
END = b"\r\n\r\n"
DATE = formatdate(time.time(), usegmt=True)
HEAD = f"""HTTP/1.1 200 OK\r
Server: bench\r
Date: {DATE}\r
Content-Type: application/octet-stream\r
Last-Modified: {DATE}\r
ETag: "bench"\r
Accept-Ranges: bytes\r
Content-Length: """


class Session:
    """One connection: its requests in order, each answered when the last one is out."""

    __slots__ = ("_buffer", "_left", "_loop", "_made", "_stream")

    def __init__(self, loop: selectors.BaseSelector, stream: socket.socket) -> None:
        self._loop = loop
        self._stream = stream
        self._buffer = b""
        self._left = 0  # bytes of the body that are still to go
        self._made: dict[bytes, tuple[bytes, int]] = {}
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.register(stream, selectors.EVENT_READ, self.ready)

    def ready(self) -> None:
        """Go on where it stopped."""
        try:
            if self._left:
                self._go_on()
            else:
                self._take()
        except BlockingIOError:
            return
        except OSError:
            self._close()

    def _take(self) -> None:
        data = self._stream.recv(65536)
        if not data:
            self._close()
            return
        if not self._buffer and not data.startswith(b"GET "):
            self._stream.send(data)  # less than any socket buffer
            if data == LAST_WORD:
                self._close()
            return
        self._buffer += data
        while END in self._buffer and not self._left:
            head, _, self._buffer = self._buffer.partition(END)
            self._answer(head[: head.find(b"\r\n")])

    def _answer(self, line: bytes) -> None:
        if line not in self._made:
            path = line.split(b" ")[1]
            size = int(path.rpartition(b"/")[2])
            head = f"{HEAD}{size}\r\n\r\n".encode()
            small = size <= len(BLOCK) // 4
            whole = head + bytes(size) if small else head
            self._made = {line: (whole, 0 if small else size)}
        whole, self._left = self._made[line]
        self._stream.send(whole)  # less than any socket buffer
        if self._left:
            self._loop.modify(self._stream, selectors.EVENT_WRITE, self.ready)

    def _go_on(self) -> None:
        self._left -= self._stream.send(BLOCK[: min(self._left, len(BLOCK))])
        if not self._left:
            self._loop.modify(self._stream, selectors.EVENT_READ, self.ready)

    def _close(self) -> None:
        self._loop.unregister(self._stream)
        self._stream.close()


def serve(port: int) -> None:
    """Serve for ever."""
    loop = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)

    def accept() -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                Session(loop, listener.accept()[0])

    loop.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in loop.select():
            handler: Callable[[], None] = key.data
            handler()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
