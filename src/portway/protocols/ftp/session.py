"""One FTP client, from its connection to its end.

The session reads the client's commands one after another and says who deals with each:
the login, the server that was reached, or the gateway itself.

Not here: dialects and logins (login.py), what goes on with a server (visit.py).
Invariant: whatever ends a session, it ends once, with one farewell at most, and leaves
no task, socket or exchange behind.
"""

import asyncio
from typing import TYPE_CHECKING

from portway.errors import PeerError, Refused
from portway.gate import Gate
from portway.lines import BadLine, shown
from portway.model import Credentials, Reason, Side
from portway.net.deadline import Deadline
from portway.net.stream import SocketStream
from portway.protocols.ftp import answers, replies, servertls
from portway.protocols.ftp.arrival import Arrivals
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.desk import Desk, Farewell, Replay, State, Target
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.farewell import last_words
from portway.protocols.ftp.fixed import Unreached
from portway.protocols.ftp.greeting import Greeting
from portway.protocols.ftp.house import House
from portway.protocols.ftp.login import Login
from portway.protocols.ftp.payloads import Parties
from portway.protocols.ftp.protection import Protection
from portway.protocols.ftp.securing import is_about_tls, secure
from portway.protocols.ftp.upstream import ServerClosing
from portway.protocols.ftp.visit import Visit
from portway.protocols.ftp.wire import Command, parse_command
from portway.users.directory import Verification

REPLAY_AFTER = 0.3  # seconds of silence, then a kept login is replayed
NO_REPLAY = {"USER", "REIN", "QUIT", "OPEN"}
REFUSALS = 3  # of proxy logins in a row; then the client must connect again
LAST_WORDS = 1.0  # seconds for what a server still says when it is gone
NO_COMMANDS = 64  # lines in a row that are none: no client, and no person, sends them


