"""What the lines of LIST say: unix, DOS, EPLF, NetWare, VMS and MVS.

RFC 959 leaves the form to each system. Not here: MLSD (entries.py), reading lines off a
data connection, and showing entries. Invariant: a line that is not understood is kept
as it came, and no line is an error.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from portway.protocols.ftp.entries import (
    FACTS,
    Entry,
    Item,
    Kind,
    Text,
    moment,
    number,
    octal,
)

# As servers write them in English, German and French, in UTF-8 or in Latin-1.
_NAMES = (
    "jan janv jän|feb févr|mar mär mrz mars|apr avr avril|may mai|jun juin|"
    "jul juil|aug août|sep sept|oct okt|nov|dec dez déc"
)
_MONTHS = {
    word.encode(coding): number
    for number, words in enumerate(_NAMES.split("|"), 1)
    for word in words.split()
    for coding in ("utf-8", "latin-1")
}
_MONTH = b"(?i:%b)" % b"|".join(map(re.escape, _MONTHS))
DAY = timedelta(days=1)  # a server's clock may be that far ahead, by its time zone

# What `ls -l` prints, and all that imitate it: some leave out the links, or the group,
# names of owners hold blanks: so the first number with a date behind it is the size.
_UNIX = re.compile(
    rb"([-dlbcpsDCMnP?])([-rwxsStTlL]{9})[.+@]?\s+(?:.*?\s)??"
    rb"(\d+)(?:,\s*(\d+))?\s+"
    rb"(?:(?:(" + _MONTH + rb")\.?\s+(\d\d?)|(\d\d?)\.?\s+(" + _MONTH + rb")\.?)"
    rb"\s+(?:(\d\d?:\d\d(?::\d\d)?)(?:\s(\d{4}))?|(\d{4}))"
    rb"|(\d{4})-(\d\d)-(\d\d)\s+(\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(?:\s[+-]\d{4})?)"
    rb"\s(.+)\Z",
    re.DOTALL,
)
_NETWARE = re.compile(
    rb"([-d])\s*\[[-A-Z]{4,16}\]\s+(?:.*?\s)??(\d+)\s+"
    rb"(" + _MONTH + rb")\s+(\d\d?)\s+(?:(\d\d?:\d\d)|(\d{4}))\s+(.+)\Z",
    re.DOTALL,
)
_UNIX_KINDS = {b"-": Kind.FILE, b"d": Kind.FOLDER, b"l": Kind.LINK}
_DOS = re.compile(
    rb"(?:(\d\d)[-/](\d\d)[-/](\d{4}|\d\d)|(\d{4})[-/](\d\d)[-/](\d\d))\s+"
    rb"(\d\d?:\d\d)\s?([AaPp][Mm])?\s+"
    rb"(?:<([A-Za-z]+)>\s+|([\d,.]+)\s)(.+)\Z",
    re.DOTALL,
)
_VMS = re.compile(
    rb"\s*(\S+;\d+)\s+(\d+)(?:/\d+)?\s+"
    rb"(\d\d?)-(" + _MONTH + rb")-(\d{4})\s+(\d\d?:\d\d(?::\d\d)?)(?:\.\d+)?"
    rb"(?:\s+\[[^\]]*\])?(?:\s+\(([^)]*)\))?\s*\Z",
    re.DOTALL,
)
_VMS_NAME = re.compile(rb"\s*\S+;\d+\s*\Z")
_VMS_ASIDE = re.compile(
    rb"\s*Directory \S+:?\[.*\]\s*\Z|\s*(?:Grand )?Total of \d+ ", re.DOTALL
)
BLOCK = 512  # bytes, of VMS
_MVS_HEADS = {
    b"Volume Unit Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname": "sets",
    b"Name VV.MM Created Changed Size Init Mod Id": "members",
}
_MVS_SET = re.compile(
    rb"\S+\s+\S+\s+(\*\*NONE\*\*|\d{4}/\d\d/\d\d)\s+\d+\s+\d+\s+\S+\s+\d+\s+\d+\s+"
    rb"(\S+)\s+(\S+)\s*\Z"
)
_MVS_AWAY = re.compile(rb"(?:Migrated|ARCIVE|Not Mounted)\b.*\s(\S+)\s*\Z", re.DOTALL)
_MVS_PREFIX = re.compile(rb"Pseudo Directory\s+(\S+)\s*\Z")
_MVS_MEMBER = re.compile(
    rb"\s*([A-Z@#$][A-Z0-9@#$]{0,7})"
    rb"(?:\s+\d\d\.\d\d\s+\d{4}/\d\d/\d\d\s+(\d{4})/(\d\d)/(\d\d)\s+(\d\d:\d\d)\s.*)?\s*\Z",
    re.DOTALL,
)

LONG = 2048  # bytes: longer lines are shown, and take too long to read


class Listing:
    """Reads one LIST, line by line; *now* is when, in UTC.

    Lines without a year were changed in the year before *now*. VMS breaks long lines,
    MVS says in its first one what the others are: so lines are read in their order.
    """

    __slots__ = ("_broken", "_mvs", "_now")

    def __init__(self, now: datetime) -> None:
        self._now = now.replace(tzinfo=None)
        self._broken = b""  # a name of VMS, whose line goes on
        self._mvs = ""  # what its lines are

    def read(self, line: bytes) -> Item:
        """Return what *line* says; it is without its line end."""
        if len(line) > LONG:
            return Text(line)
        broken, self._broken = self._broken, b""
        if broken:
            found = self._vms(broken + b" " + line)
            if found is not None:
                return found
            return Text(broken + b" " + line.strip())
        if not line.strip() or re.match(rb"(?:total|insgesamt)\s+\d", line):
            return None
        return self._read(line)

    def end(self) -> Item:
        """Return what is left when there are no more lines."""
        broken, self._broken = self._broken, b""
        return Text(broken) if broken else None

    def _read(self, line: bytes) -> Item:
        if (head := _MVS_HEADS.get(b" ".join(line.split()))) is not None:
            self._mvs = head
            return None
        if self._mvs:
            return self._mvs_line(line)
        if _VMS_ASIDE.match(line):
            return None
        if _VMS_NAME.match(line):
            self._broken = line.strip()
            return None
        readers: tuple[Callable[[bytes], Entry | None], ...] = (
            self._unix,
            self._dos,
            _eplf,
            self._netware,
            self._vms,
        )
        for reader in readers:
            entry = reader(line)
            if entry is not None:
                return None if entry.name in {b".", b".."} else entry
        return Text(line)

    def _unix(self, line: bytes) -> Entry | None:
        found = _UNIX.match(line)
        if found is None:
            return None
        letter, bits, size, minor = found.group(1, 2, 3, 4)
        month, day = found[5] or found[8], found[6] or found[7]
        if month is None:
            year, month, day, clock = found.group(12, 13, 14, 15)
            modified = moment(int(year), int(month), int(day), clock)
        else:
            modified = self._by_month(month, day, found[9], found[10] or found[11])
        kind = _UNIX_KINDS.get(letter, Kind.OTHER)
        name, target = found[16], b""
        if kind is Kind.LINK:
            name, _, target = name.partition(b" -> ")
        length = None if minor or kind is Kind.OTHER else number(size)
        return Entry(name, kind, length, modified, _bits(bits), target)

    def _netware(self, line: bytes) -> Entry | None:
        found = _NETWARE.match(line)
        if found is None:
            return None
        letter, size, month, day, clock, year, name = found.groups()
        modified = self._by_month(month, day, clock, year)
        return Entry(name, _UNIX_KINDS[letter], number(size), modified)

    def _by_month(
        self, month: bytes, day: bytes, clock: bytes | None, year: bytes | None
    ) -> date | None:
        """Return the day; without a *year*, the last one before tomorrow."""
        which = _MONTHS[month.lower()]
        if year is not None:
            return moment(int(year), which, int(day), clock)
        found = None
        for back in range(9):  # to a leap year, whose 29 February it may be
            found = moment(self._now.year - back, which, int(day), clock)
            if isinstance(found, datetime) and found <= self._now + DAY:
                return found
        return None

    def _dos(self, line: bytes) -> Entry | None:
        found = _DOS.match(line)
        if found is None:
            return None
        month, day, year = found.group(1, 2, 3)
        if month is None:
            year, month, day = found.group(4, 5, 6)
        clock, half, word, size, name = found.group(7, 8, 9, 10, 11)
        if half:
            clock = _by_half(clock, half)
        modified = moment(_century(year), int(month), int(day), clock)
        if word is None:
            return Entry(name, Kind.FILE, number(size), modified)
        if word.upper() == b"DIR":
            return Entry(name, Kind.FOLDER, None, modified)
        leads = re.fullmatch(rb"(.+) \[(.*)\]", name, re.DOTALL)
        if leads is None:
            return Entry(name, Kind.LINK, None, modified)
        return Entry(leads[1], Kind.LINK, None, modified, None, leads[2])

    def _vms(self, line: bytes) -> Entry | None:
        found = _VMS.match(line)
        if found is None:
            return None
        name, blocks, day, month, year, clock, rights = found.groups()
        which = _MONTHS[month.lower()]
        modified = moment(int(year), which, int(day), clock)
        mode = _vms_mode(rights)
        folder = re.fullmatch(rb"(?i)(.+)\.dir;\d+", name)
        if folder is not None:
            return Entry(folder[1], Kind.FOLDER, None, modified, mode)
        used = number(blocks)
        size = None if used is None else used * BLOCK
        return Entry(name, Kind.FILE, size, modified, mode)

    def _mvs_line(self, line: bytes) -> Entry | Text:
        if self._mvs == "members":
            found = _MVS_MEMBER.match(line)
            if found is None:
                return Text(line)
            name, year, month, day, clock = found.groups()
            modified = moment(int(year), int(month), int(day), clock) if year else None
            return Entry(name, Kind.FILE, None, modified)
        if (prefix := _MVS_PREFIX.match(line)) is not None:
            return Entry(prefix[1].strip(b"'"), Kind.FOLDER)
        if (away := _MVS_AWAY.match(line)) is not None:
            return Entry(away[1].strip(b"'"), Kind.FILE)
        found = _MVS_SET.match(line)
        if found is None:
            return Text(line)
        referred, organised, name = found.groups()
        modified = None
        if not referred.startswith(b"*"):
            year, month, day = (int(part) for part in referred.split(b"/"))
            modified = moment(year, month, day, None)
        kind = Kind.FOLDER if organised.startswith(b"PO") else Kind.FILE
        return Entry(name.strip(b"'"), kind, None, modified)


def _bits(letters: bytes) -> int:
    """Return the mode that nine letters say, as `ls` prints them."""
    mode = 0
    for at, letter in enumerate(letters):
        bit = 1 << (8 - at)
        if letter in b"rwxst":
            mode |= bit
        if letter in b"sS":
            mode |= 0o4000 if at < 3 else 0o2000
        elif letter in b"tT":
            mode |= 0o1000
    return mode


def _by_half(clock: bytes, half: bytes) -> bytes:
    hour, _, minute = clock.partition(b":")
    late = 12 if half.lower() == b"pm" else 0
    return b"%d:%b" % (int(hour) % 12 + late, minute)


_VMS_GROUPS = (6, 3, 0)  # where owner, group and world have their bits


def _vms_mode(rights: bytes | None) -> int | None:
    """Return the mode that ``RWED,RWED,RE,`` says: system, owner, group, world."""
    parts = (rights or b"").split(b",")
    if len(parts) != 4:
        return None
    mode = 0
    for part, shift in zip(parts[1:], _VMS_GROUPS, strict=True):
        for letter, bit in ((b"R", 4), (b"W", 2), (b"E", 1)):
            mode |= bit << shift if letter in part.upper() else 0
    return mode


def _eplf(line: bytes) -> Entry | None:
    """Read a line of EPLF: facts, each one letter and its value, then a tab."""
    facts, tab, name = line.partition(b"\t")
    if facts[:1] != b"+" or not tab or not name:
        return None
    kind, size, modified, mode = Kind.OTHER, None, None, None
    for fact in facts[1:].split(b",", FACTS)[:FACTS]:
        if fact == b"/":
            kind = Kind.FOLDER
        elif fact == b"r" and kind is Kind.OTHER:
            kind = Kind.FILE
        elif fact[:1] == b"s":
            size = number(fact[1:])
        elif fact[:1] == b"m":
            modified = _since_epoch(fact[1:])
        elif fact[:2] == b"up":
            mode = octal(fact[2:])
    return Entry(name, kind, size, modified, mode)


def _since_epoch(text: bytes) -> datetime | None:
    seconds = number(text)
    if seconds is None or seconds > 253402300799:  # the end of the year 9999
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _century(year: bytes) -> int:
    """Return the year of two digits, or four, as POSIX has it for dates of files."""
    number = int(year)
    if len(year) > 2:
        return number
    return number + (1900 if number >= 70 else 2000)
