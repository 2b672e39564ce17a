"""The one leg of data on an errand: agreed upon with the server, then brought up.

Not here: what goes through it (errand.py), and which ways there are (data.py).
Invariant: what is dialled is the address of the control connection, whatever the server
says; an agreement that fails leaves no port open.
"""

import asyncio
from collections.abc import Awaitable, Callable

from portway.chain import ChainPort
from portway.datalegs import admits, connect_data, listen_for_data
from portway.errors import PeerError
from portway.exchange import Exchange
from portway.model import Endpoint, IPAddress, Reason, Side
from portway.net.dataport import DataPort
from portway.net.doors import is_local
from portway.net.stream import SocketStream
from portway.protocols.ftp import data
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.legs import port_argument, wildcard
from portway.protocols.ftp.settings import Upstream
from portway.protocols.ftp.wire import format_eprt
from portway.services import DataPorts

Leg = Endpoint | DataPort | ChainPort  # we dial it, or listen there
Ask = Callable[[bytes], Awaitable[Reply]]


async def agree(
    exchange: Exchange, wanted: Upstream, here: IPAddress, ask: Ask, refused: set[str]
) -> Leg | Reply:
    """Agree on a leg; return it, or the server's last refusal.

    *here* is our address on the control connection, *ask* asks there. The ways that
    the server *refused* are not tried again, and are added to. Raises ProtocolError
    for an answer that cannot be used.
    """
    server = exchange.server
    family = server.version if server else None
    answer = Reply(425, b"425 \r\n")
    for way in data.attempts("EPSV", family, wanted.data, refused):
        if way in data.PASSIVE:
            answer = await ask(way.encode())
            if answer.good:
                host = str(server or exchange.access.host)
                return data.server_address(way, answer.text, host).endpoint
        else:
            found = await _offer(exchange, wanted, here, ask, way)
            if not isinstance(found, Reply):
                return found
            answer = found
        if not data.is_refusal(answer.code):
            return answer
        refused.add(way)
    return answer


async def _offer(
    exchange: Exchange, wanted: Upstream, here: IPAddress, ask: Ask, way: str
) -> DataPort | ChainPort | Reply:
    """Listen for the server, and tell it where."""
    at, port = await _listen(exchange, wanted, here)
    try:
        told = format_eprt(at) if way == "EPRT" else port_argument(at)
        answer = await ask(way.encode() + b" " + told)
    except BaseException:
        port.close()
        raise
    if answer.good:
        return port
    port.close()
    return answer


async def _listen(
    exchange: Exchange, wanted: Upstream, here: IPAddress
) -> tuple[Endpoint, DataPort | ChainPort]:
    ports = DataPorts(wanted.data_ports, wanted.data_peers)
    if exchange.way.chained is not None:
        chained = await exchange.way.listen(
            exchange.services,
            Endpoint(str(exchange.server), exchange.access.port),
            admits(exchange, ports),
            None,
            wanted.connect_timeout,
        )
        return chained.endpoint, chained
    told = wanted.address or here
    at = told if told == here or is_local(told) else wildcard(told)
    port = listen_for_data(exchange, at, ports)
    return Endpoint(str(told), port.endpoint.port), port


async def bring_up(
    exchange: Exchange, leg: Leg, source: IPAddress | None, seconds: float
) -> SocketStream:
    """Return the connection that was agreed on.

    Raises UpstreamError, Refused, PeerError.
    """
    if isinstance(leg, Endpoint):
        return await connect_data(exchange, leg, source=source, seconds=seconds)
    try:
        async with asyncio.timeout(seconds):
            return await leg.accept()
    except TimeoutError:
        text = "the server does not connect for its data"
        raise PeerError(Side.SERVER, text, Reason.TIMEOUT) from None


def is_dialled(leg: Leg) -> bool:
    """Say whether the server listens, so that it can be dialled at once."""
    return isinstance(leg, Endpoint)


def close(leg: Leg) -> None:
    """Close *leg*, if it listens; whoever has connected there sees a reset."""
    if not isinstance(leg, Endpoint):
        leg.close(reset=True)
