"""What frames HTTP messages, read from a head and written into one: RFC 9112.

Not here: bodies themselves (chunks.py), and which fields go on (fields.py). Invariant:
nothing that a peer sent goes on as it came; what is written here is read by wire.py as
the same, and holds one framing.
"""

from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from portway.model import Side
from portway.protocols.http.wire import (
    CLEAN,
    CRLF,
    BadMessage,
    Fields,
    Head,
    RequestHead,
    ResponseHead,
    bad,
)

LONGEST_BODY = 2**63 - 1


class Body(Enum):
    """What ends a body."""

    NONE = auto()  # there is none
    LENGTH = auto()
    CHUNKED = auto()
    EOF = auto()  # the connection's end


class Framing(NamedTuple):
    """How a message's body is framed.

    *length* is bytes where *kind* is LENGTH; where it is NONE, what a reply to HEAD or
    a 304 names, or -1. *reusable*: the message leaves no doubt where the next begins.
    """

    kind: Body
    length: int = -1
    reusable: bool = True


NO_BODY = Framing(Body.NONE)
CHUNKED = Framing(Body.CHUNKED)
UNTIL_EOF = Framing(Body.EOF, reusable=False)


def request_body(head: RequestHead) -> Framing:
    """Return how a request's body is framed. RFC 9112, section 6.

    Raises BadMessage: 400, 501 for another coding than chunked, 405 for TRACE, which
    would show its way through the house.
    """
    if head.method == "TRACE":
        raise BadMessage(Side.CLIENT, 405, "TRACE is not answered here")
    known = head.known
    coding, length = known.get(b"transfer-encoding"), known.get(b"content-length")
    if coding is None:
        if length is None:
            return NO_BODY
        count = _length(length, Side.CLIENT, 400)
        if head.method != "CONNECT":
            return Framing(Body.LENGTH, count)
        if count:
            raise bad(Side.CLIENT, "a body on CONNECT")
        return NO_BODY
    if length is not None:
        raise bad(Side.CLIENT, "Content-Length beside Transfer-Encoding")
    if not head.minor:
        raise bad(Side.CLIENT, "Transfer-Encoding in HTTP/1.0")
    if head.method == "CONNECT":
        raise bad(Side.CLIENT, "a body on CONNECT")
    if coding.lower() != b"chunked":
        raise BadMessage(Side.CLIENT, 501, "a Transfer-Encoding other than chunked")
    return CHUNKED


def response_body(head: ResponseHead, method: str) -> Framing:
    """Return how the body of a reply to *method* is framed. Raises BadMessage.

    RFC 9112, section 6.3. Where chunks stand beside a length they win.
    """
    status = head.status
    if status < 200 or (method == "CONNECT" and status < 300):
        return NO_BODY
    coding = head.known.get(b"transfer-encoding")
    lengths = head.known.get(b"content-length")
    length, sure = -1, True
    if lengths is not None:
        length, sure = _one_length(lengths)
    if coding is not None and coding.lower() != b"chunked":
        raise bad(Side.SERVER, "a Transfer-Encoding other than chunked")
    sure = sure and (coding is None or (length < 0 and head.minor == 1))
    if status == 204:
        return Framing(Body.NONE, reusable=length <= 0 and coding is None)
    if status == 304 or method == "HEAD":
        return Framing(Body.NONE, length if coding is None else -1, sure)
    if coding is not None:
        return CHUNKED if sure else Framing(Body.CHUNKED, reusable=False)
    return UNTIL_EOF if length < 0 else Framing(Body.LENGTH, length, sure)


def _one_length(values: bytes) -> tuple[int, bool]:
    """Return the length, and whether it was named but once."""
    if b"," not in values:
        return _length(values, Side.SERVER, 502), True
    lengths = {
        _length(one.strip(b" \t"), Side.SERVER, 502) for one in values.split(b",")
    }
    if len(lengths) > 1:
        raise bad(Side.SERVER, "two different lengths")
    return lengths.pop(), False


def _length(value: bytes, side: Side, status: int) -> int:
    if value.isdigit() and len(value) < 20:  # so many digits has 2^63
        length = int(value)
        if length <= LONGEST_BODY:
            return length
    raise BadMessage(side, status, "a Content-Length that is no length")


def options_of(head: Head) -> frozenset[bytes]:
    """Return what ``Connection`` names, in small letters. RFC 9110, section 7.6.1."""
    value = head.known.get(b"connection")
    if value is None:
        return frozenset()
    return _usual_options(value) if len(value) < 50 else _options(value)


def _options(value: bytes) -> frozenset[bytes]:
    return frozenset([word.strip(b" \t") for word in value.lower().split(b",")])


_usual_options = lru_cache(256)(_options)  # nearly all say "keep-alive" or "close"


def wants_keep_alive(head: Head) -> bool:
    """Say whether the peer leaves the connection open. RFC 9112, section 9.3.

    ``Proxy-Connection`` is not heard.
    """
    if b"connection" not in head.known:
        return head.minor == 1
    options = options_of(head)
    return b"close" not in options and (head.minor == 1 or b"keep-alive" in options)


def expects_continue(head: RequestHead) -> bool:
    """Say whether the client waits for a 100. RFC 9110, section 10.1.1.

    Raises BadMessage, 417, for other expectations; HTTP/1.0 knows none.
    """
    value = head.known.get(b"expect")
    if value is None or not head.minor:
        return False
    if value.lower() != b"100-continue":
        raise BadMessage(Side.CLIENT, 417, "an expectation other than 100-continue")
    return True


# Writing.


def format_request(
    method: str, target: bytes, fields: Fields, body: Framing = NO_BODY
) -> bytes:
    """Return a request's head, of HTTP/1.1, with *body*'s framing and no other.

    Raises ValueError where *fields* have framing of their own, or line ends.
    """
    if b" " in target:
        raise ValueError("a target with a blank")
    return _format(b"%b %b HTTP/1.1" % (method.encode("ascii"), target), fields, body)


def format_response(
    status: int, words: bytes, fields: Fields, body: Framing = NO_BODY
) -> bytes:
    """Return a reply's head, of HTTP/1.1, with *body*'s framing and no other.

    Raises ValueError as `format_request` does.
    """
    return _format(b"HTTP/1.1 %d %b" % (status, words), fields, body)


def format_fields(fields: Fields) -> bytes:
    """Return lines, each with its end. Raises ValueError for what would be more."""
    return _checked(CRLF.join([*map(b": ".join, fields), b""]), len(fields))


def _format(line: bytes, fields: Fields, body: Framing) -> bytes:
    lines = _checked(CRLF.join([line, *map(b": ".join, fields), b""]), len(fields) + 1)
    lowered = lines.lower()
    if b"\ncontent-length:" in lowered or b"\ntransfer-encoding:" in lowered:
        raise ValueError("fields that frame the message")
    if body.kind is Body.CHUNKED:
        return lines + b"Transfer-Encoding: chunked\r\n\r\n"
    if body.length >= 0:
        return lines + b"Content-Length: %d\r\n\r\n" % body.length
    return lines + CRLF


def _checked(lines: bytes, count: int) -> bytes:
    if len(lines.translate(None, CLEAN)) != 2 * count or lines.count(CRLF) != count:
        raise ValueError("a line end or a control byte in a field")
    return lines
