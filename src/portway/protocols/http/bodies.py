"""Bodies on their way, from one framing into another.

Not here: heads. Invariant: what ends too early raises, and nothing is then sent that
would end the receiver's body; bytes are counted once the receiver's socket has them.
"""

import asyncio

from portway.errors import PeerError, Refused
from portway.exchange import Exchange
from portway.model import Reason
from portway.net.stream import CHUNK, Stream
from portway.protocols.http.chunks import Unchunker, chunk, chunk_head, last_chunk
from portway.protocols.http.fields import trailer_fields
from portway.protocols.http.wire import CRLF
from portway.relay.meter import Meter

LARGE = 131072  # bytes of one chunk that may go past us
FEW = 4096  # bytes of chunks that hold a few bytes each: about 7 ms


class Outlet:
    """Sends payload to *sink*, as chunks or bare, and counts it.

    *head* goes out with the first of it. *trailers*: the receiver takes them.
    """

    __slots__ = ("chunked", "head", "meter", "sink", "trailers")

    def __init__(
        self,
        sink: Stream,
        meter: Meter,
        *,
        chunked: bool,
        head: bytes = b"",
        trailers: bool = False,
    ) -> None:
        self.sink = sink
        self.meter = meter
        self.chunked = chunked
        self.head = head
        self.trailers = trailers

    async def send(self, payload: bytes, *, end: bytes = b"") -> None:
        """Send *payload*, and *end* behind it. Raises PeerError, Refused."""
        head, self.head = self.head, b""
        if payload and self.meter.limited:
            await self._send_as_granted(head, payload)
            if end:
                await self.sink.send(end)
            return
        payload_sent = chunk(payload) if payload and self.chunked else payload
        data = head + payload_sent + end if head or end else payload_sent
        if data:
            await self.sink.send(data)
            self.meter.moved(len(payload))

    async def _send_as_granted(self, head: bytes, payload: bytes) -> None:
        if head:
            await self.sink.send(head)
        sent = 0
        while sent < len(payload):
            count = await self.meter.leave(len(payload) - sent)
            piece = payload[sent : sent + count]
            await self.sink.send(chunk(piece) if self.chunked else piece)
            self.meter.moved(count)
            sent += count
        self.meter.rest()


async def pass_length(
    source: Stream, sink: Stream, exchange: Exchange, length: int, *, up: bool
) -> None:
    """Move exactly *length* bytes. Raises PeerError, GONE, where fewer come."""
    moved = await exchange.transfer(source, sink, up=up, length=length)
    if moved < length:
        raise cut_short(source)


async def pass_chunked(
    source: Stream, outlet: Outlet, exchange: Exchange, *, up: bool
) -> int:
    """Move a chunked body to its end, anew; return the bytes of its payload.

    What comes behind it is given back to *source*. Raises PeerError, BadMessage.
    """
    reader = Unchunker(source.side)
    moved, at_once = 0, CHUNK
    while not reader.done:
        if reader.left >= LARGE:
            moved += await _pass_chunk(source, outlet, exchange, reader, up=up)
            continue
        data = await source.receive(at_once)
        if not data:
            raise cut_short(source)
        payload = reader.feed(data)
        at_once = await _give_way(payload, data)
        end = b""
        if reader.done and outlet.chunked:
            fields = trailer_fields(reader.trailers) if outlet.trailers else ()
            end = last_chunk(fields)
        moved += len(payload)
        if payload or end:
            await outlet.send(payload, end=end)
    if reader.rest:
        source.unread(reader.rest)
    return moved


async def _pass_chunk(
    source: Stream, outlet: Outlet, exchange: Exchange, reader: Unchunker, *, up: bool
) -> int:
    """Move what is left of a large chunk, past us if that may be."""
    count = reader.left
    head, outlet.head = outlet.head, b""
    before = head + chunk_head(count) if outlet.chunked else head
    if before:
        await outlet.sink.send(before)
    await pass_length(source, outlet.sink, exchange, count, up=up)
    if outlet.chunked:
        await outlet.sink.send(CRLF)
    reader.passed(count)
    return count


async def pass_to_end(source: Stream, outlet: Outlet, exchange: Exchange) -> int:
    """Move what a server sends until it ends, as chunks; return how many bytes."""
    moved = 0
    if outlet.chunked:
        while data := await source.receive(CHUNK):
            await outlet.send(data)
            moved += len(data)
            await asyncio.sleep(0)
        await outlet.send(b"", end=last_chunk())
        return moved
    if outlet.head:
        head, outlet.head = outlet.head, b""
        await outlet.sink.send(head)
    return await exchange.transfer(source, outlet.sink)


async def gather(source: Stream, most: int) -> bytes:
    """Return the payload of a chunked body. Raises Refused, TOO_LONG, over *most*."""
    reader = Unchunker(source.side)
    payload, at_once = bytearray(), CHUNK
    while not reader.done:
        data = await source.receive(at_once)
        if not data:
            raise cut_short(source)
        piece = reader.feed(data)
        payload += piece
        at_once = await _give_way(piece, data)
        if len(payload) + reader.left > most:
            raise Refused(Reason.TOO_LONG)
    if reader.rest:
        source.unread(reader.rest)
    return bytes(payload)


async def drop(source: Stream, length: int) -> None:
    """Read and drop *length* bytes. Raises PeerError."""
    while length:
        data = await source.receive(min(length, CHUNK))
        if not data:
            raise cut_short(source)
        length -= len(data)
        await asyncio.sleep(0)


async def _give_way(payload: bytes, data: bytes) -> int:
    """Let others have their turn; return how many bytes may be read in the next.

    The smaller the chunks, the longer it takes to read them: few of them at a time.
    """
    await asyncio.sleep(0)
    return FEW if len(payload) * 4 < len(data) else CHUNK


def cut_short(source: Stream) -> PeerError:
    """Return what to raise where *source* ended in the middle of a body."""
    return PeerError(source.side, "the connection ended in the middle of a body")
