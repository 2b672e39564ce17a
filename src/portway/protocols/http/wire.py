"""HTTP/1.1 heads, read from bytes: RFC 9112.

llhttp reads the fields of a head, which it does in a third of our own time. What it
refuses we read ourselves, to say why, or because only its view of framing, which is
not asked for, was against it.

Not here: framing and writing (framing.py), bodies (chunks.py), which fields go on
(fields.py), what a target names (authority.py), and reading from a connection.
Invariant: a head that came out has one reading: each line ends in CRLF, each name is a
token, no control byte is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httptools

from portway.errors import ProtocolError
from portway.model import Reason, Side

Fields = tuple[tuple[bytes, bytes], ...]  # names as sent, values without blanks round

CRLF, END = b"\r\n", b"\r\n\r\n"
LONGEST_METHOD = 64  # "REPORT" has six; what is longer nobody implements

# RFC 9110, section 5.6.2, and what may stand in a line: section 5.5.
TOKEN = b"!#$%&'*+-.^_`|~0123456789" + bytes([*range(65, 91), *range(97, 123)])
CLEAN = bytes([9, *range(32, 127), *range(128, 256)])
_VISIBLE = bytes([*range(33, 127), *range(128, 256)])
_UNFOLD = bytes.maketrans(b"_", b"-")

_REASONS = {
    400: Reason.SYNTAX,
    413: Reason.TOO_LONG,
    414: Reason.TOO_LONG,
    431: Reason.TOO_LONG,
    502: Reason.PROTOCOL,
}


class BadMessage(ProtocolError):  # noqa: N818 - it names what came
    """A message that is refused; the connection is closed after the answer.

    *status* is what the client is told: 400, 405, 413, 414, 417, 431, 501 or 505 where
    it is the client's fault, 502 where it is the server's.
    """

    def __init__(self, side: Side, status: int, text: str) -> None:
        super().__init__(side, text, _REASONS.get(status, Reason.UNSUPPORTED))
        self.status = status


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a head from *side* may be.

    *line* is bytes of the first line, *fields* of the fields with their ends, *count*
    their number. *tolerant* takes a bare LF for a line's end.
    """

    side: Side
    line: int
    fields: int
    count: int
    tolerant: bool = False


REQUEST = Limits(Side.CLIENT, line=16384, fields=65536, count=200)
RESPONSE = Limits(Side.SERVER, line=16384, fields=131072 - 16384, count=131072)
TOLERANT = Limits(Side.SERVER, RESPONSE.line, RESPONSE.fields, RESPONSE.count, True)


@dataclass(slots=True)  # never changed; to freeze it costs more than to read it
class RequestHead:
    """A request's line and fields. *minor* is 0 or 1, *target* as the client sent it.

    *keys* are the names of *fields*, in order, lower-case and with ``_`` as ``-``, for
    telling which go on; *known* has the value of each lower-case name, several of one
    name joined by ``, ``. Both are made of *fields*.
    """

    method: str
    target: bytes
    minor: int = 1
    fields: Fields = ()
    keys: Sequence[bytes] = field(init=False, compare=False, repr=False)
    known: Mapping[bytes, bytes] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.keys, self.known = _index(self.fields)


@dataclass(slots=True)  # as above
class ResponseHead:
    """A reply's line and fields; *status* is 100-599, *words* as the server sent them.

    *keys* and *known* are as in `RequestHead`.
    """

    status: int
    words: bytes = b""
    minor: int = 1
    fields: Fields = ()
    keys: Sequence[bytes] = field(init=False, compare=False, repr=False)
    known: Mapping[bytes, bytes] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.keys, self.known = _index(self.fields)


Head = RequestHead | ResponseHead


# Finding a head.


def find_head(data: bytes | bytearray, start: int = 0, limits: Limits = REQUEST) -> int:
    """Return where the head that *data* begins with ends, or -1 while it does not.

    One CRLF may stand before it. *start* is how many bytes were searched in vain
    before. Raises BadMessage as soon as no head can come of it.
    """
    end = data.find(END, max(start - 3, 0))
    if 0 < end <= limits.line and not limits.tolerant and data[0] != CRLF[0]:
        return end + 4  # so short a head breaks no limit
    first = 2 if data[:2] == CRLF and limits.side is Side.CLIENT else 0
    end = _end_of_head(data, max(first, start - 3), limits)
    line_end = data.find(b"\n", first) + 1
    if (line_end or len(data)) - first > limits.line + 2:
        raise _too_long(limits, 414, f"a first line of over {limits.line} bytes")
    if line_end and (len(data) if end < 0 else end) - line_end > limits.fields:
        raise _too_long(limits, 431, f"fields of over {limits.fields} bytes")
    if end < 0:
        _check_part(data, first, line_end, limits)
    return end


