"""SOCKS readers: a value that can be written again, or ProtocolError; no byte more."""

from collections.abc import Callable
from typing import TypeVar

from portway.errors import ProtocolError
from portway.model import Endpoint, Side
from portway.protocols.socks import wire
from portway.protocols.socks.wire import Request

V = TypeVar("V")
Found = tuple[V, int] | None
LONGEST = 2 * (wire.LONGEST + 1) + 8


def attempt(read: Callable[[bytes], Found[V]], data: bytes) -> Found[V] | str:
    try:
        return read(data)
    except ProtocolError as error:
        if error.side is not Side.CLIENT:
            raise
        return error.text


def check(read: Callable[[bytes], Found[V]], data: bytes) -> V | None:
    """Read *data* whole and byte by byte; return what it is, if it is anything."""
    whole = attempt(read, data)
    for end in range(min(len(data), LONGEST) + 1):
        found = attempt(read, data[:end])
        if found is not None:
            assert found == whole
            break
    if whole is None:
        assert len(data) <= LONGEST
        return None
    if isinstance(whole, str):
        return None
    value, used = whole
    assert 0 < used <= len(data)
    assert attempt(read, data[:used]) == whole
    return value


def check_place(at: Endpoint) -> None:
    assert 0 <= at.port < 65536
    assert at.host == at.host.lower()
    assert wire.read_address(wire.format_address(at)) == at


def check_request(request: Request | None) -> None:
    if request is None:
        return
    check_place(request.at)
    if request.version == wire.VERSION_5:
        again = wire.read_request(wire.format_request(request.command, request.at))
        assert again is not None
        assert again[0] == request


def check_datagram(data: bytes) -> None:
    found = wire.read_datagram(data)
    if found is not None:
        at, begin = found
        check_place(at)
        assert data[:3] == b"\0\0\0"
        again = wire.read_datagram(wire.format_datagram_head(at) + data[begin:])
        assert again is not None
        assert again[0] == at


def target(data: bytes) -> None:
    for version in (b"\4", b"\5", b""):
        words = version + data
        if words[:1] == b"\5":
            check(wire.read_greeting, words)
            check_request(check(wire.read_request, words))
        elif words[:1] == b"\4":
            check_request(check(wire.read_request_4, words))
    check(wire.read_login, b"\1" + data)
    check_datagram(data)
    check_datagram(b"\0\0\0" + data)
