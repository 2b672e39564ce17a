"""UDP ASSOCIATE: how the datagrams of one client get their sockets, and lose them.

RFC 1928, section 4. An association is its TCP connection's: it ends with it.

Not here: what is done with datagrams (association.py). Invariant: whatever the end, no
socket stays open.
"""

import asyncio
from typing import TYPE_CHECKING

from portway.chain import Step, reach_parent
from portway.errors import ParentError, ProtocolError
from portway.exchange import Exchange
from portway.model import Action, Endpoint, Reason, Side
from portway.net.datagram import open_datagrams
from portway.net.parent import Parent
from portway.net.stream import SocketStream
from portway.protocols.socks import via
from portway.protocols.socks.association import Association
from portway.protocols.socks.wire import Request

if TYPE_CHECKING:
    from portway.protocols.socks.session import Session


async def serve(session: "Session", request: Request) -> None:
    """Serve one association, until its TCP connection ends.

    Raises PortwayError, where the client was not answered yet.
    """
    totals = await session.gate.begin(Action.CONNECT, None, method="ASSOCIATE")
    session.claims(totals)
    parent = session.house.parent
    try:
        if parent is None:
            await _associate(session, totals, request.at.port, None)
        else:
            await _by_parent(session, totals, request.at.port, parent)
    except BaseException as error:
        session.blame(totals, error)
        raise
    totals.close()


async def _by_parent(
    session: "Session", totals: Exchange, port: int, parent: Parent
) -> None:
    if parent.scheme not in {"socks5", "socks5h"}:
        text = f"{parent.scheme}:// takes no datagrams"
        raise ProtocolError(Side.CLIENT, text, Reason.UNSUPPORTED)
    upstream = session.house.settings.upstream
    step = Step(parent, upstream.address, upstream.connect_timeout)
    stream = await reach_parent(totals.services, step)
    try:
        relay = await _asked(stream, parent, upstream.connect_timeout)
        await _associate(session, totals, port, (stream, relay))
    finally:
        stream.close()


async def _asked(stream: SocketStream, parent: Parent, seconds: float) -> Endpoint:
    """Return where the parent takes datagrams."""
    anywhere = Endpoint("0.0.0.0", 0)
    try:
        async with asyncio.timeout(seconds):
            at = await via.associate_5(stream, anywhere, parent.credentials)
    except TimeoutError:
        text = "it does not answer in time"
        raise ParentError(Reason.VIA, parent.at, "parent", text) from None
    if at.address is None or at.address.is_unspecified:  # "where you found me"
        return Endpoint(stream.peer.host, at.port)
    return at


async def _associate(
    session: "Session",
    totals: Exchange,
    port: int,
    parent: tuple[SocketStream, Endpoint] | None,
) -> None:
    settings, stream = session.house.settings, session.stream
    listens, told = session.house.place(stream.local_address)
    relay = None if parent is None else parent[1]
    client = (str(session.gate.address), port)
    association = Association(session, totals, client, relay)
    source = settings.upstream.address if parent is None else parent[0].local_address
    inside = open_datagrams(listens, settings.data_ports, association.from_client)
    try:
        outside = open_datagrams(source, None, association.from_outside)
    except BaseException:
        inside.close()
        raise
    error: BaseException | None = None
    try:
        totals.told(session.yes)
        session.told = True
        stream.drop(association.finish)
        if parent is not None:
            lost = ParentError(Reason.GONE, relay, "parent", "it closed the connection")
            parent[0].drop(lambda: association.finish(lost))
        at = Endpoint(str(told), inside.local.port)
        await association.run(inside, outside, at)
    except BaseException as caught:
        error = session.why(caught)
        raise
    finally:
        inside.close()
        outside.close()
        association.close(error)
    stream.close()
