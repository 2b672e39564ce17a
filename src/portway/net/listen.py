"""The doors: sockets that clients connect to, and the loop that takes them in.

Not here: what is done with a client. Invariant: an accept loop outlives whatever an
accept can raise; running out of descriptors makes it pause, and says so once.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator

from portway.model import Endpoint, Side
from portway.net.capture import take_any_address
from portway.net.ends import endpoint_of
from portway.net.poll import Poll
from portway.net.stream import SocketStream

BACKLOG = 1024
AT_ONCE = 32  # clients taken in per wake-up: others in the loop get their turn
SHORT_PAUSE, LONG_PAUSE = 0.1, 1.0  # seconds, while there are no descriptors

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 60, 15, 4

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


def bind(endpoint: Endpoint, *, captures: bool = False) -> list[socket.socket]:
    """Return listening sockets, one for each address of *endpoint*'s host.

    ``::`` takes no IPv4. *captures*: they take what was meant for addresses that are
    not ours, too. Raises OSError; nothing is left open then.
    """
    found = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, number, _, name in dict.fromkeys(found):
            sock = socket.socket(family, kind, number)
            sockets.append(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            prepare(sock)
            if captures:
                take_any_address(sock)
            sock.bind(name)
            sock.listen(BACKLOG)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def prepare(sock: socket.socket) -> None:
    """Set what a control connection needs; what is accepted inherits it.

    Urgent data stays in line: FTP's ABOR would lose its data mark else. A peer that
    vanished is noticed within two minutes.
    """
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)


async def serve(sock: socket.socket, on_accept: Callable[[SocketStream], None]) -> None:
    """Hand each client of *sock* to *on_accept*, until cancelled.

    *sock* is a listening socket, and is closed at the end. The stream is
    *on_accept*'s to close.
    """
    poll = Poll(sock)
    pause = 0.0
    try:
        while True:
            await poll.readable()
            try:
                for accepted, name in _who_waits(sock):
                    on_accept(SocketStream(accepted, Side.CLIENT, endpoint_of(name)))
                    pause = 0.0
            except _NoDescriptors as error:
                if not pause:
                    at = str(endpoint_of(sock.getsockname()))
                    log.warning("listen.paused", extra={"at": at, "error": str(error)})
                pause = min(2 * pause, LONG_PAUSE) or SHORT_PAUSE
                await asyncio.sleep(pause)
    finally:
        poll.close()
        sock.close()


class _NoDescriptors(Exception):  # noqa: N818 - it is a state, and passes
    """Nothing is left to accept with."""


def _who_waits(sock: socket.socket) -> Iterator[tuple[socket.socket, object]]:
    """Accept who waits, up to a bound. Raises _NoDescriptors."""
    for _ in range(AT_ONCE):
        try:
            yield sock.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise _NoDescriptors(error.strerror) from error
            # else the client was gone before we came
