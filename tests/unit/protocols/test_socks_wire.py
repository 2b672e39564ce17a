import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.model import Credentials, Endpoint
from portway.protocols.socks import wire
from portway.protocols.socks.wire import Command, Reply, Reply4

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABEL, min_size=1, max_size=4).map(
    lambda labels: ".".join([*labels, "org"])
)
HOSTS = st.one_of(st.ip_addresses().map(str), NAMES)
ENDPOINTS = st.builds(Endpoint, HOSTS, st.integers(0, 65535))


@given(ENDPOINTS)
def test_addresses_are_read_as_they_were_written(at: Endpoint) -> None:
    data = wire.format_address(at)
    assert wire.address_size(data[:2]) == len(data)
    assert wire.read_address(data) == at


@given(st.binary(max_size=300))
def test_other_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        at = wire.read_address(data)
    except ValueError:
        return
    assert wire.read_address(wire.format_address(at)) == at


def test_the_bytes_of_rfc_1928() -> None:
    assert wire.format_greeting(wire.NO_LOGIN, wire.PASSWORD) == b"\5\2\0\2"
    v4, name = Endpoint("192.0.2.1", 21), Endpoint("ftp.example.org", 990)
    assert wire.format_request(Command.CONNECT, v4) == b"\5\1\0\1\xc0\0\2\1\0\x15"
    asked = wire.format_request(Command.BIND, name)
    assert asked == b"\5\2\0\3\x0fftp.example.org\3\xde"
    assert wire.format_reply(Reply.REFUSED, v4)[:3] == b"\5\5\0"


def test_the_login_of_rfc_1929() -> None:
    login = Credentials("joe", "secret")
    assert wire.format_login(login) == b"\1\3joe\6secret"
    for wrong in Credentials("", "x"), Credentials("x", "y" * 256):
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            wire.format_login(wrong)


def test_the_bytes_of_socks_4() -> None:
    v4, name = Endpoint("192.0.2.1", 21), Endpoint("ftp.example.org", 21)
    asked = wire.format_request_4(Command.CONNECT, v4, "joe")
    assert asked == b"\4\1\0\x15\xc0\0\2\1joe\0"
    asked = wire.format_request_4(Command.CONNECT, name, "")
    assert asked == b"\4\1\0\x15\0\0\0\1\0ftp.example.org\0"
    reply = wire.format_reply_4(Reply4.GRANTED, v4)
    assert wire.read_reply_4(reply) == (Reply4.GRANTED, v4)
    with pytest.raises(ValueError, match="IPv6"):
        wire.format_request_4(Command.CONNECT, Endpoint("2001:db8::1", 21), "")
    with pytest.raises(ValueError, match="NUL"):
        wire.format_request_4(Command.CONNECT, v4, "jo\0e")


@pytest.mark.parametrize("name", [b"", b"a b", b"a\r\nb", b"\xff", b"a\0b"])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError):
        wire.read_address(bytes((3, len(name))) + name + b"\0\x15")
