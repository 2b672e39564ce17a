"""What a client is told when its session ends.

Not here: sending it. Invariant: a client hears one farewell, and none where the server
has said its own.
"""

import logging

from portway.errors import PortwayError, ProtocolError, Refused
from portway.model import Reason, Side
from portway.protocols.ftp import replies
from portway.protocols.ftp.desk import Farewell
from portway.protocols.ftp.upstream import ServerClosing
from portway.protocols.ftp.wire import reply

log = logging.getLogger(__name__)


def last_words(error: Exception | None, name: str, *, moving: bool) -> bytes:
    """Return the farewell that *error* calls for; *name* is the gateway's.

    *moving*: the client waits for the end of a transfer, whose reply goes before.
    """
    words = _words(error, name)
    if moving and words == replies.SERVER_CLOSED:
        return replies.CUT_BY_SERVER + words
    if moving and isinstance(error, Refused):
        return replies.TRANSFER_ABORTED + words
    return words


def _words(error: Exception | None, name: str) -> bytes:
    if isinstance(error, Farewell):
        return error.text
    if isinstance(error, ServerClosing):
        return b""
    if isinstance(error, Refused) and error.reason is Reason.DRAIN:
        return replies.closing(name)
    if isinstance(error, Refused) and error.reason in replies.POLICY:
        return reply(421, replies.denied(error))  # a reload asked again
    if isinstance(error, Refused) and error.reason is Reason.LOGIN:
        return replies.LOGIN_DUE
    if not isinstance(error, PortwayError):
        log.error("ftp.session.failed", exc_info=error)
        return replies.INTERNAL
    if error.side is Side.CLIENT:
        return replies.CLIENT_ENDS.get(error.reason, b"")
    if isinstance(error, ProtocolError):
        return replies.SERVER_ODD
    return replies.REFUSALS[error.reason]
