"""The transfers of an FTP client, made of SFTP requests.

Not here: the dialogue round them (translator.py). Invariant: a success is said when the
server has all, or the session has; an upload that was cut is never one.
"""

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from secrets import token_hex

from asyncssh import (
    FXF_CREAT,
    FXF_EXCL,
    FXF_READ,
    FXF_TRUNC,
    FXF_WRITE,
    Error,
    SFTPAttrs,
    SFTPClient,
    SFTPClientFile,
    SFTPError,
)

from portway.errors import PeerError
from portway.protocols.ftp.sftp.entries import (
    Entry,
    facts_line,
    list_line,
    shown_name,
)
from portway.protocols.ftp.sftp.failures import FAILURE, refusal
from portway.protocols.ftp.sftp.files import NO_ARGUMENT, NOT_A_FILE, Files
from portway.protocols.ftp.sftp.inside import InsideStream
from portway.protocols.ftp.sftp.moving import BLOCK, Passage, download, upload
from portway.protocols.ftp.sftp.textlines import FromWire, Lines, ToWire, Unchanged
from portway.protocols.ftp.wire import Command, reply

LISTED = 32768  # bytes of lines that are sent at once
CLOSE_TIME = 2.0  # seconds for the server to close a file that is not wanted any more
LARGEST = 2**63 - 1

WHOLE = reply(226, "Transfer complete.")
CUT = reply(426, "The data connection was cut.")
BEHIND_END = reply(554, "The file ends before that.")
NO_REST = reply(504, "REST is for TYPE I.")
DISK_FULL = reply(452, "Disk full.")
BEGIN = reply(150, "Here it comes.")
GO_ON = reply(150, "Go on.")


