"""What an HTTP client is told for each reason: protocols.md, section 1.3.

Not here: the page that says it (pages.py). Invariant: every `Reason` has an answer,
and no answer holds a server's banner, a path of ours or a password.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

from portway.errors import ParentError, PortwayError
from portway.model import Reason, Side


class Answer(NamedTuple):
    """A status, what Proxy-Status says (RFC 9209, section 2.3), when to come back.

    *retry_after* is in seconds; 0 says nothing. *closes*: the connection ends behind
    it, for nobody knows what would come next.
    """

    status: int
    error: str = ""
    retry_after: int = 0
    closes: bool = False


_DENIED = "http_request_denied"
_ODD = "http_protocol_error"

REFUSALS: Mapping[Reason, Answer] = MappingProxyType(
    {
        Reason.SYNTAX: Answer(400, "http_request_error", closes=True),
        Reason.TOO_LONG: Answer(431, "http_request_error", closes=True),
        Reason.UNSUPPORTED: Answer(501, "http_request_error"),
        Reason.LOGIN: Answer(407, _DENIED),
        Reason.LOGIN_WRONG: Answer(407, _DENIED),
        Reason.LOGIN_UNAVAILABLE: Answer(503, "proxy_internal_error", 30),
        Reason.RULE: Answer(403, _DENIED),
        Reason.DEFAULT: Answer(403, _DENIED),
        Reason.PORT: Answer(403, _DENIED),
        Reason.INSIDE: Answer(403, "destination_ip_prohibited"),
        Reason.CONNECTIONS: Answer(429, _DENIED, 5),
        Reason.RATE: Answer(429, _DENIED, 60),
        Reason.QUOTA: Answer(429, _DENIED, 3600),
        Reason.FILTER: Answer(403, _DENIED),
        Reason.UNSCANNED: Answer(403, _DENIED),
        Reason.NAME: Answer(502, 'dns_error; rcode="NXDOMAIN"'),
        Reason.RESOLVER: Answer(504, "dns_timeout"),
        Reason.REFUSED: Answer(502, "connection_refused"),
        Reason.UNREACHABLE: Answer(502, "destination_ip_unroutable"),
        Reason.CONNECT_TIMEOUT: Answer(504, "connection_timeout"),
        Reason.TLS: Answer(502, "tls_protocol_error"),
        Reason.VIA: Answer(502, _ODD),
        Reason.PROTOCOL: Answer(502, _ODD),
        Reason.GONE: Answer(502, "connection_terminated"),
        Reason.TIMEOUT: Answer(504, "http_response_timeout"),
        Reason.IDLE: Answer(408, "http_request_error", closes=True),
        Reason.BUSY: Answer(503, "connection_limit_reached", 5),
        Reason.DRAIN: Answer(503, "proxy_internal_response", closes=True),
        Reason.ADMIN: Answer(403, _DENIED, closes=True),
        Reason.LOOP: Answer(502, "proxy_loop_detected"),
    }
)

# Words for people, by reason: what is wrong, and what to do.
_WORDS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.SYNTAX: "The request is not one that HTTP allows.",
        Reason.TOO_LONG: "The request is too long.",
        Reason.UNSUPPORTED: "This gateway does not do what was asked for.",
        Reason.LOGIN: "Log in to this gateway first.",
        Reason.LOGIN_WRONG: "The user name or the password is wrong.",
        Reason.LOGIN_UNAVAILABLE: "Logins cannot be checked now. Try again later.",
        Reason.RULE: "A rule of this gateway does not allow that.",
        Reason.DEFAULT: "No rule of this gateway allows that.",
        Reason.PORT: "That port may not be reached by this way.",
        Reason.INSIDE: "That address is inside, and no rule opens it.",
        Reason.CONNECTIONS: "There are too many connections. Try again in a moment.",
        Reason.RATE: "There were too many requests. Try again in a minute.",
        Reason.QUOTA: "The quota is used up.",
        Reason.FILTER: "The content is not allowed.",
        Reason.UNSCANNED: "The content could not be examined.",
        Reason.NAME: "The host is unknown.",
        Reason.RESOLVER: "The name server does not answer.",
        Reason.REFUSED: "The server refuses connections.",
        Reason.UNREACHABLE: "The server cannot be reached.",
        Reason.CONNECT_TIMEOUT: "The server does not answer.",
        Reason.TLS: "No safe connection with the server could be made.",
        Reason.VIA: "The next proxy failed.",
        Reason.PROTOCOL: "The server's answer cannot be understood.",
        Reason.GONE: "The server closed the connection.",
        Reason.TIMEOUT: "The server did not answer in time.",
        Reason.IDLE: "The request did not come in time.",
        Reason.BUSY: "This gateway is busy. Try again in a moment.",
        Reason.DRAIN: "This gateway is closing. Try again.",
        Reason.ADMIN: "The administrator ended the connection.",
        Reason.LOOP: "The request would come back to this gateway.",
    }
)


def answer_to(error: PortwayError) -> Answer:
    """Return what the client is told of *error*.

    An error about the client's message may say its status itself, as *status*.
    """
    status = getattr(error, "status", 0)
    known = REFUSALS[error.reason]
    if isinstance(status, int) and 400 <= status <= 599:
        return known._replace(status=status)
    if error.reason is Reason.TLS and "certificate" in error.text:
        return known._replace(error="tls_certificate_error")
    if error.reason is Reason.SYNTAX and error.side is Side.SERVER:
        return REFUSALS[Reason.PROTOCOL]
    if error.reason is Reason.TOO_LONG and error.side is Side.SERVER:
        return REFUSALS[Reason.PROTOCOL]
    if error.reason is Reason.TIMEOUT and error.side is Side.CLIENT:
        return REFUSALS[Reason.IDLE]
    if isinstance(error, ParentError) and error.reason is Reason.VIA:
        return known._replace(error=f"{_ODD}; next-hop=parent")
    return known


def words_of(error: PortwayError) -> str:
    """Return one line for the client: what is wrong, in our words alone."""
    return _WORDS[answer_reason(error)]


def answer_reason(error: PortwayError) -> Reason:
    """Return the reason that the client is told: a server's faults are the server's."""
    if error.side is Side.SERVER and error.reason in {Reason.SYNTAX, Reason.TOO_LONG}:
        return Reason.PROTOCOL
    if error.side is Side.CLIENT and error.reason is Reason.TIMEOUT:
        return Reason.IDLE
    return error.reason


def phrase(status: int) -> str:
    """Return the usual words for *status*."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def too_many(name: str) -> bytes:
    """Return the farewell to a client that is one too many."""
    body = "There are too many connections. Try again in a moment.\n"
    return (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Retry-After: 5\r\n"
        "Cache-Control: no-store\r\n"
        f"Proxy-Status: {token(name)}; error=connection_limit_reached\r\n"
        "Connection: close\r\n"
        "\r\n"
        f"{body}"
    ).encode("ascii", "replace")


def token(name: str) -> str:
    """Return *name* as a field may have it: RFC 9110, section 5.6.2."""
    kept = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "-_.") else "-"
        for sign in name
    )
    return kept if kept[:1].isalpha() else f"portway-{kept}".rstrip("-")
