"""FTP's words: commands and replies as bytes and as values.

Not here: which command may be said when, and which reply belongs to which command
(dialogue.py). Invariant: what a `Command` was read as is what is forwarded, byte for
byte; a `ReplyLine` is one whole line that no client chokes on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from portway.errors import ProtocolError
from portway.model import Endpoint, Reason, Side

LINE = 8192  # of a reply, its end included: Python's ftplib refuses more
JUNK = 16  # lines in a row that are no reply: the peer speaks something else

SECRET_VERBS = frozenset({"PASS", "ACCT", "RESP", "ADAT", ""})


# Commands. RFC 959, section 5.3.


@dataclass(frozen=True, slots=True, repr=False)
class Command:
    """A client's command.

    *verb* is in capitals; it is empty when the line names none, and such a line must
    never be forwarded. *argument* is what stands behind the first blank, untouched.
    *line* is what to forward, without its end.
    """

    verb: str
    argument: bytes
    line: bytes

    def __repr__(self) -> str:
        return f"Command({self.verb} {self._harmless!r})"

    @property
    def _harmless(self) -> bytes:
        """The argument, unless a password may be in it."""
        argument = self.argument
        if self.verb in SECRET_VERBS:
            return b"***"
        if self.verb == "USER" and b":" in argument.rpartition(b"@")[0]:
            return argument.partition(b":")[0] + b":***"
        if self.verb == "SITE" and argument[:8].upper() == b"RESPONSE":
            return b"RESPONSE ***"
        return argument


_BLANKS = b" \t\v\f"
_WORDS = re.compile(rb"([!-~]*)(?:[ \t\v\f](.*))?", re.DOTALL)


def parse_command(line: bytes) -> Command:
    """Read a command line, without its end.

    Servers differ in what they take for a blank before and behind the verb, so odd
    ones are forwarded as the one blank that RFC 959 has: no server reads another
    verb than we did. Bytes that are not printable ASCII make no verb at all.
    """
    word, _, argument = line.partition(b" ")
    if word.isalpha():
        return Command(word.upper().decode(), argument, line)
    stripped = line.lstrip(_BLANKS)
    words = _WORDS.fullmatch(stripped)
    if words is None or not words[1]:
        return Command("", line, line)
    word, argument = words[1], words[2] or b""
    line = word + b" " + argument if len(stripped) > len(word) else word
    return Command(word.upper().decode(), argument, line)


# Replies. RFC 959, section 4.2.


@dataclass(frozen=True, slots=True)
class ReplyLine:
    """One line of a reply.

    *code* is the whole reply's, *line* ends in CR LF. *first* and *final* say
    whether the line opens and ends its reply; it can do both.
    """

    code: int
    first: bool
    final: bool
    line: bytes


_ODD = bytes.maketrans(b"\0\r", b"  ")
_MARKS = frozenset({b" ", b"-", b""})


class ReplyReader:
    """Cuts a server's bytes into lines of replies; no reply is ever held whole.

    A line longer than *limit*, its end included, is cut; *junk* lines in a row that
    are no reply are too many.
    """

    __slots__ = (
        "_code",
        "_held",
        "_junk",
        "_length",
        "_limit",
        "_opened",
        "_row",
        "dropped",
    )

    def __init__(self, *, limit: int = LINE, junk: int = JUNK) -> None:
        self._limit = limit
        self._junk = junk
        self._held = b""  # of the line whose end has not come, up to the limit
        self._length = 0  # how much of it came
        self._code = 0  # of the last reply's, 0 before any
        self._opened = b""  # the digits of a reply that has more lines to come
        self._row = 0
        self.dropped = 0  # lines that were no reply

    @property
    def pending(self) -> int:
        """How many bytes came since the last line feed."""
        return self._length

    def feed(self, data: bytes) -> list[ReplyLine]:
        """Return the lines that *data* completes.

        Raises ProtocolError, SERVER, if the peer speaks no FTP; what stood before
        that in *data* is lost.
        """
        pieces = data.split(b"\n")
        rest = pieces.pop()
        found = []
        for piece in pieces:
            line = self._complete(piece)
            reply_line = self._inner(line) if self._opened else self._outer(line)
            if reply_line is not None:
                found.append(reply_line)
        if rest:
            self._length += len(rest)
            if self._length > self._limit:
                self._must_have_spoken()
            self._held = (self._held + rest)[: self._limit - 1]
        return found

    def _must_have_spoken(self) -> None:
        if not self._code:
            raise ProtocolError(Side.SERVER, f"{self._limit} bytes and no reply")

    def _complete(self, piece: bytes) -> bytes:
        """Return the line that *piece* ends, clean and cut."""
        length = self._length + len(piece)
        if length > self._limit:
            self._must_have_spoken()
        line = piece
        if self._length:
            line = self._held + piece
            self._held, self._length = b"", 0
        room = self._limit - 2
        if length <= room + 1 and line[-1:] == b"\r":
            line = line[:-1]
        return line[:room].translate(_ODD)

    def _outer(self, line: bytes) -> ReplyLine | None:
        digits, mark = line[:3], line[3:4]
        if (
            b"100" <= digits < b"600"
            and digits.isdigit()
            and len(digits) == 3
            and mark in _MARKS
        ):
            self._code = int(digits)
            self._row = 0
            if mark == b"-":
                self._opened = digits
            return ReplyLine(self._code, True, mark != b"-", line + b"\r\n")
        self.dropped += 1
        self._row += 1
        if self._row >= self._junk:
            raise ProtocolError(Side.SERVER, f"{self._row} lines that are no reply")
        return None

    def _inner(self, line: bytes) -> ReplyLine:
        final = line[:4] == self._opened + b" " or line == self._opened
        if final:
            self._opened = b""
        return ReplyLine(self._code, False, final, line + b"\r\n")


def reply(code: int, text: str | bytes) -> bytes:
    """Return a reply of one line. Line ends in *text* become blanks."""
    return b"%d %b\r\n" % (code, _one_line(text))


def multi_reply(
    code: int, first: str | bytes, inner: Iterable[str | bytes], last: str | bytes
) -> bytes:
    """Return a reply of many lines; each *inner* one stands behind a blank."""
    lines = [b"%d-%b\r\n" % (code, _one_line(first))]
    lines += [b" %b\r\n" % _one_line(line) for line in inner]
    lines.append(reply(code, last))
    return b"".join(lines)


_LINE_ENDS = bytes.maketrans(b"\0\r\n", b"   ")


def _one_line(text: str | bytes) -> bytes:
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return data.translate(_LINE_ENDS)


# Data addresses. RFC 959, sections 4.1.2 and 5.3.2 (host-port); RFC 2428.

_SIX = rb"(\d{1,3})" + rb" *, *(\d{1,3})" * 5
_HOST_PORT = re.compile(_SIX)
_IN_227 = re.compile(rb"(?<!\d)(?<!\d,)" + _SIX + rb"(?!\d)")
_IN_229 = re.compile(
    rb"([!-/:-~])(?:\1\1|\d\1[!-~]{1,45}?\1)(\d{1,5})\1",
)
_EPRT = re.compile(rb"([!-~])(\d{1,3})\1([!-~]{1,45}?)\1(\d{1,5})\1")


def _six_numbers(numbers: Iterable[bytes]) -> Endpoint | None:
    values = [int(number) for number in numbers]
    port = values[4] * 256 + values[5]
    if max(values) > 255 or not port:
        return None
    return Endpoint(".".join(map(str, values[:4])), port)


def parse_port(argument: bytes) -> Endpoint:
    """Read PORT's argument, ``h1,h2,h3,h4,p1,p2``. RFC 959, section 4.1.2.

    Raises ProtocolError, CLIENT, if it is malformed or the port is 0.
    """
    match = _HOST_PORT.fullmatch(argument.strip(_BLANKS))
    endpoint = _six_numbers(match.groups()) if match else None
    if endpoint is None:
        raise ProtocolError(Side.CLIENT, "malformed PORT")
    return endpoint


def parse_eprt(argument: bytes) -> Endpoint:
    """Read EPRT's argument, ``|1|132.235.1.2|6275|``. RFC 2428, section 2.

    The delimiter is any byte from 33 to 126. Raises ProtocolError, CLIENT: with
    UNSUPPORTED for a network protocol other than 1 and 2, else with SYNTAX.
    """
    match = _EPRT.fullmatch(argument.strip(_BLANKS))
    if match is None:
        raise ProtocolError(Side.CLIENT, "malformed EPRT")
    family, host, port = int(match[2]), match[3].decode(), int(match[4])
    if family not in {1, 2}:
        raise ProtocolError(
            Side.CLIENT, "unknown network protocol in EPRT", Reason.UNSUPPORTED
        )
    try:
        address = IPv4Address(host) if family == 1 else IPv6Address(host)
    except ValueError as error:
        raise ProtocolError(Side.CLIENT, "malformed address in EPRT") from error
    if not 0 < port < 65536 or "%" in host:
        raise ProtocolError(Side.CLIENT, "malformed EPRT")
    return Endpoint(str(address), port)


def parse_227(text: bytes) -> Endpoint:
    """Read a 227 reply, code included. RFC 959, section 4.1.2; RFC 1123, 4.1.2.6.

    The first run of six numbers 0-255 behind the code counts, with or without
    parentheses. Raises ProtocolError, SERVER, if there is none or the port is 0.
    """
    for match in _IN_227.finditer(text, 4):
        endpoint = _six_numbers(match.groups())
        if endpoint is not None:
            return endpoint
    raise ProtocolError(Side.SERVER, "no address in the reply to PASV")


def parse_229(text: bytes) -> int:
    """Read a 229 reply, code included, and return its port. RFC 2428, section 3.

    ``(|||port|)`` counts, and ``(|1|address|port|)`` too, whose address is ignored;
    the delimiter is any byte from 33 to 126 but a digit. Raises ProtocolError,
    SERVER, if there is no port from 1 to 65535.
    """
    for match in _IN_229.finditer(text, 4):
        port = int(match[2])
        if 0 < port < 65536:
            return port
    raise ProtocolError(Side.SERVER, "no port in the reply to EPSV")


def format_port(endpoint: Endpoint) -> bytes:
    """Return PORT's argument. RFC 959, section 4.1.2. The host must be IPv4."""
    high, low = divmod(endpoint.port, 256)
    return f"{endpoint.host.replace('.', ',')},{high},{low}".encode()


