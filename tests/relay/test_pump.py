import asyncio
import hashlib
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.fds import open_files
from tests.wires import Wire, send_until_it_fails, some_turns, until

from portway.errors import PeerError, Refused
from portway.model import Reason, Side
from portway.net.stream import SocketStream
from portway.relay import pump as module
from portway.relay.meter import Meter
from portway.relay.pipes import Pipe, Pipes
from portway.relay.pump import COPIED, FEW, LARGE_AFTER, pump, relay
from portway.relay.splice import fill

SIZES = [
    *(0, 1, 2, FEW - 1, FEW, FEW + 1, 65535, COPIED, COPIED + 1),
    *(LARGE_AFTER - 1, LARGE_AFTER, LARGE_AFTER + 1, 1 << 20, (1 << 20) + 1),
    3_333_333,
]
BLOCK = random.Random(1).randbytes(4_000_000)


@pytest.fixture
def pipes(loop_pipes: Pipes) -> Pipes:
    return loop_pipes


@dataclass
class Way:
    """A payload's way: *source* is pumped from, *sink* pumped to."""

    source: Wire
    sink: Wire
    meter: Meter
    pipes: Pipes

    async def pump(self, length: int | None = None) -> int:
        return await pump(
            self.source.stream,
            self.sink.stream,
            self.meter,
            self.pipes,
            length=length,
        )


@contextmanager
def way(
    pipes: Pipes, *, source_buffers: int = 0, sink_buffers: int = 0
) -> Iterator[Way]:
    """Yield a way; 0 leaves the size of the kernel's buffers to the kernel."""
    with (
        Wire(Side.SERVER, buffers=source_buffers) as source,
        Wire(Side.CLIENT, buffers=sink_buffers) as sink,
    ):
        yield Way(source, sink, Meter(), pipes)


@pytest.fixture(params=["splice", "copy"])
def manner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Move what is many bytes by splice, or as if one of the streams were none."""
    if request.param == "copy":
        monkeypatch.setattr(module, "SocketStream", type("Other", (), {}))
    return str(request.param)


async def produce(wire: Wire, payload: bytes, cuts: list[int]) -> None:
    start = 0
    for cut in [*cuts, len(payload)]:
        await wire.say(payload[start:cut])
        await asyncio.sleep(0)
        start = cut
    wire.end()


async def carried(way: Way, payload: bytes, cuts: list[int]) -> bytes:
    """Return what arrives when *payload*, cut at *cuts*, goes all the way."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce(way.source, payload, cuts))
        heard = tasks.create_task(way.sink.hear_all())
        assert await way.pump() == len(payload)
        await way.sink.stream.send_eof()
    return heard.result()


@pytest.mark.parametrize("size", SIZES)
async def test_a_payload_arrives_as_it_was(
    pipes: Pipes, manner: str, size: int
) -> None:
    with way(pipes) as one:
        payload = BLOCK[:size]
        assert await carried(one, payload, []) == payload
        assert one.meter.bytes == size


@pytest.mark.parametrize("seed", range(6))
async def test_a_payload_arrives_as_it_was_however_it_is_cut(
    pipes: Pipes, manner: str, seed: int
) -> None:
    chance = random.Random(seed)
    payload = BLOCK[: chance.randrange(200_000, 2_000_000)]
    cuts = sorted(chance.randrange(len(payload)) for _ in range(chance.randrange(40)))
    with way(pipes, sink_buffers=chance.choice([0, 4096, 65536])) as one:
        assert await carried(one, payload, cuts) == payload
        assert one.meter.bytes == len(payload)


