"""Chunked bodies: any cut, and payload that goes by, come to the same."""

from fuzz.cuts import pieces

from portway.model import Side
from portway.protocols.http.chunks import (
    LINE,
    TRAILERS,
    Unchunker,
    chunk,
    chunk_head,
    last_chunk,
)
from portway.protocols.http.wire import BadMessage

Seen = tuple[bytes, str, bool, object, bytes]


def read(parts: list[bytes]) -> Seen:
    reader = Unchunker(Side.CLIENT)
    payload, error = b"", ""
    for part in parts:
        try:
            payload += reader.feed(part)
        except BadMessage as bad:
            error = f"{bad.status} {bad.text}"
            break
        assert len(reader._held) <= max(LINE, TRAILERS) + 1  # noqa: SLF001 - memory
    return payload, error, reader.done, reader.trailers, reader.rest


def spliced(data: bytes) -> Seen:
    """Read *data* while the payload goes by, all but the lines."""
    reader = Unchunker(Side.CLIENT)
    payload, error, place = b"", "", 0
    while place < len(data):
        if reader.left:
            piece = data[place : place + reader.left]
            reader.passed(len(piece))
            payload += piece
        else:
            piece = data[place : place + 1]
            try:
                assert reader.feed(piece) == b""
            except BadMessage as bad:
                error = f"{bad.status} {bad.text}"
                break
        place += len(piece)
    return payload, error, reader.done, reader.trailers, reader.rest


def target(data: bytes) -> None:
    count = data[0] % 8 if data else 0
    cuts, rest = list(data[1 : 1 + count]), data[1 + count :]
    whole = read([rest])
    for seen in (
        read(list(pieces(rest, cuts))),
        read(list(pieces(rest, range(len(rest))))),
        spliced(rest),
    ):
        assert seen[1:] == whole[1:]
        assert whole[1] or seen[0] == whole[0]
    payload, error, done, trailers, behind = whole
    assert not error or error.startswith("400 ")
    if done and not error:
        assert isinstance(trailers, tuple)
        written = chunk(payload) if payload else b""
        written += last_chunk(trailers) + behind
        assert read([written]) == whole
    assert int(chunk_head(len(rest)), 16) == len(rest)
