"""One control connection to a server: commands out, replies paired and passed on.

Not here: what the commands mean, and data connections. Invariant: one task reads the
server, and it is the only one that passes replies on while any is due.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from portway.errors import PeerError, ProtocolError
from portway.model import Reason, Side
from portway.net.deadline import Deadline
from portway.net.stream import SocketStream
from portway.net.tls import TlsStream, start_tls
from portway.net.turns import Turns
from portway.protocols.ftp import replies
from portway.protocols.ftp.dialogue import Awaited, Fate, Pairer, Reply
from portway.protocols.ftp.secured import Secured
from portway.protocols.ftp.wire import ReplyLine, ReplyReader

GREETING_TIME = 60.0
GREETING_LINES = 64
GREETING_BYTES = 8192
GREETING_MOST = 1000  # lines, passed over or not; longer ones have no end
CHUNK = 16384  # bytes read at a time
UNASKED = 16  # replies that nobody waited for, then the server is odd
FAREWELL_BYTES = 65536
FAREWELL_TIME = 5.0  # seconds for a 421 to come to its end
AHEAD = 16  # commands on the way without an answer
SECOND_REPLY = 2.0  # how long the second reply to an ABOR may take
SECOND_LINES = 1024  # of the first reply, held while the second one is waited for

Tell = Callable[[bytes], Awaitable[None]]


class ServerClosing(Exception):  # noqa: N818 - it is no error of ours
    """The server said 421, and the client has been told."""


class Upstream:
    """A server's control connection.

    *tell* passes bytes to the client. *reply_time* is how many seconds a reply may
    take to begin, and each line of it to come. *secured* is there inside TLS.
    """

    __slots__ = (
        "_changed",
        "_clock",
        "_lines",
        "_pairer",
        "_probed",
        "_reader",
        "_reply_time",
        "_sending",
        "_tell",
        "_unasked",
        "_upgrading",
        "secured",
        "stream",
    )

    def __init__(self, stream: SocketStream, tell: Tell, reply_time: float) -> None:
        self.stream = stream
        self.secured: Secured | None = None
        self._upgrading = False  # the stream is TLS's to close
        self._tell = tell
        self._reply_time = reply_time
        self._pairer = Pairer()
        self._reader = ReplyReader()
        self._lines: list[ReplyLine] = []
        self._unasked = 0  # replies that nobody waited for
        self._probed = False  # a NOOP stands behind an ABOR without an answer
        self._changed: asyncio.Future[None] | None = None
        self._sending = Turns()  # a transfer's task and the session's both send
        self._clock = Deadline(self._too_late)

    @property
    def due(self) -> int:
        """How many replies are due, the gateway's own that wait among them."""
        return len(self._pairer)

    async def greeting(self) -> Reply:
        """Return the server's greeting: 220, or the refusal it greets with.

        A 120 is waited out. Raises PeerError or ProtocolError.
        """
        self._clock.set(GREETING_TIME)
        kept = bytearray()
        count = 0
        while True:
            line = await self._next_line()
            if line.first:
                kept.clear()
                count = 0
            if count < GREETING_LINES and len(kept) + len(line.line) < GREETING_BYTES:
                kept += line.line
            count += 1
            if count > GREETING_MOST:
                raise ProtocolError(Side.SERVER, "its greeting does not end")
            if line.final and line.code >= 200:
                self._clock.clear()
                return Reply(line.code, bytes(kept))
            if line.final:
                self._clock.set(self._reply_time)

    async def ask_for_tls(self, line: bytes) -> Reply:
        """Say AUTH, before the dialogue begins; return the reply.

        Raises PeerError; ProtocolError, TLS, if anything stands behind the reply: it
        might be taken for words from inside.
        """
        dropped = self._reader.dropped
        await self.stream.send(line + b"\r\n")
        answer = await self.greeting()
        if self._lines or self._reader.pending or self._reader.dropped != dropped:
            text = "it said more behind its reply to AUTH"
            raise ProtocolError(Side.SERVER, text, Reason.TLS)
        return answer

    async def go_inside(self, secured: Secured, seconds: float) -> TlsStream:
        """Go on inside TLS, whose handshake may take *seconds*.

        Raises PeerError, TLS; the connection is closed then.
        """
        self._upgrading = True
        inside = await start_tls(
            self.stream,
            secured.context,
            server_hostname=secured.host,
            seconds=seconds,
        )
        inside.lenient = True  # the end of a dialogue makes nothing whole
        self.stream, self.secured = inside, secured
        self._upgrading = False
        return inside

    def hang_up(self) -> None:
        """Close the connection, and drop the clock."""
        self.close()
        if not self._upgrading:
            self.stream.close()

    async def _next_line(self) -> ReplyLine:
        while not self._lines:
            await self._fill()
        return self._lines.pop(0)

    async def _fill(self) -> None:
        """Take in what comes, however fast, without holding others up."""
        if self._take_in(await self.stream.receive(CHUNK)):
            await asyncio.sleep(0)

    def _take_in(self, data: bytes) -> bool:
        """Take the lines in that end in *data*; say whether more may be there."""
        if not data:
            raise PeerError(Side.SERVER, "the server closed the connection")
        self._lines.extend(self._reader.feed(data))
        return len(data) == CHUNK

    async def pass_replies_on(self) -> None:
        """Read the server for as long as it lasts. Never returns.

        Raises PeerError when the server is gone, ProtocolError when it speaks no
        FTP, ServerClosing when it took its leave with 421.
        """
        while True:
            if self._lines:
                await self._pass_lines_on()
            if self._take_in(await self.stream.receive(CHUNK)):
                await asyncio.sleep(0)

    async def _pass_lines_on(self) -> None:
        out: list[bytes] = []
        done: list[tuple[Awaited, Reply]] = []
        while self._lines:
            line = self._lines.pop(0)
            if line.code == 421:
                await self._farewell(line, out, done)
            head = self._pairer.head
            if head is None:
                self._unasked_for(line)
                continue
            if line.first and head.before is not None:
                await self._flush(out, done)
                instead = await head.before(line)
                if instead is not None:
                    out.append(instead)
                    if not self._is_next(line):
                        await self._skip(line)
                    self._end_of_reply(line.code, head, out, done)
                    continue
            out.append(head.take(line))
            if line.final:
                self._end_of_reply(line.code, head, out, done)
            elif line.code >= 200:
                self._clock.set(self._reply_time)
        await self._flush(out, done)

    def _unasked_for(self, line: ReplyLine) -> None:
        """Pass over a reply that nobody waits for: servers do send a second 226."""
        self._unasked += line.first
        if self._unasked > UNASKED:
            raise ProtocolError(Side.SERVER, f"{UNASKED} replies too many")

    def read_again(self, line: ReplyLine) -> None:
        """Let *line* begin the next reply: one reply that answers two commands.

        For `Awaited.before` alone.
        """
        self._lines.insert(0, line)

    def _is_next(self, line: ReplyLine) -> bool:
        return bool(self._lines) and self._lines[0] is line

    async def _skip(self, line: ReplyLine) -> None:
        while not line.final:
            line = await self._next_line()

    async def _farewell(
        self, line: ReplyLine, out: list[bytes], done: list[tuple[Awaited, Reply]]
    ) -> None:
        """Pass a 421 on, as far as it is one that ends."""
        self._clock.set(FAREWELL_TIME)
        out.append(line.line)
        passed = len(line.line)
        while not line.final and passed < FAREWELL_BYTES:
            if not self._lines:
                await self._flush(out, done)
            line = await self._next_line()
            out.append(line.line)
            passed += len(line.line)
        if not line.final:
            out.append(b"421 \r\n")
        await self._flush(out, done)
        raise ServerClosing

    def _end_of_reply(
        self,
        code: int,
        head: Awaited,
        out: list[bytes],
        done: list[tuple[Awaited, Reply]],
    ) -> None:
        if code < 200:
            return
        out.append(self._pairer.finish())
        done.append((head, Reply(code, bytes(head.text))))
        if self._pairer.head is None:
            self._clock.clear()
        else:
            self._clock.set(self._reply_time)

    async def _flush(self, out: list[bytes], done: list[tuple[Awaited, Reply]]) -> None:
        data = b"".join(out)
        out.clear()
        if data:
            await self._tell(data)
        for awaited, reply in done:
            if awaited.finished is not None:
                awaited.finished(reply)
        if done:
            done.clear()
            self._wake()

    async def second_reply_comes(self) -> bool:
        """Say whether another reply follows the one being read, within 2 s.

        For `Awaited.before` alone, which runs in the task that reads.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SECOND_REPLY):
                while not any(line.first for line in self._lines):
                    if len(self._lines) >= SECOND_LINES:
                        return False
                    await self._fill()
                return True
        return False

    async def send(self, line: bytes, awaited: Awaited) -> None:
        """Send a command; *line* is without its line end. Its reply is then due."""
        self._pairer.expect(awaited)
        self._clock.set(self._reply_time)
        async with self._sending:
            await self.stream.send(line + b"\r\n")

    async def ask(self, line: bytes) -> Reply:
        """Send a command of the gateway's own and return its whole reply."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def finished(reply: Reply) -> None:
            if not answer.done():
                answer.set_result(reply)

        await self.send(line, Awaited(verb_of(line), Fate.KEEP, finished=finished))
        return await answer

    async def relay(
        self, line: bytes, rewrite: Callable[[ReplyLine], bytes] | None = None
    ) -> int:
        """Send the client's command, pass its reply on; return the final code."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def finished(reply: Reply) -> None:
            if not answer.done():
                answer.set_result(reply.code)

        await self.send(
            line, Awaited(verb_of(line), rewrite=rewrite, finished=finished)
        )
        return await answer

    async def answer(self, text: bytes) -> None:
        """Give the client a reply of the gateway's own, in its turn."""
        now = self._pairer.answer(text)
        if now:
            await self._tell(now)

    async def settled(self) -> None:
        """Wait until no reply is due."""
        while self._pairer.head is not None:
            await self._change()

    async def room(self) -> None:
        """Wait until another command may be sent ahead of the replies."""
        while len(self._pairer) >= AHEAD:
            await self._change()

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    def wait_at_most(self, seconds: float | None) -> None:
        """Give the reply that is due *seconds* from now; None: as long as it takes."""
        if seconds is None:
            self._clock.clear()
        else:
            self._clock.set(seconds)

    async def abort_transfer(self, fate: Fate, *, urgent: bool) -> None:
        """Send ABOR; its reply is due then, and *fate* is what becomes of it.

        *urgent*: as RFC 959, section 4.1.3, has it: Telnet IP and Synch before it, the
        mark urgent, for a server that reads no commands while it moves data.
        """
        self._pairer.expect(Awaited("ABOR", fate, before=self._abor_or_noop))
        self._clock.set(self._reply_time)
        async with self._sending:
            if urgent and self.stream.bare:  # inside TLS nothing overtakes
                await self.stream.send(b"\xff\xf4\xff")
                await self.stream.send_urgent(b"\xf2")
            await self.stream.send(b"ABOR\r\n")

    async def settled_after_abort(self) -> None:
        """Wait until no reply is due, though the server may have swallowed an ABOR.

        Some do, if it has its Telnet signs and their transfer has just ended. One that
        is not answered within 2 s of the transfer's reply is followed by a NOOP, whose
        reply says that none will come.
        """
        while (head := self._pairer.head) is not None and head.verb != "ABOR":
            await self._change()
        try:
            async with asyncio.timeout(SECOND_REPLY):
                await self.settled()
        except TimeoutError:
            self._probed = True
            await self.send(b"NOOP", Awaited("NOOP", Fate.KEEP))
            await self.settled()
            self._probed = False

    async def _abor_or_noop(self, line: ReplyLine) -> bytes | None:
        """Tell the reply to ABOR from one to the NOOP behind it, which is a 200."""
        head = self._pairer.head
        if not self._probed or line.code != 200 or head is None:
            return None
        self.read_again(line)
        return replies.NOTHING_TO_ABORT if head.fate is Fate.RELAY else b""

    def _too_late(self) -> None:
        self.stream.interrupt(
            PeerError(Side.SERVER, "the server does not answer", Reason.TIMEOUT)
        )

    def close(self) -> None:
        """Drop the clock. The stream is its owner's to close."""
        self._clock.close()


def verb_of(line: bytes) -> str:
    """Return a command's verb, for messages; never its argument."""
    return line.partition(b" ")[0].decode("ascii", "replace").upper()
