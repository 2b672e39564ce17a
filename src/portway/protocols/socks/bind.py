"""BIND: a server's connection to the client, through a port of ours that waits for it.

RFC 1928, section 4; the second reply says who came.

Not here: the dialogue before, and what goes through the connection. Invariant: at most
one connection is taken, from an address that the client named, or that the rules allow;
whatever the end, the port is closed.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from portway.chain import Step, reach_parent
from portway.errors import ParentError, PeerError, ProtocolError, Refused
from portway.exchange import Exchange
from portway.model import Action, Endpoint, IPAddress, Reason, Side
from portway.net.datagram import source_towards
from portway.net.dataport import DataPort, open_data_port
from portway.net.guard import fold
from portway.net.parent import Parent
from portway.net.stream import SocketStream
from portway.protocols.socks import via
from portway.protocols.socks.wire import Reply, Request

if TYPE_CHECKING:
    from portway.protocols.socks.session import Session

PATIENCE = 60.0  # seconds until somebody has to have come


async def serve(session: "Session", request: Request) -> None:
    """Let one connection in from where *request* says, and relay it.

    Raises PortwayError, where the client was not answered yet.
    """
    anyone = request.at.address is not None and request.at.address.is_unspecified
    destination = None if anyone else request.at
    gate = session.gate
    exchange = await gate.begin(Action.MANAGE, destination, method="BIND")
    session.claims(exchange)
    try:
        parent = session.house.parent
        if parent is None:
            await _here(session, exchange, anyone=anyone)
        else:
            await _at_parent(session, exchange, parent, request.at)
    except BaseException as error:
        session.blame(exchange, error)
        raise
    exchange.close()


async def _here(session: "Session", exchange: Exchange, *, anyone: bool) -> None:
    admitted = () if anyone else await exchange.addresses()

    def admits(peer: IPAddress) -> bool:
        return _may_come(exchange, peer) if anyone else peer in admitted

    listens, told = _place(session, admitted)
    port = open_data_port(
        listens, session.house.settings.data_ports, admits, Side.SERVER
    )
    try:
        await session.say(Reply.SUCCEEDED, Endpoint(str(told), port.endpoint.port))
        server = await _caller(port)
    finally:
        port.close(reset=True)
    await _go_on(session, exchange, server, server.peer)


def _place(
    session: "Session", admitted: tuple[IPAddress, ...]
) -> tuple[IPAddress, IPAddress]:
    """Return the address to listen at, and the one that the server is to connect to."""
    usual = session.house.settings.upstream.address
    if usual is None and admitted:
        usual = source_towards(admitted[0])
    here = session.stream.local_address
    listens, told = session.house.place(usual or anywhere(here.version))
    return listens, here if told.is_unspecified else told


def anywhere(version: int) -> IPAddress:
    """Return what stands for all of our addresses."""
    return IPv4Address("0.0.0.0") if version == 4 else IPv6Address("::")


def _may_come(exchange: Exchange, peer: IPAddress) -> bool:
    """Ask the rules about a caller, where the client has named nobody."""
    access = replace(exchange.access, host=str(peer), address=peer)
    return exchange.decide(access).allowed


async def _caller(port: DataPort) -> SocketStream:
    try:
        async with asyncio.timeout(PATIENCE):
            return await port.accept()
    except TimeoutError:
        raise _nobody() from None


def _nobody() -> PeerError:
    text = f"nobody connected within {PATIENCE:.0f} s"
    return PeerError(Side.SERVER, text, Reason.CONNECT_TIMEOUT)


async def _go_on(
    session: "Session", exchange: Exchange, server: SocketStream, peer: Endpoint
) -> None:
    """Tell the client who came, and let it speak with them."""
    try:
        if not exchange.access.host:
            _come_under_their_rule(exchange, peer)
        exchange.reached(peer.address, server.local.host)
        await session.say(Reply.SUCCEEDED, peer)
        exchange.told(session.yes)
        within = session.begin_relay()
        await within.join_blindly(exchange, session.stream, server)
        session.close(server)
    except BaseException:
        server.abort()
        raise


def _come_under_their_rule(exchange: Exchange, peer: Endpoint) -> None:
    """Who came is judged as the destination that nobody had named. Raises Refused."""
    exchange.access = replace(
        exchange.access, host=peer.host, port=peer.port, address=peer.address
    )
    verdict = exchange.decide(exchange.access)
    if not verdict.allowed:
        raise Refused(verdict.reason or Reason.DEFAULT, verdict.because, verdict)
    exchange.come_under(verdict)


async def _at_parent(
    session: "Session", exchange: Exchange, parent: Parent, at: Endpoint
) -> None:
    """Let the parent listen, if it is one that can."""
    if parent.scheme not in {"socks5", "socks5h"}:
        text = f"{parent.scheme}:// cannot listen for anybody"
        raise ProtocolError(Side.CLIENT, text, Reason.UNSUPPORTED)
    upstream = session.house.settings.upstream
    addresses = await exchange.addresses() if exchange.access.host else ()
    wanted = Endpoint(str(addresses[0]), at.port) if addresses else at
    step = Step(parent, upstream.address, upstream.connect_timeout)
    stream = await reach_parent(exchange.services, step)
    try:
        bound = await _asked(stream, parent, wanted, upstream.connect_timeout)
        await session.say(Reply.SUCCEEDED, bound)
        who = await _who_came(stream, parent)
        _admit(exchange, who, addresses)
    except BaseException:
        stream.abort()
        raise
    await _go_on(session, exchange, stream, who)


def _admit(exchange: Exchange, who: Endpoint, addresses: tuple[IPAddress, ...]) -> None:
    """Refuse who came to the parent's port, if nobody said that they may."""
    address = None if who.address is None else fold(who.address)
    if addresses and address not in addresses:
        text = "a stranger came to its port"
        raise ParentError(Reason.VIA, who, "target", text)
    if not exchange.access.host and (
        address is None or not _may_come(exchange, address)
    ):
        raise Refused(Reason.RULE)


async def _asked(
    stream: SocketStream, parent: Parent, wanted: Endpoint, seconds: float
) -> Endpoint:
    """Return where the parent listens now."""
    try:
        async with asyncio.timeout(seconds):
            at = await via.listen_5(stream, wanted, parent.credentials)
    except TimeoutError:
        text = "it does not answer in time"
        raise ParentError(Reason.VIA, parent.at, "parent", text) from None
    if at.address is None or at.address.is_unspecified:  # "where you found me"
        return replace(at, host=stream.peer.host)
    return at


async def _who_came(stream: SocketStream, parent: Parent) -> Endpoint:
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            return await via.reply_5(stream)
    raise ParentError(
        Reason.CONNECT_TIMEOUT, parent.at, "target", "nobody connected to its port"
    )
