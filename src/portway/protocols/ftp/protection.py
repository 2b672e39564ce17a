"""What TLS does for one client: its control connection, and its data.

Not here: reading commands, and the server's side. Invariant: who must be inside TLS is
asked of `refusal`, before a login and before data; a leg that is to be private is never
handed out in clear.
"""

import logging
from contextlib import suppress
from ssl import SSLContext

from portway.errors import PeerError, PortwayError
from portway.exchange import Exchange
from portway.model import Reason, Side
from portway.net.contexts import TlsContexts
from portway.net.stream import SocketStream
from portway.net.tls import TlsStream, start_tls
from portway.protocols.ftp import replies
from portway.protocols.ftp.certificates import ALPN
from portway.protocols.ftp.commands import Kind, kind_of
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.wire import Command, reply

ADMITTED = frozenset(word.encode() for word in ALPN)
# RFC 4217, section 4, and the two of the drafts before it that clients still send.
MECHANISMS = {b"TLS": False, b"TLS-C": False, b"SSL": True, b"TLS-P": True}
HANDSHAKE_TIME = 15.0  # seconds
# What is answered where TLS is due; all of it here, beside what is about TLS.
BEFORE_TLS = {"FEAT", "SYST", "NOOP", "HELP", "OPTS", "QUIT", "REIN"}
# What a client may not say behind CCC.
LOGIN = {"USER", "PASS", "ACCT", "SITE", "OPEN", "HOST"}


log = logging.getLogger(__name__)


class NotResumedError(PeerError):
    """A data connection is inside TLS, and in no session of its control connection."""


