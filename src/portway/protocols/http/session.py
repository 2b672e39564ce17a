"""One HTTP client connection: its requests, one after another.

Not here: what is done about a request, and how bytes are framed (wire.py). Invariant:
a request is read only when the one before it was answered whole, and every request is
judged by itself.
"""

import asyncio
import re
import socket
from contextlib import suppress

from portway.errors import PeerError, PortwayError, ProtocolError, Refused
from portway.gate import Gate
from portway.lines import shown
from portway.model import Reason, Side
from portway.net.linger import linger
from portway.net.stream import SocketStream
from portway.net.tls import TCP_CLOSE, TlsStream, start_tls
from portway.protocols.http import bodies, captured, errands, own
from portway.protocols.http.authority import Form, Target
from portway.protocols.http.house import House
from portway.protocols.http.inside import Inside
from portway.protocols.http.login import log_in, would_help
from portway.protocols.http.pace import Alarm
from portway.protocols.http.recall import Recall
from portway.protocols.http.refusal import answer_for
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import (
    BadMessage,
    RequestHead,
    find_head,
)

HEAD = 16384  # bytes that are asked for when a request may come
LINGER = 2.0  # seconds for what a client still sends when it has its last answer
IN_A_ROW = 32  # requests; then others in the loop get their turn
ALPN = frozenset({b"http/1.1", b"http/1.0"})
BEGINNING = 256  # bytes of what is no request that a record holds
_LINE_END = re.compile(rb"[\r\n]")

TIMEOUT = Reason.TIMEOUT
NOTHING = RequestHead("-", b"/", 0)
NOWHERE = Target(Form.ORIGIN)