def format_eprt(endpoint: Endpoint) -> bytes:
    """Return EPRT's argument. RFC 2428, section 2. The host is an address."""
    family = 2 if ":" in endpoint.host else 1
    return f"|{family}|{endpoint.host}|{endpoint.port}|".encode()


def format_227(endpoint: Endpoint) -> bytes:
    """Return the reply to PASV. RFC 959, section 4.1.2. The host must be IPv4."""
    return b"227 Entering Passive Mode (%b).\r\n" % format_port(endpoint)


def format_229(port: int) -> bytes:
    """Return the reply to EPSV. RFC 2428, section 3."""
    return b"229 Entering Extended Passive Mode (|||%d|)\r\n" % port


# Paths. RFC 959, appendix II.

_QUOTED = re.compile(rb'"((?:[^"]|"")*)"')


def parse_pwd(text: bytes) -> bytes:
    """Return the directory in a 257 reply, code included; ``""`` stands for a quote.

    Raises ProtocolError, SERVER, if none is quoted.
    """
    match = _QUOTED.search(text, 4)
    if match is None:
        raise ProtocolError(Side.SERVER, "no directory in the reply to PWD")
    return match[1].replace(b'""', b'"')


def resolve_path(directory: bytes, argument: bytes) -> bytes:
    """Return where *argument* leads from *directory*, without asking the server.

    Absolute, without ``.``, ``..``, doubled or final slashes. An empty *argument*
    is the directory itself.
    """
    joined = argument if argument[:1] == b"/" else directory + b"/" + argument
    parts: list[bytes] = []
    for part in joined.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in {b"", b"."}:
            parts.append(part)
    return b"/" + b"/".join(parts)
