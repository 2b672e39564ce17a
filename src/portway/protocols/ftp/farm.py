"""Reverse doors: the server is one of those that the door leads to.

Not here: what all doors share whose server is known (fixed.py), which server has its
turn (net.balance), and who finds out by itself that one is down (portway.health).
Invariant: the client never learns where a server is; what it hears of those that do not
serve it is that none is available.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from portway.config.schema import Listener
from portway.errors import PortwayError, Refused, UpstreamError
from portway.gate import Gate
from portway.lines import shown
from portway.model import Endpoint, Reason
from portway.net.balance import DOWN_TIME, Farm, Server
from portway.net.stream import SocketStream
from portway.protocols.ftp import replies
from portway.protocols.ftp.fixed import Offer, Servers, Unreached, no_server
from portway.protocols.ftp.settings import FtpSettings

TRIES = 3  # servers for one client; then it is told to come back

log = logging.getLogger(__name__)


class Given:
    """A server of a farm, given to one client: one more session of it. See Offer."""

    __slots__ = ("_farm", "_listener", "_server", "error")

    def __init__(self, farm: Farm, server: Server, listener: str) -> None:
        self.error: PortwayError | None = None  # why it was not reached
        self._farm = farm
        self._server = server
        self._listener = listener
        server.sessions += 1

    @property
    def place(self) -> Endpoint:
        """See Offer."""
        return self._server.at

    def failed(self, error: PortwayError | None) -> None:
        """See Offer; a refusal of ours is not the server's fault."""
        self.error = error
        self.left()
        if isinstance(error, Refused):
            return
        now = asyncio.get_running_loop().time()
        if self._server.lives(now):
            extra = {
                "listener": self._listener,
                "server": str(self.place),
                "error": error.text if error else "greeted with a refusal",
                "seconds": round(DOWN_TIME),
            }
            log.warning("farm.server_out", extra=extra)
        self._farm.failed(self._server, now)

    def left(self) -> None:
        """See Offer."""
        self._server.sessions -= 1


@dataclass(frozen=True, slots=True)
class Reverse:
    """The servers of one reverse door; see Servers."""

    early: bool

    def offers(self, gate: Gate, stream: SocketStream, user: bytes) -> Iterable[Offer]:
        """Yield servers that live, the one whose turn it is first.

        After a refusal of ours there is no next one: it is about the client.
        """
        del stream
        listener = gate.visitor.door.listener
        farm, key = _farm_for(gate, user)
        now = asyncio.get_running_loop().time()
        _let_return(farm, now, listener)
        living = farm.order(key, now)
        for server in living[:TRIES]:
            offer = Given(farm, server, listener)
            yield offer
            if isinstance(offer.error, Refused):
                return
        if not living:
            gate.leave(none_left(), "CONNECT")
        raise no_server()


def _let_return(farm: Farm, now: float, listener: str) -> None:
    """Say of which servers the time is over for which they got no sessions."""
    for server in farm.servers:
        if 0 < server.down_until <= now:
            server.down_until = 0.0
            extra = {"listener": listener, "server": str(server.at)}
            log.info("farm.server_returns", extra=extra)


def _farm_for(gate: Gate, user: bytes) -> tuple[Farm, str]:
    """Return the servers for a client, and the key that it is known by to them.

    Its name is that of its login to us or, without one, that of its USER: the server
    will ask for the password. Raises Unreached.
    """
    farms = gate.services.farms.get(gate.visitor.door.listener)
    if farms is None:  # the door went with a reload
        gate.leave(none_left(), "CONNECT")
        raise no_server()
    name = gate.identity.user or shown(user)
    farm = farms.of(gate.address, name, gate.identity.groups)
    if farm is None:
        gate.leave(Refused(Reason.DEFAULT, "no server is for this login"), "CONNECT")
        raise Unreached(replies.NOBODYS_SERVER)
    return farm, str(gate.address) if farm.balance == "source" else name


def farm_of(listener: Listener, methods: tuple[str, ...]) -> Servers | None:
    """Return the servers of *listener*, if it is a reverse door.

    Where the client's name decides, or it may name a server itself, it speaks first.
    """
    settings = listener.settings
    if listener.mode != "reverse" or not isinstance(settings, FtpSettings):
        return None
    early = listener.login == "none" and not methods and not settings.asks_who
    return Reverse(early)


def none_left() -> UpstreamError:
    """Return what a record says where no server lives."""
    return UpstreamError(Reason.UNREACHABLE, "no server is available")
