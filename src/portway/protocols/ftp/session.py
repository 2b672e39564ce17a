"""One FTP client, from its connection to its end.

The session reads the client's commands one after another and says who deals with each:
the login, the server that was reached, or the gateway itself.

Not here: dialects and logins (login.py), what goes on with a server (visit.py).
Invariant: whatever ends a session, it ends once, with one farewell at most, and leaves
no task, socket or exchange behind.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portway.errors import PeerError, PortwayError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.lines import BadLine, shown
from portway.model import Action, Credentials, Outcome, Reason, Side
from portway.net.deadline import Deadline
from portway.net.linger import linger
from portway.net.stream import SocketStream
from portway.protocols.ftp import answers, replies
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.desk import Desk, Farewell, Replay, State, Target
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.farewell import last_words
from portway.protocols.ftp.greeting import Greeting, login_rewrite
from portway.protocols.ftp.legs import Ways, source_for
from portway.protocols.ftp.login import Login
from portway.protocols.ftp.payloads import Parties
from portway.protocols.ftp.upstream import ServerClosing, Upstream, verb_of
from portway.protocols.ftp.visit import Visit
from portway.protocols.ftp.wire import Command, reply
from portway.users.directory import Verification

REPLAY_AFTER = 0.3  # seconds of silence, then a kept login is replayed
NO_REPLAY = {"USER", "REIN", "QUIT", "OPEN"}
REFUSALS = 3  # of proxy logins in a row; then the client must connect again
FAREWELL_TIME = 1.0  # seconds for a farewell to go out
LAST_WORDS = 1.0  # seconds for what a server still says when it is gone
LINGER = 2.0
NO_COMMANDS = 64  # lines in a row that are none: no client, and no person, sends them


@dataclass(frozen=True, slots=True)
class House:
    """What all sessions of one listener share; *name* is the gateway's."""

    name: str
    login: str
    methods: tuple[str, ...]
    ready: bytes
    ways: Ways


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
        self._client = Client(stream, gate, house.ways.settings.idle)
        self._login = Login(self, house.methods, house.login)
        self._waiting = answers.Waiting(house.methods)
        self._visit: Visit | None = None
        self._reader: asyncio.Task[None] | None = None  # reads the server
        self._tasks = asyncio.TaskGroup()
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
            await self._say(replies.closing(self._house.name))
            raise
        else:
            await self._say(last_words(self._error, self._house.name, moving=moving))

    async def _until_the_end(self) -> None:
        """Serve commands until `_error` says why no more."""
        self._main = asyncio.current_task()
        self._gate.on_end(self._end)
        self._clock.set(self._house.ways.settings.login_time)
        self._client.stream.on_hangup = self._hung_up
        try:
            await self._client.tell(self._house.ready)
            while True:
                await self._serve_one()
        except asyncio.CancelledError:
            if self._error is None or self._main is None:
                raise
            self._main.uncancel()
        except Exception as error:  # noqa: BLE001 - what it was decides the farewell
            self._error = self._error or error
            await self._hear_server_out()

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

    async def _say(self, words: bytes) -> None:
        """Send the farewell, and close so that the client gets to see it."""
        stream = self._client.stream
        if words:
            stream.resume()
            with suppress(PortwayError, TimeoutError):
                async with asyncio.timeout(FAREWELL_TIME):
                    await self._client.tell(words)
                    await stream.send_eof()
                linger(stream, LINGER)
                return
        stream.close()

    # Commands.

    async def _serve_one(self) -> None:
        armed = self._login.server.replay is Replay.ARMED
        try:
            line = await self._client.next(REPLAY_AFTER if armed else None)
        except TimeoutError:
            await self._login.server.run_replay()
            return
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
        if login.server.replay is Replay.ARMED and command.verb not in NO_REPLAY:
            await login.server.run_replay()
        if await login.command(command):
            return
        if self._visit is not None:
            await self._visit.command(command)
        else:
            await self._without_server(command)

    async def _without_server(self, command: Command) -> None:
        if command.verb == "QUIT":
            raise Farewell(replies.GOODBYE)
        answer = self._waiting.answer(command)
        if answer is None:
            held = self._login.state is State.HELD
            answer = replies.SEND_AUTH_FIRST if held else replies.NAME_THE_SERVER
        await self.tell(answer)

    # What a login asks for: see Desk.

    async def tell(self, text: bytes) -> None:
        """Send a reply of the gateway's own, in its turn."""
        if self._visit is None:
            await self._client.tell(text)
        else:
            await self._visit.upstream.answer(text)

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
        exchange: Exchange | None = None
        try:
            exchange = await self._gate.begin(
                Action.CONNECT, target.place, method="CONNECT"
            )
            return await self._connect(exchange)
        except PortwayError as error:
            if exchange is not None:
                exchange.close(error)
            text = replies.not_reached(error, target.place.host)
            if text.startswith(b"421"):
                raise Farewell(text) from None
            await self.tell(text)
            return None
        except BaseException as error:
            if exchange is not None:
                exchange.close(self._error or error)
            raise

    async def _connect(self, exchange: Exchange) -> Greeting | None:
        """Connect, hear the greeting, and begin the visit, or tell the client."""
        settings = self._house.ways.settings
        stream = await exchange.connect(
            source=source_for(settings), seconds=settings.upstream.connect_timeout
        )
        upstream = Upstream(stream, self._client.tell, settings.upstream.reply_timeout)
        try:
            greeting = await upstream.greeting()
            if greeting.code >= 300:
                exchange.end(
                    Outcome.FAILED, status=str(greeting.code), side=Side.SERVER
                )
                exchange.close()
                stream.close()
                upstream.close()
                await self._tell_refusal(greeting)
                return None
        except BaseException:
            upstream.close()
            stream.close()
            raise
        self._visit = Visit(
            Parties(
                self._client,
                self._gate,
                self._house.ways,
                exchange,
                upstream,
                self._tasks,
            )
        )
        self._reader = self._tasks.create_task(self._read_server(self._visit))
        for line in self._waiting.before_login(exchange.access.host):
            await upstream.ask(line)
        return Greeting(greeting.text, hidden=settings.greeting == "hide")

    async def _tell_refusal(self, greeting: Reply) -> None:
        """Tell the client that a server greeted us with a refusal."""
        words = shown(greeting.words)
        if greeting.code >= 500:
            await self.tell(reply(530, words))
        else:
            raise Farewell(reply(421, words))

    async def ask(self, line: bytes) -> Reply:
        """Send the server a command of the login's."""
        visit = self._server()
        await visit.upstream.settled()
        answer = await visit.upstream.ask(line)
        if answer.code >= 400:
            visit.login_refused(answer.code)
        return answer

    async def relay(self, line: bytes, greeting: Greeting | None) -> int:
        """Send the server the client's USER, PASS or ACCT; return the final code."""
        visit = self._server()
        await visit.upstream.settled()
        rewrite = login_rewrite(verb_of(line), greeting)
        code = await visit.upstream.relay(line, rewrite)
        if code >= 400:
            visit.login_refused(code)
        return code

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
            await visit.upstream.ask(line)


if TYPE_CHECKING:
    _: type[Desk] = Session
