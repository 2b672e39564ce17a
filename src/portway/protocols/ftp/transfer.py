"""What ends how, and who is told: the decisions of one transfer.

Two things end, in any order: the data, and the dialogue about it on the control
connection. RFC 959, sections 3.4 and 5.4, lets a final reply come before the last
byte. A file that was cut must not look whole to whoever receives it, so a failure ends
the receiving leg with a reset, and no success is passed on after one.

Not here: sockets and clocks; legs.py and mover.py carry this out. Invariant: a reply
of success is passed on only if the data ended well.
"""

from dataclasses import dataclass
from enum import Enum, auto

from portway.model import Outcome, Reason, Side
from portway.protocols.ftp.wire import reply


class Direction(Enum):
    """Where the payload goes."""

    DOWN = auto()  # server to client
    UP = auto()  # client to server
    BOTH = auto()  # a verb that nobody knows: either


class DataEnd(Enum):
    """How the data ended."""

    WHOLE = auto()  # every byte went through, and its end
    CALLED_OFF = auto()  # the server refused before any byte
    GIVEN_UP = auto()  # the server refused after some
    ABORTED = auto()  # the client sent ABOR
    CLIENT_BROKE = auto()
    SERVER_BROKE = auto()
    STALLED = auto()
    QUOTA = auto()  # the client's is used up
    NO_SPARE = auto()  # the gateway had no descriptor, or no port, for a leg
    NO_CLIENT = auto()  # its leg never came up
    NO_SERVER = auto()
    NO_WAY = auto()  # to the server: the next proxy failed
    NO_TLS = auto()  # with the server's leg
    NO_CLIENT_TLS = auto()  # with the client's leg
    NOT_RESUMED = auto()  # the client's leg, the session of the control connection
    TRUNCATED = auto()  # the server's data ended, inside TLS, without its signature
    CUT = auto()  # the gateway's doing: shutdown, an error of its own


class Closing(Enum):
    """How a leg is closed."""

    FINISH = auto()  # FIN behind the last byte, then wait for the peer's
    QUIET = auto()  # nothing of interest left: close
    RESET = auto()  # the peer must see that something is missing
    DRAIN = auto()  # read on for a moment, then reset


@dataclass(frozen=True, slots=True)
class Ending:
    """What the record says of a transfer."""

    outcome: Outcome
    reason: str = ""
    side: str = ""
    error: str = ""


_REASONS = {
    DataEnd.STALLED: Reason.TIMEOUT,
    DataEnd.NO_WAY: Reason.VIA,
    DataEnd.NO_TLS: Reason.TLS,
    DataEnd.TRUNCATED: Reason.TLS,
    DataEnd.NO_CLIENT_TLS: Reason.TLS,
    DataEnd.NOT_RESUMED: Reason.TLS,
    DataEnd.QUOTA: Reason.QUOTA,
    DataEnd.NO_SPARE: Reason.BUSY,
}
# What a server says of these is not what the client must know.
_OURS = {
    DataEnd.NO_CLIENT,
    DataEnd.NO_WAY,
    DataEnd.NO_CLIENT_TLS,
    DataEnd.NOT_RESUMED,
    DataEnd.QUOTA,
    DataEnd.NO_SPARE,
}
_FAILURES = {
    DataEnd.CLIENT_BROKE: (426, "Your data connection broke.", Side.CLIENT),
    DataEnd.SERVER_BROKE: (426, "The server's data connection broke.", Side.SERVER),
    DataEnd.STALLED: (426, "The data stood still for too long.", Side.SERVER),
    DataEnd.QUOTA: (552, "Quota used up.", Side.GATEWAY),
    DataEnd.NO_CLIENT: (425, "Cannot connect to your data port.", Side.CLIENT),
    DataEnd.NO_SERVER: (425, "No data path to the server.", Side.SERVER),
    DataEnd.NO_CLIENT_TLS: (425, "No TLS on your data connection.", Side.CLIENT),
    DataEnd.NOT_RESUMED: (
        522,
        "Your data connection did not resume the TLS session.",
        Side.CLIENT,
    ),
    DataEnd.NO_WAY: (425, "No data path to the server.", Side.SERVER),
    DataEnd.NO_TLS: (425, "No TLS on the server's data connection.", Side.SERVER),
    DataEnd.TRUNCATED: (426, "The server's data were cut off inside TLS.", Side.SERVER),
    DataEnd.NO_SPARE: (425, "No data connection to spare now.", Side.GATEWAY),
    DataEnd.CUT: (451, "The proxy broke the transfer off.", Side.GATEWAY),
}


def closings(direction: Direction, end: DataEnd) -> tuple[Closing, Closing]:
    """Return how the client's leg and the server's leg are closed."""
    if end is DataEnd.CALLED_OFF:
        return Closing.QUIET, Closing.QUIET
    if end is DataEnd.WHOLE:
        if direction is Direction.DOWN:
            return Closing.FINISH, Closing.QUIET
        if direction is Direction.UP:
            return Closing.QUIET, Closing.FINISH
        return Closing.FINISH, Closing.FINISH
    if end is DataEnd.ABORTED and direction is Direction.DOWN:
        # some servers read ABOR only when their own transfer has ended
        return Closing.RESET, Closing.DRAIN
    return Closing.RESET, Closing.RESET


def final_reply(end: DataEnd, code: int | None, detail: str = "") -> bytes | None:
    """Return what the client gets for the final reply; None: the server's own.

    *code* is the server's final code, or None if it gave none in time. A success
    that comes after a failure is replaced; so is any reply about a client's leg that
    the gateway could not reach, and about data that it cut by itself.
    """
    failure = _FAILURES.get(end)
    if failure is None:
        return None
    if code is not None and code >= 400 and end not in _OURS:
        return None
    number, text, _ = failure
    return reply(number, f"{text[:-1]}: {detail}." if detail else text)


def ending(end: DataEnd, code: int | None, moved: int) -> Ending:
    """Return what the record says; *moved* counts the payload's bytes."""
    broken = Outcome.CUT if moved else Outcome.FAILED
    if end is DataEnd.ABORTED:
        return Ending(broken, side=Side.CLIENT, error="aborted by the client")
    if end in _FAILURES:
        _, text, side = _FAILURES[end]
        reason = _REASONS.get(end, Reason.GONE)
        return Ending(broken, reason, side, text)
    if code is not None and code >= 400:
        return Ending(broken, side=Side.SERVER)
    return Ending(Outcome.OK)
