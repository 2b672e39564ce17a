"""Tunnels: what a client and its server say to each other once they are joined.

For CONNECT of HTTP and of SOCKS: protocols.md, section 2.5. The server's bytes go down
from the beginning; the client's first ones are looked at, and then go up as they are.
What turns out to be HTTP in clear is taken over, so that each request is judged.

Not here: how the client asked for the tunnel, and the HTTP within (session.py).
Invariant: bytes that were looked at go on unchanged, or nowhere; and whatever breaks
one way off breaks the other off too.
"""

import asyncio
import re
import select
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from portway.errors import PeerError, PortwayError, Refused
from portway.exchange import Exchange
from portway.model import Reason, Side
from portway.net.deadline import Deadline
from portway.net.hello import HANDSHAKE, MOST, Hello, read_hello
from portway.net.stream import SocketStream
from portway.protocols.http.places import judge_name

LOOK_TIME = 5.0  # seconds for the rest of what the client's first bytes begin
TICK = 60.0  # seconds between two looks at a tunnel
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
# Wider than what HTTP allows: servers read requests that are none, and whoever takes
# them over refuses those.
_REQUEST = re.compile(rb"[!-~]+[ \t].*HTTP/\d|GET[ \t]+/", re.IGNORECASE)
# What may yet become one that a server takes: a method, and no control byte behind it.
_WORDS = re.compile(rb"[A-Z_-]{1,64}([ \t][\t -~\x80-\xff]*\r?)?")
_ENDS = b"\r\n"


