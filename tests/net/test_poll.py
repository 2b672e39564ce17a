import asyncio
import socket
from contextlib import suppress

import pytest
from tests.fds import nothing_left_open
from tests.wires import Wire, some_turns, tcp_pair

from portway.errors import PeerError
from portway.model import Side
from portway.net.poll import Poll


async def test_a_wait_ends_when_there_is_something_to_read() -> None:
    peer, ours = tcp_pair()
    poll = Poll(ours)
    waiting = poll.readable()
    await some_turns()
    assert not waiting.done()
    peer.send(b"x")
    await waiting
    assert ours.recv(9) == b"x"
    poll.close()
    for sock in (peer, ours):
        sock.close()


async def test_bytes_that_nobody_reads_cost_no_turns_and_are_found_later() -> None:
    peer, ours = tcp_pair()
    poll = Poll(ours)
    peer.send(b"x")
    await poll.readable()
    await some_turns()
    assert not poll._reading  # it stood down: else the loop would spin
    await poll.readable()
    assert ours.recv(9) == b"x"
    poll.close()
    for sock in (peer, ours):
        sock.close()


async def test_an_interrupt_wakes_reader_and_writer() -> None:
    peer, ours = tcp_pair(buffers=4096)
    poll = Poll(ours)
    with suppress(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    reading, writing = poll.readable(), poll.writable()
    poll.interrupt(PeerError(Side.CLIENT, "enough"))
    await asyncio.gather(reading, writing)
    assert str(poll.error) == "enough"
    poll.close()
    for sock in (peer, ours):
        sock.close()


async def test_close_wakes_whoever_waits_and_a_closed_poll_takes_no_waits() -> None:
    peer, ours = tcp_pair()
    poll = Poll(ours)
    reading = poll.readable()
    poll.close()
    poll.close()
    await reading
    with pytest.raises(RuntimeError, match="closed"):
        poll.readable()
    with pytest.raises(RuntimeError, match="closed"):
        poll.writable()
    for sock in (peer, ours):
        sock.close()


async def test_one_task_reads_and_one_writes() -> None:
    peer, ours = tcp_pair()
    poll = Poll(ours)
    reading = poll.readable()
    with pytest.raises(RuntimeError, match="two tasks read"):
        poll.readable()
    reading.cancel()
    again = poll.readable()  # a cancelled wait is no reader
    peer.send(b"x")
    await again
    poll.close()
    for sock in (peer, ours):
        sock.close()


async def test_the_next_socket_with_a_closed_ones_number_is_woken() -> None:
    with nothing_left_open():
        first = Wire()
        number = first.sock.fileno()
        with first, pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await first.stream.receive()
        for _ in range(20):
            with Wire() as wire:
                await wire.say(b"x")
                assert await wire.stream.receive() == b"x"
                if wire.sock.fileno() == number:
                    break
        else:
            pytest.fail("the number did not come again")


async def test_a_registration_is_kept_from_wait_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Wire() as wire:
        await wire.say(b"0")
        assert await wire.stream.receive() == b"0"
        registered: list[int] = []
        arm = Poll._arm_reader

        def counted(poll: Poll) -> None:
            registered.append(poll.fd)
            arm(poll)

        monkeypatch.setattr(Poll, "_arm_reader", counted)
        for turn in range(50):
            reading = asyncio.ensure_future(wire.stream.receive())
            await asyncio.sleep(0)
            await wire.say(b"%d" % turn)
            assert await reading == b"%d" % turn
        if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            assert len(registered) == 1
        else:  # uvloop may have dropped it, and costs no system call
            assert len(registered) <= 51


async def hangup(wire: Wire) -> asyncio.Event:
    event = asyncio.Event()
    wire.stream.on_hangup = event.set
    await some_turns()
    assert not event.is_set()
    return event


async def test_a_peer_that_goes_is_noticed_while_nobody_reads() -> None:
    with Wire() as wire:
        gone = await hangup(wire)
        wire.end()
        await gone.wait()
        assert await wire.stream.receive() == b""


async def test_a_reset_is_noticed_and_still_told_to_the_next_reader() -> None:
    with Wire() as wire:
        gone = await hangup(wire)
        wire.reset()
        await gone.wait()
        with pytest.raises(PeerError):
            await wire.stream.receive()


async def test_unread_bytes_hide_the_end_until_they_are_read() -> None:
    with Wire() as wire:
        gone = await hangup(wire)
        await wire.say(b"x")
        wire.end()
        await some_turns()
        assert not gone.is_set()
        assert await wire.stream.receive() == b"x"
        wire.stream.on_hangup = gone.set
        await gone.wait()


async def test_a_reset_behind_unread_bytes_is_noticed_once_they_are_read() -> None:
    with Wire() as wire:
        gone = await hangup(wire)
        await wire.say(b"x")
        wire.reset()
        await some_turns()
        assert not gone.is_set()
        assert await wire.stream.receive() == b"x"
        wire.stream.on_hangup = gone.set
        await gone.wait()


async def test_a_hangup_is_not_told_to_who_no_longer_wants_to_know() -> None:
    with Wire() as wire:
        gone = await hangup(wire)
        wire.stream.on_hangup = None
        wire.end()
        await some_turns()
        assert not gone.is_set()


async def test_a_full_socket_is_waited_for_and_the_writer_unregistered() -> None:
    with Wire(buffers=4096) as wire:
        payload = bytes(4_000_000)
        sending = asyncio.ensure_future(wire.stream.send(payload))
        await some_turns()
        assert not sending.done()
        heard = 0
        while heard < len(payload):
            heard += len(await wire.hear(1 << 20))
        await sending
        await some_turns()
        assert not wire.stream._poll._writing


async def test_a_closed_loop_is_no_obstacle() -> None:
    peer, ours = socket.socketpair()
    other = asyncio.new_event_loop()

    async def make() -> Poll:
        poll = Poll(ours)
        poll.readable()
        return poll

    poll = await asyncio.to_thread(other.run_until_complete, make())
    other.close()
    poll.close()
    for sock in (peer, ours):
        sock.close()
