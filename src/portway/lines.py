"""Lines from a client: bounded, clean, and free of Telnet.

FTP's control connection is Telnet (RFC 959, section 3.1; RFC 1123, section 4.1.2.12).
The line feed comes first: no Telnet command reaches over it, so one line that was
decided upon is one line that is forwarded.

Not here: what a line means, and sending the answers. Invariant: a line that comes out
holds no CR, LF or NUL and no Telnet command, and no more than the flood bound is held.
"""

import re
from enum import Enum, auto

from portway.errors import ProtocolError
from portway.model import Reason, Side

LINE = 8192  # without its end; what Python's ftplib takes
FLOOD = 65536  # without any line feed: nobody types this
ANSWERS = 1024  # more Telnet answers than any client's options ask for

WILL, WONT, DO, DONT, IAC = 251, 252, 253, 254, 255

# RFC 854, "Telnet command structure". The first branch is the Synch before an ABOR
# of which the network tore off a byte that was sent as urgent.
_TELNET = re.compile(
    rb"\xff(?:"
    rb"\xf4[\xff\xf2](?=(?i:ABOR))"
    rb"|\xff"
    rb"|[\xf0-\xf9]"
    rb"|(?P<option>[\xfb-\xfe])(?P<name>.?)"
    rb"|(?P<sub>\xfa)(?:[^\xff]|\xff[^\xf0])*(?P<end>\xff\xf0)?"
    rb")",
    re.DOTALL,
)
_SPECIAL = b"\0\n\r\xff"
_LEADING_OPTIONS = re.compile(rb"(?:\xff[\xfb-\xfe][^\r\n])+")


class BadLine(Enum):
    """A line that is answered with a refusal, and never forwarded."""

    TOO_LONG = auto()
    CONTROL = auto()  # NUL, a bare CR, or half a Telnet command


class LineReader:
    """Cuts a client's bytes into lines.

    *limit* bounds a line without its end; *flood* what may come without a line feed.
    With *telnet*, Telnet commands are taken out and options refused; what is to be
    answered waits in `take_answers`. ``IAC IAC`` stays as it was sent.
    """

    __slots__ = ("_answers", "_flood", "_held", "_length", "_limit", "_side", "_telnet")

    def __init__(
        self,
        side: Side = Side.CLIENT,
        *,
        limit: int = LINE,
        flood: int = FLOOD,
        telnet: bool = False,
    ) -> None:
        self._side = side
        self._limit = limit
        self._flood = flood
        self._telnet = telnet
        self._held = b""  # of the line whose end has not come; empty if too long
        self._length = 0  # how much of it came, what was dropped included
        self._answers = b""

    @property
    def pending(self) -> int:
        """How many bytes came since the last line feed."""
        return self._length

    def take_answers(self) -> bytes:
        """Return what the peer's Telnet options are to be answered with, once."""
        answers, self._answers = self._answers, b""
        return answers

    def feed(self, data: bytes) -> list[bytes | BadLine]:
        """Return the lines that *data* completes, without their ends.

        Raises ProtocolError, TOO_LONG, when the flood bound is passed; what stood
        before that in *data* is lost, for the session is over.
        """
        if not self._length and data[-2:] == b"\r\n":
            line = data[:-2]
            if len(line.translate(None, _SPECIAL)) == len(line) <= self._limit:
                return [line]
        pieces = data.split(b"\n")
        rest = pieces.pop()
        lines = [self._complete(piece) for piece in pieces]
        self._hold(rest)
        return lines

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._count(data)
        if self._length > self._limit + 1:  # the last byte may be the line end's CR
            self._held = b""
            return
        self._held += data
        if self._telnet and self._held[0] == IAC:
            # A Telnet client may wait for the answers before it sends a line.
            options = _LEADING_OPTIONS.match(self._held)
            if options:
                self._held = self._held[options.end() :]
                self._without_telnet(options[0])

    def _count(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > self._flood:
            raise ProtocolError(
                self._side, f"{self._flood} bytes without a line end", Reason.TOO_LONG
            )

    def _complete(self, piece: bytes) -> bytes | BadLine:
        self._count(piece)
        line, length = self._held + piece, self._length
        self._held, self._length = b"", 0
        if line.endswith(b"\r"):
            line, length = line[:-1], length - 1
        if length > self._limit:
            return BadLine.TOO_LONG
        if self._telnet and b"\xff" in line:
            clean = self._without_telnet(line)
            if clean is None:
                return BadLine.CONTROL
            line = clean
        return BadLine.CONTROL if b"\0" in line or b"\r" in line else line

    def _without_telnet(self, line: bytes) -> bytes | None:
        """Return *line* without Telnet commands; None if its end cuts one short."""
        whole = True

        def replace(token: re.Match[bytes]) -> bytes:
            nonlocal whole
            option, name = token["option"], token["name"]
            if option:
                whole = whole and bool(name)
                self._answer(option[0], name)
            elif token["sub"]:
                whole = whole and bool(token["end"])
            return b"\xff\xff" if token[0] == b"\xff\xff" else b""

        clean = _TELNET.sub(replace, line)
        return clean if whole else None

    def _answer(self, option: int, name: bytes) -> None:
        """Refuse an option; what will not be done needs no answer (RFC 854)."""
        refusal = {WILL: DONT, DO: WONT}.get(option)
        if refusal and name and len(self._answers) < ANSWERS:
            self._answers += bytes((IAC, refusal)) + name


_NO_UTF8 = re.compile("[\udc80-\udcff]")


def shown(data: bytes) -> str:
    """Return *data* as UTF-8 text, bytes that are none as ``%XX``.

    Control characters stay: whoever prints the text escapes them.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        return _NO_UTF8.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", text)
