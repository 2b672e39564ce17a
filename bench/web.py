"""HTTP as a load client speaks it to a proxy: a blocking socket, kept for many GETs.

Not here: how many clients there are (load.py). Invariant: a reply that is not a whole
one of status 200 ends the measurement; nothing is counted that was not served.
"""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator

from bench.client import BLOCK, LOOPBACK, SECONDS, UnexpectedReplyError

END = b"\r\n\r\n"
SMALL = 1024
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Getter:
    """A connection to the proxy on *port*, for *size* bytes from the server *target*.

    *target* is the server's port.
    """

    def __init__(self, port: int, target: str, size: int = SMALL) -> None:
        self._size = size
        self._stream = socket.create_connection((LOOPBACK, port), SECONDS)
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._into = memoryview(bytearray(BLOCK))
        host = f"{LOOPBACK}:{target}"
        self._request = (
            f"GET http://{host}/{size} HTTP/1.1\r\nHost: {host}\r\n"
            "User-Agent: bench\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n"
        ).encode()

    def get(self) -> None:
        """Ask once, and take the whole reply. Raises UnexpectedReplyError."""
        self._stream.sendall(self._request)
        head, rest = self._head()
        length = LENGTH.search(head)
        if head[9:12] != b"200" or length is None or int(length[1]) != self._size:
            raise UnexpectedReplyError(f"GET: {head[:200].decode(errors='replace')}")
        self._body(self._size - rest)

    def _head(self) -> tuple[bytes, int]:
        """Return the reply's head, and how many bytes of its body came with it."""
        data = b""
        while END not in data:
            more = self._stream.recv(65536)
            if not more:
                raise UnexpectedReplyError(f"GET: closed after {len(data)} bytes")
            data += more
        head, _, body = data.partition(END)
        return head + b"\r\n", len(body)

    def _body(self, left: int) -> None:
        while left > 0:
            count = self._stream.recv_into(self._into[: min(left, BLOCK)])
            if not count:
                raise UnexpectedReplyError(f"GET: {left} bytes are missing")
            left -= count
        if left:
            raise UnexpectedReplyError(f"GET: {-left} bytes too many")

    def close(self) -> None:
        """End the connection."""
        self._stream.close()


@contextlib.contextmanager
def getting(port: int, target: str) -> Iterator[Callable[[], None]]:
    """Give what GETs 1 KiB, again and again."""
    with contextlib.closing(Getter(port, target)) as getter:
        yield getter.get


def get_once(port: int, target: str) -> None:
    """GET 1 KiB over a connection of its own."""
    with getting(port, target) as get:
        get()
