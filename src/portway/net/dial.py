"""The one way out: a connection to the first of some addresses that answers.

RFC 8305: the addresses are tried in turn, the families alternating, each 250 ms after
the one before or as soon as that failed.

Not here: names (resolve.py), and whether the addresses may be dialled at all (the
exchange). Invariant: whatever the end, cancellation too, nothing stays open but the
connection that is returned.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

from portway.errors import PeerError, PortwayError, Refused, UpstreamError
from portway.model import Endpoint, IPAddress, Reason, Side
from portway.net.capture import bind_to
from portway.net.listen import EXHAUSTED, prepare
from portway.net.poll import Poll
from portway.net.stream import SocketStream

NEXT_ATTEMPT = 0.25  # seconds; RFC 8305, section 5
IP_BIND_ADDRESS_NO_PORT = 24  # <linux/in.h>; Python has a name for it since 3.12

_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
}
_TELLING = (Reason.REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE)
IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection shall go, and from where.

    *source_port* 0 leaves the port to the kernel. *host* is the name that the
    addresses came from, for errors. *foreign*: *source* may be none of ours.
    """

    port: int
    side: Side
    source: IPAddress | None
    source_port: int
    host: str
    foreign: bool = False

    def error(self, reason: Reason, text: str, address: IPAddress) -> PortwayError:
        """Return the error that says why *address* could not be reached."""
        at = str(Endpoint(str(address), self.port))
        where = f"{self.host} ({at})" if self.host not in {"", str(address)} else at
        if self.side is Side.SERVER:
            return UpstreamError(reason, f"{where}: {text}")
        return PeerError(self.side, f"{where}: {text}", reason)


async def dial(  # noqa: PLR0913 - all but two have defaults that mostly stand
    addresses: Sequence[IPAddress],
    port: int,
    *,
    side: Side = Side.SERVER,
    source: IPAddress | None = None,
    source_port: int = 0,
    seconds: float = 10.0,
    host: str = "",
    foreign: bool = False,
) -> SocketStream:
    """Connect to *port* at the first of *addresses*, at least one, that answers.

    *source* is the address to dial from, none of ours if *foreign*; addresses of the
    other family are left out then. Raises REFUSED, UNREACHABLE or CONNECT_TIMEOUT: an
    UpstreamError, or a PeerError if *side* is not the server. Refused, BUSY: no
    descriptor is left.
    """
    target = Target(port, side, source, source_port, host, foreign)
    usable = alternate(
        [one for one in addresses if source is None or one.version == source.version]
    )
    if not usable:
        text = "no address of the family that is dialled from"
        raise target.error(Reason.UNREACHABLE, text, addresses[0])
    race = _Race(target, usable)
    late = race.loop.call_later(seconds, race.too_late)
    try:
        race.next()
        return await race.result
    except BaseException:
        race.drop_winner()
        raise
    finally:
        late.cancel()
        race.close()


def alternate(addresses: Sequence[IPAddress]) -> list[IPAddress]:
    """Return *addresses* with the families alternating, the first one's first."""
    first = [one for one in addresses if one.version == addresses[0].version]
    others = [one for one in addresses if one.version != addresses[0].version]
    pairs = zip_longest(first, others)
    return [one for pair in pairs for one in pair if one is not None]


class _Race:
    """Attempts to connect, of which the first to succeed wins."""

    __slots__ = ("_attempts", "_errors", "_left", "_target", "_timer", "loop", "result")

    def __init__(self, target: Target, addresses: list[IPAddress]) -> None:
        self.loop = asyncio.get_running_loop()
        self.result: asyncio.Future[SocketStream] = self.loop.create_future()
        self._target = target
        self._left = addresses[::-1]
        self._attempts: dict[socket.socket, IPAddress] = {}
        self._errors: list[PortwayError] = []
        self._timer: asyncio.TimerHandle | None = None

    def next(self) -> None:
        """Start one more attempt, or fail if none is left to do or to wait for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._left and not self.result.done():
            address = self._left.pop()
            try:
                self._start(address)
            except OSError as error:
                self._failed(address, error.errno or 0)
                continue
            if self._left:
                self._timer = self.loop.call_later(NEXT_ATTEMPT, self.next)
            return
        if not self._attempts and not self.result.done():
            telling = min(self._errors, key=lambda error: _TELLING.index(error.reason))
            self.result.set_exception(telling)

    def _start(self, address: IPAddress) -> None:
        target = self._target
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            prepare(sock)
            if target.source is not None or target.source_port:
                self._bind(sock)
            number = sock.connect_ex((str(address), target.port))
            if number and number not in IN_PROGRESS:
                raise OSError(number, os.strerror(number))  # noqa: TRY301
        except BaseException:
            sock.close()
            raise
        self._attempts[sock] = address
        self.loop.add_writer(sock.fileno(), self._settled, sock)

    def _bind(self, sock: socket.socket) -> None:
        target = self._target
        if target.source_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            # the port is chosen when the peer is known: more of them fit
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        any_address = "0.0.0.0" if sock.family == socket.AF_INET else "::"
        at = target.source or any_address
        bind_to(sock, at, target.source_port, foreign=target.foreign)

    def _settled(self, sock: socket.socket) -> None:
        address = self._attempts.pop(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        won = not number and not self.result.done()
        poll = Poll(sock)
        if won:
            poll.begin()  # before the writer goes: the loop keeps its place for both
        self.loop.remove_writer(sock.fileno())
        if won:
            peer = Endpoint(str(address), self._target.port)
            self.result.set_result(SocketStream(sock, self._target.side, peer, poll))
            return
        sock.close()
        if not self.result.done():
            self._failed(address, number)
            self.next()

    def _failed(self, address: IPAddress, number: int) -> None:
        if number in EXHAUSTED:  # which is no fault of the server's
            self.result.set_exception(Refused(Reason.BUSY))
            return
        reason = _REASONS.get(number, Reason.UNREACHABLE)
        text = os.strerror(number).lower()
        self._errors.append(self._target.error(reason, text, address))

    def too_late(self) -> None:
        """End the race: nobody came in in time."""
        if not self.result.done():
            address = next(iter(self._attempts.values()))
            self.result.set_exception(
                self._target.error(Reason.CONNECT_TIMEOUT, "no answer in time", address)
            )

    def drop_winner(self) -> None:
        """Close the connection that was made, if it comes too late."""
        done = self.result
        if done.done() and not done.cancelled() and done.exception() is None:
            done.result().abort()

    def close(self) -> None:
        """Close all that did not win."""
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._attempts:
            self.loop.remove_writer(sock.fileno())
            sock.close()
        self._attempts.clear()
        self._left.clear()
