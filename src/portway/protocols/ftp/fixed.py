"""Doors whose server is known before USER: what transparent and reverse ones share.

Such a door has `Servers`, which offer one server after another for one client; the
session tries each until one greets it. `early` doors do so before the client has said
a word, and the server's greeting is the client's 220; the others greet by themselves
and reach the server at the first USER that is not for the gateway.

Not here: which servers those are (captured.py for transparent doors, farm.py for
reverse ones). Invariant: of each offer that was taken, either `failed` is told or
`left`, once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from portway.errors import PortwayError, Refused
from portway.gate import Gate
from portway.lines import shown
from portway.model import Endpoint, Reason
from portway.net.stream import SocketStream
from portway.protocols.ftp import replies
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.wire import reply


class Offer(Protocol):
    """A server that a client may be given."""

    @property
    def place(self) -> Endpoint:
        """Where it is."""

    def failed(self, error: PortwayError | None) -> None:
        """It was not reached, or greeted with a refusal: then *error* is None."""

    def left(self) -> None:
        """The visit to it is over, or never came to be for another reason."""


class Servers(Protocol):
    """The servers that the clients of one door get without naming any."""

    @property
    def early(self) -> bool:
        """Whether one is reached before the client has said anything."""

    def offers(self, gate: Gate, stream: SocketStream, user: bytes) -> Iterable[Offer]:
        """Yield what to try for the client of *gate*, on *stream*, one by one.

        *user* is the client's USER, empty if there was none yet. The next one is
        asked for only when the one before has `failed`. Raises Refused; Unreached
        where there is none, or none is left, and the last failure tells nothing.
        """


@dataclass(frozen=True, slots=True)
class Named:
    """A server that nobody keeps count of."""

    place: Endpoint

    def failed(self, error: PortwayError | None) -> None:
        """See Offer."""

    def left(self) -> None:
        """See Offer."""


class Unreached(Exception):  # noqa: N818 - that a server does not serve us is no error
    """A server was not reached, or refused with its greeting: *error* is None then.

    *text* is what the client is told.
    """

    def __init__(self, text: bytes, error: PortwayError | None = None) -> None:
        super().__init__()
        self.text = text
        self.error = error

    @property
    def passing(self) -> bool:
        """Whether the client had better come back later."""
        return self.text.startswith(b"421")


def unreached(error: PortwayError, place: Endpoint, *, named: bool) -> Unreached:
    """Return what *error* means to the client; *named*: the client named *place*."""
    text = replies.not_reached(error, place.host)
    if not named and isinstance(error, Refused) and error.reason is Reason.LOOP:
        text = b"421" + text[3:]
    return Unreached(text, error)


def refused_by(greeting: Reply) -> Unreached:
    """Return what a server's refusal to serve us means to the client."""
    return Unreached(reply(530 if greeting.code >= 500 else 421, shown(greeting.words)))


def no_server() -> Unreached:
    """Return what the client is told where there was nothing left to try."""
    return Unreached(replies.NO_SERVER)
