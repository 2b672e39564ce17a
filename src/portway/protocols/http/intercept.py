"""Interception: the TLS of a tunnel is opened, and its requests are judged.

protocols.md, section 2.8. The server is reached and verified first; only then does the
client see a certificate of ours, for the name that it has asked for, which the rules
have allowed as they have the tunnel's.

Not here: whether TLS is what goes through (tunnel.py), certificates (net.authority),
and the requests within (session.py). Invariant: no request goes to a server that was
not verified as the listener demands; what is not opened was not touched.
"""

import re
import ssl
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256

from portway.errors import PeerError, PortwayError, UpstreamError
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Outcome, Reason, Side, read_address
from portway.net.hello import HANDSHAKE, Hello
from portway.net.stream import SocketStream
from portway.net.tls import TlsStream, start_tls
from portway.net.tlsbio import accept_tls, certificate_of
from portway.protocols.http import tunnel
from portway.protocols.http.house import House
from portway.protocols.http.inside import Inside
from portway.protocols.http.methods import action_of, naming_of
from portway.protocols.http.turn import Turn
from portway.protocols.http.upstream import keep_for

Within = Callable[[SocketStream, Inside], Awaitable[None]]
Redial = Callable[[], Awaitable[SocketStream]]

ALPN = frozenset({b"http/1.1", b"http/1.0"})
FIRST = 16384  # bytes of a request that are waited for
CERTIFICATE_REQUEST = 13  # a message of a handshake: RFC 8446, appendix B.3
_NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
# What clients say that do not trust us: RFC 8446, section 6.2, as OpenSSL has it.
_REJECTIONS = {
    "TLSV1_ALERT_UNKNOWN_CA": "unknown_ca",
    "SSLV3_ALERT_BAD_CERTIFICATE": "bad_certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate_unknown",
}


@dataclass(frozen=True, slots=True)
class Opened(Inside):
    """A tunnel whose TLS was opened.

    *name* is what TLS has asked for: a request's ``Host`` must be the same (else 421),
    also where the tunnel goes to an address. *failure* is why there is no server that
    could be trusted: all requests are answered with it.
    """

    name: str = ""
    failure: PortwayError | None = None


async def refuse(turn: Turn, failure: PortwayError) -> None:
    """Answer *turn*, whose server is none to be trusted. Raises as `Turn.begin`."""
    action, naming = action_of(turn.head.method), naming_of("https")
    exchange = await turn.begin(action, naming)
    error = UpstreamError(failure.reason, failure.text)  # its own, for its own record
    await turn.refuse(error, exchange)
    exchange.close(error)


