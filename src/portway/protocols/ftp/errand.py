"""An FTP server reached on behalf of a client that speaks another protocol.

One dialogue, in straight lines: a command, its reply; a transfer, its two replies.

Not here: the connection and the login (reach.py), and what the other protocol makes of
replies. Invariant: what is said to have come whole has had its 226; what was broken
off is reset, and its connection is never used again.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from portway.errors import PortwayError
from portway.exchange import Exchange
from portway.model import IPAddress, Reason, Side
from portway.net.linger import linger
from portway.net.stream import SocketStream
from portway.protocols.ftp import errandlegs, servertls
from portway.protocols.ftp.dialogue import Awaited, Fate, Reply
from portway.protocols.ftp.entries import Entry, parse_facts, parse_timestamp
from portway.protocols.ftp.settings import Upstream as Wanted
from portway.protocols.ftp.upstream import ServerClosing, Upstream, verb_of
from portway.protocols.ftp.wire import ReplyLine

T = TypeVar("T")

ABORTED = 3.0  # seconds for the replies to an ABOR; then the connection is closed
LATE = 1.0  # seconds for a reply that explains data which failed
LINGER = 5.0  # seconds for a server that has all of its data to close its side
TRUE_SIZES = 20  # digits of a size


class Said(PortwayError):  # noqa: N818 - it is an answer
    """The server said no: *reply* is what it answered *verb*."""

    def __init__(self, verb: str, reply: Reply) -> None:
        text = f"the server answers {verb} with {reply.code}"
        super().__init__(Side.SERVER, Reason.PROTOCOL, text)
        self.verb = verb
        self.reply = reply

    @property
    def denied(self) -> bool:
        """Whether its words speak of permission."""
        words = self.reply.text.lower()
        return b"denied" in words or b"permission" in words


class Station:
    """What is known of one control connection, for as long as it stands.

    *features* are the lines of FEAT, upper-case, None: nobody has asked. *refused*
    are the ways to data that the server does not know, *type* the last TYPE.
    """

    __slots__ = ("features", "refused", "type", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.features: frozenset[bytes] | None = None
        self.refused: set[str] = set()
        self.type = b""


class Errand:
    """The dialogue with a server, for one exchange.

    *seconds* is how long a connection may take to come up, *source* where it comes
    from. *clean*: nothing was broken off, and the server is where it was at login.
    """

    __slots__ = (
        "_ended",
        "_reader",
        "_transfer",
        "clean",
        "exchange",
        "seconds",
        "source",
        "station",
        "wanted",
    )

    def __init__(
        self,
        exchange: Exchange,
        station: Station,
        wanted: Wanted,
        source: IPAddress | None,
    ) -> None:
        self.exchange = exchange
        self.station = station
        self.wanted = wanted
        self.source = source
        self.seconds = float(wanted.connect_timeout)
        self.clean = True
        self._transfer: Transfer | None = None
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[PortwayError] = loop.create_future()
        self._reader = loop.create_task(self._read())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # The dialogue.

    async def _read(self) -> None:
        """Read the server; whoever waits for it is told how that ends."""
        try:
            await self.station.upstream.pass_replies_on()
        except ServerClosing:
            error: PortwayError = Said("a command", Reply(421, b"421 \r\n"))
        except PortwayError as lost:
            error = lost
        self._ended.set_result(error)

    async def until(self, future: asyncio.Future[T]) -> T:
        """Return what comes of *future*. Raises what ends the dialogue before."""
        await asyncio.wait({future, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        self.clean = False
        raise self._ended.result()

    async def during(self, work: Coroutine[None, None, T]) -> T:
        """Return what comes of *work*. Raises what ends the dialogue before."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            return await self.until(task)
        finally:
            await _drop(task)

    @property
    def lost(self) -> PortwayError | None:
        """What has ended the dialogue, if anything has."""
        return self._ended.result() if self._ended.done() else None

    async def ask(self, line: bytes) -> Reply:
        """Return the whole reply to *line*. Raises PortwayError."""
        final: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        awaited = Awaited(verb_of(line), Fate.KEEP, finished=final.set_result)
        await self.station.upstream.send(line, awaited)
        return await self.until(final)

    async def has(self, feature: bytes) -> bool:
        """Say whether FEAT names *feature*, upper-case."""
        station = self.station
        if station.features is None:
            reply = await self.ask(b"FEAT")
            lines = reply.text.upper().splitlines() if reply.good else []
            words = (line.split(maxsplit=1)[:1] for line in lines)
            station.features = frozenset(word[0] for word in words if word)
        return feature in station.features

    async def set_type(self, letter: bytes) -> None:
        """Let what follows be of TYPE *letter*. Raises Said."""
        if self.station.type != letter:
            self.station.type = b""
            await self.need(b"TYPE " + letter)
            self.station.type = letter

    async def need(self, line: bytes) -> Reply:
        """Ask *line*. Raises Said, where the server does not do it."""
        reply = await self.ask(line)
        if not reply.good:
            raise Said(verb_of(line), reply)
        return reply

    # What is there.

    async def size(self, path: bytes) -> int | Reply:
        """Return a file's size, or why it is not told. RFC 3659, section 4."""
        reply = await self.ask(b"SIZE " + path)
        digits = reply.words
        if reply.code == 213 and digits.isdigit() and len(digits) < TRUE_SIZES:
            return int(digits)
        return Reply(502, reply.text) if reply.good else reply

    async def modified(self, path: bytes) -> datetime | None:
        """Return when a file was changed, if that is told. RFC 3659, section 3."""
        reply = await self.ask(b"MDTM " + path)
        return parse_timestamp(reply.words) if reply.code == 213 else None

    async def facts(self, path: bytes) -> Entry | None:
        """Return what MLST says of *path*; None: nothing. RFC 3659, section 7."""
        if not await self.has(b"MLST"):
            return None
        reply = await self.ask(b"MLST " + path)
        if reply.code != 250:
            return None
        for line in reply.text.splitlines():
            if line[:1] == b" ":
                found = parse_facts(line.lstrip(b" "), listed=False)
                return found if isinstance(found, Entry) else None
        return None

    async def enter(self, path: bytes) -> Reply:
        """Go to the folder *path*; the connection is not kept behind that."""
        reply = await self.ask(b"CWD " + path)
        if reply.good:
            self.clean = False
        return reply

    async def is_folder(self, path: bytes) -> bool:
        """Say whether *path* is a folder. The server may be in it then."""
        return (await self.enter(path or b"/")).good

    # Transfers.

    async def begin(self, line: bytes, *, start: int = 0) -> "Transfer":
        """Begin the transfer that *line* asks for; *start* is where a REST asks it to.

        Its data are up then, and the server has said 125 or 150. Raises Said, and
        PortwayError for data that do not come up.
        """
        leg = await self._agree()
        transfer = self._transfer = Transfer(self, verb_of(line), leg)
        if start:
            reply = await self.ask(b"REST %d" % start)
            if reply.code != 350:
                transfer.drop()
                raise Said("REST", reply)
        await transfer.begin(line)
        return transfer

    async def _agree(self) -> errandlegs.Leg:
        upstream = self.station.upstream
        leg = await errandlegs.agree(
            self.exchange,
            self.wanted,
            upstream.stream.local_address,
            self.ask,
            self.station.refused,
        )
        if isinstance(leg, Reply):
            raise Said("PASV" if self.wanted.data != "active" else "PORT", leg)
        return leg

    # The end.

    async def close(self) -> None:
        """End it: data that are still on their way are reset."""
        self.clean = False
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.drop()
        self.station.upstream.hang_up()
        await self._stop_reading()

    async def part(self) -> bool:
        """Say whether the connection may be used again; nobody reads it then."""
        upstream = self.station.upstream
        if not self.clean or upstream.due or self._ended.done():
            await self.close()
            return False
        await self._stop_reading()
        return upstream.stream.is_quiet()

    async def _stop_reading(self) -> None:
        self._reader.cancel()
        await asyncio.wait({self._reader})