class Session:
    """The dialogue with one client."""

    __slots__ = (
        "_client",
        "_clock",
        "_error",
        "_gate",
        "_house",
        "_login",
        "_main",
        "_noise",
        "_reader",
        "_refused",
        "_tasks",
        "_visit",
        "_waiting",
    )

    def __init__(self, house: House, stream: SocketStream, gate: Gate) -> None:
        self._house = house
        self._gate = gate
        gate.parent = house.parent
        protection = Protection(house.ways.settings, house.contexts)
        self._client = Client(stream, gate, house.ways.settings.idle, protection)
        self._tasks = asyncio.TaskGroup()
        self._login = Login(
            self,
            house.methods,
            house.login,
            fixed=house.leads,
            port=house.ways.settings.upstream.default_port,
        )
        self._waiting = answers.Waiting(house.methods, protection.features)
        self._visit: Visit | None = None
        self._reader: asyncio.Task[None] | None = None  # reads the server
        self._main: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._refused = 0  # proxy logins since the last right one
        self._noise = 0  # lines since the last command
        self._clock = Deadline(self._login_took_too_long)

    async def run(self) -> None:
        """Serve the client until one of us has enough; the stream is closed then."""
        moving = False
        try:
            async with self._tasks:
                try:
                    await self._until_the_end()
                finally:
                    moving = self._visit is not None and self._visit.moving
                    self._close()
        except asyncio.CancelledError:
            await self._client.part(replies.closing(self._house.name))
            raise
        else:
            await self._client.part(
                last_words(self._error, self._house.name, moving=moving)
            )

    async def _until_the_end(self) -> None:
        """Serve commands until `_error` says why no more."""
        self._main = asyncio.current_task()
        self._gate.on_end(self._end)
        self._clock.set(self._house.ways.settings.login_time)
        self._client.stream.on_hangup = self._hung_up
        try:
            await self._welcome()
            while True:
                armed = self._login.server.replay is Replay.ARMED
                try:
                    line = await self._client.next(REPLAY_AFTER if armed else None)
                except TimeoutError:
                    await self._login.server.run_replay()
                else:
                    await self._serve(line)
        except asyncio.CancelledError:
            if self._error is None or self._main is None:
                raise
            self._main.uncancel()
        except Exception as error:  # noqa: BLE001 - what it was decides the farewell
            self._error = self._error or error
            await self._hear_server_out()

    async def _welcome(self) -> None:
        """Greet the client, or let the server do so that it came for."""
        if self._client.protection.implicit:
            await self._client.start_tls()
        if self._house.early:
            await self._login.enter()
        else:
            await self._client.tell(self._house.ready)

    async def _hear_server_out(self) -> None:
        """A server that was lost may have said why; its reader passes that on."""
        error, reader = self._error, self._reader
        if isinstance(error, PeerError) and error.side is Side.SERVER and reader:
            await asyncio.wait({reader}, timeout=LAST_WORDS)

    # What ends it from outside.

    def _end(self, error: Exception) -> None:
        """End the session because of *error*, if nothing has ended it yet."""
        if self._error is None and self._main is not None:
            self._error = error
            self._main.cancel()
        elif isinstance(error, ServerClosing):
            self._error = error  # it says more than a connection that broke

    def _hung_up(self) -> None:
        self._end(PeerError(Side.CLIENT, "the client closed the connection"))

    def _login_took_too_long(self) -> None:
        text = "the login took too long"
        self._end(PeerError(Side.CLIENT, text, Reason.TIMEOUT))

    async def _read_server(self, visit: Visit) -> None:
        try:
            await visit.upstream.pass_replies_on()
        except PeerError as error:
            if not visit.leaving:
                self._end(error)
        except Exception as error:  # noqa: BLE001 - it is told in the farewell
            self._end(error)

    def _close(self) -> None:
        self._clock.close()
        self._client.close()
        if self._reader is not None:
            self._reader.cancel()
        if self._visit is not None:
            error = self._error
            if isinstance(error, ServerClosing):
                error = PeerError(Side.SERVER, "the server said 421")
            self._visit.close(None if isinstance(error, Farewell) else error)
        self._gate.close()

    # Commands.

    async def _serve(self, line: Command | BadLine) -> None:
        self._bear_with(line)
        if line is BadLine.TOO_LONG:
            await self.tell(replies.LINE_TOO_LONG)
        elif line is BadLine.CONTROL:
            await self.tell(replies.CONTROL_REFUSED)
        elif isinstance(line, Command):
            await self._dispatch(line)

    def _bear_with(self, line: Command | BadLine) -> None:
        """Count lines that are no command; the client that sends no other must go."""
        if isinstance(line, Command) and line.verb:
            self._noise = 0
            return
        self._noise += 1
        if self._noise > NO_COMMANDS:
            raise Farewell(replies.NO_COMMANDS)

    async def _dispatch(self, command: Command) -> None:
        if not await self._gate.renew():
            raise Farewell(replies.LOGIN_OVER)
        login = self._login
        if login.state is State.HELD and await login.command(command):
            return  # AUTH is a proxy login there
        answer = answers.everywhere(command)
        if answer is not None:
            await self.tell(answer)
            return
        if await self._secure(command):
            return
        if self._client.protection.due and command.verb != "REIN":
            await self._without_server(command)
            return
        if login.server.replay is Replay.ARMED and command.verb not in NO_REPLAY:
            await login.server.run_replay()
        if await login.command(command):
            return
        if self._visit is not None:
            await self._with_server(self._visit, command)
        else:
            await self._without_server(command)

    async def _with_server(self, visit: Visit, command: Command) -> None:
        no = self.unfit(command)
        if no is not None:
            await self.tell(no)
            return
        self._login.server.heard = True
        await visit.command(command)

    async def _secure(self, command: Command) -> bool:
        """Serve what is about the client's side alone; say whether it was that."""
        if not is_about_tls(command, self._client.protection):
            return False
        if await secure(command, self._client, self._login, self):
            self._waiting.forget()
        if self._visit is not None:
            self._visit.exchange.note(**self._client.protection.facts)
        return True

    async def _without_server(self, command: Command) -> None:
        if command.verb == "QUIT":
            raise Farewell(replies.GOODBYE)
        answer = self._waiting.answer(command)
        if answer is None:
            held = self._login.state is State.HELD
            leads = self._house.leads
            first = replies.SEND_LOGIN if leads else replies.NAME_THE_SERVER
            answer = replies.SEND_AUTH_FIRST if held else first
        await self.tell(answer)

    # What a login asks for: see Desk.

    async def tell(self, text: bytes) -> None:
        """Send a reply of the gateway's own, in its turn."""
        if self._visit is None:
            await self._client.tell(text)
        else:
            await self._visit.upstream.answer(text)

    async def settled(self) -> None:
        """Wait until no reply of a server's is due."""
        if self._visit is not None:
            await self._visit.upstream.settled()

    async def verify(self, user: bytes, password: bytes) -> Verification:
        """Check a proxy login; a wrong password leaves its record by itself."""
        credentials = Credentials(shown(user), password.decode("utf-8", "replace"))
        try:
            verified = await self._gate.login(credentials)
        except Refused as refused:
            raise Farewell(replies.login_impossible(refused)) from None
        if verified is Verification.OK:
            self._refused = 0
        return verified

    async def refuse_login(self, unknown: bytes | None) -> None:
        """Tell the client that its proxy login is refused."""
        if unknown is not None:
            await self._gate.refuse_unknown(shown(unknown))
        self._refused += 1
        if self._refused == REFUSALS:
            raise Farewell(replies.THREE_REFUSED)
        await self.tell(replies.LOGIN_REFUSED)

    async def knows(self, user: bytes) -> bool:
        """Say whether *user* may be an account."""
        return await self._gate.knows(shown(user))

    def forget_login(self) -> None:
        """Forget who the client is to the proxy."""
        self._gate.log_out()

    async def reach(self, target: Target) -> Greeting | None:
        """Connect to a server; None: the client was told why not."""
        arrivals = Arrivals(
            self._house, self._gate, self._client, self._blamed, self._tasks
        )
        try:
            arrival = await arrivals.reach(target)
        except Unreached as no:
            await self.tell(no.text)
            return None
        upstream, exchange = arrival.upstream, arrival.exchange
        parties = Parties(
            self._client,
            self._gate,
            self._house.ways,
            exchange,
            upstream,
            self._tasks,
        )
        exchange.note(**self._client.protection.facts)
        self._visit = Visit(parties, arrival.offer)
        self._reader = self._tasks.create_task(self._read_server(self._visit))
        for line in self._waiting.before_login(exchange.access.host):
            if self.unfit(parse_command(line)) is None:
                await upstream.ask(line)
        return arrival.greeting

    def _blamed(self, error: BaseException) -> BaseException:
        """Return what ends the session, if it is that which *error* comes of."""
        return self._error or error

    def unfit(self, command: Command, code: int = 0) -> bytes | None:
        """Return why *command* must not be sent: there, it might name a server."""
        return self._house.manner.unfit(command, self._login.state, code)

    async def ask(self, line: bytes) -> Reply:
        """Send the server a command of the login's."""
        visit = self._server()
        await visit.upstream.settled()
        manner = self._house.manner
        answer = await manner.ask(visit.upstream, visit.exchange, line)
        if answer.code >= 400:
            visit.login_refused(answer.code)
        elif answer.good:
            await self._protect()
        return answer

    async def relay(self, line: bytes, greeting: Greeting | None) -> int:
        """Send the server the client's USER, PASS or ACCT; return the final code."""
        visit = self._server()
        await visit.upstream.settled()
        manner, upstream = self._house.manner, visit.upstream
        words = upstream, visit.exchange, line, greeting
        if upstream.secured is None:
            code = await manner.relay(*words)
        else:
            code = await servertls.relay_login(*words, manner, self._protect)
        if code >= 400:
            visit.login_refused(code)
        return code

    async def _protect(self) -> None:
        """The server has taken a login: let it protect the data that follow."""
        visit, wanted = self._server(), self._house.ways.settings.upstream
        private = self._client.protection.private
        await servertls.protect_data(
            visit.upstream, visit.exchange, wanted, private=private
        )

    def _server(self) -> Visit:
        if self._visit is None:
            raise RuntimeError("no server is connected")
        return self._visit

    async def drop_server(self) -> None:
        """Take leave of the server, if there is one."""
        visit, reader = self._visit, self._reader
        if visit is None or reader is None:
            return
        await visit.upstream.settled()
        await visit.leave()
        reader.cancel()
        await asyncio.wait({reader})
        self._visit = self._reader = None
        visit.close(None)

    async def logged_in(self, user: bytes, address: bytes) -> None:
        """The server has taken the login: say to it what the client said before."""
        self._clock.close()
        visit = self._server()
        await visit.logged_in(user, address)
        for line in self._waiting.after_login():
            if self.unfit(parse_command(line)) is None:
                await visit.upstream.ask(line)


if TYPE_CHECKING:
    _: type[Desk] = Session
