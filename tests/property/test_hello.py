"""Nothing that a client can send in a ClientHello's place does more than be refused."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.net.test_hello import hello

from portway.net.hello import alpn_of

REAL = hello("ftp", "h2")


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    for begin in (b"", b"\x16\x03\x01", REAL[:60]):
        with suppress(ValueError):
            alpn_of(begin + data)


@given(st.integers(0, len(REAL) - 1), st.integers(0, 255))
def test_one_byte_that_is_wrong(place: int, byte: int) -> None:
    data = REAL[:place] + bytes([byte]) + REAL[place + 1 :]
    with suppress(ValueError):
        found = alpn_of(data)
        assert found is None or len(found) <= len(data)
