"""Reverse doors: the server is one of those that the door leads to.

Not here: which server has its turn (net.balance), and who finds out by itself that one
is down (portway.health). Invariant: the client never learns where a server is; a server
that fails before it answered loses the request to the next one, unless it may have
acted on it.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from portway.errors import PortwayError, Refused, UpstreamError
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Reason, Side
from portway.net.balance import DOWN_TIME, Farm, Server
from portway.protocols.http import upgrade
from portway.protocols.http.authority import Target
from portway.protocols.http.forward import Passage
from portway.protocols.http.methods import action_of, naming_of
from portway.protocols.http.pace import Alarm
from portway.protocols.http.places import Place
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import BadMessage

TRIES = 3  # servers for one request

log = logging.getLogger(__name__)


def check_host(target: Target, hosts: tuple[str, ...]) -> None:
    """Raise BadMessage, 421, for a host that is none of the door's."""
    if not any(fnmatchcase(target.host, host.lower()) for host in hosts):
        raise BadMessage(Side.CLIENT, 421, "that host is not served here")


async def serve(turn: Turn, alarm: Alarm) -> None:
    """Serve *turn* by the first of the door's servers that answers it."""
    living: list[Server] = []
    try:
        farm, key = _farm_for(turn.gate)
        now = asyncio.get_running_loop().time()
        _let_return(farm, now, turn)
        living = farm.order(key, now)[:TRIES]
        if not living:
            raise none_left()
    except PortwayError as error:
        turn.gate.leave(error, turn.head.method)
        raise
    for left, server in zip(range(len(living) - 1, -1, -1), living, strict=True):
        with _one_more(server):
            if await _served(turn, alarm, farm, server, last=not left):
                return


async def _served(
    turn: Turn, alarm: Alarm, farm: Farm, server: Server, *, last: bool
) -> bool:
    """Let *server* answer; False: it could not, and the client knows nothing of it."""
    turn.place = Place(server.at, secure=_is_secure(turn))
    joins = upgrade.is_wanted(turn.head)
    exchange = await (upgrade.begin(turn) if joins else _begin(turn))
    passage = Passage(turn, exchange, alarm)
    try:
        await (upgrade.run(turn, exchange, passage) if joins else passage.run())
    except PortwayError as error:
        fault = not isinstance(error, Refused) and error.side is Side.SERVER
        if fault and not passage.asked:
            _out(farm, server, turn, error)
        if fault and not (last or passage.asked or turn.answered):
            exchange.close(error)
            return False
        await turn.refuse(error, exchange)
        exchange.close(error)
    except BaseException as error:
        exchange.close(turn.blamed(error))
        raise
    else:
        exchange.close()
    return True


async def _begin(turn: Turn) -> Exchange:
    action = action_of(turn.head.method)
    return await turn.begin(action, naming_of(turn.target.scheme))


def _is_secure(turn: Turn) -> bool:
    """Say whether the door's servers are spoken to inside TLS."""
    return turn.house.settings.upstream.tls == "implicit"


@contextmanager
def _one_more(server: Server) -> Iterator[None]:
    """Count a request of *server*'s for as long as it lasts."""
    server.sessions += 1
    try:
        yield
    finally:
        server.sessions -= 1


def _out(farm: Farm, server: Server, turn: Turn, error: PortwayError) -> None:
    """Take note that *server* could not be reached."""
    now = asyncio.get_running_loop().time()
    if server.lives(now):
        extra = {
            "listener": turn.gate.visitor.door.listener,
            "server": str(server.at),
            "error": error.text,
            "seconds": round(DOWN_TIME),
        }
        log.warning("farm.server_out", extra=extra)
    farm.failed(server, now)


def _let_return(farm: Farm, now: float, turn: Turn) -> None:
    """Say of which servers the time is over for which they got no requests."""
    for server in farm.servers:
        if 0 < server.down_until <= now:
            server.down_until = 0.0
            listener = turn.gate.visitor.door.listener
            extra = {"listener": listener, "server": str(server.at)}
            log.info("farm.server_returns", extra=extra)


def _farm_for(gate: Gate) -> tuple[Farm, str]:
    """Return the servers for a client, and the key that it is known by to them.

    Raises UpstreamError where the door went with a reload; Refused where no server is
    for this client.
    """
    farms = gate.services.farms.get(gate.visitor.door.listener)
    if farms is None:
        raise none_left()
    farm = farms.of(gate.address, gate.identity.user, gate.identity.groups)
    if farm is None:
        raise Refused(Reason.DEFAULT, "No server is for this client.")
    by_address = farm.balance == "source" or not gate.identity.user
    return farm, str(gate.address) if by_address else gate.identity.user


def none_left() -> UpstreamError:
    """Return what is said where no server lives."""
    return UpstreamError(Reason.UNREACHABLE, "no server is available")
