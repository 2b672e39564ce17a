"""A server of so many bytes, and its client: ``python -m bench.bytes PORT [PEM]``.

What stands behind a proxy where no FTP is spoken, inside TLS if there is a *PEM*. A
client sends `HEAD`, a direction and a size; then that many zero bytes go one way, and
the side that took them all says so.

Not here: TLS for the client, whom the proxy saves it. Invariant: every byte arrived, or
UnexpectedReplyError ends the measurement.
"""

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time

from bench.client import BLOCK, LOOPBACK, SECONDS, UnexpectedReplyError
from bench.tunnel import Shake, straight

HEAD = struct.Struct("!cQ")
DOWN, UP = b"d", b"u"
DONE = b"."


def _take(stream: socket.socket, size: int) -> None:
    """Take *size* bytes from *stream*. Raises UnexpectedReplyError if it ends first."""
    into = memoryview(bytearray(BLOCK))
    left = size
    while left:
        count = stream.recv_into(into[: min(left, BLOCK)])
        if not count:
            raise UnexpectedReplyError(f"{size - left} bytes of {size}")
        left -= count


def _give(stream: socket.socket, size: int) -> None:
    block = memoryview(bytes(BLOCK))
    while size:
        size -= stream.send(block[: min(size, BLOCK)])


def timed(
    port: int, way: bytes, size: int, server: int = 0, shake: Shake = straight
) -> float:
    """Move *size* bytes by way of *port*, DOWN or UP; return the seconds it took.

    *shake* is how the proxy on *port* is asked for *server*, which takes no part in it.
    """
    with socket.create_connection((LOOPBACK, port), timeout=SECONDS) as stream:
        shake(stream, server)
        began = time.monotonic()
        stream.sendall(HEAD.pack(way, size))
        if way == DOWN:
            _take(stream, size)
            stream.sendall(DONE)
        else:
            _give(stream, size)
        _take(stream, len(DONE))
        return time.monotonic() - began


def _serve(plain: socket.socket, context: ssl.SSLContext | None) -> None:
    """Serve one client; one that only looks whether we are here is none."""
    with (
        contextlib.suppress(OSError, UnexpectedReplyError, struct.error),
        context.wrap_socket(plain, server_side=True) if context else plain as stream,
    ):
        way, size = HEAD.unpack(stream.recv(HEAD.size))
        if way == DOWN:
            _give(stream, size)
            _take(stream, len(DONE))
        else:
            _take(stream, size)
        stream.sendall(DONE)


def main(port: str, pem: str = "") -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)
    with socket.create_server((LOOPBACK, int(port))) as listener:
        while True:
            plain, _ = listener.accept()
            plain.settimeout(SECONDS)
            threading.Thread(target=_serve, args=(plain, context), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
