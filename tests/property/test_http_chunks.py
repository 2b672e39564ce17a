"""Chunked bodies: written and read again, in any cut, spliced or not; h11 agrees."""

from itertools import pairwise

import h11
from fuzz import fuzz_http_chunks
from hypothesis import given
from hypothesis import strategies as st

from portway.model import Side
from portway.protocols.http.chunks import Unchunker, chunk, last_chunk
from portway.protocols.http.wire import BadMessage

payloads = st.lists(st.binary(min_size=1, max_size=30), max_size=6)
cut_places = st.lists(st.integers(0, 200), max_size=6)
SPARKS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"0", b"f", b" ", b";", b"\0", b"+", b"0x", b"\r\n\r\n"]
)


@st.composite
def almost(draw: st.DrawFn) -> bytes:
    data = b"".join(map(chunk, draw(payloads))) + b"0\r\nX: y\r\n\r\nNEXT"
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 2))
        data = data[:place] + draw(SPARKS) + data[place + gone :]
    return data


@given(payloads, cut_places, st.booleans(), st.binary(max_size=9))
def test_what_is_written_is_read_in_any_cut(
    parts: list[bytes], cuts: list[int], trailer: bool, behind: bytes
) -> None:
    trailers = ((b"X", b"y"),) if trailer else ()
    data = b"".join(map(chunk, parts)) + last_chunk(trailers) + behind
    reader = Unchunker(Side.SERVER)
    got = b""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(places):
        got += reader.feed(data[start:end])
    assert got == b"".join(parts)
    assert (reader.done, reader.trailers, reader.rest) == (True, trailers, behind)


@given(almost(), cut_places)
def test_any_cut_is_the_same(data: bytes, cuts: list[int]) -> None:
    fuzz_http_chunks.target(bytes([len(cuts), *cuts]) + data)


@given(almost())
def test_a_second_parser_agrees_where_we_take_a_body(data: bytes) -> None:
    reader = Unchunker(Side.CLIENT)
    try:
        ours = reader.feed(data)
    except BadMessage:
        return  # h11 takes more than we do: LF alone, blanks behind a size
    theirs, ended = other(data)
    assert theirs == ours
    assert ended == reader.done


def other(data: bytes) -> tuple[bytes, bool]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + data
    )
    got = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            got += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return got, True
        elif not isinstance(event, h11.Request):
            return got, False