async def test_bulk_is_spliced_and_small_payloads_are_not(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []

    def counted(source: SocketStream, pipe: Pipe, want: int) -> int | None:
        count = fill(source, pipe, want)
        filled.append(count or 0)
        return count

    monkeypatch.setattr(module, "fill", counted)
    with way(pipes) as one:
        await carried(one, BLOCK[:COPIED], [])
    assert sum(filled) == 0
    with way(pipes) as one:
        await carried(one, BLOCK, [])
    assert sum(filled) > len(BLOCK) // 2
    assert pipes._large  # bulk got a large pipe


@pytest.mark.parametrize("size", [0, 1, FEW, COPIED, LARGE_AFTER + 7, 1_500_000])
async def test_a_length_is_kept_to_the_byte_and_the_rest_stays(
    pipes: Pipes, manner: str, size: int
) -> None:
    payload = BLOCK[:2_000_000]
    with way(pipes) as one:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(produce(one.source, payload, []))
            heard = tasks.create_task(one.sink.hear_all())
            assert await one.pump(length=size) == size
            await one.sink.stream.send_eof()
            rest = bytearray()
            while data := await one.source.stream.receive():
                rest += data
        assert heard.result() == payload[:size]
        assert bytes(rest) == payload[size:]
        assert one.meter.bytes == size


async def test_a_source_that_ends_before_the_length_is_seen_to(
    pipes: Pipes, manner: str
) -> None:
    with way(pipes) as one:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(produce(one.source, BLOCK[:500_000], []))
            heard = tasks.create_task(one.sink.hear_all())
            assert await one.pump(length=600_000) == 500_000
            await one.sink.stream.send_eof()
        assert heard.result() == BLOCK[:500_000]


async def test_what_was_read_before_goes_first(pipes: Pipes, manner: str) -> None:
    payload = BLOCK[:1_000_000]
    with way(pipes) as one:
        one.source.stream.unread(payload[:100_000])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(produce(one.source, payload[100_000:], []))
            heard = tasks.create_task(one.sink.hear_all())
            assert await one.pump() == len(payload)
            await one.sink.stream.send_eof()
        assert heard.result() == payload


@pytest.mark.parametrize("inline", [0, 1])
async def test_an_urgent_byte_neither_ends_nor_stops_a_payload(
    pipes: Pipes, manner: str, inline: int
) -> None:
    payload = BLOCK[:2_000_000]
    with way(pipes) as one:
        one.source.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)

        async def produce() -> None:
            await one.source.say(payload[:1_000_000])
            await until(lambda: one.source.peer.send(b"!", socket.MSG_OOB) == 1)
            await one.source.say(payload[1_000_000:])
            one.source.end()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(produce())
            heard = tasks.create_task(one.sink.hear_all())
            await one.pump()
            await one.sink.stream.send_eof()
        urgent = b"!" * inline
        assert heard.result() == payload[:1_000_000] + urgent + payload[1_000_000:]


# What breaks.


async def bulk_begun(one: Way) -> "asyncio.Task[int]":
    """Return a pump that is past its first bytes, and waits for more."""
    pumping = asyncio.ensure_future(one.pump())
    saying = asyncio.ensure_future(one.source.say(BLOCK[:500_000]))
    heard = 0
    while heard < 500_000:
        heard += len(await one.sink.hear())
    await saying
    await some_turns()
    assert not pumping.done()
    return pumping


async def test_a_source_that_breaks_is_an_error_and_no_end(
    pipes: Pipes, manner: str
) -> None:
    with way(pipes) as one:
        pumping = await bulk_begun(one)
        one.source.reset()
        with pytest.raises(PeerError) as caught:
            await pumping
        assert caught.value.side is Side.SERVER
        assert one.meter.bytes == 500_000


async def test_a_sink_that_breaks_is_its_own_error(pipes: Pipes, manner: str) -> None:
    with way(pipes) as one:
        pumping = await bulk_begun(one)
        one.sink.reset()
        flood = asyncio.ensure_future(one.source.say(BLOCK))
        with pytest.raises(PeerError) as caught:
            await pumping
        flood.cancel()
        await asyncio.wait({flood})
        assert caught.value.side is Side.CLIENT


async def test_a_source_that_broke_while_we_sent_does_not_look_ended(
    pipes: Pipes, manner: str
) -> None:
    """A send told of the reset; splice would only see an end."""
    with way(pipes) as one:
        pumping = await bulk_begun(one)
        one.source.reset()
        with pytest.raises(PeerError):
            await send_until_it_fails(one.source.stream)
        with pytest.raises(PeerError) as caught:
            await pumping
        assert caught.value.side is Side.SERVER


@pytest.mark.parametrize("wait", ["source", "sink"])
async def test_a_pump_that_is_cancelled_leaves_no_pipe_behind(
    pipes: Pipes, manner: str, wait: str
) -> None:
    with way(pipes, sink_buffers=4096) as one:
        pumping = await bulk_begun(one)
        flood: asyncio.Future[None] | None = None
        if wait == "sink":
            flood = asyncio.ensure_future(one.source.say(BLOCK))
            await some_turns(20)
        held = one.meter.bytes
        pumping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pumping
        assert one.meter.bytes == held
        if flood is not None:
            flood.cancel()
            await asyncio.wait({flood})
    # every pipe that is still there lies idle, and empty
    assert pipes.total == sum(p.size for p in (*pipes._small, *pipes._large))
    for pipe in (*pipes._small, *pipes._large):
        with pytest.raises(BlockingIOError):
            os.read(pipe.reader, 1)


@pytest.mark.parametrize("moment", range(0, 120, 7))
async def test_a_pump_may_be_cancelled_at_any_await(
    pipes: Pipes, manner: str, moment: int
) -> None:
    with way(pipes, source_buffers=131072, sink_buffers=16384) as one:
        pumping = asyncio.ensure_future(one.pump())
        feeding = asyncio.ensure_future(produce(one.source, BLOCK, []))
        drinking = asyncio.ensure_future(one.sink.hear_all())
        for _ in range(moment):
            await asyncio.sleep(0)
        for task in (pumping, feeding, drinking):
            task.cancel()
        await asyncio.gather(pumping, feeding, drinking, return_exceptions=True)
        assert one.meter.bytes < len(BLOCK)


