"""Lines of listings, made from what an SFTP server says of a file.

Not here: asking it, and which files are listed. Invariant: a line is one line, and its
name has no slash, whatever the server's files are called.
"""

import stat
from dataclasses import dataclass
from datetime import UTC, datetime

SIX_MONTHS = 182 * 86400  # seconds; older files show their year, as in ls
MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)  # whatever the gateway's own language
LATEST = 253402300799  # the last second of the year 9999
TYPES = {
    stat.S_IFDIR: "dir",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "OS.unix=slink:",
}
_CONTROLS = bytes(range(32)) + b"\x7f/"
_AS_SHOWN = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))


@dataclass(frozen=True, slots=True)
class Entry:
    """One file; None is what the server has not said.

    *mode* holds the type and the permissions as in ``st_mode``, *modified* is in
    seconds since the epoch.
    """

    name: bytes
    mode: int | None = None
    size: int | None = None
    modified: int | None = None
    owner: str = "0"
    group: str = "0"
    links: int = 1

    @property
    def is_directory(self) -> bool:
        """Whether it is known to be one."""
        return self.mode is not None and stat.S_ISDIR(self.mode)


def shown_name(name: bytes) -> bytes:
    """Return *name* as it stands in a listing.

    What would end the line, or lead a client out of its folder, is a ``?``: the client
    sees that the file is there, and cannot fetch it.
    """
    return name.translate(_AS_SHOWN)


def list_line(entry: Entry, now: float) -> bytes:
    """Return the line of LIST, as ``ls -l`` has it; times are UTC."""
    mode = entry.mode if entry.mode is not None else stat.S_IFREG | 0o644
    text = (
        f"{stat.filemode(mode)} {entry.links:4} {_word(entry.owner)}"
        f" {_word(entry.group)} {entry.size or 0:12} {_date(entry.modified, now)} "
    )
    return text.encode() + shown_name(entry.name) + b"\r\n"


def _word(name: str) -> str:
    """Return an owner's name without blanks, which would shift the columns."""
    word = "".join(letter if letter.isprintable() else "?" for letter in name)
    return (word.replace(" ", "_") or "?").ljust(8)


def _date(modified: int | None, now: float) -> str:
    when = min(max(modified or 0, 0), LATEST)
    time = datetime.fromtimestamp(when, UTC)
    month = MONTHS[time.month - 1]
    if now - SIX_MONTHS < when <= now + 86400:
        return f"{month} {time.day:2} {time.hour:02}:{time.minute:02}"
    return f"{month} {time.day:2}  {time.year:04}"


def facts(entry: Entry) -> bytes:
    """Return the facts of MLSD and MLST, with the blank. RFC 3659, section 7.5."""
    said = []
    if entry.mode is not None:
        said.append(f"type={TYPES.get(stat.S_IFMT(entry.mode), 'OS.unix=other')};")
    if entry.size is not None and not entry.is_directory:
        said.append(f"size={entry.size};")
    if entry.modified is not None:
        said.append(f"modify={time_value(entry.modified)};")
    if entry.mode is not None:
        said.append(f"UNIX.mode=0{stat.S_IMODE(entry.mode):o};")
    return "".join(said).encode() + b" "


def facts_line(entry: Entry) -> bytes:
    """Return the line of MLSD."""
    return facts(entry) + shown_name(entry.name) + b"\r\n"


def time_value(seconds: int) -> str:
    """Return a time as MDTM and MLSD have it, UTC. RFC 3659, section 2.3."""
    time = datetime.fromtimestamp(min(max(seconds, 0), LATEST), UTC)
    return f"{time:%Y%m%d%H%M%S}"
