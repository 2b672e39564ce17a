"""Connections that a server makes to us, or we to it, beside the one of an exchange.

Not here: what goes through them, and how it was agreed on. Invariant: no address is
dialled, and no caller let in, but the server's own, or one that the rules, or the
configuration, allow beside it.
"""

from collections.abc import Callable
from dataclasses import replace

from portway.errors import Refused
from portway.exchange import Exchange
from portway.model import Action, Endpoint, IPAddress, Reason, Side
from portway.net.dataport import DataPort, open_data_port
from portway.net.guard import fold
from portway.net.stream import SocketStream
from portway.services import DataPorts


async def connect_data(
    exchange: Exchange,
    at: Endpoint,
    *,
    source: IPAddress | None = None,
    seconds: float = 10.0,
) -> SocketStream:
    """Dial a data port at the server of *exchange*.

    An address other than the server's own is judged as a connection to it first; our
    own doors are nobody's data ports. Raises UpstreamError, Refused.
    """
    address = fold(at.address) if at.address is not None else None
    by_name = exchange.way.by_name and at.host == exchange.access.host
    if address is None and not by_name:
        raise Refused(Reason.SYNTAX)
    if address is not None and exchange.services.doors.is_ours(address, at.port):
        raise Refused(Reason.LOOP)
    if address != exchange.server:
        other = replace(
            exchange.access,
            action=Action.CONNECT,
            method="CONNECT",
            host=at.host,
            port=at.port,
            address=address,
            path="",
        )
        verdict = exchange.decide(other)
        if not verdict.allowed:
            raise Refused(verdict.reason or Reason.DEFAULT, verdict.because)
    return await exchange.way.reach_data(exchange.services, at, source, seconds)


def listen_for_data(exchange: Exchange, address: IPAddress, at: DataPorts) -> DataPort:
    """Listen on *address* for one data connection from the server of *exchange*.

    Raises Refused BUSY: no port is free.
    """
    foreign = exchange.visitor.door.captures
    admitted = admits(exchange, at)
    return open_data_port(address, at.ports, admitted, Side.SERVER, foreign=foreign)


def admits(exchange: Exchange, at: DataPorts) -> Callable[[IPAddress], bool]:
    """Return what says whether the server's data may come from an address."""
    server = exchange.server
    return lambda peer: peer == server or any(peer in net for net in at.peers)
