"""Which reply answers which command, and what the client gets to see of it.

RFC 959, section 5.4: each command has one final reply, after at most a few
preliminary ones, in the order of the commands. Some commands are the gateway's own,
and some of the client's are answered by the gateway; a local answer takes its turn
among the replies of the server, so that the client gets all in the order it asked.

Not here: sockets, and what to do about a reply. Invariant: a preliminary reply never
ends the wait for the final one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from portway.errors import ProtocolError
from portway.model import Side
from portway.protocols.ftp.wire import ReplyLine

HELD_REPLY = 65536  # what of one reply is kept in memory; the rest is relayed unread


class Fate(Enum):
    """What becomes of the reply that is awaited."""

    RELAY = auto()  # line by line to the client
    KEEP = auto()  # to the gateway alone
    LOCAL = auto()  # there is none: the gateway's own text stands for it


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply that was kept; *text* holds its lines as they came."""

    code: int
    text: bytes

    @property
    def good(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.code < 300

    @property
    def words(self) -> bytes:
        """The text of the last line, without the code: one line, no line end."""
        return self.text.rstrip().rpartition(b"\n")[2][4:].strip()


@dataclass(slots=True, eq=False)
class Awaited:
    """A reply that is due.

    *rewrite* gives what the client gets instead of a relayed line. *before* is asked
    at the first line of each reply, preliminary ones too, and may take its time; what
    it returns, unless None, goes to the client in place of that whole reply.
    *finished* is told the final reply once the client has it; its text is empty
    unless it was kept.
    """

    verb: str
    fate: Fate = Fate.RELAY
    rewrite: Callable[[ReplyLine], bytes] | None = None
    before: Callable[[ReplyLine], Awaitable[bytes | None]] | None = None
    finished: Callable[[Reply], None] | None = None
    text: bytearray = field(default_factory=bytearray)

    def take(self, line: ReplyLine) -> bytes:
        """Return what the client gets of *line*.

        Raises ProtocolError, SERVER, for a kept reply that does not end.
        """
        if self.fate is Fate.RELAY:
            return line.line if self.rewrite is None else self.rewrite(line)
        if len(self.text) + len(line.line) > HELD_REPLY:
            raise ProtocolError(Side.SERVER, f"the reply to {self.verb} is too long")
        self.text += line.line
        return b""


class Pairer:
    """The replies that are due, oldest first."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: list[Awaited] = []  # few; an empty deque weighs ten times as much

    def __len__(self) -> int:
        return len(self._due)

    @property
    def head(self) -> Awaited | None:
        """The reply that comes next."""
        return self._due[0] if self._due else None

    def expect(self, awaited: Awaited) -> None:
        """A command went to the server; its reply is due after all others."""
        self._due.append(awaited)

    def answer(self, text: bytes) -> bytes:
        """The gateway answers a command itself.

        Returns *text* if it may go out now, or nothing if it has to wait its turn.
        """
        if not self._due:
            return text
        self._due.append(Awaited("", Fate.LOCAL, text=bytearray(text)))
        return b""

    def finish(self) -> bytes:
        """The head has had its final reply.

        Returns the gateway's own answers that stood right behind it.
        """
        self._due.pop(0)
        texts = []
        while self._due and self._due[0].fate is Fate.LOCAL:
            texts.append(bytes(self._due.pop(0).text))
        return b"".join(texts)
