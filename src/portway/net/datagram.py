"""UDP over a socket of ours: what comes is handed on at once, what cannot go is lost.

Not here: whose datagrams they are. Invariant: nothing waits in here, and no task does;
a flood gets its turn like anybody else.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from portway.errors import Refused
from portway.model import Endpoint, IPAddress, Reason
from portway.net.dataport import ANOTHER_MAY_DO, LUCKY_TRIES, chance
from portway.net.ends import address_of, endpoint_of

AT_ONCE = 32  # datagrams per wake-up: others in the loop get their turn
LARGEST = 65535
MAPPED = "::ffff:"  # RFC 4291, section 2.5.5.2

Address = tuple[str, int]  # as sockets have it: host, port

log = logging.getLogger(__name__)


class Datagrams:
    """A bound UDP *sock*. *take* gets each datagram, and where it is from.

    What has IPv4 mapped into IPv6 is told as IPv4. It must be closed.
    """

    __slots__ = ("_loop", "_mapped", "_sock", "_take", "family", "local")

    def __init__(
        self, sock: socket.socket, take: Callable[[bytes, Address], None]
    ) -> None:
        self._sock = sock
        self._take = take
        self.local: Endpoint = endpoint_of(sock.getsockname())
        self.family = sock.family
        # takes IPv4 too, mapped
        self._mapped = self.family == socket.AF_INET6 and self.local.host == "::"
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    def reaches(self, address: IPAddress) -> bool:
        """Say whether it can send to *address*, as far as families go."""
        if address.version == 4:
            return self._mapped or self.family == socket.AF_INET
        return self.family == socket.AF_INET6

    def name(self, address: IPAddress, port: int) -> Address:
        """Return what `send` takes for *address*, which it `reaches`."""
        if address.version == 4 and self._mapped:
            return f"{MAPPED}{address}", port
        return str(address), port

    def send(self, data: bytes, to: Address) -> bool:
        """Send *data*, or lose it; say whether it went."""
        try:
            self._sock.sendto(data, to)
        except OSError:  # no room, no route, too long: all that may happen to UDP
            return False
        return True

    def close(self) -> None:
        """Close it; nothing is taken any more."""
        if self._sock.fileno() >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, name = self._sock.recvfrom(LARGEST)
            except OSError:  # nothing more has come
                return
            host, port = name[0], name[1]
            if self._mapped:
                host = host.removeprefix(MAPPED)
            self._take(data, (host, port))
            if self._sock.fileno() < 0:
                return


def open_datagrams(
    address: IPAddress | None,
    ports: range | None,
    take: Callable[[bytes, Address], None],
) -> Datagrams:
    """Open a socket at *address* and a port of *ports*; None leaves it to the kernel.

    Without an address it reaches both families, if this machine has both. Raises
    Refused, BUSY.
    """
    text = "no ports were given"
    for port in (0,) if ports is None else _shuffled(ports):
        try:
            return Datagrams(_bound(address, port), take)
        except OSError as error:
            text = error.strerror or str(error)
            if error.errno not in ANOTHER_MAY_DO:
                break
    log.error("datagram.none", extra={"address": str(address), "error": text})
    raise Refused(Reason.BUSY)


def source_towards(address: IPAddress) -> IPAddress | None:
    """Return the address of ours from which *address* is reached; None: it is not."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))  # which sends nothing
        return address_of(endpoint_of(probe.getsockname()))
    return None


def _shuffled(ports: range) -> Iterator[int]:
    for _ in range(min(LUCKY_TRIES, len(ports))):
        yield chance.choice(ports)
    yield from chance.sample(ports, len(ports))


def _bound(address: IPAddress | None, port: int) -> socket.socket:
    last: OSError | None = None
    for family, host in _places(address):
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            if error.errno not in {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}:
                raise
            last = error
            continue
        try:
            sock.setblocking(False)
            if host == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((host, port))
        except BaseException:
            sock.close()
            raise
        return sock
    raise last or OSError(errno.EAFNOSUPPORT, "no family of addresses")


def _places(address: IPAddress | None) -> Iterator[tuple[int, str]]:
    if address is None:
        yield socket.AF_INET6, "::"
        yield socket.AF_INET, "0.0.0.0"
    else:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        yield family, str(address)
