"""A door that clients of HTTP and of SOCKS share: the first byte says which one it is.

SOCKS begins with 4 or 5 (RFC 1928, section 3), HTTP with a letter (RFC 9112, section
3), both inside TLS where the door has that.

Not here: what either of them says. Invariant: the byte that was looked at is the first
that the protocol reads.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from msgspec import structs

from portway.config.schema import Listener, Wrong
from portway.errors import PortwayError
from portway.gate import Gate
from portway.model import Action, Reason
from portway.net.contexts import TlsContexts
from portway.net.stream import SocketStream
from portway.net.tls import start_tls
from portway.protocol import Handler, Protocol
from portway.protocols.auto.settings import AutoSettings
from portway.protocols.http.certificates import ALPN as HTTP_ALPN
from portway.protocols.http.protocol import PROTOCOL as HTTP
from portway.protocols.socks.protocol import PROTOCOL as SOCKS

AHEAD = 4096  # bytes that are read, and given back
METHODS: Mapping[str, Action] = MappingProxyType({})  # those of HTTP and of SOCKS
ALPN = frozenset({*(name.encode() for name in HTTP_ALPN), b"http/1.0"})


class Entry:
    """Where the clients of one door part."""

    __slots__ = ("_contexts", "_http", "_seconds", "_socks", "_tls")

    def __init__(self, name: str, listener: Listener, contexts: TlsContexts) -> None:
        settings = listener.settings
        if not isinstance(settings, AutoSettings):
            raise TypeError(f"{listener.name} is no door of both")
        self._contexts = contexts
        self._tls = settings.tls == "implicit"
        self._seconds = settings.head_time
        web = structs.replace(listener, settings=settings.http)
        self._http = HTTP.handler(name, web, contexts)
        other = structs.replace(listener, settings=settings.socks)
        self._socks = SOCKS.handler(name, other, contexts)

    async def serve(self, stream: SocketStream, gate: Gate) -> None:
        """Serve one client to its end."""
        try:
            stream = await self._begun(stream, gate)
            first = await self._first(stream, gate)
        except PortwayError as error:
            gate.close()
            if error.reason is Reason.TLS:
                stream.abort()
            else:
                stream.close()
            return
        word, handler = self._told_apart(first)
        door = replace(gate.visitor.door, spoken=word)
        gate.visitor = replace(gate.visitor, door=door)
        await handler(stream, gate)

    async def _begun(self, stream: SocketStream, gate: Gate) -> SocketStream:
        context = self._contexts.accept
        if self._tls and context is not None:
            stream = gate.stream = await start_tls(
                stream, context, server_side=True, admitted=ALPN, tickets=False
            )
        return stream

    async def _first(self, stream: SocketStream, gate: Gate) -> bytes:
        """Return the byte by which the client is told; it is still to be read."""
        gate.on_end(stream.interrupt)
        data = await gate.wait_for(stream.receive(AHEAD), self._seconds)
        stream.unread(data)
        return data[:1]

    def _told_apart(self, first: bytes) -> tuple[str, Handler]:
        """Return the protocol; one who is neither's client is refused as SOCKS does."""
        if first.isalpha() or first in {b"\r", b"\n"}:
            return HTTP.name, self._http
        return SOCKS.name, self._socks


def contexts_of(listener: Listener) -> tuple[TlsContexts, tuple[Wrong, ...]]:
    """Return what TLS demands at *listener*, and what is wrong with its files."""
    return HTTP.contexts(listener)


def too_many(name: str) -> bytes:
    """Return the farewell to a client that is one too many, whatever it speaks."""
    del name
    return b""


PROTOCOL = Protocol(
    name="auto",
    port=0,
    settings=AutoSettings,
    methods=METHODS,
    refusals=HTTP.refusals,
    too_many=too_many,
    contexts=contexts_of,
    handler=lambda name, listener, contexts: Entry(name, listener, contexts).serve,
)
