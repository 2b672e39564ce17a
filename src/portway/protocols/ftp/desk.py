"""What a login is made of, and what it asks of its session.

Not here: the dialogue (login.py, serverlogin.py) and the session (session.py).
Invariant: a login acts through its `Desk` and in no other way.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from portway.model import Endpoint
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.greeting import Greeting
from portway.protocols.ftp.wire import Command
from portway.users.directory import Verification


class State(Enum):
    """Where the dialogue stands."""

    START = auto()  # no login, no target
    PASSWAIT = auto()  # a USER waits for its PASS
    READY = auto()  # a login is kept or verified, no target
    ACCTWAIT = auto()  # the proxy password comes by ACCT
    HELD = auto()  # the proxy login comes by AUTH and RESP
    NAMED = auto()  # the server greeted us, no USER sent
    LOGIN = auto()  # USER sent to the server, no 230 yet
    SESSION = auto()  # logged in

    @property
    def has_server(self) -> bool:
        """Whether a server is connected in this state."""
        return self.value >= State.NAMED.value


class How(Enum):
    """How the target was named; `AT` lets a later USER name another."""

    AT = auto()
    PROXYUSER = auto()
    SITE = auto()
    OPEN = auto()
    FIXED = auto()  # by nobody: the door leads to it


class Replay(Enum):
    """What became of a login that was given before the server was named."""

    OFF = auto()
    ARMED = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how the client named it.

    One that is FIXED has no place; *user* is the client's USER, if there was one.
    """

    place: Endpoint
    how: How
    user: bytes = b""


def fixed_target(user: bytes = b"") -> Target:
    """Return the server that the door leads to, for *user*."""
    return Target(Endpoint("", 0), How.FIXED, user)


@dataclass(frozen=True, slots=True)
class Kept:
    """A login that may be the server's; *nameless* if USER named nobody."""

    user: bytes
    password: bytes | None = field(default=None, repr=False)
    nameless: bool = False


class Farewell(Exception):  # noqa: N818 - it ends a session, and is no error of ours
    """The session ends with these words, a whole reply; none: they were said."""

    def __init__(self, text: bytes = b"") -> None:
        super().__init__()
        self.text = text


class Desk(Protocol):
    """What the session does for a login."""

    async def tell(self, text: bytes) -> None:
        """Send a reply of the gateway's own, in its turn."""

    async def settled(self) -> None:
        """Wait until no reply of a server's is due."""

    async def verify(self, user: bytes, password: bytes) -> Verification:
        """Check a proxy login; a wrong one is recorded by itself, and its answer waits.

        Raises Farewell where no login can be checked now.
        """

    async def knows(self, user: bytes) -> bool:
        """Say whether *user* may be an account."""

    async def refuse_login(self, unknown: bytes | None) -> None:
        """Tell the client that its proxy login is refused.

        *unknown* is a name that is no account; it is recorded, and the answer waits.
        Raises Farewell the third time.
        """

    def forget_login(self) -> None:
        """Forget who the client is to the proxy."""

    async def reach(self, target: Target) -> Greeting | None:
        """Connect to a server; None: the client was told why not.

        Raises Farewell where the client had better come back later.
        """

    def unfit(self, command: Command, code: int) -> bytes | None:
        """Return why *command* must not be sent; None: it may.

        *code* is that of the last reply to a word of the login, 0 before any.
        """

    async def ask(self, line: bytes) -> Reply:
        """Send the server a command of ours."""

    async def relay(self, line: bytes, greeting: Greeting | None) -> int:
        """Send the server the client's USER, PASS or ACCT; return the final code.

        The client gets the reply, with *greeting* before it.
        """

    async def drop_server(self) -> None:
        """Take leave of the server, if there is one."""

    async def logged_in(self, user: bytes, address: bytes) -> None:
        """Called when the server has taken the login; the next command waits for it.

        *address* is what an anonymous client gave for a password, else empty.
        """
