"""What an FTP client may do with a server's files, but for moving them, in SFTP.

Not here: the dialogue (translator.py), and lines of listings (entries.py). Invariant:
a path goes to the server byte for byte as the client wrote it, behind the directory
where the client is.
"""

import re
import stat
from calendar import timegm
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from asyncssh import SFTPAttrs, SFTPClient, SFTPError, SFTPOpUnsupported

from portway.protocols.ftp.sftp.entries import Entry, facts, list_line, time_value
from portway.protocols.ftp.sftp.failures import NO_SUCH_FILE
from portway.protocols.ftp.wire import multi_reply, reply

_TIME = re.compile(rb"\d{14}", re.ASCII)
_MODE = re.compile(rb"0?[0-7]{3,4}", re.ASCII)
_GLOB = re.compile(rb"[*?\[]")
_OPTION = re.compile(rb"-[^ ]* *")
NO_ARGUMENT = reply(501, "A name is missing.")
NO_RENAME = reply(503, "Send RNFR first.")
NOT_A_FILE = reply(550, "Not a regular file.")
NOT_IN_ASCII = reply(550, "Not available in ASCII; send TYPE I first.")
BAD_TIME = reply(501, "The time is YYYYMMDDHHMMSS.")
NO_SITE = reply(504, "SITE knows CHMOD only.")

STAT_BYTES = 262144  # of one reply; whoever has more files uses LIST

Answer = Callable[[bytes], Awaitable[bytes]]
Entries = AsyncGenerator[Entry, None]


@dataclass(frozen=True, slots=True)
class Listing:
    """Files to be listed; *prefix* makes paths of their names.

    RFC 1123, section 4.1.2.7, wants such paths of NLST.
    """

    prefix: bytes
    entries: Entries
    is_folder: bool


class Files:
    """A client's view of one server's files. *directory* is where it is."""

    __slots__ = ("_renamed", "_sftp", "ascii", "clock", "commands", "directory")

    def __init__(
        self, sftp: SFTPClient, directory: bytes, clock: Callable[[], float]
    ) -> None:
        self.directory = directory
        self.ascii = True  # RFC 959, section 3.1.1.1: until TYPE says otherwise
        self._sftp = sftp
        self.clock = clock  # seconds since the epoch
        self._renamed: bytes | None = None  # what RNFR named
        self.commands: dict[str, Answer] = {
            "PWD": self._pwd,
            "XPWD": self._pwd,
            "CWD": self._cwd,
            "XCWD": self._cwd,
            "CDUP": self._cdup,
            "XCUP": self._cdup,
            "SIZE": self._size,
            "MDTM": self._mdtm,
            "MFMT": self._mfmt,
            "DELE": self._dele,
            "RMD": self._rmd,
            "XRMD": self._rmd,
            "MKD": self._mkd,
            "XMKD": self._mkd,
            "RNFR": self._rnfr,
            "RNTO": self._rnto,
            "SITE": self._site,
            "STAT": self._stat,
            "MLST": self._mlst,
        }

    def path(self, argument: bytes) -> bytes:
        """Return the absolute path that *argument* names."""
        if argument[:1] == b"/":
            return argument
        if not argument:
            return self.directory
        return self.directory.rstrip(b"/") + b"/" + argument

    # Directories.

    async def _pwd(self, argument: bytes) -> bytes:
        del argument
        return quoted(self.directory, b"is where you are.")

    async def _cwd(self, argument: bytes) -> bytes:
        path = await self._sftp.realpath(self.path(argument))
        attributes = await self._sftp.stat(path)
        if attributes.permissions is None or not stat.S_ISDIR(attributes.permissions):
            return reply(550, "Not a directory.")
        self.directory = path
        return reply(250, "Done.")

    async def _cdup(self, argument: bytes) -> bytes:
        del argument
        return await self._cwd(b"..")

    async def _mkd(self, argument: bytes) -> bytes:
        if not argument:
            return NO_ARGUMENT
        path = self.path(argument)
        await self._sftp.mkdir(path)
        return quoted(path, b"was made.")

    async def _rmd(self, argument: bytes) -> bytes:
        if not argument:
            return NO_ARGUMENT
        await self._sftp.rmdir(self.path(argument))
        return reply(250, "Removed.")

    # Files.

    async def _size(self, argument: bytes) -> bytes:
        if self.ascii:
            return NOT_IN_ASCII
        attributes = await self._sftp.stat(self.path(argument))
        if not is_file(attributes) or attributes.size is None:
            return NOT_A_FILE
        return reply(213, str(attributes.size))

    async def _mdtm(self, argument: bytes) -> bytes:
        attributes = await self._sftp.stat(self.path(argument))
        if attributes.mtime is None:
            return NOT_A_FILE
        return reply(213, time_value(attributes.mtime))

    async def _mfmt(self, argument: bytes) -> bytes:
        """Set a file's time. draft-somers-ftp-mfxx-04, section 3."""
        time, _, name = argument.partition(b" ")
        seconds = time_of(time)
        if seconds is None:
            return BAD_TIME
        if not name:
            return NO_ARGUMENT
        path = self.path(name)
        attributes = await self._sftp.stat(path)
        read = attributes.atime if attributes.atime is not None else seconds
        await self._sftp.setstat(path, SFTPAttrs(atime=read, mtime=seconds))
        return reply(213, b"Modify=" + time + b"; " + name)

    async def _dele(self, argument: bytes) -> bytes:
        if not argument:
            return NO_ARGUMENT
        await self._sftp.remove(self.path(argument))
        return reply(250, "Deleted.")

    async def _rnfr(self, argument: bytes) -> bytes:
        self._renamed = None
        if not argument:
            return NO_ARGUMENT
        path = self.path(argument)
        await self._sftp.lstat(path)
        self._renamed = path
        return reply(350, "Send RNTO.")

    async def _rnto(self, argument: bytes) -> bytes:
        """Rename over what is there, as FTP servers do, where the server can."""
        renamed, self._renamed = self._renamed, None
        if renamed is None:
            return NO_RENAME
        if not argument:
            return NO_ARGUMENT
        path = self.path(argument)
        try:
            await self._sftp.posix_rename(renamed, path)
        except SFTPOpUnsupported:
            await self._sftp.rename(renamed, path)
        return reply(250, "Renamed.")

    async def _site(self, argument: bytes) -> bytes:
        word, _, rest = argument.partition(b" ")
        mode, _, name = rest.strip().partition(b" ")
        if word.upper() != b"CHMOD":
            return NO_SITE
        if not _MODE.fullmatch(mode) or not name:
            return reply(501, "SITE CHMOD takes a mode such as 644, and a name.")
        await self._sftp.chmod(self.path(name), int(mode, 8))
        return reply(200, "Done.")

    # Listings.

    async def _stat(self, argument: bytes) -> bytes:
        if not argument:
            return reply(211, "You are logged in.")
        now = self.clock()
        lines, room = [], STAT_BYTES
        listing = await self.listing(argument)
        async with aclosing(listing.entries) as entries:
            async for entry in entries:
                lines.append(on_wire(list_line(entry, now)[:-2]))
                room -= len(lines[-1])
                if room < 0:
                    break
        return multi_reply(213, "Listing", lines, "End.")

    async def _mlst(self, argument: bytes) -> bytes:
        path = self.path(argument)
        entry = entry_of(path, await self._sftp.stat(path))
        return multi_reply(250, "Listing", [facts(entry) + on_wire(path)], "End.")

    async def listing(self, argument: bytes) -> Listing:
        """Return what *argument* names: a folder's files, a file, those that match.

        Options before it, as for ls, are passed over. Raises what SFTP raises.
        """
        name = without_options(argument)
        path = self.path(name)
        folder, _, last = path.rpartition(b"/")
        prefix = name[: len(name) - len(last)] if name else b""
        try:
            attributes = await self._sftp.stat(path)
        except SFTPError as error:
            if error.code != NO_SUCH_FILE or not _GLOB.search(last):
                raise
            return Listing(prefix, self._found(folder or b"/", last), is_folder=False)
        entry = entry_of(last or path, attributes)
        if not entry.is_directory:
            return Listing(prefix, only(entry), is_folder=False)
        inside = name.rstrip(b"/") + b"/" if name else b""
        return Listing(inside, self._found(path), is_folder=True)

    async def _found(self, folder: bytes, pattern: bytes = b"") -> Entries:
        names = self._sftp.scandir(folder)
        assert isinstance(names, AsyncGenerator)  # noqa: S101 - one has to be closed
        async with aclosing(names):
            async for found in names:
                name = bytes_of(found.filename)
                if name in {b".", b".."}:
                    continue
                if not pattern or fnmatchcase(name, pattern):
                    yield entry_of(name, found.attrs)

    async def is_full(self, path: bytes) -> bool:
        """Say whether the disk that *path* is on has no room left, if that is known."""
        with suppress(SFTPError):
            disk = await self._sftp.statvfs(path)
            return disk.bavail == 0
        return False