class Session:
    """The requests of one client connection; *house* is what its door is made of."""

    __slots__ = (
        "_alarm",
        "_error",
        "_gate",
        "_house",
        "_in_a_row",
        "_inside",
        "_login",
        "_main",
        "_recall",
        "_stream",
        "_turn",
    )

    def __init__(self, house: House, stream: SocketStream, gate: Gate) -> None:
        self._house = house
        self._stream = stream
        self._gate = gate
        gate.parent = house.parent
        gate.tells = self._told
        self._inside: Inside | None = None
        self._alarm = Alarm()
        self._main: asyncio.Task[None] | None = None
        self._error: PortwayError | None = None  # what ends it from outside
        self._turn: Turn | None = None  # the request that is being served
        self._in_a_row = 0
        self._recall = Recall()
        self._login = (b"", 0.0)  # what was sent, and until when it counts

    @classmethod
    def inside(
        cls, house: House, client: SocketStream, gate: Gate, where: Inside
    ) -> "Session":
        """Return a session for the requests inside a tunnel of *gate*'s client.

        *client* is what the requests are read from: the connection in clear, or what
        TLS was laid over it. The tunnel's login is that of its requests.
        """
        session = cls(house, client, gate)
        session._inside = where
        return session

    async def run(self) -> None:
        """Serve requests until one of us has enough; the stream is closed then."""
        self._main = asyncio.current_task()
        self._gate.on_end(self._end)
        try:
            await self._begin()
            if await self._is_captured_tls():
                house, gate = self._house, self._gate
                await captured.serve(house, gate, self._stream, self._within)
                return
            while await self._serve_one():
                pass
        except asyncio.CancelledError:
            if self._error is None or self._main is None:
                self._stream.abort()
                raise
            self._main.uncancel()
            await self._part(self._error)
        except PortwayError as error:
            await self._part(error)
        finally:
            self._alarm.close()
            if self._inside is None:
                self._gate.close()

    async def _begin(self) -> None:
        """Go inside TLS, where the door wants that."""
        stream = self._stream
        if self._inside is None and self._house.settings.tls == "implicit":
            context = self._house.contexts.accept
            if context is None:
                raise RuntimeError("TLS was asked for, and nothing says how")
            stream = await start_tls(
                stream, context, server_side=True, admitted=ALPN, tickets=False
            )
        self._stream = self._gate.stream = stream
        stream.on_hangup = self._hung_up

    async def _is_captured_tls(self) -> bool:
        """Whether the client was on its way to a server, and speaks TLS."""
        house = self._house
        if house.mode != "transparent" or self._inside is not None:
            return False
        return await captured.is_tls(self._gate, self._stream, house.settings.head_time)

    # What ends it from outside.

    def _end(self, error: PortwayError) -> None:
        """End the session because of *error*, if nothing has ended it yet."""
        if self._error is None and self._main is not None:
            self._error = error
            if self._turn is not None:
                self._turn.error = error
            self._main.cancel()

    def _hung_up(self) -> None:
        """The client has ended, or broken: behind a whole request, an end is none."""
        stream = self._stream
        if isinstance(stream, TlsStream):
            ended = stream.said_goodbye
        else:
            ended = not _is_reset(stream)
        if ended:
            return
        self._end(PeerError(Side.CLIENT, "the client closed the connection"))

    def _told(self, error: PortwayError) -> str:
        """Return the status that the client gets for *error*."""
        if self._turn is not None and would_help(self._turn, error):
            return str(self._house.challenge[0])
        return str(answer_for(self._house, error).status)

    # Requests.

    async def _serve_one(self) -> bool:
        """Serve the next request; say whether another may follow."""
        found = await self._next_head()
        if found is None:
            self._stream.close()
            return False
        block, here = found
        turn = await self._turn_of(block, here)
        if turn is None:
            return False
        self._turn = turn
        await self._serve(turn)
        self._turn = None
        return await self._after(turn)

    async def _serve(self, turn: Turn) -> None:
        try:
            if self._must_log_in(turn):
                self._login = await log_in(turn, self._login)
            await errands.serve(turn, self._alarm, self._inside, self._within)
        except PortwayError as error:
            if error.reason is Reason.LOGIN:
                self._login = (b"", 0.0)
            if would_help(turn, error):
                asking = Refused(Reason.LOGIN)
                asking.record, error = error.record, asking
            await turn.refuse(error)

    async def _within(self, client: SocketStream, inside: Inside) -> None:
        """Serve the requests of *client* inside a tunnel."""
        session = Session.inside(self._house, client, self._gate, inside)
        await session.run()
        self._gate.on_end(self._end)

    def _must_log_in(self, turn: Turn) -> bool:
        if self._inside is not None or self._house.login == "none":
            return False
        return not own.is_ours(turn)

    async def _turn_of(self, block: bytes, here: int) -> Turn | None:
        """Return the request; None: it is none, and the client was told so."""
        try:
            head = self._recall.request(block)
            target = errands.target_of(head, self._house, self._inside)
            stream, recall = self._stream, self._recall
            return Turn(self._house, self._gate, stream, head, target, here, recall)
        except BadMessage as error:
            await self._refuse_bad(error, block)
            return None

    async def _refuse_bad(self, error: ProtocolError, data: bytes) -> None:
        text = f"{error.text}: {first_words(data)}"
        said = ProtocolError(error.side, text, error.reason)
        said_status = getattr(error, "status", 400)
        gate = self._gate
        told, gate.tells = gate.tells, lambda _: str(said_status)
        gate.leave(said, "-")
        gate.tells = told
        error.record = said.record
        await self._farewell(error)

    async def _farewell(self, error: PortwayError) -> None:
        """Answer what is no request, and close."""
        turn = Turn(self._house, self._gate, self._stream, NOTHING, NOWHERE)
        turn.keeps = False
        await turn.refuse(error)
        await self._close()

    async def _after(self, turn: Turn) -> bool:
        """Get ready for the next request, if there may be one."""
        if self._stream.closed:
            return False
        if not turn.keeps:
            await self._close()
            return False
        if not turn.read:
            length = turn.length
            if length is None:
                await self._close()
                return False
            stall = self._house.settings.stall
            self._alarm.set(stall, self._stream, "its body does not come", TIMEOUT)
            await bodies.drop(self._stream, length)
            self._alarm.clear()
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._in_a_row = 1
            await asyncio.sleep(0)
        return True

    async def _close(self) -> None:
        """Close behind the last answer, once the client has had time to read it."""
        stream = self._stream
        with suppress(PortwayError):
            await stream.send_eof()
        linger(stream, LINGER)

    async def _next_head(self) -> tuple[bytes, int] | None:
        """Return the next request's head, and how many bytes came behind it.

        None at the client's end, or where it has nothing to say any more.
        """
        gate, stream, settings = self._gate, self._stream, self._house.settings
        first = not self._in_a_row
        gate.begin_wait(settings.head_time if first else settings.keepalive)
        try:
            data = await stream.receive(HEAD)
        except (PeerError, Refused) as error:
            await self._nothing_came(error)
            return None
        finally:
            gate.end_wait()
        if not data:
            return None
        try:
            end = find_head(data)
            if end < 0:
                data, end = await self._whole_head(data)
        except BadMessage as error:
            await self._refuse_bad(error, data)
            return None
        here = len(data) - end
        if here:
            stream.unread(data[end:])
            data = data[:end]
        return data, here

    async def _whole_head(self, data: bytes) -> tuple[bytes, int]:
        """Read on until the head that *data* begins is whole. Raises BadMessage."""
        seconds = self._house.settings.head_time
        text = f"no whole request in {seconds:.0f} s"
        self._alarm.set(seconds, self._stream, text, Reason.IDLE)
        end = -1
        while end < 0:
            more = await self._stream.receive(HEAD)
            if not more:
                raise PeerError(Side.CLIENT, "it ended in the middle of a request")
            searched = len(data)
            data += more
            end = find_head(data, searched)
        self._alarm.clear()
        return data, end

    async def _nothing_came(self, error: PortwayError) -> None:
        """Close on a client that says nothing; a closing gateway says so if it did."""
        stream = self._stream
        stream.resume()
        if error.reason is Reason.DRAIN and not stream.is_quiet():
            await self._farewell(error)
        stream.close()

    async def _part(self, error: PortwayError) -> None:
        """End the session with *error*, told to the client if that can be still."""
        turn, stream = self._turn, self._stream
        if stream.closed:
            return
        stream.resume()
        if turn is not None and turn.answered:
            turn.cut()
            return
        if error.side is Side.CLIENT and error.reason is Reason.GONE:
            stream.abort()
            return
        if error.reason is Reason.TLS and error.side is Side.CLIENT:
            stream.abort()
            return
        if turn is None:
            if error.reason is Reason.IDLE:  # in the middle of a request
                self._gate.leave(error, "-")
            await self._farewell(error)
            return
        turn.keeps = False
        await turn.refuse(error)
        await self._close()


def first_words(data: bytes) -> str:
    """Return what a record holds of what is no request: nothing that may be secret."""
    line = _LINE_END.split(data.lstrip(b"\r\n"), 1)[0][:BEGINNING]
    line = line.partition(b"?")[0]
    method, blank, rest = line.partition(b" ")
    _, at, behind = rest.rpartition(b"@")
    return shown(method + blank + (b"..." + behind if at else rest))


def _is_reset(stream: SocketStream) -> bool:
    """Say whether nothing is left of the connection."""
    try:
        state = stream.option(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return True
    return state[0] == TCP_CLOSE