class Opening:
    """How the TLS of one tunnel is opened; called, it does so: a `tunnel.OpenUp`.

    *redial* reaches the server of *exchange* once more, *within* serves the requests
    inside a tunnel, and closes it.
    """

    __slots__ = ("_exchange", "_gate", "_house", "_redial", "_within")

    def __init__(
        self,
        house: House,
        gate: Gate,
        exchange: Exchange,
        redial: Redial,
        within: Within,
    ) -> None:
        self._house = house
        self._gate = gate
        self._exchange = exchange
        self._redial = redial
        self._within = within

    async def __call__(
        self, client: SocketStream, server: SocketStream, hello: Hello
    ) -> bool:
        """Serve what is inside TLS; False: it stays closed, and nothing was touched.

        Both streams are closed in the end. Raises PortwayError.
        """
        exchange = self._exchange
        name = hello.server_name or exchange.access.host
        why = self._why_closed(name)
        if why:
            exchange.note(unopened=why)
            return False
        check(name, hello)
        known = await self._verified(server, name)
        if known is None:
            await self._leave_closed(client)
            return True
        inside: TlsStream | None = None
        try:
            inside = await self._accept(client, name, known)
            if await self._client_speaks(inside):
                await self._serve(inside, name, known)
        except BaseException:
            if inside is not None:
                inside.abort()
            raise
        finally:
            known.let_go()
        return True

    def _why_closed(self, name: str) -> str:
        """Return why the tunnel stays closed, a word for its record; or nothing."""
        services, access = self._exchange.services, self._exchange.access
        authority, ca, pinned = services.authority, services.ca, services.pinned
        now = services.clock()
        if authority is None or self._house.contexts.connect is None:
            return "no authority"
        if not authority.permits(name):
            return "not permitted"
        if ca.pinned == "tunnel" and pinned.is_pinned(access.client, name, now):
            return "pinned"
        if ca.client_certificate == "tunnel" and pinned.is_asking(
            name, access.port, now
        ):
            return "client certificate"
        return ""

    # The server.

    async def _verified(self, server: SocketStream, name: str) -> "Known | None":
        """Shake hands with the server, and say what is known of it then.

        None: it asks for a certificate of the client's, and the tunnel is to stay
        closed. Raises PeerError, where the client is to be cut off.
        """
        house, exchange = self._house, self._exchange
        context = house.contexts.connect
        if context is None:
            raise RuntimeError("nothing says how to speak TLS with servers")
        watch_requests(context)
        asked: list[bool] = []
        token = _ASKED.set(asked)
        failure: PortwayError | None = None
        stream: TlsStream | None = None
        try:
            stream = await start_tls(server, context, server_hostname=name)
        except PeerError as error:
            if error.reason is not Reason.TLS:
                raise
            failure = error
        finally:
            _ASKED.reset(token)
        if asked and not house.settings.upstream.certificate:
            if stream is not None:
                stream.close()
            stream, failure = None, self._asks(name)
            if failure is None:
                return None
        if failure is not None:
            self._failed(failure)
        elif stream is not None:
            stream.lenient = house.settings.upstream.tls_eof == "lenient"
            exchange.note(tls_server=f"{stream.version} {stream.cipher}")
            if not context.verify_mode:
                exchange.note(verified="false")
        return Known(stream, failure)

    def _asks(self, name: str) -> PeerError | None:
        """Return what is wrong with a server that wants a certificate; None: nothing.

        Then the tunnel stays closed, and the next ones to that server do from the
        beginning.
        """
        services, port = self._exchange.services, self._exchange.access.port
        if services.ca.client_certificate == "tunnel":
            services.pinned.asks(name, port, services.clock())
            return None
        text = "it asks for a certificate of the client's, which nobody has but that"
        return PeerError(Side.SERVER, text, Reason.TLS)

    def _failed(self, failure: PortwayError) -> None:
        """Let the record say what is wrong with the server. Raises it to cut."""
        exchange = self._exchange
        if exchange.services.ca.bad_certificate == "cut":
            raise failure
        words = {"reason": failure.reason, "error": failure.text}
        exchange.end(Outcome.FAILED, **words, side=failure.side)

    async def _leave_closed(self, client: SocketStream) -> None:
        """Join the client with the server once more, with nobody between."""
        exchange = self._exchange
        exchange.note(unopened="client certificate")
        server = await self._redial()
        manner = tunnel.Manner(self._house.settings.idle, looks=False)
        try:
            await tunnel.run(exchange, client, server, manner)
        except BaseException:
            server.abort()
            raise
        server.close()
        client.close()

    # The client.

    async def _accept(
        self, client: SocketStream, name: str, known: "Known"
    ) -> TlsStream:
        """Show the client a certificate for *name*. Raises PeerError."""
        exchange = self._exchange
        services = exchange.services
        if services.authority is None:
            raise RuntimeError("there is no authority")
        now = services.clock()
        try:
            context = services.authority.context(name, known.leaf, now)
            inside = await accept_tls(client, context)
        except PeerError as error:
            raise self._rejected(error, name) from error
        self._gate.stream = inside
        words = f"{inside.version} {inside.cipher}"
        exchange.note(intercepted="true", tls_client=words, tls_name=name)
        return inside

    async def _client_speaks(self, inside: TlsStream) -> bool:
        """Wait for the first words: a client that does not trust us may say so late."""
        exchange = self._exchange
        seconds = self._house.settings.head_time
        try:
            data = await self._gate.wait_for(inside.receive(FIRST), seconds)
        except PeerError as error:
            if error.reason is Reason.IDLE:
                data = b""
            else:
                name = exchange.record().facts["tls_name"]
                raise self._rejected(error, name) from error
        if not data:
            inside.close()
            return False
        inside.unread(data)
        return True

    def _rejected(self, error: PeerError, name: str) -> PeerError:
        """Return what to raise for *error*: whether the client does not trust us."""
        cause = error.__cause__
        alert = cause.reason if isinstance(cause, ssl.SSLError) else ""
        if alert not in _REJECTIONS:
            return error
        exchange = self._exchange
        services, client = exchange.services, exchange.access.client
        services.pinned.rejected(client, name, services.clock())
        exchange.note(pinned=_REJECTIONS[alert])
        text = f"the client takes no certificate of ours: {_REJECTIONS[alert]}"
        return PeerError(Side.CLIENT, text, Reason.TLS)

    async def _serve(self, inside: TlsStream, name: str, known: "Known") -> None:
        """Serve the requests; the first of them gets the server's connection."""
        exchange, house = self._exchange, self._house
        access = exchange.access
        stream = known.take()
        if stream is not None:
            if access.host == name:
                keep_for(house, self._gate, exchange, stream, "https")
            else:  # a request may be for another address
                stream.close()
        literal = read_address(access.host) is not None
        host = access.host if literal else name
        facts = {"intercepted": "true"}
        where = Opened("https", host, access.port, facts, name, known.failure)
        await self._within(inside, where)


