"""The smuggling catalogue, and what reads a connection as a session would.

`CLIENTS` and `SERVERS` are for tests over sockets too: `Case.sent` with another
authority, and what is to come of it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from portway.model import Side
from portway.protocols.http.authority import read_target
from portway.protocols.http.chunks import Unchunker
from portway.protocols.http.fields import check_connection
from portway.protocols.http.framing import (
    Body,
    Framing,
    expects_continue,
    request_body,
    response_body,
)
from portway.protocols.http.wire import (
    REQUEST,
    RESPONSE,
    BadMessage,
    find_head,
    parse_request,
    parse_response,
)

ROOT = Path(__file__).parents[4]
CATALOGUE = ROOT / "tests" / "corpus" / "http_heads" / "smuggling.toml"

Text = str | list[str | list[str | int]]


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of the catalogue, as its head says."""

    name: str
    sent: bytes
    status: int
    requests: tuple[str, ...] = ()
    method: str = "GET"
    body: bytes = b""
    reuse: bool = True

    def __str__(self) -> str:
        return self.name

    def to(self, authority: str) -> bytes:
        """Return what is sent, for another host than ``host.test``."""
        return self.sent.replace(b"host.test", authority.encode())


def _bytes(text: Text) -> bytes:
    if isinstance(text, str):
        return text.encode("latin-1")
    parts: list[bytes] = []
    for part in text:
        if isinstance(part, str):
            parts.append(part.encode("latin-1"))
        else:
            unit, times = part
            assert isinstance(unit, str)
            assert isinstance(times, int)
            parts.append(unit.encode("latin-1") * times)
    return b"".join(parts)


def _read(kind: str) -> list[Case]:
    entries = tomllib.loads(CATALOGUE.read_text(encoding="ascii"))[kind]
    return [
        Case(
            entry["id"],
            _bytes(entry["bytes"]),
            entry["status"],
            tuple(entry.get("requests", ())),
            entry.get("method", "GET"),
            entry.get("body", "").encode("latin-1"),
            entry.get("reuse", True),
        )
        for entry in entries
    ]


CLIENTS, SERVERS = _read("client"), _read("server")


class BodyReader:
    """Reads one body out of pieces, and keeps what stands behind it."""

    def __init__(self, framing: Framing, side: Side) -> None:
        self.body = b""
        self.rest = b""
        self._left = max(framing.length, 0) if framing.kind is Body.LENGTH else 0
        self._chunks = Unchunker(side) if framing.kind is Body.CHUNKED else None
        self._endless = framing.kind is Body.EOF

    @property
    def done(self) -> bool:
        if self._chunks:
            return self._chunks.done
        return not self._left and not self._endless

    def feed(self, data: bytes) -> None:
        if self._chunks:
            self.body += self._chunks.feed(data)
            self.rest = self._chunks.rest
        elif self._endless:
            self.body += data
        else:
            self.body += data[: self._left]
            self.rest += data[self._left :]
            self._left -= len(data[: self._left])


class ClientSide:
    """Reads what a client sends: `requests` were taken, `status` refused the next."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.status = 0
        self.error: BadMessage | None = None
        self._held = b""
        self._line = ""
        self._body: BodyReader | None = None

    def feed(self, data: bytes) -> None:
        try:
            while data and not self.status:
                data = self._body_on(data) if self._body else self._head_on(data)
        except BadMessage as error:
            self.status = error.status
            self.error = error

    def _head_on(self, data: bytes) -> bytes:
        before, self._held = len(self._held), self._held + data
        end = find_head(self._held, before, REQUEST)
        if end < 0:
            return b""
        head = parse_request(self._held[:end])
        rest, self._held = self._held[end:], b""
        framing = request_body(head)
        target = read_target(head.method, head.target)
        expects_continue(head)
        check_connection(head)
        place = target.path.decode("latin-1") or str(target.endpoint)
        self._line = f"{head.method} {place}"
        self._body = BodyReader(framing, Side.CLIENT)
        return self._body_on(rest) if rest or self._body.done else b""

    def _body_on(self, data: bytes) -> bytes:
        assert self._body is not None
        self._body.feed(data)
        if not self._body.done:
            return b""
        self.requests.append(f"{self._line} {len(self._body.body)}")
        rest, self._body = self._body.rest, None
        return rest


class ServerSide:
    """Reads the reply to *method* that a server sends: `status` is the client's."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.error: BadMessage | None = None
        self.reuse = True
        self._method = method
        self._held = b""
        self._body: BodyReader | None = None

    @property
    def body(self) -> bytes:
        return self._body.body if self._body else b""

    def feed(self, data: bytes) -> None:
        try:
            self._feed(data)
        except BadMessage as error:
            self.status = error.status
            self.error = error

    def end(self) -> None:
        """The server closes."""
        if self._body is None:
            self.status = 502

    def _feed(self, data: bytes) -> None:
        if self._body:
            self._body.feed(data)
            return
        before, self._held = len(self._held), self._held + data
        end = find_head(self._held, before, RESPONSE)
        if end < 0:
            return
        head = parse_response(self._held[:end])
        framing = response_body(head, self._method)
        check_connection(head)
        self.status, self.reuse = head.status, framing.reusable
        self._body = BodyReader(framing, Side.SERVER)
        self._body.feed(self._held[end:])
