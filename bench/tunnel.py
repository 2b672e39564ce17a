"""Ways through a proxy, as a load client asks for them: CONNECT, SOCKS 5, or nothing.

Not here: what goes through (bytes.py), and servers. Invariant: a proxy that does not
say yes in full ends the measurement.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator

from bench.client import LOOPBACK, SECONDS, UnexpectedReplyError

Shake = Callable[[socket.socket, int], None]
"""Ask for the server on a port of loopback. Raises UnexpectedReplyError."""

# No protocol begins like this, so that nobody takes it for one.
WORD = b"\0bench: some 32 bytes go one way\n"
# The server ends behind it. Who ends first keeps the connection's ports for a minute,
# and clients, and proxies towards their servers, would run out of theirs.
LAST_WORD = b"\0last: some 32 bytes go one way.\n"


def straight(stream: socket.socket, server: int) -> None:
    """Ask for nothing: this proxy has one server, or is the server."""
    del stream, server


def connect(stream: socket.socket, server: int) -> None:
    """Ask by HTTP's CONNECT."""
    host = f"{LOOPBACK}:{server}"
    stream.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        data = stream.recv(4096)
        if not data:
            break
        reply += data
    if reply[9:12] != b"200":
        raise UnexpectedReplyError(f"CONNECT: {reply[:200].decode(errors='replace')}")


def socks5(stream: socket.socket, server: int) -> None:
    """Ask by SOCKS 5, without a login. RFC 1928."""
    stream.sendall(b"\5\1\0")
    _expect(stream, 2, b"\5\0")
    stream.sendall(b"\5\1\0\1" + socket.inet_aton(LOOPBACK) + server.to_bytes(2))
    _expect(stream, 10, b"\5\0\0\1")


def _expect(stream: socket.socket, size: int, begin: bytes) -> None:
    reply = exactly(stream, size)
    if not reply.startswith(begin):
        raise UnexpectedReplyError(f"SOCKS: {reply.hex(' ')}")


def exactly(stream: socket.socket, size: int) -> bytes:
    """Return *size* bytes. Raises UnexpectedReplyError if there are fewer."""
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise UnexpectedReplyError(f"{len(data)} bytes of {size}")
        data += more
    return data


def _exchange(stream: socket.socket, word: bytes) -> None:
    stream.sendall(word)
    if exactly(stream, len(word)) != word:
        raise UnexpectedReplyError("another word came back")


def opened(port: int, server: int, shake: Shake, word: bytes = WORD) -> socket.socket:
    """Return a tunnel through which *word* has gone there and back."""
    stream = socket.create_connection((LOOPBACK, port), timeout=SECONDS)
    try:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake(stream, server)
        _exchange(stream, word)
    except BaseException:
        stream.close()
        raise
    return stream


def once(port: int, target: str) -> None:
    """Ask by SOCKS 5, exchange one word, and leave behind the server's end.

    *target* is its port.
    """
    with opened(port, int(target), socks5, LAST_WORD) as stream:
        if stream.recv(1):
            raise UnexpectedReplyError("more came behind the last word")


@contextlib.contextmanager
def idle(port: int, server: int, shake: Shake, count: int) -> Iterator[int]:
    """Hold *count* tunnels, or as many as the proxy takes; give their number."""
    with contextlib.ExitStack() as stack:
        held = 0
        with contextlib.suppress(OSError, UnexpectedReplyError):
            while held < count:
                stack.enter_context(opened(port, server, shake))
                held += 1
        yield held
