"""One server, from its greeting until it is left: commands, replies, transfers.

Not here: how the server was named, and logins. Invariant: what a rule could refuse is
asked before it is sent, and every exchange that was begun leaves its record.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from portway.errors import PeerError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.lines import shown
from portway.model import Action, Outcome, Side
from portway.protocols.ftp import answers, replies
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.commands import VERBS, Kind, action_of, kind_of
from portway.protocols.ftp.desk import Farewell
from portway.protocols.ftp.dialogue import Awaited, Reply
from portway.protocols.ftp.legs import Agreement, DataPath, Ways, source_for
from portway.protocols.ftp.mover import Transfer
from portway.protocols.ftp.permits import MOVES, Denied, Permits
from portway.protocols.ftp.transfer import DataEnd, Direction, ending
from portway.protocols.ftp.upstream import Upstream
from portway.protocols.ftp.wire import (
    Command,
    ReplyLine,
    multi_reply,
)

DIRECTIONS = {
    Action.READ: Direction.DOWN,
    Action.LIST: Direction.DOWN,
    Action.WRITE: Direction.UP,
}
GOODBYE_TIME = 2.0  # seconds for the server's reply to the client's QUIT
LEAVE_TIME = 1.0  # and for its reply to ours


class Visit:
    """A server that the client has reached.

    *exchange* lasts as long as the visit. *tasks* gets a task for each transfer.
    """

    __slots__ = (
        "_client",
        "_epsv_all",
        "_gate",
        "_path",
        "_permits",
        "_tasks",
        "_transfer",
        "_type",
        "_ways",
        "exchange",
        "leaving",
        "upstream",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        client: Client,
        gate: Gate,
        ways: Ways,
        exchange: Exchange,
        upstream: Upstream,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.exchange = exchange
        self.upstream = upstream
        self.leaving = False  # the server may close, and it is no failure
        self._client = client
        self._gate = gate
        self._ways = ways
        self._tasks = tasks
        self._permits = Permits(gate, exchange)
        self._type = "ascii"
        self._path: DataPath | None = None
        self._transfer: Transfer | None = None
        self._epsv_all = False

    # The login, as far as it matters here.

    async def logged_in(self, user: bytes) -> None:
        """The server has taken *user*'s login."""
        self.exchange.server_login = shown(user)
        self.exchange.end(Outcome.OK, status="230", side="")
        if self._permits.read_paths:
            await self._learn_directory()

    def login_refused(self, code: int) -> None:
        """The server has refused a login with *code*."""
        if not self.exchange.server_login:
            self.exchange.end(Outcome.FAILED, status=str(code), side=Side.SERVER)

    async def _learn_directory(self) -> None:
        answer = await self.upstream.ask(b"PWD")
        self._permits.learn(answer.text)

    # Commands.

    async def command(self, command: Command) -> None:
        """Serve one command of the client's to its end.

        One that may go ahead of the replies to earlier ones is at its end once sent.
        """
        try:
            await self._serve(command)
        except Denied as no:
            await self.upstream.answer(no.reply)

    async def _serve(self, command: Command) -> None:
        kind = kind_of(command)
        if kind is Kind.AHEAD and not self._must_settle(command):
            await self._talk(command)
            return
        await self.upstream.settled()
        if self._permits.read_paths and not self._permits.sure:
            await self._learn_directory()  # the rules came with a reload
        if kind is Kind.DATA:
            await self._agree(command)
        elif kind is Kind.TRANSFER:
            await self._move(command)
        elif command.verb == "FEAT":
            await self._features(command)
        elif command.verb == "MODE" and command.argument.upper() != b"S":
            await self.upstream.answer(replies.NO_MODE)
        elif command.verb == "QUIT":
            await self._quit(command)
        elif command.verb in VERBS:
            await self._talk(command)
            await self.upstream.settled()
            if command.verb in MOVES and self._permits.read_paths:
                await self._learn_directory()
        else:
            await self._unknown(command)

    def _must_settle(self, command: Command) -> bool:
        """Whether a path depends on replies that are due."""
        permits = self._permits
        if command.verb in MOVES or (permits.read_paths and not permits.sure):
            return permits.read_paths
        return permits.moving > 0 and action_of(command) is not None

    async def _ask_if_named(self, command: Command) -> None:
        """Ask for a command that is an exchange only where a rule names it."""
        exchange = await self._permits.ask(command)
        if exchange is not None:
            self._permits.end(exchange, Outcome.OK)

    async def _features(self, command: Command) -> None:
        await self._ask_if_named(command)
        answer = await self.upstream.ask(command.line)
        await self.upstream.answer(answers.features_of(answer))

    async def _talk(self, command: Command) -> None:
        """Pass a command and its reply on."""
        exchange = await self._permits.ask(command)
        await self.upstream.room()
        await self.upstream.send(
            command.line,
            Awaited(
                command.verb,
                rewrite=self._watch_directory if "PWD" in command.verb else None,
                finished=self._afterwards(command, exchange),
            ),
        )

    def _watch_directory(self, line: ReplyLine) -> bytes:
        """Learn from a reply to the client's PWD, which is passed as it is."""
        if line.code == 257 and line.final:
            self._permits.learn(line.line)
        return line.line

    def _afterwards(
        self, command: Command, exchange: Exchange | None
    ) -> Callable[[Reply], None] | None:
        """Return what is to be done once the client has the final reply."""
        verb = command.verb
        if verb in MOVES:
            self._permits.moving += 1
        elif exchange is None and verb != "TYPE":
            return None

        def finished(answer: Reply) -> None:
            if exchange is not None:
                self._permits.replied(exchange, answer.code)
            if verb in MOVES:
                self._permits.moving -= 1
                if answer.good:
                    self._permits.moved(command)
            elif verb == "TYPE" and answer.good:
                ascii_type = command.argument[:1].upper() == b"A"
                self._type = "ascii" if ascii_type else "binary"

        return finished

    async def _quit(self, command: Command) -> None:
        self.leaving = True
        try:
            async with asyncio.timeout(GOODBYE_TIME):
                await self.upstream.relay(command.line)
        except (PeerError, TimeoutError):
            raise Farewell(replies.GOODBYE) from None
        raise Farewell

    # Data.

    async def _agree(self, command: Command) -> None:
        """PASV, EPSV, PORT or EPRT."""
        verb, argument = command.verb, command.argument
        await self._ask_if_named(command)
        if verb == "EPSV" and argument.strip().upper() == b"ALL":
            self._epsv_all = True
            await self.upstream.answer(replies.EPSV_ALL_OK)
            return
        if self._epsv_all and verb != "EPSV":
            await self.upstream.answer(replies.ALL_SENT)
            return
        self._drop_path()
        agreement = Agreement(
            self._ways, self._gate, self._client.stream, self.upstream, self.exchange
        )
        path = await agreement.agree(verb, argument)
        if isinstance(path, bytes):
            await self.upstream.answer(path)
            return
        self._path = path
        await self.upstream.answer(agreement.client_reply(path))

    def _drop_path(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            path.close()

    async def _move(self, command: Command) -> None:
        """RETR, STOR, LIST and their like."""
        path = self._path
        if path is None or path.expired:
            self._path = None
            text = replies.NO_DATA_PATH if path is None else replies.DATA_EXPIRED
            await self.upstream.answer(text)
            return
        exchange = await self._permits.ask(command)
        assert exchange is not None  # noqa: S101 - a transfer has an action
        direction = DIRECTIONS[exchange.access.action]
        moving = self._new_transfer(path, exchange, direction)
        awaited = Awaited(command.verb, before=moving.before, finished=moving.finished)
        await self.upstream.send(command.line, awaited)
        self._tasks.create_task(moving.run())
        await self._see_through(moving)

    def _new_transfer(
        self, path: DataPath, exchange: Exchange, direction: Direction
    ) -> Transfer:
        self._path = None
        settings = self._ways.settings
        exchange.note(
            client_data=path.client_way, server_data=path.server_way, type=self._type
        )
        self._transfer = Transfer(
            self.upstream,
            path,
            exchange,
            direction,
            stall=settings.stall,
            dial_time=settings.upstream.connect_timeout,
            source=source_for(settings) or self.upstream.stream.local_address,
            client=self._client,
        )
        return self._transfer

    async def _see_through(self, moving: Transfer) -> None:
        """Stay with a transfer until the client has its final reply."""
        await self._client.attend(moving.over, self._urgent)
        self._transfer = None
        self._end_transfer(moving)
        # what an ABOR is answered with must not be taken for the next command's reply
        await self.upstream.settled()

    def _end_transfer(self, moving: Transfer) -> None:
        code = moving.code
        told = ending(moving.end or DataEnd.CUT, code, moving.moved)
        self._permits.end(
            moving.exchange,
            told.outcome,
            status=str(code or ""),
            reason=told.reason,
            side=told.side,
            error=told.error,
        )

    async def _urgent(self, command: Command) -> None:
        """ABOR and STAT, while a transfer goes on."""
        moving = self._transfer
        if moving is None:
            return
        if command.verb == "STAT":
            await self._client.tell(self._status(moving))
            return
        if moving.aborted:
            return
        moving.aborted = True
        await self.upstream.abort_transfer(Awaited("ABOR"))
        moving.stop(DataEnd.ABORTED)

    def _status(self, moving: Transfer) -> bytes:
        exchange = moving.exchange
        moved, seconds = moving.moved, max(exchange.age, 0.001)
        line = f"{exchange.access.method}: {moved} bytes, {moved / seconds:.0f} bytes/s"
        return multi_reply(211, "Status", [line], "End")

    # Verbs that are not in the table.

    async def _unknown(self, command: Command) -> None:
        """Pass a command on that may turn out to be a transfer."""
        exchange = await self._permits.ask(command)
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        denied: list[bytes] = []

        async def before(line: ReplyLine) -> bytes | None:
            if denied:
                return denied[0]
            if self._transfer is None and line.code < 200 and self._path is not None:
                try:
                    await self._turn_into_transfer(command, self._path)
                except Denied as no:
                    denied.append(no.reply)
                    self._drop_path()
                    return b""
            if self._transfer is None:
                return None
            if not settled.done():
                settled.set_result(None)
            return await self._transfer.before(line)

        def finished(answer: Reply) -> None:
            if exchange is not None:
                self._permits.replied(exchange, answer.code)
            if self._transfer is not None:
                self._transfer.finished(answer)
            if not settled.done():
                settled.set_result(None)

        await self.upstream.send(
            command.line, Awaited(command.verb, before=before, finished=finished)
        )
        await settled
        if self._transfer is not None:
            await self._see_through(self._transfer)

    async def _turn_into_transfer(self, command: Command, path: DataPath) -> None:
        """The server began a transfer: whatever it moves must be allowed both ways."""
        exchange = await self._permits.begin(Action.WRITE, command)
        try:
            exchange.allow_also(Action.READ)
        except Refused as refused:
            self._permits.end(exchange, Outcome.REFUSED, reason=refused.reason)
            raise Denied(replies.command_denied(refused)) from None
        moving = self._new_transfer(path, exchange, Direction.BOTH)
        self._tasks.create_task(moving.run())

    # The end.

    @property
    def moving(self) -> bool:
        """Whether the client waits for the end of a transfer."""
        return self._transfer is not None and not self._transfer.over.done()

    async def leave(self) -> None:
        """Take leave politely; the client goes on to another server."""
        self.leaving = True
        with suppress(PeerError, TimeoutError):
            async with asyncio.timeout(LEAVE_TIME):
                await self.upstream.ask(b"QUIT")

    def close(self, error: BaseException | None) -> None:
        """Close whatever is still open, and leave the records. *error*: why."""
        self._drop_path()
        moving, self._transfer = self._transfer, None
        if moving is not None:
            broke = moving.end not in {None, DataEnd.WHOLE}  # before the session did
            moving.stop(DataEnd.CUT)
            moving.cancel()
            if error is None or broke or moving.over.done():
                self._end_transfer(moving)
        self._permits.close(error)
        self.upstream.close()
        self.upstream.stream.close()
        self.exchange.close(error)
