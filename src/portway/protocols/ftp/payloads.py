"""The data of one visit: ways that were agreed upon, and the transfers over them.

Not here: commands that move nothing (visit.py), and how one transfer goes (mover.py).
Invariant: there is at most one way and one transfer at a time, and each transfer that
began leaves its record.
"""

import asyncio
from dataclasses import dataclass

from portway.errors import Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Action, Outcome, Reason
from portway.protocols.ftp import replies, servertls
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.dialogue import Awaited, Fate, Reply
from portway.protocols.ftp.legs import Agreement, DataPath, Ways, source_for
from portway.protocols.ftp.mover import Transfer
from portway.protocols.ftp.permits import Denied, Permits
from portway.protocols.ftp.sftp.inside import SFTP
from portway.protocols.ftp.transfer import DataEnd, Direction, ending
from portway.protocols.ftp.upstream import Upstream
from portway.protocols.ftp.wire import Command, ReplyLine, multi_reply

DIRECTIONS = {
    Action.READ: Direction.DOWN,
    Action.LIST: Direction.DOWN,
    Action.WRITE: Direction.UP,
}
OFFSET = 20  # digits, as many as 64 bits need


@dataclass(frozen=True, slots=True)
class Parties:
    """All who have a part in one visit.

    *exchange* lasts as long as the visit. *tasks* gets a task for each transfer.
    """

    client: Client
    gate: Gate
    ways: Ways
    exchange: Exchange
    upstream: Upstream
    tasks: asyncio.TaskGroup