class Transfers:
    """The transfers at one server.

    *tasks* gets the requests, *say* the preliminary replies.
    """

    __slots__ = ("_block", "_files", "_say", "_sftp", "_tasks", "restart")

    def __init__(
        self,
        sftp: SFTPClient,
        files: Files,
        tasks: asyncio.TaskGroup,
        say: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.restart = 0
        self._sftp = sftp
        self._files = files
        self._tasks = tasks
        self._say = say
        limits = sftp.limits
        allowed = [limits.max_read_len, limits.max_write_len, BLOCK]
        self._block = min(length for length in allowed if length)

    def setting(self, command: Command) -> bytes:
        """Answer what sets the way of transfers, and what is not known."""
        verb, argument = command.verb, command.argument.strip().upper()
        if verb == "TYPE":
            if argument not in {b"A", b"A N", b"I", b"L 8", b"L8"}:
                return reply(504, "TYPE is A or I.")
            self._files.ascii = argument[:1] == b"A"
            return reply(200, "Done.")
        if verb in {"STRU", "MODE"}:
            known = argument == (b"F" if verb == "STRU" else b"S")
            return reply(200, "Done.") if known else reply(504, "Not available.")
        if verb == "REST":
            return self._rest(argument)
        if verb == "OPTS":
            utf8 = argument in {b"UTF8", b"UTF8 ON", b"UTF-8 ON"}
            return reply(200, "Done.") if utf8 else reply(501, "Not available.")
        return reply(502, "An SFTP server has no such command.")

    def _rest(self, argument: bytes) -> bytes:
        if not argument.isdigit() or len(argument) > 19:
            return reply(501, "REST takes a number of bytes.")
        offset = int(argument)
        if offset > LARGEST:
            return reply(501, "REST takes a number of bytes.")
        if offset and self._files.ascii:
            return NO_REST
        self.restart = offset
        return reply(350, "Send the transfer command.")

    async def run(self, command: Command, leg: InsideStream) -> bytes:
        """Move what *command* asks for over *leg*; return the final reply."""
        offset, self.restart = self.restart, 0
        verb, argument = command.verb, command.argument
        try:
            if verb == "RETR":
                return await self._retr(argument, leg, offset)
            if verb in UPLOADS:
                return await self._stor(verb, argument, leg, offset)
            return await self._list(verb, argument, leg)
        except SFTPError as error:
            return refusal(error.code, error.reason, otherwise=550)
        except (Error, OSError):
            return refusal(7, "")
        except PeerError:
            return CUT
        finally:
            leg.close()

    # Downloads.

    async def _retr(self, argument: bytes, leg: InsideStream, offset: int) -> bytes:
        if not argument:
            return NO_ARGUMENT
        async with self._opened(self._files.path(argument), FXF_READ) as file:
            attributes = await file.stat()
            mode, size = attributes.permissions, attributes.size
            if mode is not None and stat.S_ISDIR(mode):
                return NOT_A_FILE
            if size is not None and offset > size:
                return BEHIND_END
            await self._say(BEGIN if size is None else opening(size))
            lines = ToWire() if self._files.ascii else Unchanged()
            regular = mode is not None and stat.S_ISREG(mode) and size
            passage = self._passage(file, lines, offset)
            await download(passage, leg, size if regular else None)
            await leg.send_eof()
        return WHOLE

    async def _list(self, verb: str, argument: bytes, leg: InsideStream) -> bytes:
        listing = await self._files.listing(argument)
        if verb == "MLSD" and not listing.is_folder:
            return reply(501, "Not a directory.")
        line = self._line_of(verb, listing.prefix)
        held = bytearray()
        async with aclosing(listing.entries) as entries:
            first = await anext(entries, None)  # which fails if none may be read
            await self._say(BEGIN)
            held += line(first) if first is not None else b""
            async for entry in entries:
                held += line(entry)
                if len(held) > LISTED:
                    await leg.send(bytes(held))
                    held.clear()
        await leg.send(bytes(held))
        await leg.send_eof()
        return WHOLE

    def _line_of(self, verb: str, prefix: bytes) -> Callable[[Entry], bytes]:
        if verb == "LIST":
            now = self._files.clock()
            return lambda entry: list_line(entry, now)
        if verb == "MLSD":
            return facts_line
        return lambda entry: prefix + shown_name(entry.name) + b"\r\n"

    # Uploads.

    async def _stor(
        self, verb: str, argument: bytes, leg: InsideStream, offset: int
    ) -> bytes:
        if verb == "STOU":
            argument = f"ftp-{token_hex(6)}".encode()
        elif not argument:
            return NO_ARGUMENT
        path = self._files.path(argument)
        flags = FXF_WRITE | FXF_CREAT
        if verb == "STOU":
            flags |= FXF_EXCL
        elif verb == "STOR" and not offset:
            flags |= FXF_TRUNC
        file: SFTPClientFile | None
        file = await self._sftp.open(path, flags, encoding=None, block_size=0)
        try:
            attributes = await file.stat() if verb == "APPE" or offset else SFTPAttrs()
            size = attributes.size or 0
            if offset > size:
                return BEHIND_END
            await self._say(
                reply(150, b"FILE: " + argument) if verb == "STOU" else GO_ON
            )
            lines = FromWire() if self._files.ascii else Unchanged()
            at = size if verb == "APPE" else offset
            await upload(self._passage(file, lines, at), leg)
            closing, file = file, None
            await closing.close()
        except SFTPError as error:
            if error.code == FAILURE and await self._files.is_full(path):
                return DISK_FULL
            return refusal(error.code, error.reason, otherwise=451)
        finally:
            if file is not None:
                await close(file)
        return CUT if leg.cut else WHOLE

    def _passage(self, file: SFTPClientFile, lines: Lines, offset: int) -> Passage:
        return Passage(file, lines, offset, self._block, self._tasks)

    @asynccontextmanager
    async def _opened(self, path: bytes, flags: int) -> AsyncIterator[SFTPClientFile]:
        file = await self._sftp.open(path, flags, encoding=None, block_size=0)
        try:
            yield file
        finally:
            await close(file)


async def close(file: SFTPClientFile) -> None:
    """Close a file that nothing was written to, or that is not wanted any more."""
    with suppress(Error, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIME):
            await file.close()


def opening(size: int) -> bytes:
    """Return the reply that begins a download; clients read the size in it."""
    return reply(150, f"Here it comes ({size} bytes).")


UPLOADS = frozenset({"STOR", "APPE", "STOU"})
LISTS = frozenset({"LIST", "NLST", "MLSD"})
TRANSFERS = UPLOADS | LISTS | {"RETR"}
