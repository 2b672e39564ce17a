import asyncio

import pytest
from tests.fds import nothing_left_open
from tests.wires import Wire, some_turns, until

from portway.net import linger as module
from portway.net.linger import close_lingering, linger


async def test_the_tail_arrives_whole_although_the_peer_sent_what_nobody_read() -> None:
    payload = bytes(range(256)) * 8000
    with nothing_left_open(), Wire(buffers=16384) as wire:
        await wire.say(b"stray")
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(wire.hear_all())
            await wire.stream.send(payload)
            await wire.stream.send_eof()
            linger(wire.stream, 10)
            await wire.say(b"more" * 1000)
        assert heard.result() == payload
        assert not wire.stream.closed
        wire.end()
        await until(lambda: wire.stream.closed)
        assert not module._lingering


async def test_a_peer_that_has_ended_already_is_not_waited_for() -> None:
    with Wire() as wire:
        wire.end()
        await wire.stream.send_eof()
        linger(wire.stream, 10)
        await until(lambda: wire.stream.closed)
        assert await wire.hear_all() == b""


async def test_a_peer_that_never_ends_is_closed_in_time() -> None:
    with Wire() as wire:
        linger(wire.stream, 0.02)
        await some_turns()
        assert not wire.stream.closed
        await until(lambda: wire.stream.closed)


async def test_a_peer_that_never_stops_sending_is_closed_in_time() -> None:
    with Wire() as wire:
        linger(wire.stream, 0.05)

        async def flood() -> None:
            while True:
                await wire.say(bytes(65536))

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await flood()
        assert wire.stream.closed


async def test_a_reset_peer_is_closed_at_once() -> None:
    with Wire() as wire:
        linger(wire.stream, 10)
        wire.reset()
        await until(lambda: wire.stream.closed)


@pytest.mark.parametrize("ends", [True, False])
async def test_with_reset_the_peer_sees_one(ends: bool) -> None:
    with Wire() as wire:
        await wire.say(b"x" * 1000)
        linger(wire.stream, 10 if ends else 0.01, reset=True)
        if ends:
            wire.end()
        await until(lambda: wire.stream.closed)
        with pytest.raises(ConnectionResetError):
            await wire.hear_all()


async def test_all_that_linger_can_be_closed_and_none_is_left() -> None:
    with nothing_left_open():
        wires = [Wire() for _ in range(5)]
        for wire in wires:
            linger(wire.stream, 10)
        assert len(module._lingering) == 5
        close_lingering()
        assert not module._lingering
        assert all(wire.stream.closed for wire in wires)
        for wire in wires:
            wire.peer.close()


async def test_a_closed_stream_does_not_linger() -> None:
    with Wire() as wire:
        wire.stream.abort()
        linger(wire.stream, 10)
        assert not module._lingering


async def test_bytes_put_back_are_dropped_too() -> None:
    with Wire() as wire:
        wire.stream.unread(b"x")
        linger(wire.stream, 10)
        wire.end()
        await until(lambda: wire.stream.closed)


async def test_a_reset_behind_bytes_that_nobody_wanted_is_noticed_at_once() -> None:
    with Wire() as wire:
        await wire.say(b"x" * 200_000)
        linger(wire.stream, 3600)
        wire.reset()
        await until(lambda: wire.stream.closed)
