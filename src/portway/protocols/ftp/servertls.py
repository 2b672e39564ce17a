"""TLS with a server: agreed on before the login, and laid over each data connection.

RFC 4217. Whoever was the client of TLS on the control connection is it on the data
connections too, in active mode as well (section 7); and those resume the control
connection's session, without which many servers refuse them.

Not here: TLS with clients, and the handshake itself (net.tls). Invariant: a server that
was to be spoken to inside TLS gets no login outside it, and no data where it has not
agreed to protect them.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ssl import SSLContext

from portway.errors import PeerError, PortwayError, ProtocolError
from portway.exchange import Exchange
from portway.lines import shown
from portway.model import Outcome, Reason, Side
from portway.net.stream import SocketStream
from portway.net.tls import TlsStream, start_tls
from portway.protocols.ftp import settings
from portway.protocols.ftp.desk import Farewell
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.greeting import Greeting, as_230
from portway.protocols.ftp.secured import Secured
from portway.protocols.ftp.sftp.inside import InsideControl
from portway.protocols.ftp.upstream import Upstream, verb_of
from portway.protocols.ftp.via import Straight
from portway.protocols.ftp.wire import reply

HANDSHAKE_TIME = 15.0  # seconds, from when the connection is up
AGREED = {234, 334}  # old servers say 334 to AUTH SSL
UNKNOWN = {500, 502, 504}  # AUTH, or this mechanism of it, is not known
UNRESUMED = {425, 522}  # how servers refuse data that resume no session
NOT_RESUMED = "the data connection did not resume the TLS session of the control"

log = logging.getLogger(__name__)


# The control connection, before the login.


async def meet(
    upstream: Upstream,
    visit: Exchange,
    wanted: settings.Upstream,
    context: SSLContext | None,
) -> Reply:
    """Go on inside TLS as *wanted*; return the greeting, or a refusal in its place.

    Raises PeerError, TLS; ProtocolError where words in clear stand behind the upgrade.
    """
    if wanted.tls == "off" or isinstance(upstream.stream, InsideControl):
        return await upstream.greeting()
    if context is None:
        raise RuntimeError("TLS was asked for, and nothing says how")
    parent = visit.way.parent
    host = parent.at.host if parent is not None and parent.is_ftp else visit.access.host
    name = (wanted.tls_name or host).rstrip(".")
    secured = Secured(context, name, wanted.tls_eof, private=wanted.prot == "private")
    if wanted.tls == "implicit":
        await _go_inside(upstream, visit, secured)
        return await upstream.greeting()
    greeting = await upstream.greeting()
    if greeting.code >= 300:
        return greeting
    answer = await upstream.ask_for_tls(b"AUTH TLS")
    if answer.code in UNKNOWN:
        answer = await upstream.ask_for_tls(b"AUTH SSL")
    if answer.code in AGREED:
        await _go_inside(upstream, visit, secured)
    elif answer.code == 421:
        return answer
    elif wanted.tls != "try" or answer.code < 500:
        raise PeerError(Side.SERVER, "offers no TLS", Reason.TLS)
    else:
        _goes_on_in_clear(visit, "AUTH", answer)
    return greeting


async def _go_inside(upstream: Upstream, visit: Exchange, secured: Secured) -> None:
    note(visit, await upstream.go_inside(secured, HANDSHAKE_TIME), secured)


def _goes_on_in_clear(visit: Exchange, verb: str, answer: Reply) -> None:
    """It is wanted only where the server has it: say that it has not."""
    fact = "clear" if verb == "AUTH" else "control only"
    visit.note(tls_server=fact)
    server = f"{visit.access.host}:{visit.access.port}"
    extra = {"server": server, "refused": verb, "code": answer.code}
    log.warning("ftp.tls_refused", extra=extra)


def note(exchange: Exchange, stream: TlsStream, secured: Secured) -> None:
    """Record what protects *stream*."""
    exchange.note(tls_server=f"{stream.version} {stream.cipher}")
    if not secured.context.verify_mode:
        exchange.note(verified="false")


# Behind the login.


async def protect_data(
    upstream: Upstream,
    visit: Exchange,
    wanted: settings.Upstream,
    *,
    private: bool,
) -> None:
    """Agree on the protection of data. RFC 4217, sections 8 and 9.

    *private* is what the client has agreed on with us. Raises Farewell where the server
    will not protect what it must.
    """
    secured = upstream.secured
    if secured is None:
        return
    if wanted.prot != "client":
        private = wanted.prot == "private"
    await upstream.ask(b"PBSZ 0")
    answer = await upstream.ask(b"PROT P" if private else b"PROT C")
    secured.private = private and answer.good
    if answer.good or not private:
        return
    if wanted.tls == "try":
        await upstream.ask(b"PROT C")
        _goes_on_in_clear(visit, "PROT", answer)
        return
    words = f"{answer.code} {shown(answer.words)}"
    text = f"the server does not protect data: {words}"
    visit.end(Outcome.FAILED, reason=Reason.TLS, side=Side.SERVER, error=text)
    raise Farewell(
        reply(530, f"Host {visit.access.host} does not protect data: {words}")
    )


async def follow(
    upstream: Upstream, visit: Exchange, wanted: settings.Upstream, *, private: bool
) -> bool:
    """Protect data as the client has it now, where that is what counts.

    Says whether the server was told anything. Raises what `protect_data` does.
    """
    secured = upstream.secured
    if secured is None or wanted.prot != "client" or secured.private == private:
        return False
    await protect_data(upstream, visit, wanted, private=private)
    return True


async def relay_login(  # noqa: PLR0913, PLR0917 - what relaying takes, and one more
    upstream: Upstream,
    visit: Exchange,
    line: bytes,
    greeting: Greeting | None,
    manner: Straight,
    protect: Callable[[], Awaitable[None]],
) -> int:
    """Relay USER, PASS or ACCT; a success is told once *protect* is through.

    Returns the final code.
    """
    answer = await manner.ask(upstream, visit, line)
    if answer.good:
        await protect()
    text = answer.text
    if verb_of(line) == "USER":
        text = as_230(text, answer.code)
    if greeting is not None and answer.code < 400:
        text = greeting.in_front_of(text)
    await upstream.answer(text)
    return answer.code


# Data connections.


async def cover(
    upstream: Upstream, stream: SocketStream, exchange: Exchange
) -> SocketStream:
    """Return *stream* inside TLS, if that was agreed on. Raises PeerError, TLS."""
    secured, control = upstream.secured, upstream.stream
    if secured is None or not secured.private:
        return stream
    if not isinstance(control, TlsStream):
        stream.abort()
        raise ProtocolError(Side.SERVER, "data inside TLS, and the dialogue is not")
    inside = await start_tls(
        stream,
        secured.context,
        server_hostname=secured.host,
        session=control.session,  # as it is now: TLS 1.3 sends its tickets late
        seconds=HANDSHAKE_TIME,
    )
    inside.lenient = secured.lenient
    note(exchange, inside, secured)
    exchange.note(tls_server_resumed=str(inside.resumed).lower())
    return inside


async def part(upstream: Upstream, stream: SocketStream, exchange: Exchange) -> None:
    """The server's data have come to their end: learn from it, and answer it."""
    secured = upstream.secured
    if secured is None or not isinstance(stream, TlsStream):
        return
    if stream.said_goodbye:
        secured.says_goodbye = True
    elif stream.truncated:
        exchange.note(tls_server_end="missing")
    with suppress(PortwayError):  # the payload is here
        await stream.send_eof()


def was_cut(stream: SocketStream | None) -> bool:
    """Whether the server's data ended inside TLS without a close_notify."""
    return isinstance(stream, TlsStream) and stream.truncated


def why_refused(code: int | None, stream: SocketStream | None) -> str:
    """Return what may be behind a server's refusal of data; empty: who knows."""
    if code not in UNRESUMED or not isinstance(stream, TlsStream):
        return ""
    return "" if stream.resumed else NOT_RESUMED
