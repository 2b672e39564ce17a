"""HTTP heads: any cut says the same, and a head that was read is written as itself."""

from contextlib import suppress

from fuzz.cuts import pieces

from portway.model import Side
from portway.protocols.http import wire
from portway.protocols.http.authority import read_target
from portway.protocols.http.fields import Edge, Origin, request_fields, response_fields
from portway.protocols.http.framing import (
    NO_BODY,
    format_request,
    format_response,
    request_body,
    response_body,
)
from portway.protocols.http.wire import (
    BadMessage,
    Limits,
    RequestHead,
    ResponseHead,
    find_head,
    parse_request,
    parse_response,
    read_fields,
)

EDGE, ORIGIN = Edge("edge", "tag", reverse=True), Origin("10.0.0.1")
REQUEST = Limits(Side.CLIENT, line=300, fields=600, count=9)
RESPONSE = Limits(Side.SERVER, line=300, fields=600, count=9)
FRAMING = {b"content-length", b"transfer-encoding"}


def find(parts: list[bytes], limits: Limits) -> tuple[int, int]:
    """Return where the head ends, and how it is refused, when it comes in *parts*."""
    data = bytearray()
    for part in parts:
        before = len(data)
        data += part
        try:
            end = find_head(data, before, limits)
        except BadMessage as error:
            return -1, error.status
        if end >= 0:
            return end, 0
    return -1, 0


def request_of(data: bytes, end: int) -> RequestHead | None:
    try:
        return parse_request(data[:end], REQUEST)
    except BadMessage as error:
        if error.side is not Side.CLIENT:
            raise
        return None


def response_of(data: bytes, end: int) -> ResponseHead | None:
    try:
        return parse_response(data[:end])
    except BadMessage as error:
        if (error.side, error.status) != (Side.SERVER, 502):
            raise
        return None


def check_cuts(data: bytes, cuts: list[int], limits: Limits) -> int:
    """Return where the head in *data* ends: in any pieces there, if it is good."""
    end, status = find([data], limits)
    for parts in (pieces(data, cuts), pieces(data, range(len(data)))):
        found = find(list(parts), limits)
        if found == (end, status):
            continue
        if limits.side is Side.CLIENT:  # a line was refused before the rest had come
            assert end < 0 or request_of(data, end) is None
        else:
            assert end < 0 or response_of(data, end) is None
    return end


def check_fields(block: bytes, side: Side) -> None:
    """Both of our readings of fields are one."""
    quick: wire.Fields | None = None
    own: wire.Fields | None = None
    with suppress(BadMessage):
        quick = wire._fields(block, wire.REQUEST)
    with suppress(BadMessage):
        own = read_fields(block, side)
    assert quick == own


def check_request(data: bytes, end: int) -> None:
    head = request_of(data, end)
    if head is None:
        return
    try:
        body = request_body(head)
        target = read_target(head.method, head.target)
        onward = request_fields(head, EDGE, target.authority, ORIGIN)
    except BadMessage as error:
        if error.side is not Side.CLIENT:
            raise
        return
    assert not {name.lower() for name, _ in onward} & FRAMING
    path = target.path or target.authority
    again = parse_request(format_request(head.method, path, onward, body))
    assert (again.method, again.target) == (head.method, path)
    assert request_body(again) == body
    assert tuple(f for f in again.fields if f[0].lower() not in FRAMING) == onward


def check_response(data: bytes, end: int) -> None:
    head = response_of(data, end)
    if head is None:
        return
    for method in ("GET", "HEAD", "CONNECT"):
        try:
            body = response_body(head, method)
            onward = response_fields(head, EDGE)
        except BadMessage as error:
            if (error.side, error.status) != (Side.SERVER, 502):
                raise
            continue
        again = parse_response(format_response(head.status, head.words, onward, body))
        assert (again.status, again.words) == (head.status, head.words)
        framing = response_body(again, method)
        assert (framing.kind, framing.length) == (body.kind, body.length)
        bare = parse_response(format_response(head.status, b"", onward, NO_BODY))
        assert bare.fields == onward


def target(data: bytes) -> None:
    count = data[0] % 8 if data else 0
    cuts, rest = list(data[1 : 1 + count]), data[1 + count :]
    end = check_cuts(rest, cuts, REQUEST)
    if end >= 0:
        check_request(rest, end)
        place = rest.find(b"\r\n", 2) + 2
        check_fields(rest[place:end], Side.CLIENT)
    end = check_cuts(rest, cuts, RESPONSE)
    if end >= 0:
        check_response(rest, end)
    with suppress(BadMessage):
        parse_response(rest, tolerant=True)