def _end_of_head(data: bytes | bytearray, start: int, limits: Limits) -> int:
    place = data.find(END, start)
    end = place + 4 if place >= 0 else -1
    if limits.tolerant:
        ends = [data.find(b"\n\n", start) + 2, data.find(b"\n\r\n", start) + 3, end]
        end = min((one for one in ends if one >= 4), default=-1)
    return end


def _check_part(
    data: bytes | bytearray, first: int, line_end: int, limits: Limits
) -> None:
    """Refuse half a head that waiting for the rest would not mend."""
    if not limits.tolerant and data.count(b"\n") != data.count(CRLF):
        raise bad(limits.side, "a line that ends in LF alone")
    if data[first : first + 1].strip(_VISIBLE) and data != b"\r":
        raise bad(limits.side, "it does not begin as HTTP does")
    if line_end and limits.side is Side.CLIENT:
        _split_line(bytes(data[first : line_end - 2]))


# Reading a head.


def parse_request(block: bytes, limits: Limits = REQUEST) -> RequestHead:
    """Read a request's head, with the empty line that ends it. Raises BadMessage.

    RFC 9112, sections 3 and 5. How often ``Host`` stands there is checked too: clients
    there are that say it in the target of a CONNECT alone.
    """
    if block[:2] == CRLF:
        block = block[2:]
    end = block.find(CRLF)
    method, target, minor = _split_line(block[:end])
    head = RequestHead(method, target, minor, _fields(block[end + 2 :], limits))
    hosts = head.keys.count(b"host")
    if hosts > 1 or (not hosts and minor and method != "CONNECT"):
        raise bad(Side.CLIENT, "two Host fields" if hosts else "no Host field")
    return head


def parse_next(line: bytes, before: RequestHead) -> RequestHead:
    """Read a request whose fields are, byte for byte, those of *before*.

    *line* is its first one, without an end. Raises BadMessage.
    """
    method, target, minor = _split_line(line)
    head = RequestHead.__new__(RequestHead)
    head.method, head.target, head.minor = method, target, minor
    head.fields, head.keys, head.known = before.fields, before.keys, before.known
    if b"host" not in head.known and minor and method != "CONNECT":
        raise bad(Side.CLIENT, "no Host field")
    return head


def parse_response(block: bytes, *, tolerant: bool = False) -> ResponseHead:
    """Read a reply's head, with the empty line that ends it. Raises BadMessage.

    *tolerant* repairs bare line feeds. RFC 9112, sections 4 and 5.
    """
    if tolerant:
        block = block.replace(CRLF, b"\n").replace(b"\n", CRLF)
    end = block.find(CRLF)
    status, words, minor = _split_status(block[:end])
    return ResponseHead(status, words, minor, _fields(block[end + 2 :], RESPONSE))


_MINORS = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_METHODS = {
    word.encode(): word
    for word in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH")
}


def _split_line(line: bytes) -> tuple[str, bytes, int]:
    """Return the method, the target and the minor version. RFC 9112, section 3."""
    words = line.split(b" ")
    if len(words) == 3:
        minor = _MINORS.get(words[2])
        if minor is not None and words[1]:
            method = _METHODS.get(words[0]) or _method(words[0])
            if words[1].translate(None, _VISIBLE) or b"#" in words[1]:
                raise bad(Side.CLIENT, "a target with bytes that no URL has")
            return method, words[1], minor
    if line.translate(None, CLEAN):
        raise bad(Side.CLIENT, "control bytes in the request line")
    if (len(words) == 3 and words[1] and words[2].startswith(b"HTTP/")) or (
        len(words) == 2 and words[0].isalpha() and words[0].isupper() and words[1]
    ):
        raise BadMessage(Side.CLIENT, 505, "no HTTP/1.1 and no HTTP/1.0")
    raise bad(Side.CLIENT, "a request line is METHOD, URL and HTTP/1.1")