class Known:
    """A server that was verified, or why it could not be."""

    __slots__ = ("_stream", "failure", "leaf")

    def __init__(self, stream: TlsStream | None, failure: PortwayError | None) -> None:
        self._stream = stream
        self.failure = failure
        shown = b"" if stream is None else certificate_of(stream)
        self.leaf = sha256(shown).digest()

    def take(self) -> TlsStream | None:
        """Return its connection, which is the caller's from now on."""
        stream, self._stream = self._stream, None
        return stream

    def let_go(self) -> None:
        """Close its connection, unless somebody has taken it."""
        stream = self.take()
        if stream is not None:
            stream.close()


def check(name: str, hello: Hello) -> None:
    """Raise PeerError for a hello that cannot be served. RFC 9325, section 3.7."""
    if read_address(name) is None and not _NAME.fullmatch(name):
        text = "it asks TLS for a server whose name is none"
        raise PeerError(Side.CLIENT, text, Reason.TLS)
    if hello.alpn and hello.alpn.isdisjoint(ALPN):
        text = "its ALPN offers other protocols only"
        raise PeerError(Side.CLIENT, text, Reason.TLS)


# Where a handshake takes note, in its own task, that a certificate is asked for.
_ASKED: ContextVar[list[bool] | None] = ContextVar("asked", default=None)


def watch_requests(context: ssl.SSLContext) -> None:
    """Let handshakes with *context* tell of servers that ask for a certificate.

    OpenSSL answers that there is none; most servers then go on, as with a stranger.
    """
    # the one place where OpenSSL tells; Python has it since 3.8, and not in public
    if getattr(context, "_msg_callback", None) is None:
        setattr(context, "_msg_callback", _see_message)  # noqa: B010 - typing has none


def _see_message(  # noqa: PLR0913, PLR0917 - as `ssl` calls it
    connection: object,
    direction: str,
    version: object,
    kind: int,
    message: int,
    data: bytes,
) -> None:
    del connection, version, data
    if message != CERTIFICATE_REQUEST or direction != "read" or kind != HANDSHAKE:
        return
    asked = _ASKED.get()
    if asked is not None:
        asked.append(True)