async def test_an_interrupt_ends_a_pump_with_its_reason(
    pipes: Pipes, manner: str
) -> None:
    with way(pipes) as one:
        pumping = await bulk_begun(one)
        one.sink.stream.interrupt(Refused(Reason.DRAIN))
        one.source.stream.interrupt(Refused(Reason.DRAIN))
        with pytest.raises(Refused):
            await pumping


# What a pump may hold.


async def test_a_slow_reader_slows_the_sender(pipes: Pipes, manner: str) -> None:
    with way(pipes, source_buffers=131072, sink_buffers=16384) as one:
        pumping = asyncio.ensure_future(one.pump())
        feeding = asyncio.ensure_future(produce(one.source, BLOCK, []))
        moved = -1
        while moved != one.meter.bytes:  # until nothing moves any more
            moved = one.meter.bytes
            await some_turns(20)
        assert moved < 1_000_000
        assert not feeding.done()
        drinking = asyncio.ensure_future(one.sink.hear_all())
        assert await pumping == len(BLOCK)
        await one.sink.stream.send_eof()
        await feeding
        assert hashlib.sha256(await drinking).digest() == (
            hashlib.sha256(BLOCK).digest()
        )


async def test_a_pump_that_waits_for_its_source_holds_no_pipe(pipes: Pipes) -> None:
    before = open_files()["pipe"]
    with way(pipes) as one:
        pumping = await bulk_begun(one)
        idle = len(pipes._small) + len(pipes._large)
        assert open_files()["pipe"] - before == 2 * idle
        assert pipes.total == sum(p.size for p in (*pipes._small, *pipes._large))
        pumping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pumping


async def test_where_pipes_cannot_be_had_payload_is_copied(manner: str) -> None:
    pipes = Pipes(most=0)
    with way(pipes) as one:
        assert await carried(one, BLOCK, []) == BLOCK
        assert one.meter.bytes == len(BLOCK)
    pipes.close()


async def test_where_buffers_cannot_be_had_payload_moves_all_the_same(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SocketStream", type("Other", (), {}))
    monkeypatch.setattr(Pipes, "borrow_buffer", lambda self: None)
    with way(pipes) as one:
        assert await carried(one, BLOCK, []) == BLOCK


async def test_a_pump_that_never_waits_gives_others_their_turn(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = iter([b"x" * 100] * 400)

    async def receive(_: SocketStream, limit: int = 0) -> bytes:
        return next(ready, b"")

    async def send(_: SocketStream, data: bytes) -> None:
        return

    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(SocketStream, "receive", receive)
    monkeypatch.setattr(SocketStream, "send", send)
    with way(pipes) as one:
        counting = asyncio.ensure_future(other())
        assert await one.pump() == 40_000
        counting.cancel()
    assert turns >= 400 // module.TURNS - 1


class Slow(Meter):
    """Lets few bytes go at a time."""

    async def leave(self, want: int) -> int:
        await asyncio.sleep(0)
        return min(want, 10_000)


async def test_a_meter_that_lets_few_bytes_go_is_obeyed(
    pipes: Pipes, manner: str
) -> None:
    with way(pipes) as one:
        one.meter = Slow()
        assert await carried(one, BLOCK[:400_000], []) == BLOCK[:400_000]
        assert one.meter.bytes == 400_000


# Both ways.


@contextmanager
def both(pipes: Pipes) -> Iterator[tuple[Wire, Wire, Meter, Meter]]:
    with Wire(Side.CLIENT) as client, Wire(Side.SERVER) as server:
        yield client, server, Meter(), Meter()


async def test_a_relay_carries_both_ways_and_each_end_by_itself(pipes: Pipes) -> None:
    with both(pipes) as (client, server, up, down):
        relaying = asyncio.ensure_future(
            relay(client.stream, server.stream, up, down, pipes)
        )
        await client.say(b"question")
        client.end()
        assert await server.hear_all() == b"question"
        assert not relaying.done()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(produce(server, BLOCK, []))
            heard = tasks.create_task(client.hear_all())
        assert heard.result() == BLOCK
        await relaying
        assert (up.bytes, down.bytes) == (8, len(BLOCK))
        assert not client.stream.closed
        assert not server.stream.closed


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
async def test_a_relay_ends_bare_with_what_broke(pipes: Pipes, side: Side) -> None:
    with both(pipes) as (client, server, up, down):
        relaying = asyncio.ensure_future(
            relay(client.stream, server.stream, up, down, pipes)
        )
        await client.say(b"x")
        await server.hear()
        (client if side is Side.CLIENT else server).reset()
        with pytest.raises(PeerError) as caught:
            await relaying
        assert caught.value.side is side


async def test_a_cancelled_relay_is_cancelled(pipes: Pipes) -> None:
    with both(pipes) as (client, server, up, down):
        relaying = asyncio.ensure_future(
            relay(client.stream, server.stream, up, down, pipes)
        )
        await some_turns()
        relaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await relaying
