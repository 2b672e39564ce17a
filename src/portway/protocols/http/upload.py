"""A request's body on its way to an HTTP server.

Not here: the head before it, and the reply (forward.py). Invariant: a body that breaks
off is never ended towards the server as if it were whole.
"""

import asyncio
from collections.abc import Callable

from portway.errors import PeerError, PortwayError, Refused
from portway.exchange import Exchange
from portway.model import Reason, Side
from portway.net.stream import SocketStream
from portway.protocols.http import bodies
from portway.protocols.http.framing import Body, Framing
from portway.protocols.http.pace import Pace
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import BadMessage

GATHERED = 1 << 20  # bytes of a chunked request for a server that knows no chunks


async def framing_for(turn: Turn) -> Framing:
    """Return how the body goes to the server; an old one is given a length.

    Raises BadMessage, 411, where it is too long for that.
    """
    place = (turn.target.host, turn.target.port)
    if turn.body.kind is Body.NONE or place not in turn.house.old:
        return turn.body
    await turn.go_on()  # such a server never says 100
    if turn.body.kind is not Body.CHUNKED or turn.read:
        return turn.body
    try:
        async with asyncio.timeout(turn.house.settings.stall):
            payload = await bodies.gather(turn.client, GATHERED)
    except TimeoutError:
        text = "its body does not come"
        raise PeerError(Side.CLIENT, text, Reason.TIMEOUT) from None
    except Refused:
        text = "the server needs to know the length"
        raise BadMessage(Side.CLIENT, 411, text) from None
    turn.client.unread(payload)
    turn.here, turn.body = len(payload), Framing(Body.LENGTH, len(payload))
    turn.read = not payload
    return turn.body


async def with_what_is_here(turn: Turn, exchange: Exchange, head: bytes) -> bytes:
    """Return *head* with the whole body behind it, if that has come already."""
    if turn.body.kind is not Body.LENGTH or turn.here < turn.body.length:
        return head
    body = b""
    while len(body) < turn.body.length:
        body += await turn.client.receive(turn.body.length - len(body))
    turn.here -= len(body)
    turn.read = True
    exchange.up.moved(len(body))
    return head + body


class Upload:
    """A body that is sent while the reply may come already. *over* is told its end."""

    __slots__ = ("_exchange", "_over", "_server", "_task", "_turn")

    def __init__(
        self,
        turn: Turn,
        exchange: Exchange,
        server: SocketStream,
        over: Callable[[], None],
    ) -> None:
        self._turn = turn
        self._exchange = exchange
        self._server = server
        self._over = over
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> None:
        """Wait until it has ended, however that is."""
        await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Send no more of it."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        """Send it; a client that breaks off breaks off all of it."""
        turn, server, meter = self._turn, self._server, self._exchange.up
        settings = turn.house.settings
        pace = Pace(turn.client, server, meter, settings.stall, settings.min_rate)
        try:
            await self._send()
        except PortwayError as error:
            if error.side is not Side.SERVER:  # else it may have said why
                server.interrupt(error)
        else:
            turn.read = True
            self._over()
        finally:
            pace.close()

    async def _send(self) -> None:
        turn, exchange, server = self._turn, self._exchange, self._server
        if turn.body.kind is Body.CHUNKED:
            outlet = bodies.Outlet(server, exchange.up, chunked=True, trailers=True)
            await bodies.pass_chunked(turn.client, outlet, exchange, up=True)
            return
        length = turn.body.length
        await bodies.pass_length(turn.client, server, exchange, length, up=True)
