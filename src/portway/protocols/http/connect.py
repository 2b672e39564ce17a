"""CONNECT: a tunnel to a server. RFC 9110, section 9.3.6.

Not here: what goes through it (tunnel.py). Invariant: the client hears 200 only once
the connection with the server stands, and nothing behind it but what the server says.
"""

from functools import partial

from portway.errors import PortwayError
from portway.exchange import Exchange
from portway.model import Action
from portway.net.stream import SocketStream
from portway.protocols.http import tunnel
from portway.protocols.http.inside import Inside
from portway.protocols.http.intercept import Opening, Within
from portway.protocols.http.methods import naming_of
from portway.protocols.http.turn import Turn
from portway.protocols.http.upstream import introduce, keep_for, source_of

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def connect(turn: Turn, within: Within) -> None:
    """Serve the CONNECT *turn*; *within* serves requests inside a tunnel."""
    exchange = await turn.begin(Action.CONNECT, naming_of("http"), word="connect")
    try:
        server = await _reach(turn, exchange)
        try:
            await turn.send(ESTABLISHED)
        except BaseException:
            server.abort()
            raise
        turn.keeps = False
        turn.answered = True
        exchange.told("200")
        await through(exchange, turn.client, server, turn, within)
    except PortwayError as error:
        await turn.refuse(error, exchange)
        exchange.close(error)
    except BaseException as error:
        exchange.close(turn.blamed(error))
        raise
    else:
        exchange.close()


async def _reach(turn: Turn, exchange: Exchange) -> SocketStream:
    seconds = turn.house.settings.upstream.connect_timeout
    server = await exchange.connect(source=source_of(turn), seconds=seconds)
    try:
        await introduce(turn, server)
    except BaseException:
        server.abort()
        raise
    return server


async def through(
    exchange: Exchange,
    client: SocketStream,
    server: SocketStream,
    turn: Turn,
    within: Within,
) -> None:
    """Let bytes go between *client* and *server* to the end; both are closed then.

    What is HTTP in clear is served by *within*. Raises PortwayError, and then both were
    reset.
    """
    place = exchange.access

    async def take_over(client: SocketStream, server: SocketStream) -> None:
        keep_for(turn.house, turn.gate, exchange, server, "http")
        await within(client, Inside("http", place.host, place.port))

    redial = partial(_reach, turn, exchange)
    open_up = Opening(turn.house, turn.gate, exchange, redial, within)
    manner = tunnel.Manner(turn.house.settings.idle, take_over, open_up)
    try:
        await tunnel.run(exchange, client, server, manner)
    except BaseException:
        server.abort()
        client.abort()
        raise
    server.close()
    client.close()
