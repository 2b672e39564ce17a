"""Connections with HTTP servers: made, or taken from those that wait.

Not here: what is said on them (forward.py). Invariant: a connection that waits is used
again only for the very server that it reaches, by the way that it was made, and after
the rules have allowed the address that it goes to.
"""

from collections.abc import Hashable
from ipaddress import IPv4Address, IPv6Address

from portway.chain import Step, reach_parent
from portway.errors import PeerError, UpstreamError
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Endpoint, IPAddress, Reason, Side, read_address
from portway.net.preface import FORMATS
from portway.net.stream import SocketStream
from portway.net.tls import start_tls
from portway.protocols.http.house import House
from portway.protocols.http.recall import Recall
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import (
    RESPONSE,
    TOLERANT,
    ResponseHead,
    find_head,
)


class Server:
    """One connection with a server, or with a parent that is told whole URLs.

    *reused*: it has served before. *to_parent*: it is a parent that wants the URL.
    *surplus* is how many bytes were read behind the head of its reply.
    """

    __slots__ = ("address", "key", "reused", "stream", "surplus", "to_parent")

    def __init__(
        self,
        stream: SocketStream,
        address: IPAddress | None,
        key: Hashable,
        *,
        reused: bool = False,
        to_parent: bool = False,
    ) -> None:
        self.stream = stream
        self.address = address
        self.key = key
        self.reused = reused
        self.to_parent = to_parent
        self.surplus = 0

    async def read_head(self, recall: Recall, *, tolerant: bool) -> ResponseHead:
        """Read a reply's head; what comes behind it is given back to the stream.

        Raises PeerError, GONE, where the server ends instead; BadMessage.
        """
        stream, limits = self.stream, TOLERANT if tolerant else RESPONSE
        data = await stream.receive()
        end = find_head(data, 0, limits) if data else -1
        while end < 0:
            more = await stream.receive()
            if not more:
                raise ended(data)
            searched = len(data)
            data += more
            end = find_head(data, searched, limits)
        self.surplus = len(data) - end
        if self.surplus:
            stream.unread(data[end:])
            data = data[:end]
        return recall.reply(data, tolerant=tolerant)


def ended(data: bytes) -> PeerError:
    """Return what to raise where a server ended instead of a reply."""
    where = "in the middle of" if data else "before"
    return PeerError(Side.SERVER, f"the server closed the connection {where} its reply")


def key_of(turn: Turn, house: House) -> Hashable:
    """Return what connections have to have in common to serve *turn*.

    Who shows the client to its servers has a connection for each.
    """
    target, place, who = turn.target, turn.place, _shown(house, turn.gate)
    key: tuple[Hashable, ...]
    if place is None:
        key = house, target.scheme, target.host, target.port, who
    else:
        key = house, place.secure, place.endpoint, target.host, who
    ties = turn.recall.ties
    return (*key, *_who(turn.gate)) if ties and key in ties else key


def tie(server: Server, turn: Turn) -> None:
    """Let nobody but this user of this client use it: it has a login of its own."""
    key = server.key
    if isinstance(key, tuple) and turn.gate not in key:
        turn.recall.ties = {*(turn.recall.ties or ()), key}
        server.key = (*key, *_who(turn.gate))


def _who(gate: Gate) -> tuple[Gate, str]:
    """Return one client, and which of its users: each request brings its own."""
    return gate, gate.identity.user


def _shown(house: House, gate: Gate) -> Hashable:
    """Return who a server is told that it serves."""
    upstream = house.settings.upstream
    if upstream.keep_client:
        return gate.address
    return None if upstream.proxy_protocol == "off" else gate.visitor.client


def keep_for(
    house: House, gate: Gate, exchange: Exchange, stream: SocketStream, scheme: str
) -> None:
    """Keep *stream*, which a tunnel has made, for the requests that come out of it."""
    access = exchange.access
    if read_address(access.host) is not None:  # requests there may name another host
        stream.close()
        return
    key = (house, scheme, access.host, access.port, _shown(house, gate))
    exchange.services.idle.keep(key, stream, access.address)


