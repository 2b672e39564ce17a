import asyncio
import errno
import gc
import socket
import sys
import warnings

import pytest
from tests.fds import nothing_left_open
from tests.wires import Wire, send_until_it_fails, some_turns, tcp_pair

from portway.errors import PeerError, Refused
from portway.model import Endpoint, Reason, Side
from portway.net.ends import address_of, endpoint_of
from portway.net.stream import SocketStream, Stream


async def test_bytes_come_as_they_were_sent_in_whatever_pieces() -> None:
    with Wire() as wire:
        await wire.say(b"hello")
        assert await wire.stream.receive(2) == b"he"
        assert await wire.stream.receive(2) == b"ll"
        assert await wire.stream.receive(2) == b"o"
        buffer = memoryview(bytearray(4))
        await wire.say(b"again")
        assert await wire.stream.receive_into(buffer) == 4
        assert bytes(buffer) == b"agai"
        assert await wire.stream.receive_into(buffer) == 1


async def test_the_end_is_empty_and_stays_so() -> None:
    with Wire() as wire:
        await wire.say(b"x")
        wire.end()
        assert await wire.stream.receive() == b"x"
        for _ in range(3):
            assert await wire.stream.receive() == b""
            assert await wire.stream.receive_into(memoryview(bytearray(8))) == 0


async def test_a_half_closed_stream_goes_on_the_other_way() -> None:
    with Wire() as wire:
        wire.end()
        assert await wire.stream.receive() == b""
        await wire.stream.send(b"still here")
        await wire.stream.send_eof()
        assert await wire.hear_all() == b"still here"


async def test_an_end_sent_lets_receiving_go_on() -> None:
    with Wire() as wire:
        await wire.stream.send_eof()
        assert await wire.hear_all() == b""
        await wire.say(b"late")
        assert await wire.stream.receive() == b"late"


async def test_a_large_payload_is_sent_whole_through_small_buffers() -> None:
    payload = bytes(range(256)) * 20_000
    with Wire(buffers=8192) as wire:
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(wire.hear_all())
            await wire.stream.send(memoryview(payload))
            await wire.stream.send_eof()
        assert heard.result() == payload


async def test_unread_bytes_come_first_and_in_order() -> None:
    with Wire() as wire:
        await wire.say(b"third")
        assert wire.stream.spliceable
        wire.stream.unread(b"second")
        wire.stream.unread(b"first")
        assert not wire.stream.spliceable
        assert await wire.stream.receive(3) == b"fir"
        buffer = memoryview(bytearray(4))
        assert await wire.stream.receive_into(buffer) == 4
        assert bytes(buffer) == b"stse"
        assert await wire.stream.receive() == b"cond"
        assert wire.stream.spliceable
        assert await wire.stream.receive() == b"third"


@pytest.mark.parametrize("side", Side)
async def test_a_reset_is_an_error_that_names_the_side(side: Side) -> None:
    with Wire(side) as wire:
        reading = asyncio.ensure_future(wire.stream.receive())
        await some_turns()
        wire.reset()
        with pytest.raises(PeerError) as caught:
            await reading
        assert caught.value.side is side
        assert caught.value.reason is Reason.GONE


async def test_a_broken_end_never_looks_clean_later() -> None:
    with Wire() as wire:
        wire.reset()
        with pytest.raises(PeerError):
            await send_until_it_fails(wire.stream)
        for _ in range(3):
            with pytest.raises(PeerError):
                await wire.stream.receive()
            with pytest.raises(PeerError):
                await wire.stream.receive_into(memoryview(bytearray(8)))


async def test_sending_to_who_closed_is_an_error_and_no_signal() -> None:
    with Wire(Side.SERVER) as wire:
        wire.peer.close()
        with pytest.raises(PeerError) as caught:
            await send_until_it_fails(wire.stream)
        assert caught.value.side is Side.SERVER


async def test_abort_is_a_reset_even_behind_bytes_that_were_not_taken() -> None:
    with Wire() as wire:
        await wire.stream.send(b"x" * 10_000)
        wire.stream.abort()
        with pytest.raises(ConnectionResetError):
            await wire.hear_all()


async def test_close_is_an_end_when_nothing_waits_unread() -> None:
    with Wire() as wire:
        await wire.stream.send(b"bye")
        wire.stream.close()
        assert await wire.hear_all() == b"bye"
        assert wire.stream.closed
        wire.stream.close()
        wire.stream.abort()


async def test_a_closed_stream_says_so_to_every_call() -> None:
    with Wire() as wire:
        wire.stream.unread(b"left over")
        wire.stream.close()
        buffer = memoryview(bytearray(1))
        for call in (
            wire.stream.receive,
            lambda: wire.stream.receive_into(buffer),
            lambda: wire.stream.send(b"x"),
            lambda: wire.stream.send_urgent(b"x"),
            wire.stream.send_eof,
        ):
            with pytest.raises(PeerError, match="closed"):
                await call()
        wire.stream.interrupt(Refused(Reason.DRAIN))
        with pytest.raises(PeerError, match="closed"):
            await wire.stream.receive()


