"""A port that waits for one data connection from one peer.

Not here: who may connect (the caller's *admits*), and for how long. Invariant: at most
one connection is taken, it comes from an address that was admitted, and the port is
closed by then; everyone else sees a reset.
"""

import asyncio
import errno
import logging
import random
import socket
from collections.abc import Callable, Iterator

from portway.errors import PeerError, PortwayError, Refused
from portway.model import Endpoint, IPAddress, Reason, Side
from portway.net.capture import bind_to
from portway.net.ends import address_of, endpoint_of
from portway.net.introductions import Introductions
from portway.net.listen import EXHAUSTED
from portway.net.stream import SocketStream

BACKLOG = 4
STRANGERS = 8  # with the eighth the port closes: somebody is trying ports
LUCKY_TRIES = 8  # before the whole range is shuffled
ANOTHER_MAY_DO = (errno.EADDRINUSE, errno.EACCES)  # what is wrong with one port only

log = logging.getLogger(__name__)
chance = random.SystemRandom()  # a port that can be foretold can be stolen


class DataPort:
    """Listens on *sock* until somebody admitted connects, or `close`.

    It accepts by itself, whether or not anybody waits in `accept`. Who *introduces*
    others must say first whom the connection is from.
    """

    __slots__ = (
        "_admits",
        "_failure",
        "_introduces",
        "_introductions",
        "_loop",
        "_side",
        "_sock",
        "_stream",
        "_waiter",
        "endpoint",
        "strangers",
    )

    def __init__(
        self,
        sock: socket.socket,
        admits: Callable[[IPAddress], bool],
        side: Side,
        introduces: Callable[[IPAddress], bool] | None = None,
    ) -> None:
        self.endpoint: Endpoint = endpoint_of(sock.getsockname())
        self.strangers = 0
        self._sock = sock
        self._admits = admits
        self._side = side
        self._introduces = introduces
        self._introductions = Introductions()
        self._stream: SocketStream | None = None
        self._failure: PortwayError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._somebody_came)

    async def accept(self) -> SocketStream:
        """Return the connection; it is the caller's to close from then on.

        Only once. Raises PeerError if too many strangers came, or the port was
        closed; Refused, BUSY, if there was no descriptor for the connection.
        """
        while self._stream is None:
            if self._failure is not None:
                raise self._failure
            self._waiter = self._loop.create_future()
            await self._waiter
        stream, self._stream = self._stream, None
        return stream

    def close(self, *, reset: bool = False) -> None:
        """Stop listening, and close a connection that nobody has taken.

        With *reset*, whoever connected sees that something is missing.
        """
        self._stop(PeerError(self._side, "the data port was closed"))
        stream, self._stream = self._stream, None
        if stream is not None:
            if reset:
                stream.abort()
            else:
                stream.close()

    def _stop(self, error: PortwayError) -> None:
        """Close the port and wake whoever waits; *error* is for who comes later."""
        if self._sock.fileno() >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._introductions.close()
        if self._failure is None:
            self._failure = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _somebody_came(self) -> None:
        try:
            sock, name = self._sock.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:  # else whoever it was is gone again
                self._stop(Refused(Reason.BUSY))
            return
        peer = endpoint_of(name)
        stream = SocketStream(sock, self._side, peer)
        if self._introduces is None or not self._introduces(address_of(peer)):
            self._judge(stream)
        elif len(self._introductions) < STRANGERS:
            self._introductions.wait_for(
                stream,
                lambda stream, _: self._judge(stream),
                lambda stream, _: self._turn_away(stream),
            )
        else:
            self._turn_away(stream)

    def _judge(self, stream: SocketStream) -> None:
        if not self._admits(stream.peer_address):
            self._turn_away(stream)
            return
        self._stream = stream
        self._stop(PeerError(self._side, "the data connection was taken"))

    def _turn_away(self, stream: SocketStream) -> None:
        self.strangers += 1
        peer = stream.peer
        stream.abort()
        extra = {"peer": peer.host, "port": self.endpoint.port}
        log.warning("dataport.stranger", extra=extra)
        if self.strangers >= STRANGERS:
            crowd = PeerError(self._side, "too many strangers at the data port")
            self._stop(crowd)


def open_data_port(  # noqa: PLR0913 - all but four have defaults that mostly stand
    address: IPAddress,
    ports: range | None,
    admits: Callable[[IPAddress], bool],
    side: Side,
    *,
    foreign: bool = False,
    introduces: Callable[[IPAddress], bool] | None = None,
) -> DataPort:
    """Listen on *address* and a port of *ports*, in no order that can be foretold.

    *foreign*: *address* may be none of ours. *introduces* says of an address whether
    it must begin with a PROXY header, whose client is then the one to be admitted.

    None leaves the port to the kernel. *admits* gets each caller's address, IPv4
    mapped into IPv6 folded. Raises Refused, BUSY, if there is no port.
    """
    text = "no ports were given"
    for port in (0,) if ports is None else _shuffled(ports):
        try:
            sock = _listen(address, port, foreign=foreign)
        except OSError as error:
            text = error.strerror or str(error)
            if error.errno not in ANOTHER_MAY_DO:
                break
        else:
            return DataPort(sock, admits, side, introduces)
    log.error("dataport.none", extra={"address": str(address), "error": text})
    raise Refused(Reason.BUSY)


def _shuffled(ports: range) -> Iterator[int]:
    for _ in range(min(LUCKY_TRIES, len(ports))):
        yield chance.choice(ports)
    yield from chance.sample(ports, len(ports))


def _listen(address: IPAddress, port: int, *, foreign: bool = False) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # the last connection through this port may still be in TIME_WAIT; a port that
        # somebody listens on is refused all the same, at the latest by listen()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bind_to(sock, address, port, foreign=foreign)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
