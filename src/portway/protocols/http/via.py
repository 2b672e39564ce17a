"""Reaching a server on through an HTTP proxy, by CONNECT: RFC 9110, section 9.3.6.

Not here: the connection to that proxy, and whether the server may be reached.
Invariant: what the proxy sends behind its answer's head is given back to the stream.
"""

from base64 import b64encode

from portway.errors import ParentError, PeerError
from portway.model import Credentials, Endpoint, Reason
from portway.net.stream import Stream

LONGEST = 65536  # bytes of an answer's head
END = b"\r\n\r\n"
LOGIN_NEEDED = 407
_WORDS = {
    403: "it does not allow that",
    405: "it does not allow that",
    LOGIN_NEEDED: "it refuses the login",
    502: "it could not reach the host",
    503: "it could not reach the host",
    504: "the host did not answer it in time",
}
_REASONS = {
    502: Reason.UNREACHABLE,
    503: Reason.UNREACHABLE,
    504: Reason.CONNECT_TIMEOUT,
}


async def connect(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> None:
    """Let the HTTP proxy at *stream* connect to *target*. Raises ParentError."""
    await stream.send(format_connect(target, credentials))
    status, words = read_status(stream, await _head(stream))
    if not 200 <= status < 300:
        text = _WORDS.get(status, words)
        reason = _REASONS.get(status, Reason.VIA)
        fault = "login" if status == LOGIN_NEEDED else "target"
        raise _failed(stream, f"{text} ({status})", fault, reason)


def format_connect(target: Endpoint, credentials: Credentials | None) -> bytes:
    """Return the request. A login goes as Basic: RFC 7617."""
    at = f"{target}"
    lines = [f"CONNECT {at} HTTP/1.1", f"Host: {at}"]
    if credentials is not None:
        login = f"{credentials.user}:{credentials.password}".encode()
        lines.append(f"Proxy-Authorization: Basic {b64encode(login).decode()}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def read_status(stream: Stream, head: bytes) -> tuple[int, str]:
    """Return the status and its words of an answer. Raises ParentError."""
    line = head.partition(b"\r\n")[0].decode("ascii", "replace")
    version, _, rest = line.partition(" ")
    code, _, words = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
        raise _failed(stream, "it does not speak HTTP")
    plain = "".join(sign if sign.isprintable() else "?" for sign in words)
    return int(code[:3]), plain[:80] or "it refused"


async def _head(stream: Stream) -> bytes:
    data = b""
    while END not in data:
        try:
            more = await stream.receive()
        except PeerError as error:
            raise _failed(stream, error.text) from error
        if not more:
            raise _failed(stream, "it closed the connection")
        data += more
        if len(data) > LONGEST:
            raise _failed(stream, "its answer has no end")
    head, _, behind = data.partition(END)
    if behind:
        stream.unread(behind)
    return head


def _failed(
    stream: Stream, words: str, fault: str = "parent", reason: Reason = Reason.VIA
) -> ParentError:
    return ParentError(reason, stream.peer, fault, words)
