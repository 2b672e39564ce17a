"""One server, from its greeting until it is left: commands and their replies.

Not here: how the server was named, logins, and data (payloads.py). Invariant: what a
rule could refuse is asked before it is sent, and every exchange that was begun leaves
its record.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from portway.errors import PeerError
from portway.exchange import Exchange
from portway.lines import shown
from portway.model import Outcome, Side
from portway.protocols.ftp import answers, replies
from portway.protocols.ftp.commands import VERBS, Kind, action_of, kind_of
from portway.protocols.ftp.desk import Farewell
from portway.protocols.ftp.dialogue import Awaited, Reply
from portway.protocols.ftp.fixed import Offer
from portway.protocols.ftp.payloads import Parties, Payloads
from portway.protocols.ftp.permits import MOVES, Denied, Permits
from portway.protocols.ftp.wire import Command, ReplyLine

GOODBYE_TIME = 2.0  # seconds for the server's reply to the client's QUIT
LEAVE_TIME = 1.0  # and for its reply to ours
WATCHED = {"TYPE", "REST"}  # talk whose success matters to the transfers after it


class Visit:
    """A server that the client has reached."""

    __slots__ = (
        "_payloads",
        "_permits",
        "_protection",
        "exchange",
        "leaving",
        "offer",
        "upstream",
    )

    def __init__(self, parties: Parties, offer: Offer | None = None) -> None:
        self.offer = offer  # which is to be told when the visit is over
        self.exchange = parties.exchange
        self.upstream = parties.upstream
        self._protection = parties.client.protection
        self.leaving = False  # the server may close, and it is no failure
        self._permits = Permits(parties.gate, parties.exchange)
        self._payloads = Payloads(parties, self._permits)

    @property
    def moving(self) -> bool:
        """Whether the client waits for the end of a transfer."""
        return self._payloads.moving

    # The login, as far as it matters here.

    async def logged_in(self, user: bytes, address: bytes) -> None:
        """The server has taken *user*'s login; *address* is an anonymous one's."""
        self.exchange.server_login = shown(user)
        self._permits.anonymous = shown(address)
        if address:
            self.exchange.note(anonymous=self._permits.anonymous)
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
        await self._payloads.restart_again()

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
        if self._permits.must_learn:
            await self._learn_directory()  # the rules came with a reload
        if kind is Kind.DATA:
            await self._ask_if_named(command)
            await self._payloads.agree(command)
        elif kind is Kind.TRANSFER:
            if (refusal := self._protection.data_refusal) is not None:
                raise Denied(refusal)
            await self._payloads.move(command)
        elif command.verb == "FEAT":
            await self._features(command)
        elif command.verb == "MODE" and command.argument.upper() != b"S":
            await self.upstream.answer(replies.NO_MODE)
        elif command.verb == "QUIT":
            await self._quit(command)
        elif command.verb in VERBS:
            await self._talk(command)
            await self.upstream.settled()
            if self._permits.must_learn:
                await self._learn_directory()
        else:
            await self._payloads.unknown(command)

    def _must_settle(self, command: Command) -> bool:
        """Whether a path depends on replies that are due."""
        permits = self._permits
        if command.verb in MOVES or permits.must_learn:
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
        ours = self._protection.features
        await self.upstream.answer(answers.features_of(answer, ours))

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
        elif exchange is None and verb not in WATCHED:
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
                self._payloads.type = "ascii" if ascii_type else "binary"
            elif verb == "REST":
                taken = answer.code == 350
                self._payloads.restart = command.argument if taken else b""

        return finished

    async def _quit(self, command: Command) -> None:
        self.leaving = True
        try:
            async with asyncio.timeout(GOODBYE_TIME):
                await self.upstream.relay(command.line)
        except (PeerError, TimeoutError):
            raise Farewell(replies.GOODBYE) from None
        raise Farewell

    # The end.

    async def leave(self) -> None:
        """Take leave politely; the client goes on to another server."""
        self.leaving = True
        with suppress(PeerError, TimeoutError):
            async with asyncio.timeout(LEAVE_TIME):
                await self.upstream.ask(b"QUIT")

    def close(self, error: BaseException | None) -> None:
        """Close whatever is still open, and leave the records. *error*: why."""
        self._payloads.close(error)
        self._permits.close(error)
        self.upstream.close()
        self.upstream.stream.close()
        self.exchange.close(error)
        offer, self.offer = self.offer, None
        if offer is not None:
            offer.left()