async def test_closing_wakes_who_waits() -> None:
    with Wire() as wire:
        reading = asyncio.ensure_future(wire.stream.receive())
        await some_turns()
        wire.stream.close()
        with pytest.raises(PeerError, match="closed"):
            await reading


async def test_an_interrupt_is_raised_as_it_is_until_resumed() -> None:
    error = Refused(Reason.DRAIN)
    with Wire(buffers=4096) as wire:
        reading = asyncio.ensure_future(wire.stream.receive())
        sending = asyncio.ensure_future(wire.stream.send(bytes(4_000_000)))
        await some_turns()
        wire.stream.interrupt(error)
        for waiting in (reading, sending):
            with pytest.raises(Refused) as caught:
                await waiting
            assert caught.value is error
        with pytest.raises(Refused):
            await wire.stream.send(b"x")
        wire.stream.resume()
        await wire.say(b"x")
        assert await wire.stream.receive() == b"x"


async def test_a_cancelled_wait_leaves_the_stream_usable() -> None:
    with Wire() as wire:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await wire.stream.receive()
        await wire.say(b"x")
        assert await wire.stream.receive() == b"x"


async def test_urgent_bytes_arrive_in_line_and_in_order() -> None:
    with Wire() as wire:
        # as listen.prepare sets it
        wire.peer.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        await wire.stream.send(b"\xff\xf4\xff")
        await wire.stream.send_urgent(b"\xf2")
        await wire.stream.send(b"ABOR\r\n")
        await wire.stream.send_eof()
        assert await wire.hear_all() == b"\xff\xf4\xff\xf2ABOR\r\n"


async def test_an_urgent_byte_of_the_peers_does_not_stop_reading() -> None:
    with Wire() as wire:
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        wire.peer.send(b"\xf2", socket.MSG_OOB)
        await wire.say(b"ABOR\r\n")
        wire.end()
        heard = b""
        while data := await wire.stream.receive():
            heard += data
        assert heard == b"\xf2ABOR\r\n"


async def test_finish_reads_to_the_peers_end() -> None:
    with Wire() as wire:
        await wire.stream.send(b"the tail")
        await wire.stream.send_eof()
        await wire.say(b"stray" * 1000)
        finishing = asyncio.ensure_future(wire.stream.finish(10))
        assert await wire.hear_all() == b"the tail"
        assert not finishing.done()
        wire.end()
        await finishing
        assert wire.stream.closed


async def test_finish_does_not_wait_for_ever() -> None:
    with Wire() as wire:
        await wire.stream.finish(0.01)
        assert wire.stream.closed


async def test_both_ends_have_names() -> None:
    with Wire() as wire:
        assert wire.stream.peer == endpoint_of(wire.peer.getsockname())
        assert wire.stream.local == endpoint_of(wire.peer.getpeername())
        assert str(wire.stream.peer_address) == "127.0.0.1"
        assert str(wire.stream.local_address) == "127.0.0.1"
        assert "client" in repr(wire.stream)


async def test_a_peer_that_left_before_its_name_was_asked_is_a_peer_error() -> None:
    with Wire() as wire:
        wire.reset()
        await some_turns()
        with pytest.raises(PeerError):
            _ = wire.stream.peer


def test_mapped_addresses_are_folded_and_odd_names_have_no_host() -> None:
    assert endpoint_of(("::ffff:10.0.0.1", 21, 0, 0)) == Endpoint("10.0.0.1", 21)
    assert endpoint_of(("2001:db8::1", 21, 0, 0)) == Endpoint("2001:db8::1", 21)
    assert endpoint_of("") == Endpoint("", 0)
    with pytest.raises(ValueError, match="no address"):
        address_of(Endpoint("ftp.example", 21))


async def test_a_forgotten_stream_is_closed_and_complained_about() -> None:
    with nothing_left_open():
        peer, ours = tcp_pair()
        stream = SocketStream(ours, Side.CLIENT)
        del ours
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del stream
            gc.collect()
        assert [warning.category for warning in caught] == [ResourceWarning]
        assert peer.recv(1) == b""
        peer.close()


async def test_a_stream_is_small() -> None:
    with Wire() as wire:
        stream = wire.stream
        assert not hasattr(stream, "__dict__")
        assert not hasattr(stream._poll, "__dict__")
        assert sys.getsizeof(stream) + sys.getsizeof(stream._poll) < 400


async def test_a_system_error_keeps_its_words_in_lower_case() -> None:
    with Wire() as wire:
        error = wire.stream.failed(OSError(errno.ECONNRESET, "Connection reset"))
        assert str(error) == "connection reset"
        assert str(wire.stream.failed(OSError())) == "broken"


def test_a_socket_stream_is_a_stream() -> None:
    made: type[Stream] = SocketStream  # which mypy checks
    assert made is SocketStream