class Kind(Enum):
    """What a client's first bytes are the beginning of."""

    TLS = auto()
    HTTP = auto()
    HTTP_2 = auto()
    OTHER = auto()
    BROKEN = auto()  # TLS, or a request, that has no end or cannot be read


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a tunnel; *hello* is there with TLS, unless it came in part."""

    kind: Kind
    hello: Hello = field(default_factory=Hello)


OTHER = Look(Kind.OTHER)
BROKEN = Look(Kind.BROKEN)


TakeOver = Callable[[SocketStream, SocketStream], Awaitable[None]]
OpenUp = Callable[[SocketStream, SocketStream, Hello], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Manner:
    """How tunnels go at a door.

    *idle* is the seconds that one may be silent. *take_over* serves the requests of a
    client, in clear, that *server* is to answer; it closes both. *open_up* does so with
    TLS, which it lays over both; it returns False, with nothing done, where it does not
    want to. *looks*: what goes through may be looked at.
    """

    idle: float
    take_over: TakeOver | None = None
    open_up: OpenUp | None = None
    looks: bool = True


async def run(
    exchange: Exchange, client: SocketStream, server: SocketStream, manner: Manner
) -> None:
    """Move bytes between *client* and *server* until both have ended.

    *exchange* stays open, and so do both streams; who took them over has closed them.
    Raises PeerError of the side that broke, Refused where the rules end it; both
    streams should be reset then. To end it from outside, cancel the task.
    """
    client.on_hangup = None
    tunnel = Tunnel(exchange, client, server, manner)
    try:
        await tunnel.run()
    finally:
        await tunnel.close()


class Tunnel:
    """One tunnel, from its beginning to its end."""

    __slots__ = (
        "_client",
        "_clock",
        "_down",
        "_ended",
        "_exchange",
        "_manner",
        "_moved",
        "_server",
        "_silent",
    )

    def __init__(
        self,
        exchange: Exchange,
        client: SocketStream,
        server: SocketStream,
        manner: Manner,
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._server = server
        self._manner = manner
        self._down: asyncio.Task[None] | None = None
        self._ended: set[Side] = set()  # who has said that nothing more comes
        self._moved = 0  # bytes, when it was last looked at
        self._silent = 0.0  # seconds, as far as is known
        self._clock = Deadline(self._look_after)
        self._clock.set(self._tick)

    async def run(self) -> None:
        """Look, and let it go on as that says."""
        how = self._exchange.verdict.handling.tunnel if self._manner.looks else "blind"
        seen = OTHER
        if how == "tls":
            seen = await look(self._client, self._has_spoken)
            if seen.kind is not Kind.TLS:
                raise Refused(Reason.RULE, "Only TLS may go through this tunnel.")
            self._begin_down()
        else:
            self._begin_down()
            if how == "auto":
                seen = await look(self._client, self._has_spoken)
        if seen.kind is Kind.HTTP_2:
            raise Refused(Reason.UNSUPPORTED, "HTTP/2 in clear goes through no tunnel.")
        if seen.kind is Kind.BROKEN:
            raise Refused(Reason.UNSUPPORTED, "What has no end goes through no tunnel.")
        if seen.kind is Kind.TLS:
            self._judge_name(seen.hello)
        if await self._hand_over(seen):
            return
        await self._pass(self._client, self._server, up=True)
        if self._down is not None:
            await self._down

    async def _pass(
        self, source: SocketStream, sink: SocketStream, *, up: bool
    ) -> None:
        """Move what *source* says to *sink*, and its end.

        What breaks behind an end in order is no failure: a sink that has ended itself
        takes no more, and one that got everything may be gone when it is told so.
        """
        try:
            await self._exchange.transfer(source, sink, up=up)
        except PeerError:
            if sink.side not in self._ended:
                raise
            return
        self._ended.add(source.side)
        with suppress(PeerError):
            await sink.send_eof()

    async def close(self) -> None:
        """Stop what goes on; raises nothing."""
        self._clock.close()
        await self._stop_down()

    # Downwards.

    def _begin_down(self) -> None:
        going = self._pass(self._server, self._client, up=False)
        self._down = asyncio.get_running_loop().create_task(going)
        self._down.add_done_callback(self._down_is_over)

    def _down_is_over(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, PortwayError):
            self._end(error)
        elif error is not None:  # a fault of ours, which `run` will find
            self._end(PeerError(Side.GATEWAY, type(error).__name__))

    async def _stop_down(self) -> None:
        down, self._down = self._down, None
        if down is not None and not down.done():
            down.cancel()
            await asyncio.wait({down})

    # The look.

    def _has_spoken(self) -> bool:
        """Say whether the server was the first to speak."""
        return self._exchange.down.bytes > 0

    def _judge_name(self, hello: Hello) -> None:
        """Ask the rules about the name that TLS is told, where it is another."""
        exchange, name = self._exchange, hello.server_name
        if not name or name == exchange.access.host:
            return
        exchange.note(sni=name)
        judge_name(exchange, name)

    async def _hand_over(self, seen: Look) -> bool:
        """Let others serve what is within, if they are for it; say whether they did."""
        manner, exchange = self._manner, self._exchange
        if exchange.down.bytes:  # the server has spoken first
            return False
        if seen.kind is Kind.HTTP and manner.take_over is not None:
            await self._stop_down()
            self._clock.close()  # each request has its own
            exchange.note(taken_over="http")
            await manner.take_over(self._client, self._server)
            return True
        opens = exchange.verdict.handling.intercept
        if seen.kind is Kind.TLS and opens and manner.open_up is not None:
            await self._stop_down()
            self._clock.clear()
            if await manner.open_up(self._client, self._server, seen.hello):
                return True
            self._clock.set(self._tick)
            self._begin_down()
        return False

    # Its clock.

    @property
    def _tick(self) -> float:
        return min(TICK, self._manner.idle)

    def _look_after(self) -> None:
        """End it if it is silent for too long, or if the rules do not allow it now."""
        exchange, tick = self._exchange, self._tick
        moved = exchange.up.bytes + exchange.down.bytes
        held = exchange.held_back
        self._silent = 0.0 if held or moved != self._moved else self._silent + tick
        self._moved = moved
        if self._silent >= self._manner.idle:
            text = f"nothing moved in the tunnel for {self._manner.idle:.0f} s"
            self._end(PeerError(Side.CLIENT, text, Reason.IDLE))
            return
        if exchange.services.rules.reads_times:
            refusal = self._judged_anew()
            if refusal is not None:
                self._end(refusal)
                return
        self._clock.set(tick)

    def _judged_anew(self) -> Refused | None:
        """Return what the rules say against it now, by whichever of its names."""
        exchange, access = self._exchange, self._exchange.access
        now = exchange.services.clock()
        for host in {access.host, exchange.named or access.host}:
            verdict = exchange.decide(replace(access, host=host), now)
            if not verdict.allowed:
                where = f" ({verdict.rule_at})" if verdict.rule else ""
                exchange.note(ended_rule=f"{verdict.rule or 'no rule'}{where}")
                reason = verdict.reason or Reason.DEFAULT
                return Refused(reason, verdict.because, verdict)
        return None

    def _end(self, error: PortwayError) -> None:
        self._client.interrupt(error)
        self._server.interrupt(error)


LATE = PeerError(Side.CLIENT, "what it begins has no end", Reason.IDLE)


async def look(
    client: SocketStream, enough: Callable[[], bool] = lambda: False
) -> Look:
    """Return what *client*'s first bytes say; they are still to be read.

    It ends when *enough* says so, once something has come. Where nothing was read
    before, they stay with the kernel, so that TLS may be laid over the connection.
    Raises PeerError.
    """
    if not client.spliceable:
        return await _look_at_read(client, enough)
    late = Deadline(lambda: client.interrupt(LATE))
    seen = 0
    try:
        while True:
            data = await client.peek(MOST)
            found = look_at(data) if data else OTHER
            ends = len(data) == seen and ends_there(client)
            if found is not None or ends or enough():
                return found or OTHER
            if len(data) >= MOST:
                return BROKEN
            if not seen:
                late.set(LOOK_TIME)
            seen = len(data)
            client.wake_behind(seen)
            await client.readable()
    except PeerError as error:
        if error is not LATE:
            raise
        client.resume()
        return OTHER if enough() else BROKEN
    finally:
        late.close()
        if seen:
            client.wake_behind(0)


def ends_there(client: SocketStream) -> bool:
    """Say whether nothing comes behind what waits to be read."""
    asking = select.poll()
    asking.register(client.fileno(), select.POLLRDHUP)
    return bool(asking.poll(0))


async def _look_at_read(client: SocketStream, enough: Callable[[], bool]) -> Look:
    """Look at what came behind the request, or out of TLS. Raises PeerError."""
    late = Deadline(lambda: client.interrupt(LATE))
    data = b""
    try:
        while True:
            more = await client.receive(MOST)
            if not data:
                late.set(LOOK_TIME)
            data += more
            found = look_at(data) if more else OTHER
            if found is not None or enough():
                return found or OTHER
            if len(data) >= MOST:
                return BROKEN
    except PeerError as error:
        if error is not LATE:
            raise
        client.resume()
        return OTHER if enough() else BROKEN
    finally:
        late.close()
        if data:
            client.unread(data)


def look_at(data: bytes) -> Look | None:
    """Return what *data*, a client's first bytes, begins; None: more must be seen."""
    if data[0] == HANDSHAKE:
        try:
            hello = read_hello(data)
        except ValueError:
            return OTHER if data[1:2] not in {b"", b"\x03"} else BROKEN
        return None if hello is None else Look(Kind.TLS, hello)
    if data[: len(PREFACE)] == PREFACE[: len(data)]:
        return Look(Kind.HTTP_2) if len(data) >= len(PREFACE) else None
    words = data.lstrip(_ENDS)  # which servers pass over: RFC 9112, section 2.2
    line, end, _ = words.partition(b"\n")
    if end:
        return Look(Kind.HTTP) if _REQUEST.match(line) else OTHER
    return None if not words or _WORDS.fullmatch(words) else OTHER
