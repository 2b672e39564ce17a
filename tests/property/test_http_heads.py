"""Heads: what is written is read; h11 agrees, or the difference is one we know."""

import h11
from fuzz import fuzz_http_heads
from hypothesis import example, given
from hypothesis import strategies as st

from portway.model import Side
from portway.protocols.http.framing import (
    CHUNKED,
    NO_BODY,
    Body,
    Framing,
    format_request,
    format_response,
    request_body,
    response_body,
)
from portway.protocols.http.wire import (
    CLEAN,
    TOKEN,
    BadMessage,
    Fields,
    RequestHead,
    ResponseHead,
    find_head,
    parse_request,
    parse_response,
    read_fields,
)

FRAMING = {b"content-length", b"transfer-encoding"}

tokens = st.lists(st.sampled_from(TOKEN), min_size=1, max_size=20).map(bytes)
names = tokens.filter(lambda name: name.lower() not in FRAMING | {b"host"})
values = st.lists(st.sampled_from(CLEAN), max_size=40).map(
    lambda value: bytes(value).strip(b" \t")
)
fields = st.lists(st.tuples(names, values), max_size=10).map(tuple)
bodies = st.one_of(
    st.just(NO_BODY),
    st.just(CHUNKED),
    st.integers(0, 2**63 - 1).map(lambda length: Framing(Body.LENGTH, length)),
)
targets = (
    st.lists(st.sampled_from(CLEAN), min_size=1, max_size=40)
    .map(lambda target: bytes(target).translate(None, b" \t#"))
    .filter(bool)
)


def plain(head: RequestHead | ResponseHead) -> Fields:
    return tuple(pair for pair in head.fields if pair[0].lower() not in FRAMING)


@given(tokens.map(bytes.decode), targets, fields, bodies)
def test_a_request_that_is_written_is_read(
    method: str, target: bytes, others: Fields, body: Framing
) -> None:
    sent = ((b"Host", b"h"), *others)
    block = format_request(method, target, sent, body)
    assert find_head(block + b"\r\n\r\n") == len(block)
    head = parse_request(block)
    assert (head.method, head.target, head.minor) == (method, target, 1)
    assert plain(head) == sent
    if method not in {"CONNECT", "TRACE"}:
        assert request_body(head) == body


@given(st.integers(200, 599), values, fields, bodies)
def test_a_reply_that_is_written_is_read(
    status: int, words: bytes, sent: Fields, body: Framing
) -> None:
    head = parse_response(format_response(status, words, sent, body))
    assert (head.status, head.words, head.minor) == (status, words, 1)
    assert plain(head) == sent
    found = response_body(head, "GET")
    if status not in {204, 304} and body.kind is not Body.NONE:
        assert found == body


SPARKS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"\x0b",
        b"\x7f",
        b"\xff",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: h\r\n",
        b"chunked",
        b"5",
        b"HTTP/1.0",
    ]
)
SEED = b"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX: a b\r\n\r\n"


@st.composite
def almost(draw: st.DrawFn) -> bytes:
    """A good head with a few things that do not belong there."""
    data = draw(
        st.sampled_from(
            [
                SEED,
                SEED.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
                b"GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nA:\r\n\r\n",
            ]
        )
    )
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 2))
        data = data[:place] + draw(SPARKS) + data[place + gone :]
    return data


# What we refuse, and h11 takes. The first is in RFC 9112, section 3, for one CRLF; the
# others are what a gateway must not pass on.
FORGIVEN = (
    "bare CR or LF",  # h11 takes LF for a line's end
    "LF alone",
    "folded",
    "Content-Length beside",
    "control byte",  # h11 takes VT and FF for blanks, and 0x7f
    "no length",  # h11 takes "5, 5"
    "Transfer-Encoding in HTTP/1.0",
    "two Host fields",  # h11 takes them from HTTP/1.0
    "no URL has",  # h11 takes "#"
    "begin as HTTP",
    "request line",
    "a body on CONNECT",
)


def other(data: bytes) -> tuple[str, bytes, bytes, Fields] | None:
    """Return what h11 reads; None if it refuses, or waits for more."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    found = tuple((bytes(name), bytes(value)) for name, value in event.headers)
    return event.method.decode(), event.target, event.http_version, found


@given(almost())
@example(SEED)
@example(SEED.replace(b"5", b"5, 5"))
@example(SEED.replace(b"\r\n", b"\n"))
@example(b"\r\n" + SEED)
def test_a_second_parser_agrees(data: bytes) -> None:
    theirs = other(data)
    try:
        end = find_head(data)
        if end < 0:
            return
        head = parse_request(data[:end])
        body = request_body(head)
    except BadMessage as error:
        if theirs is not None and not any(word in error.text for word in FORGIVEN):
            raise
        return
    if theirs is None:
        # a blank before the line, 0xff and other bytes in a target, one CRLF before it
        assert data[:1] == b"\r" or not head.target.isascii()
        return
    method, target, version, found = theirs
    assert (head.method, head.target) == (method, target)
    assert version == b"1.%d" % head.minor
    assert found == tuple(
        (name.lower(), value.lower() if name.lower() in FRAMING else value)
        for name, value in head.fields
    )
    assert (body.kind is Body.CHUNKED) == (b"transfer-encoding" in head.known)


@given(almost(), st.lists(st.integers(0, 100), max_size=4))
def test_any_cut_of_a_head_is_the_same(data: bytes, cuts: list[int]) -> None:
    fuzz_http_heads.target(bytes([len(cuts), *cuts]) + data)


@given(almost().map(lambda data: data[data.find(b"\r\n") + 2 :]))
def test_llhttp_and_our_own_reading_are_one(block: bytes) -> None:
    end = block.find(b"\r\n\r\n")
    if end >= 0:
        fuzz_http_heads.check_fields(block[: end + 4], Side.CLIENT)


@given(st.binary(max_size=300))
def test_garbage(data: bytes) -> None:
    fuzz_http_heads.target(data)


@given(fields)
def test_fields_are_read_by_ourselves_as_they_were_written(sent: Fields) -> None:
    block = b"".join(b"%b:\t%b \r\n" % pair for pair in sent) + b"\r\n"
    assert read_fields(block, Side.SERVER) == sent
