"""The chunked coding, read and written: RFC 9112, section 7.1.

Whoever moves a body may let the payload of a chunk go by elsewhere (the kernel splices
it) and say how much that was: `Unchunker.left`, `Unchunker.passed`.

Not here: reading from a connection, and which trailers go on (fields.py). Invariant:
any split of the same bytes gives the same payload, the same trailers and the same end,
and no more than one chunk's line, or the trailers, is held.
"""

from enum import Enum, auto

from portway.model import Side
from portway.protocols.http.framing import LONGEST_BODY, format_fields
from portway.protocols.http.wire import (
    CRLF,
    BadMessage,
    Fields,
    bad,
    clean,
    read_fields,
)

LINE = 1024  # bytes of a chunk's line, without its end
TRAILERS, TRAILER_COUNT = 16384, 64
_DIGITS = b"0123456789abcdefABCDEF"


class _Awaited(Enum):
    SIZE = auto()
    PAYLOAD = auto()
    CRLF = auto()  # behind the payload of a chunk
    TRAILER = auto()
    NOTHING = auto()


class Unchunker:
    """Takes the payload out of a chunked body, which *side* sends.

    `feed` raises BadMessage, 400 or 502, for what is no such body; the rest of it has
    no meaning then. Extensions are read over.

    A mover that sees much in `left` may send `chunk_head(left)`, move that many bytes
    from connection to connection, send CRLF, and call `passed`.
    """

    __slots__ = ("_awaited", "_held", "_lines", "_side", "left", "rest", "trailers")

    def __init__(self, side: Side) -> None:
        self._side = side
        self._awaited = _Awaited.SIZE
        self._held = b""  # of a line whose end has not come
        self._lines: list[bytes] = []  # of the trailers
        self.left = 0  # payload bytes of the present chunk that are still to come
        self.rest = b""  # what came behind the end of the body
        self.trailers: Fields = ()

    @property
    def done(self) -> bool:
        """Whether the body has ended."""
        return self._awaited is _Awaited.NOTHING

    def passed(self, count: int) -> None:
        """*count* payload bytes of those `left` went by elsewhere."""
        if not 0 <= count <= self.left:
            raise ValueError("more than the chunk has left")
        self._passed(count)

    def feed(self, data: bytes) -> bytes:
        """Return the payload in *data*. What stands behind the end is put to `rest`."""
        payload: list[bytes] = []
        place = 0
        while place < len(data) and self._awaited is not _Awaited.NOTHING:
            if self._awaited is _Awaited.PAYLOAD:
                piece = data[place : place + self.left]
                payload.append(piece)
                place += len(piece)
                self._passed(len(piece))
            else:
                place = self._line(data, place)
        if place < len(data):
            self.rest += data[place:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _passed(self, count: int) -> None:
        self.left -= count
        if not self.left and self._awaited is _Awaited.PAYLOAD:
            self._awaited = _Awaited.CRLF

    def _line(self, data: bytes, place: int) -> int:
        """Read on in a line, from *place* on; return where it ends, or *data* does."""
        end = data.find(b"\n", place) + 1 or len(data)
        line = self._held + data[place:end]
        self._held = b""
        if line[-1:] == b"\n":
            self._whole(line)
        elif self._awaited is _Awaited.CRLF and line != b"\r":
            raise self._bad("no CRLF behind a chunk")
        elif len(line) > self._limit + 1:  # the last byte may be the line end's CR
            raise self._too_long()
        else:
            self._held = line
        return end

    @property
    def _limit(self) -> int:
        if self._awaited is _Awaited.TRAILER:
            return max(TRAILERS - sum(map(len, self._lines)) - len(CRLF), 0)
        return LINE

    def _whole(self, line: bytes) -> None:
        if self._awaited is _Awaited.CRLF and line != CRLF:
            raise self._bad("no CRLF behind a chunk")
        if len(line) > self._limit + 2:
            raise self._too_long()
        if line[-2:] != CRLF or not clean(line):
            raise self._bad("a bare CR or LF, or a control byte, among the chunks")
        if self._awaited is _Awaited.SIZE:
            self._begin(line)
        elif self._awaited is _Awaited.TRAILER:
            self._trailer(line)
        else:
            self._awaited = _Awaited.SIZE

    def _begin(self, line: bytes) -> None:
        size = line[:-2].partition(b";")[0]
        if size.translate(None, _DIGITS) or not 1 <= len(size) <= 16:
            raise self._bad("a chunk's size that is no number")
        self.left = int(size, 16)
        if self.left > LONGEST_BODY:
            raise self._bad("a chunk's size that is too large")
        self._awaited = _Awaited.PAYLOAD if self.left else _Awaited.TRAILER

    def _trailer(self, line: bytes) -> None:
        if line == CRLF:
            if self._lines:
                block = b"".join((*self._lines, CRLF))
                self.trailers = read_fields(block, self._side)
            self._awaited = _Awaited.NOTHING
            return
        if len(self._lines) == TRAILER_COUNT:
            raise self._bad(f"over {TRAILER_COUNT} trailers")
        self._lines.append(line)

    def _too_long(self) -> BadMessage:
        if self._awaited is _Awaited.TRAILER:
            return self._bad(f"trailers of over {TRAILERS} bytes")
        return self._bad(f"a chunk's line of over {LINE} bytes")

    def _bad(self, text: str) -> BadMessage:
        return bad(self._side, text)


def chunk_head(count: int) -> bytes:
    """Return what stands before *count* payload bytes; CRLF stands behind them."""
    return b"%x\r\n" % count


def chunk(payload: bytes) -> bytes:
    """Return *payload*, which is not empty, as one chunk: an empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def last_chunk(trailers: Fields = ()) -> bytes:
    """Return the end of a body."""
    return b"0\r\n%b\r\n" % format_fields(trailers)
