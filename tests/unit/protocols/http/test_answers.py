"""What clients are told for each reason."""

import pytest

from portway.errors import ParentError, PeerError, ProtocolError, Refused, UpstreamError
from portway.model import Endpoint, Reason, Side
from portway.protocols.http.answers import (
    REFUSALS,
    answer_to,
    phrase,
    token,
    too_many,
    words_of,
)
from portway.protocols.http.wire import BadMessage

# protocols.md, section 1.3
STATUSES = {
    Reason.SYNTAX: 400,
    Reason.TOO_LONG: 431,
    Reason.UNSUPPORTED: 501,
    Reason.LOGIN: 407,
    Reason.LOGIN_WRONG: 407,
    Reason.LOGIN_UNAVAILABLE: 503,
    Reason.RULE: 403,
    Reason.DEFAULT: 403,
    Reason.PORT: 403,
    Reason.INSIDE: 403,
    Reason.CONNECTIONS: 429,
    Reason.RATE: 429,
    Reason.QUOTA: 429,
    Reason.FILTER: 403,
    Reason.UNSCANNED: 403,
    Reason.NAME: 502,
    Reason.RESOLVER: 504,
    Reason.REFUSED: 502,
    Reason.UNREACHABLE: 502,
    Reason.CONNECT_TIMEOUT: 504,
    Reason.TLS: 502,
    Reason.VIA: 502,
    Reason.PROTOCOL: 502,
    Reason.GONE: 502,
    Reason.TIMEOUT: 504,
    Reason.IDLE: 408,
    Reason.BUSY: 503,
    Reason.DRAIN: 503,
    Reason.ADMIN: 403,
    Reason.LOOP: 502,
}


def test_every_reason_has_its_answer() -> None:
    assert {reason: one.status for reason, one in REFUSALS.items()} == STATUSES
    assert set(STATUSES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    words = words_of(Refused(reason))
    assert words.endswith(".")
    assert words.isascii()


@pytest.mark.parametrize("reason", [Reason.RATE, Reason.QUOTA, Reason.BUSY])
def test_who_may_come_again_is_told_when(reason: Reason) -> None:
    assert REFUSALS[reason].retry_after > 0


def test_a_message_says_its_status_itself() -> None:
    assert answer_to(BadMessage(Side.CLIENT, 414, "x")).status == 414
    assert answer_to(BadMessage(Side.CLIENT, 505, "x")).status == 505
    assert answer_to(BadMessage(Side.SERVER, 502, "x")).status == 502


@pytest.mark.parametrize("reason", [Reason.SYNTAX, Reason.TOO_LONG])
def test_a_servers_faults_are_no_faults_of_the_client(reason: Reason) -> None:
    error = ProtocolError(Side.SERVER, "x", reason)
    assert answer_to(error) == REFUSALS[Reason.PROTOCOL]
    assert "server" in words_of(error)


def test_a_clients_silence_is_its_own() -> None:
    error = PeerError(Side.CLIENT, "too few bytes a second", Reason.TIMEOUT)
    assert answer_to(error).status == 408
    assert words_of(error) == words_of(Refused(Reason.IDLE))


def test_certificates_and_parents_have_words_of_their_own() -> None:
    tls = UpstreamError(Reason.TLS, "its certificate is not trusted")
    assert answer_to(tls).error == "tls_certificate_error"
    assert answer_to(UpstreamError(Reason.TLS, "x")).error == "tls_protocol_error"
    parent = ParentError(Reason.VIA, Endpoint("10.0.0.1", 1), "login", "no")
    assert "next-hop" in answer_to(parent).error
    assert "10.0.0.1" not in answer_to(parent).error


def test_phrases() -> None:
    assert phrase(404) == "Not Found"
    assert phrase(599) == "Unknown"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("edge", "edge"),
        ("the edge!", "the-edge-"),
        ("1", "portway-1"),
        ("é", "portway"),
    ],
)
def test_names_as_tokens(name: str, kept: str) -> None:
    assert token(name) == kept


def test_one_too_many_is_told_so() -> None:
    head, _, body = too_many("the edge").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 503 Service Unavailable"
    assert f"Content-Length: {len(body)}".encode() in lines
    assert b"Connection: close" in lines
