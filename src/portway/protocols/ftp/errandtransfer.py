"""One payload on an errand: brought up, and brought to an end.

Not here: moving it. Invariant: what `end` gives is the server's own word on whether the
data are whole; what is dropped is reset.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from portway.errors import PortwayError
from portway.net.linger import linger
from portway.net.stream import SocketStream
from portway.protocols.ftp import errandlegs, servertls
from portway.protocols.ftp.dialogue import Awaited, Fate, Reply
from portway.protocols.ftp.said import Said
from portway.protocols.ftp.wire import ReplyLine

if TYPE_CHECKING:
    from portway.protocols.ftp.errand import Errand

T = TypeVar("T")

ABORTED = 3.0  # seconds for the replies to an ABOR; then the connection is closed
LATE = 1.0  # seconds for a reply that explains data which failed
LINGER = 5.0  # seconds for a server that has all of its data to close its side


class Transfer:
    """One payload, on its way. *stream* is its connection."""

    __slots__ = ("_begun", "_errand", "_final", "_leg", "_stream", "_verb")

    def __init__(self, errand: "Errand", verb: str, leg: errandlegs.Leg) -> None:
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
            await drop(rising)

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
        if reply.code >= 400:
            self.lost(Said(self._verb, reply))
        self._final.set_result(reply)
        if not self._begun.done():
            self._begun.set_result(None)

    def lost(self, error: PortwayError) -> None:
        """Let data end with *error*, unless the server has said what became of them.

        It comes by the dialogue: the data may stand still for long, and be for nothing.
        """
        stream = self._stream
        if stream is not None and not self._final.done() and not stream.closed:
            stream.interrupt(error)

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


async def drop(task: asyncio.Task[T]) -> None:
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
