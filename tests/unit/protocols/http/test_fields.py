"""Which fields go on, both ways, and what the gateway says of itself and the client."""

import pytest

from portway.model import Headers
from portway.protocols.http.fields import (
    HOP_BY_HOP,
    Edge,
    Origin,
    check_connection,
    max_forwards,
    request_fields,
    response_fields,
    trailer_fields,
    wants_trailers,
)
from portway.protocols.http.wire import BadMessage, Fields, RequestHead, ResponseHead

EDGE = Edge("edge", "k3j9")
REVERSE = Edge("edge", "k3j9", reverse=True)
ORIGIN = Origin("10.0.0.7", "www.example.org:8080", "https")
VIA = (b"Via", b"1.1 edge-k3j9")
HOST = (b"Host", b"h")


def request(*fields: tuple[bytes, bytes], method: str = "GET") -> RequestHead:
    return RequestHead(method, b"http://h/", 1, fields)


def onward(head: RequestHead, edge: Edge = EDGE, **more: object) -> Fields:
    return request_fields(head, edge, b"h", ORIGIN, **more)  # type: ignore[arg-type]


def titled(name: bytes) -> bytes:
    return b"-".join(word.capitalize() for word in name.split(b"-"))


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP - {b"connection", b"te"}))
@pytest.mark.parametrize("spell", [bytes, titled, bytes.upper])
def test_what_is_of_one_connection_stays_behind(name: bytes, spell: type) -> None:
    for written in (spell(name), spell(name).replace(b"-", b"_")):
        fields = ((written, b"x"), (b"X", b"y"))
        assert onward(request(*fields)) == (HOST, (b"X", b"y"), VIA)
        reply = ResponseHead(200, b"", 1, fields)
        assert response_fields(reply, EDGE) == ((b"X", b"y"), VIA)


def test_what_connection_names_stays_behind() -> None:
    fields = (
        (b"Connection", b"close, X-One ,x_two"),
        (b"connection", b"three"),
        (b"X-One", b"1"),
        (b"X-Two", b"2"),
        (b"X_two", b"2"),
        (b"Three", b"3"),
        (b"Four", b"4"),
    )
    assert onward(request(*fields)) == (HOST, (b"Four", b"4"), VIA)
    reply = ResponseHead(200, b"", 1, fields)
    assert response_fields(reply, EDGE) == ((b"Four", b"4"), VIA)


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Authorization",
        b"Cookie",
        b"Via",
        b"Forwarded",
        b"X-Forwarded-For",
        b"x_forwarded_anything",
        b"Content-Type",
        b"CONTENT-LENGTH",
    ],
)
def test_connection_may_not_name_what_others_need(name: bytes) -> None:
    fields = ((b"Connection", b"close, " + name),)
    with pytest.raises(BadMessage) as raised:
        onward(request(*fields))
    assert raised.value.status == 400
    with pytest.raises(BadMessage) as raised:
        check_connection(ResponseHead(200, b"", 1, fields))
    assert raised.value.status == 502


@pytest.mark.parametrize("edge", [EDGE, REVERSE, Edge("edge", "k3j9", forwarded=True)])
def test_what_a_client_claims_to_be_is_not_believed(edge: Edge) -> None:
    names = (
        b"Forwarded",
        b"X-Forwarded-For",
        b"X_Forwarded_For",
        b"x-forwarded-whatever",
        b"X-Real-IP",
        b"X_REAL_IP",
    )
    fields = onward(request(*((name, b"6.6.6.6") for name in names)), edge)
    assert b"6.6.6.6" not in b" ".join(value for _, value in fields)


def test_a_reverse_door_says_for_whom_it_asks() -> None:
    assert onward(request(), REVERSE)[2:] == (
        (b"Forwarded", b'for=10.0.0.7;host="www.example.org:8080";proto=https'),
        (b"X-Forwarded-For", b"10.0.0.7"),
        (b"X-Forwarded-Host", b"www.example.org:8080"),
        (b"X-Forwarded-Proto", b"https"),
    )
    told = request_fields(request(), REVERSE, b"h", Origin("2001:db8::1", 'a"\\b'))
    assert told[2] == (
        b"Forwarded",
        b'for="[2001:db8::1]";host="a\\"\\\\b";proto=http',
    )


def test_a_forward_door_says_it_where_it_was_told_to() -> None:
    edge = Edge("edge", "k3j9", forwarded=True)
    assert onward(request(), edge) == (HOST, VIA, (b"Forwarded", b"for=10.0.0.7"))


