"""What an FTP server tells of a file: as LIST and MLSD have it, and MLST and MDTM.

RFC 3659. Not here: the forms of LIST (listing.py). Invariant: what is not said, or is
no number and no time, is None; nothing a server says is an error.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum


class Kind(StrEnum):
    """What an entry is, where its listing says so."""

    FILE = "file"
    FOLDER = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder.

    *size* is in bytes; VMS rounds it up to 512. *modified* is as exact as it was given:
    a `date`, a naive `datetime` by the server's own clock, or one in UTC. *mode* has
    the twelve permission bits of POSIX. *target* is where a link leads. What is not
    said is None, or empty.
    """

    name: bytes
    kind: Kind
    size: int | None = None
    modified: date | None = None
    mode: int | None = None
    target: bytes = b""


@dataclass(frozen=True, slots=True)
class Text:
    """A line that says something, and nobody knows what."""

    line: bytes


Item = Entry | Text | None  # None: a total, a header, the folder itself

MOST_DIGITS = 19  # of a size; what has more is none


def number(text: bytes) -> int | None:
    """Return the number, which may have points or commas between thousands."""
    digits = text.replace(b",", b"").replace(b".", b"")
    if not digits.isdigit() or len(digits) > MOST_DIGITS:
        return None
    return int(digits)


def moment(year: int, month: int, day: int, clock: bytes | None) -> date | None:
    """Return that day, with the time of day that *clock* says; None: there is none."""
    try:
        if not clock:
            return date(year, month, day)
        hour, minute, *rest = (int(part) for part in clock.split(b":"))
        second = min(rest[0], 59) if rest else 0
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - theirs
    except ValueError:
        return None


def parse_timestamp(text: bytes) -> datetime | None:
    """Return the time that MDTM and ``modify`` give. RFC 3659, section 2.3.

    None: it is no time. A fraction of a second is passed over.
    """
    found = re.match(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?\s*\Z", text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        second = min(second, 59)  # a leap second
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


# MLSD and MLST: RFC 3659, section 7.

_KINDS = {b"file": Kind.FILE, b"dir": Kind.FOLDER, b"cdir": Kind.FOLDER}
_KINDS[b"pdir"] = Kind.FOLDER
_ITSELF = frozenset({b"cdir", b"pdir"})
_LINKS = (b"os.unix=slink", b"os.unix=symlink", b"os.unix=link")
FACTS = 64  # of one entry; more are not looked at


def parse_facts(line: bytes, *, listed: bool = True) -> Item:
    """Return what a line of facts says; *listed*: it comes of MLSD, not of MLST.

    A folder lists itself and its parent: that is None.
    """
    facts, blank, name = line.partition(b" ")
    if not blank or not name or (facts and b"=" not in facts):
        return Text(line)
    said: dict[bytes, bytes] = {}
    for fact in facts.split(b";", FACTS)[:FACTS]:
        word, _, value = fact.partition(b"=")
        said[word.lower()] = value
    given = said.get(b"type", b"")
    word = given.lower()
    if listed and (word in _ITSELF or name in {b".", b".."}):
        return None
    kind, target = _KINDS.get(word, Kind.OTHER), b""
    if word.startswith(_LINKS):
        kind, target = Kind.LINK, given.partition(b":")[2]
    return Entry(
        name,
        kind,
        number(said.get(b"size", b"")),
        parse_timestamp(said.get(b"modify", b"")),
        octal(said.get(b"unix.mode", b"")),
        target,
    )


def octal(text: bytes) -> int | None:
    """Return the permission bits that an octal number has."""
    if not re.fullmatch(rb"[0-7]{3,7}", text):
        return None
    return int(text, 8) & 0o7777
