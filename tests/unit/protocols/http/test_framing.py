"""What frames a body, what keeps a connection, and heads as they are written."""

import pytest

from portway.model import Reason
from portway.protocols.http.framing import (
    CHUNKED,
    NO_BODY,
    UNTIL_EOF,
    Body,
    Framing,
    expects_continue,
    format_fields,
    format_request,
    format_response,
    options_of,
    request_body,
    response_body,
    wants_keep_alive,
)
from portway.protocols.http.wire import BadMessage, RequestHead, ResponseHead


def request(method: str = "POST", minor: int = 1, **fields: str) -> RequestHead:
    return RequestHead(method, b"/", minor, pairs(fields))


def reply(status: int = 200, minor: int = 1, **fields: str) -> ResponseHead:
    return ResponseHead(status, b"", minor, pairs(fields))


def pairs(fields: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        (name.replace("_", "-").encode(), value.encode())
        for name, value in fields.items()
    )


def test_a_request_without_a_length_has_no_body() -> None:
    assert request_body(request()) == NO_BODY
    assert request_body(request(content_length="0")) == Framing(Body.LENGTH, 0)
    assert request_body(request(content_length=f"{2**63 - 1}")).length == 2**63 - 1
    assert request_body(request(transfer_encoding="Chunked")) == CHUNKED
    assert request_body(request("CONNECT", content_length="0")) == NO_BODY


def test_trace_is_not_answered() -> None:
    with pytest.raises(BadMessage) as raised:
        request_body(request("TRACE"))
    assert raised.value.status == 405
    assert raised.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("head", "method", "framing"),
    [
        (reply(100, content_length="5"), "GET", NO_BODY),
        (reply(101, transfer_encoding="chunked"), "GET", NO_BODY),
        (reply(204), "GET", NO_BODY),
        (reply(204, content_length="0"), "GET", NO_BODY),
        (reply(304, content_length="5"), "GET", Framing(Body.NONE, 5)),
        (reply(200, content_length="5"), "HEAD", Framing(Body.NONE, 5)),
        (reply(200), "HEAD", NO_BODY),
        (reply(200, transfer_encoding="chunked"), "HEAD", NO_BODY),
        (reply(200, content_length="5"), "CONNECT", NO_BODY),
        (reply(200, transfer_encoding="cow"), "CONNECT", NO_BODY),
        (reply(403, content_length="5"), "CONNECT", Framing(Body.LENGTH, 5)),
        (reply(200, content_length="5"), "GET", Framing(Body.LENGTH, 5)),
        (reply(200), "GET", UNTIL_EOF),
        (reply(200, transfer_encoding="chunked"), "GET", CHUNKED),
    ],
)
def test_the_body_of_a_reply(head: ResponseHead, method: str, framing: Framing) -> None:
    assert response_body(head, method) == framing


def test_a_connection_is_kept_as_both_versions_have_it() -> None:
    assert wants_keep_alive(request())
    assert not wants_keep_alive(request(connection="x, Close"))
    assert wants_keep_alive(request(connection="keep-alive"))
    assert not wants_keep_alive(request(minor=0))
    assert wants_keep_alive(request(minor=0, connection="Keep-Alive"))
    assert not wants_keep_alive(request(minor=0, connection="keep-alive, close"))
    assert not wants_keep_alive(request(minor=0, proxy_connection="keep-alive"))
    assert options_of(reply(connection="A , b\t,c")) == {b"a", b"b", b"c"}


def test_only_one_expectation_is_known() -> None:
    assert expects_continue(request(expect="100-Continue"))
    assert not expects_continue(request())
    assert not expects_continue(request(minor=0, expect="100-continue"))
    with pytest.raises(BadMessage) as raised:
        expects_continue(request(expect="tea"))
    assert raised.value.status == 417


def test_framing_is_written_anew() -> None:
    fields = ((b"Host", b"h"), (b"X", b""))
    assert format_request("GET", b"/a?b", fields) == (
        b"GET /a?b HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n"
    )
    written = format_request("POST", b"/", (), Framing(Body.LENGTH, 0))
    assert written == b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    written = format_response(200, b"OK", (), CHUNKED)
    assert written == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert format_response(200, b"", (), UNTIL_EOF) == b"HTTP/1.1 200 \r\n\r\n"
    assert b"Content-Length: 7" in format_response(304, b"", (), Framing(Body.NONE, 7))


@pytest.mark.parametrize(
    "pair",
    [
        (b"X", b"a\r\nY: b"),
        (b"X", b"a\nb"),
        (b"X", b"\0"),
        (b"X\r\n", b"a"),
        (b"content-LENGTH", b"5"),
        (b"Transfer-Encoding", b"chunked"),
    ],
)
def test_nothing_slips_in_that_frames(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError):
        format_response(200, b"OK", (pair,))
    with pytest.raises(ValueError):
        format_request("GET", b"/ HTTP/1.1\r\nX: y", ())
    with pytest.raises(ValueError):
        format_response(200, b"O\r\nX: y", ())


def test_trailers_are_lines() -> None:
    assert format_fields(()) == b""
    assert format_fields(((b"A", b"b"), (b"C", b"d"))) == b"A: b\r\nC: d\r\n"
    with pytest.raises(ValueError):
        format_fields(((b"A", b"b\r\n"),))


def test_a_cr_and_an_lf_apart_are_no_line_end() -> None:
    for fields in (((b"X", b"a\rb"), (b"Y", b"c\nd")), ((b"X", b"a\rb\nc"),)):
        with pytest.raises(ValueError):
            format_fields(fields)
