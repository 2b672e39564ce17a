"""What a SOCKS client is told for each reason: protocols.md, section 1.3.

Not here: the bytes that say so (wire.py). Invariant: every `Reason` has an answer, and
none is a yes.
"""

import errno
import os
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from portway.errors import ParentError, PortwayError
from portway.model import Reason, Side
from portway.protocols.socks.via import code_of
from portway.protocols.socks.wire import (
    VERSION_4,
    Reply,
    Reply4,
    UnknownAddressError,
)


class End(Enum):
    """What is said without words."""

    CLOSE = "close"
    RESET = "reset"


Answer = Reply | End

REFUSALS: Mapping[Reason, Answer] = MappingProxyType(
    {
        Reason.SYNTAX: End.CLOSE,
        Reason.TOO_LONG: End.CLOSE,
        Reason.UNSUPPORTED: Reply.COMMAND_UNSUPPORTED,
        Reason.LOGIN: Reply.NOT_ALLOWED,
        Reason.LOGIN_WRONG: Reply.NOT_ALLOWED,
        Reason.LOGIN_UNAVAILABLE: Reply.FAILED,
        Reason.RULE: Reply.NOT_ALLOWED,
        Reason.DEFAULT: Reply.NOT_ALLOWED,
        Reason.PORT: Reply.NOT_ALLOWED,
        Reason.INSIDE: Reply.NOT_ALLOWED,
        Reason.CONNECTIONS: Reply.NOT_ALLOWED,
        Reason.RATE: Reply.NOT_ALLOWED,
        Reason.QUOTA: Reply.NOT_ALLOWED,
        Reason.FILTER: Reply.NOT_ALLOWED,
        Reason.UNSCANNED: Reply.NOT_ALLOWED,
        Reason.NAME: Reply.HOST_UNREACHABLE,
        Reason.RESOLVER: Reply.FAILED,
        Reason.REFUSED: Reply.REFUSED,
        Reason.UNREACHABLE: Reply.HOST_UNREACHABLE,
        Reason.CONNECT_TIMEOUT: Reply.EXPIRED,
        Reason.TLS: Reply.FAILED,
        Reason.VIA: Reply.FAILED,
        Reason.PROTOCOL: Reply.FAILED,
        Reason.GONE: End.RESET,
        Reason.TIMEOUT: End.RESET,
        Reason.IDLE: End.CLOSE,
        Reason.BUSY: Reply.FAILED,
        Reason.DRAIN: End.RESET,
        Reason.ADMIN: End.RESET,
        Reason.LOOP: Reply.NOT_ALLOWED,
    }
)

# What a login is answered with, in place of a reply. RFC 1929, section 2.
LOGIN_REFUSALS: Mapping[Reason, int] = MappingProxyType(
    {Reason.LOGIN_WRONG: 1, Reason.LOGIN_UNAVAILABLE: 2, Reason.RATE: 2}
)
_NO_NETWORK = os.strerror(errno.ENETUNREACH).lower()


def answer_to(error: PortwayError) -> Answer:
    """Return what SOCKS 5 says to *error*."""
    if isinstance(error, UnknownAddressError):
        return Reply.ADDRESS_UNSUPPORTED
    if error.reason is Reason.VIA and isinstance(error, ParentError):
        return code_of(error)
    if error.reason is Reason.UNREACHABLE and error.text.endswith(_NO_NETWORK):
        return Reply.NETWORK_UNREACHABLE
    if error.side is Side.CLIENT and error.reason in {Reason.GONE, Reason.TLS}:
        return End.RESET
    return REFUSALS[error.reason]


def status_of(error: PortwayError, version: int) -> str:
    """Return what a record says that the client was told."""
    answer = answer_to(error)
    if not isinstance(answer, Reply):
        return ""
    return str(int(Reply4.REJECTED)) if version == VERSION_4 else f"{answer:02}"