def test_via_is_added_and_known_again() -> None:
    head = request((b"Via", b"1.0 other"))
    assert onward(head) == (HOST, (b"Via", b"1.0 other"), VIA)
    assert not EDGE.is_in(head)
    old = RequestHead("GET", b"/", 0)
    assert onward(old)[-1] == (b"Via", b"1.0 edge-k3j9")
    nameless = Edge("edge", "k3j9", named=False)
    assert nameless.via(1) == b"1.1 k3j9"
    for edge in (EDGE, nameless):
        back = request((b"Via", b"1.1 other, " + edge.via(1)), (b"VIA", b"1.1 third"))
        assert EDGE.is_in(back)
        assert nameless.is_in(back)
        assert not Edge("edge", "zzzz").is_in(back)
    assert EDGE.is_in(request((b"Via", b"HTTP/1.1 EDGE-K3J9 (comment)")))
    assert not EDGE.is_in(request((b"Via", b"k3j9")))
    assert not EDGE.is_in(request((b"Via", b"1.1 k3j9x, ,")))


def test_host_is_written_anew_and_first() -> None:
    assert onward(request((b"X", b"y"), (b"host", b"other"))) == (
        HOST,
        (b"X", b"y"),
        VIA,
    )


def test_a_rule_changes_fields() -> None:
    headers = Headers(("referer", "X_Y"), (("YouTube-Restrict", "Strict"),))
    head = request(
        (b"Referer", b"r"), (b"X-Y", b"z"), (b"youtube_restrict", b"no"), (b"A", b"b")
    )
    assert onward(head, headers=headers) == (
        HOST,
        (b"A", b"b"),
        (b"YouTube-Restrict", b"Strict"),
        VIA,
    )


def test_a_login_for_us_does_not_go_on() -> None:
    head = request((b"Authorization", b"Basic x"), (b"A", b"b"))
    assert onward(head, without=(b"authorization",)) == (HOST, (b"A", b"b"), VIA)


def test_options_of_the_next_connection() -> None:
    head = request((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"))
    assert onward(head) == (HOST, VIA)
    upgraded = ((b"Connection", b"upgrade"), (b"Upgrade", b"websocket"))
    assert onward(head, connection=(b"upgrade",)) == (HOST, VIA, *upgraded)
    reply = ResponseHead(101, b"", 1, ((b"Upgrade", b"websocket"),))
    assert response_fields(reply, EDGE, connection=[b"upgrade"]) == (VIA, *upgraded)
    closing = response_fields(ResponseHead(200), EDGE, connection=[b"close"])
    assert closing == (VIA, (b"Connection", b"close"))


def test_a_wish_for_trailers_goes_on() -> None:
    head = request((b"TE", b"gzip, Trailers"), (b"Connection", b"TE"))
    te = ((b"TE", b"trailers"), (b"Connection", b"TE"))
    assert onward(head) == (HOST, VIA, *te)
    assert onward(head, connection=[b"close"])[-1] == (b"Connection", b"close, TE")
    assert not wants_trailers(request((b"TE", b"trailersx")))
    assert not wants_trailers(RequestHead("GET", b"/", 0, ((b"TE", b"trailers"),)))


def test_an_expectation_of_http_1_0_is_not_heard() -> None:
    fields = ((b"Expect", b"100-continue"),)
    assert (*fields,) == onward(request(*fields))[1:2]
    assert fields[0] not in onward(RequestHead("POST", b"/", 0, fields))


def test_max_forwards_is_counted_down() -> None:
    for said, count, left in ((b"5", 5, b"4"), (b"1", 1, b"0"), (b"0", 0, b"0")):
        head = request((b"Max-Forwards", said), method="OPTIONS")
        assert max_forwards(head) == count
        assert (b"Max-Forwards", left) in onward(head)
    head = request((b"Max-Forwards", b"-1"), method="OPTIONS")
    assert max_forwards(head) is None
    assert onward(head) == (HOST, VIA)
    head = request((b"Max-Forwards", b"5"))
    assert (b"Max-Forwards", b"5") in onward(head)


def test_trailers_that_may_go_on() -> None:
    good = ((b"X-Checksum", b"1"), (b"ETag", b"2"), (b"Server-Timing", b"3"))
    bad = (
        b"Content-Length",
        b"content_type",
        b"Transfer-Encoding",
        b"Host",
        b"Authorization",
        b"Set-Cookie",
        b"Cache-Control",
        b"Trailer",
        b"X-Forwarded-For",
        b"Proxy-Authorization",
    )
    assert trailer_fields((*((name, b"x") for name in bad), *good)) == good
