"""An FTP server whose files are an SFTP server's: the other end of a session's visit.

The session speaks FTP to it as to any server, over connections inside the gateway, so
that rules, limits, records, data modes and ABOR are what they always are.

Not here: SSH (connection.py), files (files.py), payload (moving.py). Invariant: every
command is answered once, ABOR in a transfer behind the transfer's own reply; whatever
ends it, the SSH connection and every end inside are closed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from asyncssh import Error, SFTPError

from portway.errors import PeerError, PortwayError, Refused
from portway.lines import BadLine, LineReader
from portway.model import Endpoint, Reason, Side
from portway.net.stream import SocketStream
from portway.protocols.ftp import replies
from portway.protocols.ftp.sftp.connection import (
    Caller,
    LoginFailed,
    Server,
    Trust,
    log_in,
)
from portway.protocols.ftp.sftp.failures import refusal
from portway.protocols.ftp.sftp.files import Files
from portway.protocols.ftp.sftp.fresh import Fresh
from portway.protocols.ftp.sftp.inside import (
    InsideLeg,
    InsideStream,
    control_pair,
    pair,
)
from portway.protocols.ftp.sftp.transfers import TRANSFERS, Transfers
from portway.protocols.ftp.wire import Command, multi_reply, parse_command, reply

CHUNK = 4096

GOODBYE = reply(221, "Goodbye.")
NO_LEG = reply(425, "There is no data connection.")
LOG_IN = reply(530, "Log in first.")
LOST = reply(421, "The server closed the connection.")
LOST_IN_TRANSFER = reply(426, "The server closed the connection.")
FEATURES = (
    "SIZE",
    "MDTM",
    "MFMT",
    "MLST type*;size*;modify*;UNIX.mode*;",
    "REST STREAM",
    "TVFS",
    "UTF8",
)
BEFORE_LOGIN = {
    "FEAT": multi_reply(211, "Features", FEATURES, "End."),
    "SYST": reply(215, "UNIX Type: L8"),
    "NOOP": reply(200, "OK."),
    "HELP": reply(214, "The server speaks SFTP; the gateway translates."),
    "ACCT": reply(202, "Not needed."),
    "ALLO": reply(202, "Not needed."),
    "CLNT": reply(200, "Noted."),
    "HOST": reply(220, "Noted."),
    "ABOR": reply(225, "There is nothing to abort."),
}

log = logging.getLogger(__name__)


class Heard(Enum):
    """What ended a transfer from outside."""

    ABOR = auto()
    LOST = auto()  # the server is gone
    OVER = auto()  # the session is


@dataclass(frozen=True, slots=True)
class Outside:
    """What the translator needs of the gateway.

    *at* names the server, as the client did. *dial* connects to it once more. *note*
    adds facts to the record of the visit. *clock* gives seconds since the epoch.
    """

    at: Endpoint
    trust: Trust
    dial: Callable[[], Awaitable[SocketStream]]
    note: Callable[..., None]
    clock: Callable[[], float]


class Translator:
    """The FTP server that a session sees in place of an SFTP server.

    *stream* is the connection to that server. `near` is the session's end.
    """

    def __init__(self, stream: SocketStream, outside: Outside) -> None:
        self._local, self._peer = stream.local, stream.peer
        try:
            self.near, self._control = control_pair(self._local, self._peer)
        except OSError as error:
            raise Refused(Reason.BUSY) from error
        self.near.offer_leg = self._offer_leg
        self.near.on_close = self._drop  # until `run` is under way
        self._outside = outside
        self._stream: SocketStream | None = stream  # until its socket is taken
        self._fresh: Fresh | None = None  # over which nobody has logged in
        self._server: Server | None = None
        self._files: Files | None = None
        self._transfers: Transfers | None = None
        self._leg: InsideStream | None = None
        self._user: bytes | None = None
        self._lost = False
        self._left = False
        self._reader = LineReader(telnet=True)
        self._lines: list[bytes | BadLine] = []
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Serve the session until it, or the server, has enough. Raises nothing."""
        task = asyncio.current_task()
        if task is None or self._control.has_ended():
            await self._close()
            return
        self.near.on_close = task.cancel
        async with self._tasks:
            try:
                await self._until_the_end()
            finally:
                await self._close()

    async def _close(self) -> None:
        self._drop()
        if self._fresh is not None:
            self._fresh.close()
        await self._leave_server()

    def _drop(self) -> None:
        self._close_leg()
        if self._stream is not None:
            self._stream.close()
        self._control.close()

    async def _until_the_end(self) -> None:
        try:
            await self._say(await self._greeting())
            while not self._left:
                await self._serve(await self._next())
        except PortwayError:  # the session is over, or the server gone
            if self._lost:
                await self._take_leave(LOST)
        except Exception:
            log.exception("ftp.sftp.failed")
            await self._take_leave(replies.INTERNAL)

    async def _take_leave(self, words: bytes) -> None:
        self._control.resume()
        with suppress(PortwayError):
            await self._say(words)

    async def _greeting(self) -> bytes:
        host = self._outside.at.host
        if self._stream is not None:
            self._fresh = Fresh.made_of(self._stream, self._tasks)
            self._stream = None
        if self._fresh is None or await self._fresh.answers_as_ssh():
            return reply(220, f"{host} speaks SFTP.")
        return reply(530, f"Host {host} does not speak SSH.")

    async def _say(self, text: bytes) -> None:
        await self._control.send(text)

    async def _next(self) -> Command:
        while not self._lines:
            data = await self._control.receive(CHUNK)
            if not data:
                raise PeerError(Side.CLIENT, "the session is over")
            self._lines += self._reader.feed(data)
        line = self._lines.pop(0)
        if isinstance(line, BadLine):
            return Command("", b"", b"")
        command = parse_command(line)
        name = command.argument.replace(b"\xff\xff", b"\xff")
        return Command(command.verb, name, line)

    # Commands.

    async def _serve(self, command: Command) -> None:
        verb = command.verb
        if verb == "USER":
            self._user = command.argument
            await self._say(replies.SEND_PASSWORD)
        elif verb == "PASS":
            await self._log_in(command.argument)
        elif verb == "QUIT":
            self._left = True
            await self._say(GOODBYE)
        elif verb in BEFORE_LOGIN:
            await self._say(BEFORE_LOGIN[verb])
        elif self._files is None or self._transfers is None:
            await self._say(LOG_IN)
        elif verb in TRANSFERS:
            await self._transfer(self._transfers, command)
        elif verb in self._files.commands:
            await self._say(await answer_of(self._files, command))
        else:
            await self._say(self._transfers.setting(command))

    async def _log_in(self, password: bytes) -> None:
        user, self._user = self._user, None
        if user is None:
            await self._say(replies.SEND_USER_FIRST)
            return
        await self._leave_server()
        outside = self._outside
        try:
            server = await log_in(
                await self._connection(),
                Caller(outside.at, outside.trust, password, self._server_lost),
                user,
            )
        except LoginFailed as failed:
            code = 530 if failed.lasting else 421
            await self._say(reply(code, failed.text))
            return
        except PortwayError as error:
            await self._say(replies.not_reached(error, outside.at.host))
            return
        self._server, self._lost = server, False
        outside.note(host_key=server.fingerprint, server_software=server.version)
        try:
            home = await server.files.realpath(b".")
        except (Error, OSError) as error:
            await self._say(failed_with(error))
            return
        self._files = Files(server.files, home, outside.clock)
        self._transfers = Transfers(server.files, self._files, self._tasks, self._say)
        await self._say(reply(230, "Logged in."))

    async def _connection(self) -> Fresh:
        """Return a connection to the server over which nothing was said."""
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            return fresh
        return Fresh.made_of(await self._outside.dial(), self._tasks)

    def _server_lost(self) -> None:
        if self._server is None:
            return
        self._lost = True
        text = "the server closed the connection"
        self._control.interrupt(PeerError(Side.SERVER, text))

    async def _leave_server(self) -> None:
        server, self._server = self._server, None
        self._files = self._transfers = None
        if server is not None:
            await server.close()

    # Data.

    def _offer_leg(self) -> InsideLeg:
        """Make a data connection for the next transfer. Raises Refused, BUSY."""
        self._close_leg()
        try:
            near, self._leg = pair(self._local, self._peer)
        except OSError as error:
            raise Refused(Reason.BUSY) from error
        return InsideLeg(near)

    def _close_leg(self) -> None:
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.close()

    async def _transfer(self, transfers: Transfers, command: Command) -> None:
        leg, self._leg = self._leg, None
        if leg is None:
            await self._say(NO_LEG)
            return
        moving = self._tasks.create_task(transfers.run(command, leg))
        hearing = self._tasks.create_task(self._hear())
        try:
            await asyncio.wait({moving, hearing}, return_when=asyncio.FIRST_COMPLETED)
            heard = hearing.result() if hearing.done() else None
        finally:
            hearing.cancel()
            moving.cancel()
            await asyncio.wait({moving, hearing})
        if heard is Heard.OVER:
            return  # the next word from the session is its end
        if heard is Heard.LOST:
            self._control.resume()
        answer = LOST_IN_TRANSFER if heard is Heard.LOST else replies.TRANSFER_ABORTED
        await self._say(answer if moving.cancelled() else moving.result())
        if heard is Heard.ABOR:
            await self._say(reply(226, "Aborted."))
        if heard is Heard.LOST:
            raise PeerError(Side.SERVER, "the server closed the connection")

    async def _hear(self) -> Heard:
        """Wait for what ends a transfer early; other commands keep their place."""
        kept: list[bytes | BadLine] = []
        try:
            while True:
                command = await self._next()
                if command.verb == "ABOR":
                    return Heard.ABOR
                kept.append(command.line)
        except PortwayError:
            return Heard.LOST if self._lost else Heard.OVER
        finally:
            self._lines[:0] = kept


async def answer_of(files: Files, command: Command) -> bytes:
    """Return the reply to a command about files."""
    try:
        return await files.commands[command.verb](command.argument)
    except (Error, OSError) as error:
        return failed_with(error)


def failed_with(error: Error | OSError, *, otherwise: int = 550) -> bytes:
    """Return the reply to what failed with *error*; see `refusal`."""
    if isinstance(error, SFTPError):
        return refusal(error.code, error.reason, otherwise=otherwise)
    return refusal(7, "")
