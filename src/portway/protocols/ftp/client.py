"""The client's control connection: commands in, replies out.

Not here: what a command means. Invariant: replies go out whole and in the order in
which they were given; commands are handed over in the order in which they came, but
for those that reach into a transfer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from portway.errors import PeerError, PortwayError
from portway.gate import Gate
from portway.lines import BadLine, LineReader
from portway.model import Reason, Side
from portway.net.deadline import Deadline
from portway.net.linger import linger
from portway.net.stream import SocketStream
from portway.net.tls import TlsStream
from portway.net.turns import Turns
from portway.protocols.ftp.protection import Protection
from portway.protocols.ftp.wire import Command, parse_command

WAITING = 64  # commands that may wait for the end of a transfer
WAITING_BYTES = 65536
CHUNK = 4096  # bytes: no client's lines hold others up for long
FAREWELL_TIME = 1.0  # seconds for a farewell to go out
LINGER = 2.0
GOODBYE_TIME = 5.0  # seconds for a client to end TLS, once it asked for that
IN_A_ROW = 32  # commands, then other sessions get their turn

Line = Command | BadLine


class Client:
    """One client connection. *idle* is how many seconds it may say nothing.

    *protection* is what TLS does for it. *lost*: a handshake is not done, or failed,
    and nothing can be said.
    """

    __slots__ = (
        "_failure",
        "_gate",
        "_idle",
        "_in_a_row",
        "_lines",
        "_news",
        "_reader",
        "_sending",
        "_slow",
        "_urgent",
        "lost",
        "protection",
        "stream",
    )

    def __init__(
        self, stream: SocketStream, gate: Gate, idle: float, protection: Protection
    ) -> None:
        self.stream = stream
        self.protection = protection
        self.lost = False
        self._gate = gate
        self._idle = idle
        self._reader = LineReader(telnet=True)
        self._lines: list[Line] = []
        self._in_a_row = 0
        self._slow: Deadline | None = None  # while it does not take what we say
        self._sending = Turns()  # whoever reads a server tells us, too
        self._urgent: tuple[Command, ...] = ()
        self._failure: PortwayError | None = None
        self._news: asyncio.Future[None] | None = None

    async def tell(self, text: bytes) -> None:
        """Send *text*, which is replies or lines of one."""
        async with self._sending:
            await self._send(text)

    async def _send(self, text: bytes) -> None:
        sent = self.stream.send_at_once(text)
        if sent == len(text):
            return
        self._slow = slow = Deadline(self._does_not_read)
        slow.set(self._idle)
        await self.stream.send(memoryview(text)[sent:])
        slow.close()

    async def part(self, words: bytes) -> None:
        """Say the farewell *words*, if any, and close so that the client sees it."""
        stream = self.stream
        if self.lost:
            return  # in a handshake, which has closed it
        if words or not stream.bare:
            stream.resume()
            with suppress(PortwayError, TimeoutError):
                async with asyncio.timeout(FAREWELL_TIME):
                    if words:
                        await self.tell(words)
                    await stream.send_eof()
                linger(stream, LINGER)
                return
        stream.close()

    def _does_not_read(self) -> None:
        text = "the client does not read"
        self.stream.interrupt(PeerError(Side.CLIENT, text, Reason.IDLE))

    def close(self) -> None:
        """Drop the clock. The stream is its owner's to close."""
        if self._slow is not None:
            self._slow.close()

    # TLS. RFC 4217.

    @property
    def said_more(self) -> bool:
        """Whether anything has been read behind the last command."""
        waiting = bool(self._lines) or self._reader.pending > 0
        return waiting or (self.stream.bare and not self.stream.spliceable)

    async def start_tls(self, words: bytes = b"") -> None:
        """Say *words*, then shake hands; what follows is inside TLS.

        Whatever fails loses the client. Raises PeerError, TLS.
        """
        context = self.protection.context()
        async with self._sending:
            if words:
                await self._send(words)
            hung_up, self.stream.on_hangup = self.stream.on_hangup, None
            self.lost = True
            inside = await self.protection.shake_hands(self.stream, context)
            self._go_on(inside, hung_up)
            self.lost = False

    async def end_tls(self, words: bytes) -> None:
        """Say *words*, then go on in clear. Raises PeerError."""
        async with self._sending:
            await self._send(words)
            stream = self.stream
            if isinstance(stream, TlsStream):
                hung_up, stream.on_hangup = stream.on_hangup, None
                self._go_on(await stream.to_clear(GOODBYE_TIME), hung_up)
                self.protection.left()

    def _go_on(self, stream: SocketStream, hung_up: Callable[[], None] | None) -> None:
        self.stream = stream
        self._gate.stream = stream
        stream.on_hangup = hung_up

    @property
    def gone(self) -> bool:
        """Whether the client has closed, or broken, behind all that it sent."""
        return self.stream.has_ended()

    async def next(self, patience: float | None = None) -> Line:
        """Return the client's next command, or what it sent instead.

        Raises PeerError at its end, and when it was idle for too long; Refused, DRAIN;
        ProtocolError, TOO_LONG, for an endless line; TimeoutError if nothing came for
        *patience* seconds.
        """
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while not self._lines:
            if patience is None:
                await self._read(self._idle)
            else:
                async with asyncio.timeout(patience):
                    await self._read(self._idle)
        return self._lines.pop(0)

    async def _read(self, idle: float | None) -> int:
        """Take in what comes; return how many bytes it was."""
        self._gate.begin_wait(idle)
        try:
            data = await self.stream.receive(CHUNK)
        finally:
            self._gate.end_wait()
        if not data:
            raise PeerError(Side.CLIENT, "the client closed the connection")
        self._lines += [
            parse_command(line) if isinstance(line, bytes) else line
            for line in self._reader.feed(data)
        ]
        answers = self._reader.take_answers()
        if answers:
            await self.tell(answers)
        return len(data)

    async def attend(
        self,
        over: asyncio.Future[None],
        urgent: Callable[[Command], Awaitable[None]],
    ) -> None:
        """Read on until *over* is done; give ABOR and STAT to *urgent* at once.

        Everything else waits in its place. Raises what `next` raises.
        """
        over.add_done_callback(self._wake)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen())
            while not over.done() and self._failure is None:
                self._news = asyncio.get_running_loop().create_future()
                await self._news
                while self._urgent and not over.done():
                    await self._serve_urgent(urgent)
            listening.cancel()
        self._lines[:0] = self._urgent  # they came too late to be urgent
        self._urgent = ()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def _serve_urgent(self, urgent: Callable[[Command], Awaitable[None]]) -> None:
        first, *rest = self._urgent
        self._urgent = tuple(rest)
        try:
            await urgent(first)
        except PortwayError as error:  # bare, which a task group would not let it be
            self._failure = error

    async def _listen(self) -> None:
        waiting = 0
        try:
            while len(self._lines) < WAITING and waiting < WAITING_BYTES:
                self._pick_urgent()
                waiting += await self._read(None)
            self._pick_urgent()
        except PortwayError as error:
            self._failure = error
            self._wake()

    def _pick_urgent(self) -> None:
        urgent: list[Command] = []
        others: list[Line] = []
        for line in self._lines:
            if isinstance(line, Command) and is_urgent(line):
                urgent.append(line)
            else:
                others.append(line)
        if urgent:
            self._lines = others
            self._urgent += tuple(urgent)
            self._wake()

    def _wake(self, *_: object) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def is_urgent(command: Command) -> bool:
    """Whether *command* is looked at while a transfer goes on."""
    if command.verb == "STAT":
        return not command.argument.strip()
    return command.verb == "ABOR"