class Protection:
    """How far one client is inside TLS.

    *inside* says whether its control connection is, *private* whether its data is to
    be (PROT P), *facts* what a record tells of it.
    """

    __slots__ = (
        "_cleared",
        "_context",
        "_contexts",
        "_polite",
        "_settings",
        "_sized",
        "facts",
        "inside",
        "private",
    )

    def __init__(self, settings: FtpSettings, contexts: TlsContexts) -> None:
        self.inside = False
        self.private = False
        self.facts: dict[str, str] = {}
        self._settings = settings
        self._contexts = contexts
        self._context: SSLContext | None = None  # of the last handshake
        self._sized = False  # PBSZ came
        self._cleared = False  # by CCC, for the rest of a login
        self._polite = False  # it has ended data with a close_notify
        self.forget()

    def forget(self) -> None:
        """Take PBSZ and PROT back, and what CCC gave: REIN."""
        self._cleared = False
        self.private = self._sized = self.implicit

    @property
    def implicit(self) -> bool:
        """Whether TLS begins with the connection."""
        return self._settings.tls == "implicit"

    @property
    def features(self) -> tuple[bytes, ...]:
        """The lines of FEAT that are about it. RFC 4217, section 6."""
        if self._settings.tls == "off":
            return ()
        ccc = (b"CCC",) if self._settings.ccc else ()
        return (b"AUTH TLS", b"PBSZ", b"PROT", *ccc)

    # What is answered.

    def refusal(self, command: Command) -> bytes | None:
        """Return why *command* cannot be served before TLS does more."""
        if self._settings.tls not in {"required", "implicit"}:
            return None
        kind = kind_of(command)
        if self.due and kind is not Kind.SECURITY and command.verb not in BEFORE_TLS:
            return replies.TLS_REQUIRED
        if command.verb in LOGIN and not self.inside:
            return replies.TLS_REQUIRED
        return self.data_refusal if kind is Kind.TRANSFER else None

    @property
    def due(self) -> bool:
        """Whether the client must go inside TLS before a server hears of it."""
        must = self._settings.tls in {"required", "implicit"}
        return must and not self.inside and not self._cleared

    @property
    def data_refusal(self) -> bytes | None:
        """Why no data can be moved in clear."""
        if self._settings.tls == "required" and not self.private:
            return replies.PROT_NEEDED
        return None

    def auth_refusal(self, mechanism: bytes) -> bytes | None:
        """Return why AUTH is refused; None: it is not."""
        if self._contexts.accept is None:
            return replies.NO_AUTH
        if self.inside:
            return replies.TLS_ALREADY
        if mechanism.strip().upper() not in MECHANISMS:
            return replies.NO_MECHANISM
        return None

    def accept(self, mechanism: bytes) -> bytes:
        """Begin as AUTH wants it; return its answer."""
        word = mechanism.strip().upper()
        self.private = MECHANISMS[word] or self.implicit
        self._sized = self.implicit
        return reply(234, f"AUTH {word.decode()} accepted.")

    def ccc_refusal(self, *, logged_in: bool) -> bytes | None:
        """Return why CCC is refused; None: it is not."""
        if not self._settings.ccc:
            return replies.NO_CCC
        if not self.inside:
            return replies.NO_TLS
        return None if logged_in else replies.CCC_TOO_EARLY

    def answer(self, command: Command) -> bytes:
        """Do what PBSZ or PROT says, and answer it. RFC 4217, sections 8 and 9."""
        if not self.inside:
            return replies.NO_TLS
        word = command.argument.strip().upper()
        if command.verb == "PBSZ":
            if not word.isdigit():
                return replies.BAD_SIZE
            self._sized = True
            return replies.SIZED
        return self._level(word)

    def _level(self, word: bytes) -> bytes:
        if word in {b"S", b"E"}:
            return replies.NO_SUCH_PROT
        if word not in {b"C", b"P"}:
            return replies.BAD_PROT
        if not self._sized:
            return replies.SEND_PBSZ
        if word == b"C" and self._settings.tls == "required":
            return replies.PROT_REQUIRED
        self.private = word == b"P"
        return replies.PROT_OK

    # Connections.

    def context(self) -> SSLContext:
        """Return what the next handshake on the control connection demands.

        Raises PeerError, TLS, if the door's files cannot be read any more.
        """
        context, fresh = self._contexts.accept, self._contexts.fresh
        if self._settings.tls_reuse == "session" and fresh is not None:
            try:
                context = fresh()
            except ValueError as error:
                log.error("ftp.no_certificate", extra={"error": str(error)})  # noqa: TRY400 - it says it all
                text = "the gateway cannot read its certificate"
                raise PeerError(Side.GATEWAY, text, Reason.TLS) from error
        if context is None:
            raise RuntimeError("this door has no TLS")
        return context

    async def shake_hands(self, stream: SocketStream, context: SSLContext) -> TlsStream:
        """Go on inside TLS on the control connection. Raises PeerError, TLS."""
        inside = await accept_tls(stream, context)
        self.inside = True
        self._context = context
        self.facts = facts_of(inside)
        return inside

    def left(self) -> None:
        """The control connection is in clear again."""
        self.inside = False
        self._cleared = True
        self.facts = {}

    async def cover(self, leg: SocketStream, exchange: Exchange) -> SocketStream:
        """Return the client's data connection, inside TLS if it is to be.

        Whatever fails resets it. Raises PeerError, TLS; NotResumedError.
        """
        if not self.private:
            return leg
        if self._context is None:
            leg.abort()
            raise PeerError(Side.GATEWAY, "TLS never began", Reason.TLS)
        inside = await accept_tls(leg, self._context, tickets=False)
        exchange.note(**facts_of(inside))
        if self._settings.tls_reuse == "session" and not inside.resumed:
            inside.abort()
            text = "it resumed no session of this control connection"
            raise NotResumedError(Side.CLIENT, text, Reason.TLS)
        eof = self._settings.tls_eof
        inside.lenient = eof == "lenient" or (eof == "auto" and not self._polite)
        return inside

    async def part(self, leg: SocketStream, exchange: Exchange) -> bool:
        """Learn from how *leg* ended, and answer it; say whether TLS said that it did.

        Some clients wait for the answer before they read a reply. RFC 8446, section
        6.1, asks for it.
        """
        if not isinstance(leg, TlsStream):
            return False
        if leg.truncated:
            exchange.note(tls_client_end="missing")
        self._polite = self._polite or leg.said_goodbye
        with suppress(PortwayError):  # the payload is here
            await leg.send_eof()
        return leg.said_goodbye


async def accept_tls(
    stream: SocketStream, context: SSLContext, *, tickets: bool = True
) -> TlsStream:
    """Go on inside TLS, as its server. Raises PeerError, TLS; nothing is left open."""
    return await start_tls(
        stream,
        context,
        server_side=True,
        admitted=ADMITTED,
        tickets=tickets,
        seconds=HANDSHAKE_TIME,
    )


def facts_of(stream: TlsStream) -> dict[str, str]:
    """Return what a record tells of *stream*."""
    resumed = {"tls_client_resumed": "true"} if stream.resumed else {}
    return {"tls_client": f"{stream.version} {stream.cipher}", **resumed}
