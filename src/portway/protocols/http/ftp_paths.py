"""What the path of an ``ftp://`` URL names at the server. RFC 1738, section 3.2.2.

Not here: the rest of the URL (authority.py). Invariant: what the server is asked for is
what the rules have seen: no segment hides a slash, a step up, or the end of a line.
"""

from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from portway.model import Side
from portway.protocols.http.wire import BadMessage

ROOT = b"%2F"
_FORBIDDEN = frozenset(b"\r\n\0/")
_TYPES = frozenset({"a", "i", "d"})
_ODD = (b"-", b"~", b" ")  # at the beginning, servers take it for something else
_SAFE = "!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class FtpPath:
    """Where it leads: *parts* from the root where *rooted*, else from the login.

    *folder*: a slash stands at the end. *type* is a, i, d or empty: RFC 1738 has it.
    """

    parts: tuple[bytes, ...]
    rooted: bool = False
    folder: bool = False
    type: str = ""

    @property
    def argument(self) -> bytes:
        """What a command takes; empty is where the login leads."""
        path = b"/".join(self.parts)
        if self.rooted:
            return b"/" + path
        return b"./" + path if path.startswith(_ODD) else path

    @property
    def parent(self) -> "FtpPath":
        """The folder that it is in."""
        return FtpPath(self.parts[:-1], self.rooted, folder=True)

    @property
    def view(self) -> bytes:
        """The path as the rules are to see it, be it from the root or not."""
        return b"/" + b"/".join(map(quoted, self.parts))

    @property
    def link(self) -> bytes:
        """The path of its URL, without a type."""
        view = b"/" + ROOT + self.view if self.rooted else self.view
        return view + b"/" if self.folder and self.parts else view


def quoted(segment: bytes) -> bytes:
    """Return *segment* as a URL has it."""
    return quote_from_bytes(segment, safe=_SAFE).encode("ascii")


def read_path(path: bytes) -> FtpPath:
    """Read the path of a URL, which begins with a slash. Raises BadMessage, 400.

    A question mark is a sign like others: these URLs have no query. Dot segments lead
    where they lead in the URL, not at the server.
    """
    plain, kind = _without_type(path)
    segments = plain.removeprefix(b"/").split(b"/")
    rooted = segments[0][:3].upper() == ROOT
    if rooted:
        segments[0] = segments[0][3:]
    parts: list[bytes] = []
    for segment in segments:
        part = unquote_to_bytes(segment)
        if _FORBIDDEN & {*part}:
            raise _bad("a slash or a line end inside a name of the path")
        if b"\\" in part and b".." in part.split(b"\\"):
            raise _bad("a step up inside a name of the path")
        if part == b"..":
            del parts[-1:]
        elif part not in {b"", b"."}:
            parts.append(part)
    folder = unquote_to_bytes(segments[-1]) in {b"", b".", b".."} or kind == "d"
    return FtpPath(tuple(parts), rooted, folder, kind)


def _without_type(path: bytes) -> tuple[bytes, str]:
    plain, mark, kind = path.rpartition(b";")
    word, equals, letter = kind.partition(b"=")
    if not mark or not equals or word.lower() != b"type" or b"/" in letter:
        return path, ""
    found = letter.lower().decode("latin-1")
    if found not in _TYPES:
        raise _bad("a type other than a, i and d")
    return plain, found


def _bad(text: str) -> BadMessage:
    return BadMessage(Side.CLIENT, 400, text)
