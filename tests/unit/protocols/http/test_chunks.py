"""The chunked coding: payload in any split, trailers, and payload that goes by."""

import pytest

from portway.model import Reason, Side
from portway.protocols.http.chunks import (
    LINE,
    TRAILERS,
    Unchunker,
    chunk,
    chunk_head,
    last_chunk,
)
from portway.protocols.http.wire import BadMessage

BODY = b"5;x=y\r\nhello\r\n1\r\n \r\n0A\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nNEXT"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, len(BODY)])
def test_any_split_is_the_same(size: int) -> None:
    reader = Unchunker(Side.CLIENT)
    got = b""
    for place in range(0, len(BODY), size):
        got += reader.feed(BODY[place : place + size])
    assert got == b"hello 0123456789"
    assert reader.done
    assert reader.trailers == ((b"A", b"b"), (b"C", b"d"))
    assert reader.rest == b"NEXT"


def test_payload_may_go_by_elsewhere() -> None:
    reader = Unchunker(Side.SERVER)
    assert reader.feed(b"100000\r\nab") == b"ab"
    assert reader.left == 0x100000 - 2
    reader.passed(1000)
    reader.passed(reader.left)
    assert reader.left == 0
    assert reader.feed(b"\r\n1\r\nx\r\n") == b"x"
    assert not reader.done
    assert reader.feed(b"0\r\n\r\n") == b""
    assert reader.done
    reader.passed(0)
    assert reader.done


def test_no_more_goes_by_than_the_chunk_has() -> None:
    reader = Unchunker(Side.SERVER)
    reader.feed(b"5\r\nab")
    for count in (4, -1):
        with pytest.raises(ValueError):
            reader.passed(count)
    with pytest.raises(ValueError):
        Unchunker(Side.SERVER).passed(1)


def test_the_limits_are_to_the_byte() -> None:
    line = b"1;" + b"x" * (LINE - 2)
    assert Unchunker(Side.CLIENT).feed(line + b"\r\nx") == b"x"
    trailers = b"X: " + b"y" * (TRAILERS - 5) + b"\r\n\r\n"
    reader = Unchunker(Side.CLIENT)
    reader.feed(b"0\r\n" + trailers)
    assert reader.done
    assert sum(map(len, reader.trailers[0])) == TRAILERS - 4
    for begun, text in ((b"", line), (b"0\r\n", trailers[:-4])):
        for end in (b"zzz", b"z\r\n", b"zzzzz\r\n"):
            reader = Unchunker(Side.CLIENT)
            reader.feed(begun)
            with pytest.raises(BadMessage, match="bytes") as raised:
                reader.feed(text + end)
            assert raised.value.status == 400


def test_a_server_is_blamed_for_its_chunks() -> None:
    with pytest.raises(BadMessage) as raised:
        Unchunker(Side.SERVER).feed(b"x\r\n")
    assert raised.value.side is Side.SERVER
    assert (raised.value.status, raised.value.reason) == (502, Reason.PROTOCOL)


def test_what_is_written_is_read() -> None:
    trailers = ((b"A", b"b"),)
    written = chunk(b"hello") + chunk_head(3) + b"abc\r\n" + last_chunk(trailers)
    reader = Unchunker(Side.CLIENT)
    assert reader.feed(written) == b"helloabc"
    assert (reader.done, reader.trailers, reader.rest) == (True, trailers, b"")
    assert last_chunk() == b"0\r\n\r\n"


def test_what_cannot_be_mended_is_refused_at_once() -> None:
    for begun, wrong in ((b"1\r\nx", b"y"), (b"1\r\nx\r", b"y"), (b"", b"5\n")):
        reader = Unchunker(Side.CLIENT)
        reader.feed(begun)
        with pytest.raises(BadMessage):
            reader.feed(wrong)