def _method(word: bytes) -> str:
    if not word or word.translate(None, TOKEN):
        raise bad(Side.CLIENT, "a method that is no token")
    if len(word) > LONGEST_METHOD:
        raise BadMessage(Side.CLIENT, 501, "a method that nobody knows")
    return word.decode("ascii")


def _split_status(line: bytes) -> tuple[int, bytes, int]:
    """Return the status, its words and the minor version. RFC 9112, section 4.

    Many servers leave out the blank before words that they do not send.
    """
    minor = _MINORS.get(line[:8])
    code, blank = line[9:12], line[12:13]
    if minor is None or line[8:9] != b" " or not code.isdigit() or len(code) != 3:
        raise bad(Side.SERVER, "no status line of HTTP/1.1 or HTTP/1.0")
    words = line[13:]
    if blank not in {b"", b" "} or words.translate(None, CLEAN):
        raise bad(Side.SERVER, "a status line with odd bytes")
    status = int(code)
    if not 100 <= status <= 599:
        raise bad(Side.SERVER, f"a status that is none: {status}")
    return status, words, minor


# Fields.

_NEUTRAL = b"GET / HTTP/1.1\r\n"  # methods are ours to judge, and llhttp knows not all


class _Collector:
    """What llhttp calls for each field."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def _fields(block: bytes, limits: Limits) -> Fields:
    """Read the lines of *block*, up to the empty one that is its end."""
    count = block.count(b"\n") - 1
    if count > limits.count:
        raise _too_long(limits, 431, f"over {limits.count} fields")
    found = _Collector()
    try:
        httptools.HttpRequestParser(found).feed_data(_NEUTRAL + block)
    except httptools.HttpParserUpgrade:
        pass  # a wish that is raised when all fields were read
    except httptools.HttpParserError:
        return read_fields(block, limits.side)
    if len(found.fields) != count:
        return read_fields(block, limits.side)
    if b" \r" in block or b"\t\r" in block:
        return tuple([(name, value.rstrip(b" \t")) for name, value in found.fields])
    return tuple(found.fields)


def read_fields(block: bytes, side: Side) -> Fields:
    """Read fields by ourselves; the empty line at the end is part of *block*.

    Raises BadMessage, which says what is wrong, for all that RFC 9112, section 5, and
    RFC 9110, section 5.5, do not allow: folded lines too.
    """
    if block == CRLF:
        return ()
    if not block.endswith(END) or block.find(END) != len(block) - 4:
        raise bad(side, "fields without an end")
    if not clean(block):
        raise bad(side, "a bare CR or LF, or a control byte, in a field")
    return tuple([_field(line, side) for line in block[:-4].split(CRLF)])


def clean(lines: bytes) -> bool:
    """Say whether all that is no text in *lines* is their ends."""
    return len(lines.translate(None, CLEAN)) == 2 * lines.count(CRLF)


def _field(line: bytes, side: Side) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if name.translate(None, TOKEN) or not name or not colon:
        if line[:1] in {b" ", b"\t"}:
            raise bad(side, "a field folded over two lines")
        if name[-1:] in {b" ", b"\t"}:
            raise bad(side, "a blank before the colon of a field")
        raise bad(side, "a field whose name is no token")
    return name, value.strip(b" \t")


def _index(fields: Fields) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Lower the names once, for all who will ask: `RequestHead.keys` and `known`."""
    if not fields:
        return [], {}
    read = dict(fields)
    if len(read) != len(fields):
        return _repeated(fields)
    joined = b":".join(read).lower()
    keys = joined.split(b":")
    known = dict(zip(keys, read.values(), strict=False))
    if len(known) != len(keys):
        return _repeated(fields)
    if b"_" in joined:
        keys = [key.translate(_UNFOLD) for key in keys]
    return keys, known


def _repeated(fields: Fields) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Do the same where names come again. RFC 9110, section 5.3."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        found.setdefault(name.lower(), []).append(value)
    keys = [name.lower().translate(_UNFOLD) for name, _ in fields]
    return keys, {key: b", ".join(several) for key, several in found.items()}


def bad(side: Side, text: str) -> BadMessage:
    """Return what a message that cannot be read is refused with."""
    return BadMessage(side, 400 if side is Side.CLIENT else 502, text)


def _too_long(limits: Limits, status: int, text: str) -> BadMessage:
    return BadMessage(limits.side, status if limits.side is Side.CLIENT else 502, text)
