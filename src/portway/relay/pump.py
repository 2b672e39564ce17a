"""Move payload from one stream to another, the cheapest way at each turn.

What begins is copied, so that small payloads cost no pipe; once it is many bytes at a
time between two bare sockets, they go from socket to socket within the kernel.

Not here: who may send what to whom, and how streams are closed. Invariant: bytes go
out in the order they came, none twice, and each is counted once it went; whatever
breaks the pump off, no pipe with bytes in it goes back to the pool.
"""

import asyncio

from portway.errors import Refused
from portway.net.stream import CHUNK, SocketStream, Stream
from portway.relay.meter import Meter
from portway.relay.pipes import Pipes
from portway.relay.splice import drain, fill

COPIED = 65536  # bytes of a payload before anything else is tried
FEW = 16384  # bytes in a turn: copying so few is cheaper than a pipe
LARGE_AFTER = 262144  # bytes of a payload before it gets a large pipe
SPLICED = 1 << 20  # at most, in one turn
TURNS = 8  # then others in the loop get theirs
ENDLESS = 1 << 62


async def pump(
    source: Stream,
    sink: Stream,
    meter: Meter,
    pipes: Pipes,
    *,
    length: int | None = None,
) -> int:
    """Move what *source* gives to *sink*: until its end, or *length* bytes.

    Returns how many went; all of them were handed to the sink's socket by then.
    Neither stream is ended or closed. Raises PeerError with the side that failed;
    *meter* holds what had gone by then.
    """
    flow = _Flow(meter, ENDLESS if length is None else length)
    count = turns = 0
    while flow.left:
        if flow.moved < COPIED or count < flow.few:
            count = await _copy(source, sink, flow)
        elif (
            isinstance(source, SocketStream)
            and isinstance(sink, SocketStream)
            and source.spliceable
            and sink.bare
        ):
            count = await _splice(source, sink, flow, pipes)
        else:
            count = await _copy_much(source, sink, flow, pipes)
        if not count:
            break
        turns += 1
        if turns == TURNS:
            turns = 0
            await asyncio.sleep(0)
    return flow.moved


async def relay(
    client: Stream, server: Stream, up: Meter, down: Meter, pipes: Pipes
) -> None:
    """Move bytes both ways until both have ended, each end passed on by itself.

    Neither stream is closed. Raises what broke first, bare.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_to_the_end(client, server, up, pipes))
            tasks.create_task(_to_the_end(server, client, down, pipes))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _to_the_end(source: Stream, sink: Stream, meter: Meter, pipes: Pipes) -> None:
    await pump(source, sink, meter, pipes)
    await sink.send_eof()


class _Flow:
    """One payload on its way: *moved* bytes went, *left* may still come."""

    __slots__ = ("_meter", "few", "left", "limited", "moved")

    def __init__(self, meter: Meter, left: int) -> None:
        self._meter = meter
        self.left = left
        self.moved = 0
        self.limited = meter.limited
        # a slow payload is little at a time, and still goes past us
        self.few = 0 if meter.limited else FEW

    async def leave(self, most: int) -> int:
        """Return how many bytes may go in this turn, *most* or fewer."""
        return await self._meter.leave(min(most, self.left))

    def rest(self) -> None:
        """Let go of what may go, which others may want, before a wait."""
        self._meter.rest()

    def went(self, count: int) -> None:
        """Take note that *count* bytes were handed to the sink's socket."""
        self._meter.moved(count)
        self.moved += count
        self.left -= count


# Each of these is one turn: it waits for bytes, hands them on, and returns how many
# they were, 0 at the source's end.


async def _copy(source: Stream, sink: Stream, flow: _Flow) -> int:
    if flow.limited:
        return await _copy_as_granted(source, sink, flow)
    data = await source.receive(await flow.leave(CHUNK))
    if data:
        await sink.send(data)
        flow.went(len(data))
    return len(data)


async def _copy_as_granted(source: Stream, sink: Stream, flow: _Flow) -> int:
    """Wait for bytes first: a grant that a silent source holds is missed by others."""
    flow.rest()
    data = memoryview(await source.receive(min(CHUNK, flow.left)))
    sent = 0
    while sent < len(data):
        count = await flow.leave(len(data) - sent)
        await sink.send(data[sent : sent + count])
        flow.went(count)
        sent += count
    return sent


async def _copy_much(source: Stream, sink: Stream, flow: _Flow, pipes: Pipes) -> int:
    buffer = None if flow.limited else pipes.borrow_buffer()
    if buffer is None:
        return await _copy(source, sink, flow)
    try:
        want = await flow.leave(len(buffer))
        count = await source.receive_into(buffer[:want])
        if count:
            await sink.send(buffer[:count])
            flow.went(count)
        return count
    finally:
        pipes.give_back_buffer(buffer)


async def _splice(
    source: SocketStream, sink: SocketStream, flow: _Flow, pipes: Pipes
) -> int:
    if flow.limited:
        return await _splice_as_granted(source, sink, flow, pipes)
    want = await flow.leave(SPLICED)
    count = await _through_a_pipe(source, sink, flow, pipes, want)
    if count is None:
        await source.readable()
        count = await _through_a_pipe(source, sink, flow, pipes, want)
    # No splice goes past an urgent byte: it says that nothing has come, or even that
    # this is the end, if that has come behind it. Copying knows better.
    return count or await _copy(source, sink, flow)


async def _splice_as_granted(
    source: SocketStream, sink: SocketStream, flow: _Flow, pipes: Pipes
) -> int:
    for waits in (False, True):
        if waits:
            flow.rest()
            await source.readable()
        try:
            want = await flow.leave(SPLICED)
        except Refused:  # which an end that has come already does not care for
            break
        count = await _through_a_pipe(source, sink, flow, pipes, want)
        if count is not None:
            return count or await _copy(source, sink, flow)
    return await _copy(source, sink, flow)


async def _through_a_pipe(
    source: SocketStream, sink: SocketStream, flow: _Flow, pipes: Pipes, want: int
) -> int | None:
    """Move up to *want* bytes; 0 or None: none, by way of splice."""
    pipe = pipes.borrow(large=flow.moved >= LARGE_AFTER)
    if pipe is None:
        return await _copy_much(source, sink, flow, pipes)
    empty = False
    try:
        count = fill(source, pipe, want)
        if count:
            await drain(pipe, sink, count, flow.went)
        empty = True
    finally:
        if empty:
            pipes.give_back(pipe)
        else:
            pipes.discard(pipe)
    return count
