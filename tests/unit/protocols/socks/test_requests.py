"""What SOCKS clients say, as it is read."""

from collections.abc import Callable

import pytest

from portway.errors import ProtocolError
from portway.model import Credentials, Endpoint, Reason, Side
from portway.protocols.socks import wire
from portway.protocols.socks.wire import Command, Request, UnknownAddressError

V4, V6, NAME = (
    Endpoint("192.0.2.1", 80),
    Endpoint("2001:db8::1", 443),
    Endpoint("www.example.org", 8080),
)

READERS: list[tuple[Callable[[bytes], object], bytes, object]] = [
    (wire.read_greeting, b"\5\2\0\2", b"\0\2"),
    (wire.read_greeting, b"\5\0", b""),
    (wire.read_login, b"\1\3joe\6secret", Credentials("joe", "secret")),
    *(
        (
            wire.read_request,
            wire.format_request(command, at),
            Request(wire.VERSION_5, command, at),
        )
        for at in (V4, V6, NAME)
        for command in Command
        if at != NAME or command != Command.ASSOCIATE
    ),
    *(
        (
            wire.read_request_4,
            wire.format_request_4(Command.CONNECT, at, "joe"),
            Request(wire.VERSION_4, Command.CONNECT, at, "joe"),
        )
        for at in (V4, NAME)
    ),
]


@pytest.mark.parametrize(("read", "data", "value"), READERS)
def test_it_is_read_to_its_last_byte(
    read: Callable[[bytes], object], data: bytes, value: object
) -> None:
    for end in range(1, len(data)):
        assert read(data[:end]) is None
    assert read(data) == (value, len(data))
    assert read(data + b"\5\1early") == (value, len(data))


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (wire.read_login, b"\2\1a\1b"),
        (wire.read_login, b"\1\0\1b"),
        (wire.read_login, b"\1\1a\0"),
        (wire.read_request, b"\4\1\0"),
        (wire.read_request, b"\5\1\1"),
        (wire.read_request, b"\5\1\0\1\x7f\0\0\1\0\0"),  # port 0
        (wire.read_request, b"\5\1\0\3\0\0\x50"),
        (wire.read_request, b"\5\1\0\3\3a b\0\x50"),
        (wire.read_request, b"\5\1\0\3\x05127.1\0\x50"),
        (wire.read_request, b"\5\1\0\3\x0a0x7f.0.0.1\0\x50"),
        (wire.read_request, b"\5\1\0\3\7fe80::%\0\x50"),
        (wire.read_request_4, b"\4\1\0\0\x7f\0\0\1\0"),
        (wire.read_request_4, b"\4\1\0\x50\0\0\0\1\0a b\0"),
    ],
)
def test_what_is_wrong(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(data)
    assert (caught.value.side, caught.value.reason) == (Side.CLIENT, Reason.SYNTAX)


def test_an_address_of_no_known_kind() -> None:
    with pytest.raises(UnknownAddressError) as caught:
        wire.read_request(b"\5\1\0\2\0")
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("head", [b"\4\1\0\x50\x7f\0\0\1", b"\4\1\0\x50\0\0\0\1\0"])
def test_a_text_of_socks_4_has_a_bound(head: bytes) -> None:
    assert wire.read_request_4(head + b"a" * wire.LONGEST) is None
    with pytest.raises(ProtocolError) as caught:
        wire.read_request_4(head + b"a" * (wire.LONGEST + 1))
    assert caught.value.reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    ("written", "host"),
    [
        (b"192.0.2.1", "192.0.2.1"),
        (b"2001:DB8::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"::ffff:192.0.2.1", "192.0.2.1"),
        (b"WWW.Example.Org.", "www.example.org"),
        ("bücher.example".encode(), "xn--bcher-kva.example"),
    ],
)
def test_names_and_literals_in_the_place_of_a_name(written: bytes, host: str) -> None:
    data = b"\5\1\0\3" + bytes((len(written),)) + written + b"\0\x50"
    found = wire.read_request(data)
    assert found is not None
    assert found[0].at == Endpoint(host, 80)


def test_an_address_that_is_mapped_is_ipv4() -> None:
    data = b"\5\1\0\4" + bytes(10) + b"\xff\xff\xc0\0\2\1\0\x50"
    assert wire.read_request(data) == (Request(5, 1, V4), len(data))


def test_four_zeros_are_no_name() -> None:
    found = wire.read_request_4(b"\4\2\0\0\0\0\0\0\0")
    assert found == (Request(4, 2, Endpoint("0.0.0.0", 0)), 9)


@pytest.mark.parametrize("at", [V4, V6, NAME])
def test_datagrams(at: Endpoint) -> None:
    head = wire.format_datagram_head(at)
    assert wire.read_datagram(head + b"payload") == (at, len(head))
    assert wire.read_datagram(head) == (at, len(head))
    for end in range(len(head)):
        assert wire.read_datagram(head[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\1\1\x7f\0\0\1\0\x50x",  # a fragment
        b"\0\1\0\1\x7f\0\0\1\0\x50x",
        b"\0\0\0\2\x7f\0\0\1\0\x50x",
        b"\0\0\0\1\x7f\0\0\1\0\0x",
        b"\0\0\0\3\1 \0\x50x",
    ],
)
def test_what_is_no_datagram(data: bytes) -> None:
    assert wire.read_datagram(data) is None


def test_a_password_is_in_no_repr() -> None:
    found = wire.read_login(b"\1\3joe\6secret")
    assert "secret" not in repr(found)


def test_the_host_of_an_association_is_a_hint_alone() -> None:
    for name in (b"0", b"any.test"):
        data = b"\5\3\0\3" + bytes([len(name)]) + name + b"\0\0"
        found = wire.read_request(data)
        assert found is not None
        assert found[0].at == Endpoint("0.0.0.0", 0)
        assert found[1] == len(data)