class Transfer:
    """One payload, on its way. *stream* is its connection."""

    __slots__ = ("_begun", "_errand", "_final", "_leg", "_stream", "_verb")

    def __init__(self, errand: Errand, verb: str, leg: errandlegs.Leg) -> None:
        loop = asyncio.get_running_loop()
        self._errand = errand
        self._verb = verb
        self._leg: errandlegs.Leg | None = leg
        self._stream: SocketStream | None = None
        self._begun: asyncio.Future[None] = loop.create_future()
        self._final: asyncio.Future[Reply] = loop.create_future()

    @property
    def stream(self) -> SocketStream:
        """The data connection."""
        if self._stream is None:
            raise RuntimeError("the data are not up")
        return self._stream

    async def begin(self, line: bytes) -> None:
        """Send the command; the data come up beside its first reply."""
        errand = self._errand
        if self._leg is not None and errandlegs.is_dialled(self._leg):
            await self._connect()
        awaited = Awaited(
            self._verb, Fate.KEEP, before=self._before, finished=self._finished
        )
        await errand.station.upstream.send(line, awaited)
        # some servers say 150 only when TLS stands, others before
        rising = asyncio.get_running_loop().create_task(self._rise())
        try:
            await self._until_begun(rising)
        finally:
            await _drop(rising)

    async def _until_begun(self, rising: asyncio.Task[None]) -> None:
        errand = self._errand
        await errand.until(_either(self._begun, rising))
        if self._final.done() and self._final.result().code >= 400:
            raise Said(self._verb, self._final.result())
        if rising.done() and rising.exception() is not None:
            await self._explain()
        await errand.until(self._begun)
        if self._final.done() and self._final.result().code >= 400:
            raise Said(self._verb, self._final.result())
        await errand.until(rising)

    async def _explain(self) -> None:
        """Data failed: the server may say why. Raises Said then."""
        self._errand.clean = False
        await asyncio.wait({self._final}, timeout=LATE)
        if self._final.done() and self._final.result().code >= 400:
            raise Said(self._verb, self._final.result())
        if not self._begun.done():
            self._begun.set_result(None)

    async def _connect(self) -> None:
        errand = self._errand
        if self._leg is None:
            raise RuntimeError("no data were agreed on")
        self._stream = await errandlegs.bring_up(
            errand.exchange, self._leg, errand.source, errand.seconds
        )
        self._leg = None

    async def _rise(self) -> None:
        errand = self._errand
        if self._stream is None:
            await self._connect()
        stream = await servertls.cover(
            errand.station.upstream, self.stream, errand.exchange
        )
        stream.reset_if_lost(True)
        self._stream = stream

    async def _before(self, line: ReplyLine) -> bytes | None:
        """At the first line of each reply."""
        if line.code < 200:
            self._errand.station.upstream.wait_at_most(None)  # data take their time
        if not self._begun.done() and line.code < 400:
            self._begun.set_result(None)
        return None

    def _finished(self, reply: Reply) -> None:
        self._final.set_result(reply)
        if not self._begun.done():
            self._begun.set_result(None)

    @property
    def final(self) -> Reply | None:
        """The last reply, if it has come."""
        return self._final.result() if self._final.done() else None

    async def end(self, *, up: bool = False) -> Reply:
        """The data have come to their end, *up*: have all been sent.

        Returns the last reply: less than a 226 or a 250 says that they are not whole.
        Raises PortwayError.
        """
        errand, stream = self._errand, self.stream
        upstream = errand.station.upstream
        if not self._final.done():
            upstream.wait_at_most(float(errand.wanted.reply_timeout))
        if up:
            await stream.send_eof()
        else:
            await servertls.part(upstream, stream, errand.exchange)
        stream.reset_if_lost(False)
        if up:
            linger(stream, LINGER)
        else:
            stream.close()  # some wait for this before they reply
        errand.clean = errand.clean and errand.lost is None
        return await errand.until(self._final)

    async def stop(self) -> None:
        """Enough has come: break it off, and make the dialogue fit for more."""
        errand = self._errand
        self.drop()
        upstream = errand.station.upstream
        try:
            async with asyncio.timeout(ABORTED):
                await upstream.abort_transfer(Fate.KEEP, urgent=False)
                await errand.during(upstream.settled_after_abort())
        except (PortwayError, TimeoutError):
            errand.clean = False

    async def give_up(self) -> None:
        """What was sent is not whole: the server must see that."""
        errand = self._errand
        errand.clean = False
        self.drop()
        with suppress(PortwayError):
            await errand.station.upstream.abort_transfer(Fate.KEEP, urgent=False)

    async def why(self) -> Reply | None:
        """Return what the server says of data that broke, if it says anything."""
        self._errand.clean = False
        await asyncio.wait({self._final}, timeout=LATE)
        return self.final

    def drop(self) -> None:
        """Reset the data, if they are up."""
        leg, self._leg = self._leg, None
        if leg is not None:
            errandlegs.close(leg)
        if self._stream is not None:
            self._stream.abort()


async def _drop(task: asyncio.Task[T]) -> None:
    """End *task*, whatever comes of it."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # which was seen, or is not wanted


def _either(
    first: asyncio.Future[None], second: asyncio.Task[None]
) -> asyncio.Future[None]:
    """Return what is done when *first* is, or when *second* has failed."""
    either: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def release(done: asyncio.Future[None]) -> None:
        failed = done is first or done.cancelled() or done.exception() is not None
        if failed and not either.done():
            either.set_result(None)

    first.add_done_callback(release)
    second.add_done_callback(release)
    return either