async def reach(turn: Turn, exchange: Exchange, *, fresh: bool = False) -> Server:
    """Return a connection with *turn*'s server; a new one where it must be *fresh*.

    Raises UpstreamError, PeerError, Refused.
    """
    house, place = turn.house, turn.place
    secure = turn.target.scheme == "https" if place is None else place.secure
    key = key_of(turn, house)
    if not secure and house.parent is not None and house.parent.scheme == "http":
        return await _reach_parent(house, exchange, fresh=fresh)
    addresses = await exchange.addresses()
    if place is not None:
        addresses = place.among(addresses)
    if not fresh:
        kept = exchange.services.idle.take(key, addresses or None)
        if kept is not None:
            server = Server(kept.stream, kept.address, key, reused=True)
            try:
                exchange.reached(kept.address, kept.stream.local.host)
            except BaseException:
                kept.stream.close()
                raise
            return server
    seconds = house.settings.upstream.connect_timeout
    stream, address = await dial(exchange, addresses, source_of(turn), seconds)
    try:
        await introduce(turn, stream)
    except BaseException:
        stream.close()
        raise
    if secure:
        stream = await _secure(turn, exchange, stream)
    return Server(stream, address, key)


async def dial(
    exchange: Exchange,
    addresses: tuple[IPAddress, ...],
    source: IPAddress | None,
    seconds: float,
) -> tuple[SocketStream, IPAddress | None]:
    """Connect to one of *addresses*, which the rules allow; beside it stands which."""
    access = exchange.access
    at = Endpoint(access.host, access.port)
    stream, address = await exchange.way.reach(
        exchange.services, at, addresses, source, seconds
    )
    try:
        exchange.reached(address, stream.local.host)
    except BaseException:
        stream.close()
        raise
    return stream, address


def source_of(turn: Turn) -> IPv4Address | IPv6Address | None:
    """Return the address to dial from, if it is not the system's to choose."""
    upstream = turn.house.settings.upstream
    return turn.gate.address if upstream.keep_client else upstream.address


async def _reach_parent(house: House, exchange: Exchange, *, fresh: bool) -> Server:
    """Reach the HTTP proxy behind us, which is told the whole URL."""
    parent, settings = house.parent, house.settings.upstream
    if parent is None:
        raise RuntimeError("there is no parent")
    key = (house, "parent")
    if not fresh:
        kept = exchange.services.idle.take(key)
        if kept is not None:
            exchange.reached(None, kept.stream.local.host)
            return Server(kept.stream, None, key, reused=True, to_parent=True)
    step = Step(parent, settings.address, settings.connect_timeout)
    stream = await reach_parent(exchange.services, step)
    try:
        exchange.reached(None, stream.local.host)
    except BaseException:
        stream.close()
        raise
    return Server(stream, None, key, to_parent=True)


async def introduce(turn: Turn, stream: SocketStream) -> None:
    """Tell the server whom we connect for, where it expects that."""
    form = FORMATS.get(turn.house.settings.upstream.proxy_protocol)
    if form is None:
        return
    visitor = turn.gate.visitor
    called = visitor.called or turn.gate.stream.local
    await stream.send(form(visitor.client, called))


async def _secure(turn: Turn, exchange: Exchange, stream: SocketStream) -> SocketStream:
    """Go on inside TLS. Raises UpstreamError, TLS."""
    house = turn.house
    context, settings = house.contexts.connect, house.settings.upstream
    if context is None:
        stream.close()
        raise UpstreamError(Reason.TLS, "nothing says how to speak TLS with servers")
    name = settings.tls_name or turn.target.host
    inside = await start_tls(stream, context, server_hostname=name)
    inside.lenient = settings.tls_eof == "lenient"
    exchange.note(tls_server=f"{inside.version} {inside.cipher}")
    if not context.verify_mode:
        exchange.note(verified="false")
    return inside
