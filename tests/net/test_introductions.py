import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fds import nothing_left_open
from tests.wires import Wire, until

from portway.errors import PeerError, PortwayError, ProtocolError
from portway.model import Endpoint, Reason
from portway.net import introductions as module
from portway.net.introductions import Introductions, read_header
from portway.net.preface import FORMATS, NOBODY_ELSE, Preface
from portway.net.stream import SocketStream

CLIENT = Endpoint("192.0.2.7", 51234)
SERVER = Endpoint("198.51.100.2", 21)
HEADERS = [form(CLIENT, SERVER) for form in FORMATS.values()]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    with nothing_left_open():
        with Wire() as made:
            yield made
        await asyncio.sleep(0)


@pytest.mark.parametrize("header", HEADERS)
async def test_not_a_byte_behind_the_header_is_taken(wire: Wire, header: bytes) -> None:
    await wire.say(header + b"\x16\x03")
    assert await read_header(wire.stream) == Preface(CLIENT, SERVER)
    assert wire.stream.spliceable
    assert wire.sock.recv(10) == b"\x16\x03"


@pytest.mark.parametrize("header", HEADERS)
async def test_a_header_may_come_byte_by_byte(wire: Wire, header: bytes) -> None:
    reading = asyncio.ensure_future(read_header(wire.stream))
    for byte in header:
        assert not reading.done()
        await wire.say(bytes((byte,)))
        await asyncio.sleep(0)
    assert await reading == Preface(CLIENT, SERVER)


@pytest.mark.parametrize("header", NOBODY_ELSE.values())
async def test_a_balancer_may_speak_for_itself(wire: Wire, header: bytes) -> None:
    await wire.say(header)
    assert await read_header(wire.stream) == Preface()


@pytest.mark.parametrize("header", HEADERS)
async def test_a_slow_header_is_not_waited_for(wire: Wire, header: bytes) -> None:
    await wire.say(header[:20])
    with pytest.raises(ProtocolError, match="no PROXY header in time") as caught:
        await read_header(wire.stream, 0.05)
    assert caught.value.reason is Reason.TIMEOUT


@pytest.mark.parametrize("garbage", [b"USER joe\r\n", b"\x16\x03\x01", b"PROXY TCP7 "])
async def test_garbage_is_no_header(wire: Wire, garbage: bytes) -> None:
    await wire.say(garbage)
    wire.end()
    with pytest.raises(ProtocolError):
        await read_header(wire.stream)


async def test_who_only_looks_in_is_told_from_who_breaks_off(wire: Wire) -> None:
    wire.end()
    with pytest.raises(PeerError) as caught:
        await read_header(wire.stream)
    assert caught.value.reason is Reason.GONE


class Door:
    """Takes note of who was met, and who failed."""

    def __init__(self) -> None:
        self.introductions = Introductions()
        self.met: list[tuple[SocketStream, Endpoint | None]] = []
        self.failed: list[PortwayError] = []

    def hear(self, stream: SocketStream) -> None:
        self.introductions.wait_for(stream, self._met, self._failed)

    def _met(self, stream: SocketStream, called: Endpoint | None) -> None:
        self.met.append((stream, called))

    def _failed(self, stream: SocketStream, error: PortwayError) -> None:
        stream.abort()
        self.failed.append(error)


async def test_the_named_client_is_the_peer_from_then_on(wire: Wire) -> None:
    door = Door()
    door.hear(wire.stream)
    assert len(door.introductions) == 1
    await wire.say(HEADERS[0] + b"hello")
    await until(lambda: bool(door.met))
    [(stream, called)] = door.met
    assert (stream.peer, called) == (CLIENT, SERVER)
    assert stream.local == Endpoint("127.0.0.1", wire.sock.getsockname()[1])
    assert await stream.receive() == b"hello"
    assert len(door.introductions) == 0
    stream.close()
    wire.stream = stream


async def test_who_fails_is_forgotten(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    door = Door()
    door.hear(wire.stream)
    await wire.say(b"nonsense")
    await until(lambda: bool(door.failed))
    assert not door.met
    assert len(door.introductions) == 0


@pytest.mark.parametrize("begun", [True, False])
async def test_closing_ends_them_all(wire: Wire, *, begun: bool) -> None:
    door = Door()
    door.hear(wire.stream)
    if begun:
        await wire.say(HEADERS[0][:9])
        await asyncio.sleep(0.01)
    door.introductions.close()
    assert wire.stream.closed
    with pytest.raises(ConnectionResetError):
        await wire.hear()
    await asyncio.sleep(0)
    assert len(door.introductions) == 0
    assert not door.met
    assert not door.failed
