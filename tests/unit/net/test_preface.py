import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import ProtocolError
from portway.model import Endpoint
from portway.net.preface import (
    LONGEST,
    SIGNATURE,
    Preface,
    format_1,
    format_2,
    read_preface,
    wanted,
)

CLIENT = Endpoint("192.0.2.7", 51234)
SERVER = Endpoint("198.51.100.2", 21)
CLIENT_6 = Endpoint("2001:db8::7", 1)
SERVER_6 = Endpoint("2001:db8::2", 65535)


def take(stream: bytes) -> tuple[bytes, bytes]:
    """Read a header as a gateway does; return it, and what is behind it."""
    data = b""
    while count := wanted(data):
        more = stream[len(data) : len(data) + count]
        if not more:
            raise EOFError
        data += more
    return data, stream[len(data) :]


@pytest.mark.parametrize("write", [format_1, format_2])
@pytest.mark.parametrize(
    ("client", "server"), [(CLIENT, SERVER), (CLIENT_6, SERVER_6)], ids=["v4", "v6"]
)
def test_what_is_written_is_read_and_nothing_behind_it(write, client, server) -> None:  # type: ignore[no-untyped-def]
    header, rest = take(write(client, server) + b"\x16\x03\x01")
    assert read_preface(header) == Preface(client, server)
    assert rest == b"\x16\x03\x01"


def test_the_words_of_version_1() -> None:
    words = b"PROXY TCP4 192.0.2.7 198.51.100.2 51234 21\r\n"
    assert format_1(CLIENT, SERVER) == words


def test_the_bytes_of_version_2() -> None:
    head = SIGNATURE + b"\x21\x11\x00\x0c"
    body = bytes((192, 0, 2, 7, 198, 51, 100, 2)) + struct.pack("!HH", 51234, 21)
    assert format_2(CLIENT, SERVER) == head + body


def test_two_families_become_one() -> None:
    for header in format_1(CLIENT, SERVER_6), format_2(CLIENT, SERVER_6):
        assert read_preface(take(header)[0]) == Preface(CLIENT, SERVER_6)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        SIGNATURE + b"\x20\x00\x00\x00",
        SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x00\x00\x00",
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
    ],
)
def test_a_balancer_may_speak_for_itself(header: bytes) -> None:
    assert read_preface(take(header)[0]) == Preface()


def test_other_fields_of_version_2_are_skipped() -> None:
    plain = format_2(CLIENT, SERVER)
    header = plain[:14] + struct.pack("!H", 12 + 100) + plain[16:] + bytes(100)
    found, rest = take(header + b"USER x")
    assert read_preface(found) == Preface(CLIENT, SERVER)
    assert rest == b"USER x"


@pytest.mark.parametrize(
    "stream",
    [
        b"USER joe\r\n",
        b"PROXY\r\n" + b"x" * 20,
        b"PROXY TCP4 192.0.2.7 198.51.100.2 51234 21\n" + b"x" * 90,
        b"PROXY TCP4 " + b"1" * LONGEST,
        b"PROXY TCP4 2001:db8::7 198.51.100.2 51234 21\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.2 51234 21\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.2 51234 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.2 051234 21\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.2 -1 21\r\n",
        b"PROXY TCP4 192.0.2.7  198.51.100.2 1 21\r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.2 1 21\r\n",
        SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(65535),
    ],
)
def test_what_is_no_header_is_refused(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_preface(take(stream)[0])


@given(st.binary(max_size=700), st.sampled_from([b"", b"PROXY ", SIGNATURE]))
def test_whatever_comes_is_read_refused_or_waited_for(data: bytes, head: bytes) -> None:
    try:
        found, rest = take(head + data)
        read_preface(found)
    except (ProtocolError, EOFError):
        return
    assert found + rest == head + data