class Payloads:
    """What moves between a client and a server.

    *type* is the one that TYPE set, in a record's word. *restart* is the argument of
    a REST that the server has taken, until the transfer that it is for.
    """

    __slots__ = (
        "_epsv_all",
        "_parties",
        "_path",
        "_permits",
        "_transfer",
        "restart",
        "type",
    )

    def __init__(self, parties: Parties, permits: Permits) -> None:
        self.type = "ascii"
        self.restart = b""
        self._parties = parties
        self._permits = permits
        self._path: DataPath | None = None
        self._transfer: Transfer | None = None
        self._epsv_all = False

    @property
    def moving(self) -> bool:
        """Whether the client waits for the end of a transfer."""
        return self._transfer is not None and not self._transfer.over.done()

    # The way.

    async def agree(self, command: Command) -> None:
        """PASV, EPSV, PORT or EPRT."""
        verb, argument = command.verb, command.argument
        upstream = self._parties.upstream
        if verb == "EPSV" and argument.strip().upper() == b"ALL":
            self._epsv_all = True
            await upstream.answer(replies.EPSV_ALL_OK)
            return
        if self._epsv_all and verb != "EPSV":
            await upstream.answer(replies.ALL_SENT)
            return
        self._drop_path()
        parties = self._parties
        if await servertls.follow(
            upstream,
            parties.exchange,
            parties.ways.settings.upstream,
            private=parties.client.protection.private,
        ):
            await self.restart_again()
        agreement = Agreement(
            parties.ways,
            parties.gate,
            parties.client.stream,
            upstream,
            parties.exchange,
        )
        path = await agreement.agree(verb, argument)
        if isinstance(path, bytes):
            await upstream.answer(path)
            return
        self._path = path
        await upstream.answer(agreement.client_reply(path))

    def _drop_path(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            path.close()

    async def restart_again(self) -> None:
        """Repeat a REST behind a command of ours, over which servers may forget it.

        RFC 959, section 4.1.3: the transfer command follows it immediately.
        """
        if not self.restart:
            return
        answer = await self._parties.upstream.ask(b"REST " + self.restart)
        if answer.code != 350:  # the client must not take a whole file for a rest
            self.restart = b""
            self._drop_path()

    # Transfers.

    async def move(self, command: Command) -> None:
        """RETR, STOR, LIST and their like."""
        path = self._path
        if path is None or path.expired:
            self._path = None
            text = replies.NO_DATA_PATH if path is None else replies.DATA_EXPIRED
            await self._parties.upstream.answer(text)
            return
        exchange = await self._permits.ask(command)
        assert exchange is not None  # noqa: S101 - a transfer has an action
        direction = DIRECTIONS[exchange.access.action]
        moving = self._new_transfer(path, exchange, direction)
        awaited = Awaited(command.verb, before=moving.before, finished=moving.finished)
        await self._parties.upstream.send(command.line, awaited)
        self._parties.tasks.create_task(moving.run())
        await self._see_through(moving)

    def _new_transfer(
        self, path: DataPath, exchange: Exchange, direction: Direction
    ) -> Transfer:
        self._path = None
        parties = self._parties
        settings = parties.ways.settings
        exchange.note(
            client_data=path.client_way, server_data=path.server_way, type=self.type
        )
        if path.server_way == SFTP:
            exchange.note(upstream_protocol="sftp")
        offset, self.restart = self.restart.strip(), b""
        if offset.strip(b"0") and offset.isdigit() and len(offset) <= OFFSET:
            exchange.note(offset=str(int(offset)))
        self._transfer = Transfer(
            parties.upstream,
            path,
            exchange,
            direction,
            stall=settings.stall,
            dial_time=settings.upstream.connect_timeout,
            source=source_for(settings) or parties.upstream.stream.local_address,
            client=parties.client,
        )
        return self._transfer

    async def _see_through(self, moving: Transfer) -> None:
        """Stay with a transfer until the client has its final reply."""
        await self._parties.client.attend(moving.over, self._urgent)
        self._transfer = None
        self._end_transfer(moving)
        # what an ABOR is answered with must not be taken for the next command's reply
        await self._parties.upstream.settled_after_abort()

    def _end_transfer(self, moving: Transfer) -> None:
        code = moving.code
        told = ending(moving.end or DataEnd.CUT, code, moving.moved)
        suspicion = moving.suspicion
        self._permits.end(
            moving.exchange,
            told.outcome,
            status=str(code or ""),
            reason=told.reason or (Reason.TLS if suspicion else ""),
            side=told.side,
            error=told.error or suspicion,
        )

    async def _urgent(self, command: Command) -> None:
        """ABOR and STAT, while a transfer goes on."""
        moving = self._transfer
        if moving is None:
            return
        if command.verb == "STAT":
            await self._parties.client.tell(status(moving))
            return
        if moving.aborted:
            return
        moving.aborted = True
        # a server that is done with the data reads its commands, and needs no signal
        urgent = moving.end is None and moving.code is None
        await self._parties.upstream.abort_transfer(Fate.RELAY, urgent=urgent)
        moving.stop(DataEnd.ABORTED)

    # Verbs that are not in the table.

    async def unknown(self, command: Command) -> None:
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

        await self._parties.upstream.send(
            command.line, Awaited(command.verb, before=before, finished=finished)
        )
        await settled
        if self._transfer is not None:
            await self._see_through(self._transfer)

    async def _turn_into_transfer(self, command: Command, path: DataPath) -> None:
        """The server began a transfer: whatever it moves must be allowed both ways."""
        refusal = self._parties.client.protection.data_refusal
        if refusal is not None:
            raise Denied(refusal)
        exchange = await self._permits.begin(Action.WRITE, command)
        try:
            exchange.allow_also(Action.READ)
        except Refused as refused:
            self._permits.end(exchange, Outcome.REFUSED, reason=refused.reason)
            raise Denied(replies.command_denied(refused)) from None
        moving = self._new_transfer(path, exchange, Direction.BOTH)
        self._parties.tasks.create_task(moving.run())

    # The end.

    def close(self, error: BaseException | None) -> None:
        """Close the way and the transfer that are still open. *error*: why."""
        self._drop_path()
        moving, self._transfer = self._transfer, None
        if moving is not None:
            broke = moving.end not in {None, DataEnd.WHOLE}  # before the session did
            moving.stop(DataEnd.CUT)
            moving.cancel()
            if error is None or broke or moving.over.done():
                self._end_transfer(moving)


def status(moving: Transfer) -> bytes:
    """Return the reply to STAT while *moving* goes on. RFC 959, section 4.1.3."""
    exchange = moving.exchange
    moved, seconds = moving.moved, max(exchange.age, 0.001)
    line = f"{exchange.access.method}: {moved} bytes, {moved / seconds:.0f} bytes/s"
    return multi_reply(211, "Status", [line], "End")
