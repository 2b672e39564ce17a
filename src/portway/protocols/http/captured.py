"""TLS that comes to a transparent door: a tunnel to where its client was going.

Not here: HTTP in clear, whose requests are judged one by one (errands.py). Invariant:
what is dialled is the very address that the client has called, whatever name it says.
"""

from functools import partial

from portway.errors import Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Action, Reason
from portway.net.capture import original_destination
from portway.net.hello import HANDSHAKE, MOST
from portway.net.stream import SocketStream
from portway.protocols.http.house import House
from portway.protocols.http.intercept import Opening, Within
from portway.protocols.http.methods import naming_of
from portway.protocols.http.places import Asked, Place, judge_name, place_at
from portway.protocols.http.tunnel import Kind, Look, Manner, look, run
from portway.protocols.http.upstream import dial


async def is_tls(gate: Gate, client: SocketStream, seconds: float) -> bool:
    """Say whether *client* speaks TLS; what it said is still to be read."""
    data = await gate.wait_for(client.receive(MOST), seconds)
    if data:
        client.unread(data)
    return data[:1] == bytes((HANDSHAKE,))


async def serve(house: House, gate: Gate, client: SocketStream, within: Within) -> None:
    """Join *client* with the server that it called. Both are closed in the end.

    *within* serves requests inside a tunnel. Raises PortwayError, with its record left.
    """
    at = original_destination(client)
    seen = await look(client)
    name = seen.hello.server_name
    asked = Asked(Action.CONNECT, "CONNECT", naming_of("http"))
    place = await place_at(gate, name or at.host, at, asked)
    try:
        exchange = await gate.begin(
            asked.action, place.endpoint, method=asked.method, naming=asked.naming
        )
    except BaseException:
        client.abort()  # words in clear would say nothing to it
        raise
    if name:
        exchange.note(sni=name)
    server: SocketStream | None = None
    try:
        _check(seen)
        if place.unproven:
            judge_name(exchange, place.unproven)
        server = await _reach(house, gate, exchange, place)
        redial = partial(_reach, house, gate, exchange, place)
        open_up = Opening(house, gate, exchange, redial, within)
        manner = Manner(house.settings.idle, open_up=open_up)
        await run(exchange, client, server, manner)
    except BaseException as error:
        if server is not None:
            server.abort()
        client.abort()
        exchange.close(error)
        raise
    server.close()
    client.close()
    exchange.close()


def _check(seen: Look) -> None:
    if seen.kind is not Kind.TLS:
        raise Refused(Reason.UNSUPPORTED, "What cannot be read goes nowhere.")


async def _reach(
    house: House, gate: Gate, exchange: Exchange, place: Place
) -> SocketStream:
    addresses = await exchange.addresses()
    upstream = house.settings.upstream
    source = gate.address if upstream.keep_client else upstream.address
    stream, _ = await dial(
        exchange, place.among(addresses), source, upstream.connect_timeout
    )
    return stream