async def only(entry: Entry) -> Entries:
    """Yield *entry*."""
    yield entry


def entry_of(name: bytes, attributes: SFTPAttrs) -> Entry:
    """Return what a listing tells of a file."""
    return Entry(
        name,
        mode=attributes.permissions,
        size=attributes.size,
        modified=attributes.mtime,
        owner=attributes.owner or str(attributes.uid or 0),
        group=attributes.group or str(attributes.gid or 0),
        links=attributes.nlink or 1,
    )


def is_file(attributes: SFTPAttrs) -> bool:
    """Whether the server does not call it anything but a regular file."""
    mode = attributes.permissions
    return mode is None or stat.S_ISREG(mode)


def bytes_of(name: str | bytes) -> bytes:
    """Return a name as bytes, which it is wherever it was asked for in bytes."""
    return name if isinstance(name, bytes) else name.encode()


def without_options(argument: bytes) -> bytes:
    """Return what stands behind ``-la`` and its like."""
    while (option := _OPTION.match(argument)) is not None:
        argument = argument[option.end() :]
    return argument


def quoted(path: bytes, words: bytes) -> bytes:
    """Return a 257 reply about *path*. RFC 959, appendix II."""
    return reply(257, b'"' + on_wire(path).replace(b'"', b'""') + b'" ' + words)


def on_wire(path: bytes) -> bytes:
    """Return *path* as it stands in a reply: IAC is doubled. RFC 854."""
    return path.replace(b"\xff", b"\xff\xff")


def time_of(text: bytes) -> int | None:
    """Return the seconds since the epoch that a time of MFMT means, if it is one."""
    if not _TIME.fullmatch(text):
        return None
    year, *rest = int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))
    month, day, hour, minute, second = rest
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    return timegm((year, month, day, hour, minute, second))
