"""One SOCKS client: what it asks for, and the answer.

Not here: what comes of a BIND (bind.py) or an association (udp.py), and what goes
through a tunnel. Invariant: the client hears yes only once the server's connection
stands, and at most one answer to its request.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from portway.errors import PeerError, PortwayError, ProtocolError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.lines import shown
from portway.model import Action, Credentials, Endpoint, Reason, Side
from portway.net.linger import linger
from portway.net.preface import format_1, format_2
from portway.net.stream import SocketStream
from portway.net.tls import start_tls
from portway.protocols.socks import bind, udp, wire
from portway.protocols.socks.house import House
from portway.protocols.socks.replies import (
    LOGIN_REFUSALS,
    End,
    answer_to,
    status_of,
)
from portway.protocols.socks.wire import Command, Reply, Reply4, Request
from portway.protocols.socks.within import Within
from portway.users.directory import Verification

T = TypeVar("T")
Read = Callable[[bytes], tuple[T, int] | None]

WORDS = 4096  # bytes that are asked for; longer than any dialogue
BEGINNING = 256  # bytes of what is no request that a record holds
LINGER = 2.0  # seconds for what a client still sends when it has its last answer
HELLO = 0x16  # how TLS begins
NOWHERE = Endpoint("0.0.0.0", 0)
FORMATS = {"v1": format_1, "v2": format_2}
METHODS: dict[int, str] = {
    Command.CONNECT: "CONNECT",
    Command.BIND: "BIND",
    Command.ASSOCIATE: "ASSOCIATE",
}
_LOGIN = re.compile(r"//[^/@\s]*@")


class Session:
    """The dialogue with one client; *house* is what its door is made of."""

    __slots__ = (
        "_asked",
        "_early",
        "_error",
        "_main",
        "_secret",
        "_until",
        "claimed",
        "gate",
        "house",
        "stream",
        "told",
        "version",
    )

    def __init__(self, house: House, stream: SocketStream, gate: Gate) -> None:
        self.house = house
        self.stream = stream
        self.gate = gate
        gate.parent = house.parent
        gate.tells = self.status
        self.version = wire.VERSION_5
        self.claimed = ""  # a name that proves nothing
        self.told = False  # nothing more is to be said: bytes may move
        self._asked = False  # its request is known
        self._early = False  # more has come than the request
        self._secret = False  # there is a login in what it says
        self._main: asyncio.Task[None] | None = None
        self._error: PortwayError | None = None  # what ends it from outside
        self._until = 0.0  # when the request has to be there, in the loop's time

    async def run(self) -> None:
        """Serve the client's one request; the stream is closed then."""
        self._main = asyncio.current_task()
        self.gate.on_end(self.end)
        try:
            await self._serve()
        except asyncio.CancelledError:
            if self._error is None or self._main is None:
                self.stream.abort()
                raise
            self._main.uncancel()
            await self._part(self._error)
        except PortwayError as error:
            await self._part(error)
        finally:
            self.gate.close()

    def end(self, error: PortwayError) -> None:
        """End the session because of *error*, if nothing has ended it yet."""
        if self._error is None and self._main is not None:
            self._error = error
            self._main.cancel()

    def why(self, error: BaseException) -> BaseException:
        """Return what has ended the session, where *error* is only how."""
        return self._error or error

    def status(self, error: PortwayError) -> str:
        """Return what the client is told of *error*, for the record."""
        if not self._asked and self.version == wire.VERSION_5:
            if error.reason is Reason.LOGIN:
                return f"{wire.NONE_SUITS:02X}"
            if error.reason in LOGIN_REFUSALS:
                return f"{LOGIN_REFUSALS[error.reason]:02}"
        return status_of(error, self.version)

    async def _serve(self) -> None:
        if self.house.settings.tls == "implicit":
            await self._go_inside_tls()
        request = await self._dialogue()
        if request is None:
            return
        self.stream.on_hangup = self._hung_up
        if request.command == Command.CONNECT:
            await self._connect(request)
        elif request.command == Command.BIND:
            await bind.serve(self, request)
        else:
            await udp.serve(self, request)

    async def _go_inside_tls(self) -> None:
        context = self.house.contexts.accept
        if context is None:
            raise RuntimeError("TLS was asked for, and nothing says how")
        self.stream = self.gate.stream = await start_tls(
            self.stream, context, server_side=True, tickets=False
        )

    def _hung_up(self) -> None:
        """The client is gone; if it has said more than its request, it may listen."""
        if not self._early:
            self.end(PeerError(Side.CLIENT, "the client closed the connection"))

    # What the client says until its request is known.

    async def _dialogue(self) -> Request | None:
        """Return the request; None: the client has left, or was told off."""
        data = b""
        now = asyncio.get_running_loop().time()
        self._until = now + self.house.settings.head_time
        self.gate.begin_wait(self.house.settings.head_time)
        try:
            data = await self.stream.receive(WORDS)
            if not data:
                self.stream.close()
                return None
            request, data = await self._request(data)
        except ProtocolError as error:
            await self._refuse_bad(error, data)
            return None
        finally:
            self.gate.end_wait()
        self._asked = True
        if data:
            self._early = True
            self.stream.unread(data)
        if self.version == wire.VERSION_4 and self.house.login == "required":
            refused = Refused(Reason.LOGIN)
            self.gate.leave(refused, "LOGIN", request.user)
            raise refused
        if not self._knows(request.command):
            text = f"no command that is served: {request.command}"
            unknown = ProtocolError(Side.CLIENT, text, Reason.UNSUPPORTED)
            self.gate.leave(unknown, METHODS.get(request.command, "-"))
            raise unknown
        return request

    def _knows(self, command: int) -> bool:
        if command == Command.ASSOCIATE:
            return self.version == wire.VERSION_5 and self.house.settings.udp
        return command in {Command.CONNECT, Command.BIND}

    async def _request(self, data: bytes) -> tuple[Request, bytes]:
        """Return the request, of which *data* has come, and what is behind it."""
        if data[0] == wire.VERSION_4:
            self.version = wire.VERSION_4
            request, data = await self._read(wire.read_request_4, data)
            self.claimed = request.user
            return request, data
        if data[0] != wire.VERSION_5:
            words = "TLS" if data[0] == HELLO else "no SOCKS"
            raise ProtocolError(Side.CLIENT, f"it speaks {words}")
        offered, data = await self._read(wire.read_greeting, data)
        method = wire.choose_method(self.house.login, offered)
        self._secret = wire.PASSWORD in offered  # it may say it without being asked
        await self.stream.send(bytes((wire.VERSION_5, method)))
        if method == wire.NONE_SUITS:
            refused = Refused(Reason.LOGIN)
            self.gate.leave(refused, "LOGIN")
            raise refused
        if method == wire.PASSWORD:
            self._secret = True
            credentials, data = await self._read(wire.read_login, data)
            await self._log_in(credentials)
        return await self._read(wire.read_request, data)

    async def _read(self, read: Read[T], data: bytes) -> tuple[T, bytes]:
        """Return what *read* finds at the front of *data*, and the rest of it."""
        while (found := read(data)) is None:
            more = await self.stream.receive(WORDS)
            if not more:
                text = "it ended in the middle of its request"
                raise PeerError(Side.CLIENT, text)
            data += more
        return found[0], data[found[1] :]

    async def _log_in(self, credentials: Credentials) -> None:
        """Let the client in, or raise what it is to be refused with."""
        gate = self.gate
        if self.house.login == "none":
            self.claimed = shown(credentials.user.encode(errors="surrogateescape"))
            await self.stream.send(wire.LOGIN_TAKEN)
            return
        gate.end_wait()
        self.stream.on_hangup = self._hung_up
        verification = await gate.login(credentials)
        if verification is Verification.UNKNOWN:
            await gate.refuse_unknown(credentials.user)
        if verification is not Verification.OK:
            raise Refused(Reason.LOGIN_WRONG)
        self.stream.on_hangup = None
        left = self._until - asyncio.get_running_loop().time()
        gate.begin_wait(max(left, 1.0))
        await self.stream.send(wire.LOGIN_TAKEN)

    async def _refuse_bad(self, error: ProtocolError, data: bytes) -> None:
        """Record what is no request, and tell a client that took us for a web proxy."""
        web = chr(data[0]).isascii() and chr(data[0]).isalpha()
        said = ""
        if not self._secret:
            line = data.partition(b"\r\n")[0] if web else data
            said = ": " + _LOGIN.sub("//", shown(line[:BEGINNING]))
        left = ProtocolError(error.side, error.text + said, error.reason)
        tells, self.gate.tells = self.gate.tells, lambda _: "400" if web else ""
        if answer_to(error) is Reply.ADDRESS_UNSUPPORTED:
            self._asked = True
            self.gate.tells = lambda _: self.status(error)
        self.gate.leave(left, "-")
        self.gate.tells = tells
        if web:
            await self.stream.send(self._not_here())
            await self._close()
        else:
            await self._part(error)

    def _not_here(self) -> bytes:
        """Return what a client of HTTP is told, who came to the wrong port."""
        at = self.stream.local
        text = f"This is a SOCKS proxy: use it as socks5h://{at}"
        for web in self.gate.services.places.get("http", ()):
            host = web.host
            if web.address is not None and web.address.is_unspecified:
                host = at.host
            text += f"\nThe HTTP proxy is at {Endpoint(host, web.port)}"
        body = f"{text}\n".encode()
        return (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    # What it asks for.

    async def _connect(self, request: Request) -> None:
        gate, at = self.gate, request.at
        exchange = await gate.begin(Action.CONNECT, at, method="CONNECT")
        self.claims(exchange)
        try:
            server = await self._reach(exchange)
            try:
                await self.say(Reply.SUCCEEDED, self._shown(server.local))
                exchange.told(self.yes)
                within, redial = self.begin_relay(), partial(self._reach, exchange)
                await within.join(gate, exchange, self.stream, server, redial)
                self.close(server)
            except BaseException:
                server.abort()
                raise
        except BaseException as error:
            self.blame(exchange, error)
            raise
        exchange.close()

    def _shown(self, local: Endpoint) -> Endpoint:
        return NOWHERE if self.house.settings.hide_address else local

    async def _reach(self, exchange: Exchange) -> SocketStream:
        upstream = self.house.settings.upstream
        server = await exchange.connect(
            source=upstream.address, seconds=upstream.connect_timeout
        )
        try:
            await self._introduce_client(server)
        except BaseException:
            server.abort()
            raise
        return server

    async def _introduce_client(self, server: SocketStream) -> None:
        """Tell the server whom we connect for, where it expects that."""
        form = FORMATS.get(self.house.settings.upstream.proxy_protocol)
        if form is not None:
            visitor = self.gate.visitor
            called = visitor.called or self.stream.local
            await server.send(form(visitor.client, called))

    def begin_relay(self) -> Within:
        """Take note that bytes may move; return what lets them."""
        self.stream.on_hangup = None
        self.told = True
        return self.house.within

    def close(self, server: SocketStream) -> None:
        """Close both ends of a tunnel, both of which have ended."""
        server.close()
        self.stream.close()

    # Answers.

    @property
    def yes(self) -> str:
        """What a record says of a request that was granted."""
        return str(int(Reply4.GRANTED)) if self.version == wire.VERSION_4 else "00"

    async def say(self, reply: Reply, at: Endpoint = NOWHERE) -> None:
        """Answer the request."""
        if self.version == wire.VERSION_4:
            granted = reply is Reply.SUCCEEDED
            code = Reply4.GRANTED if granted else Reply4.REJECTED
            words = wire.format_reply_4(code, at)
        else:
            words = wire.format_reply(reply, at)
        await self.stream.send(words)

    def claims(self, exchange: Exchange) -> None:
        """Let the record tell who the client says it is, where that proves nothing."""
        if self.claimed:
            exchange.note(claimed=self.claimed)

    def blame(self, exchange: Exchange, error: BaseException) -> None:
        """Close *exchange*, which *error* broke off."""
        why = self.why(error)
        if isinstance(why, PortwayError):
            exchange.told(self.status(why))
        exchange.close(why)

    async def _part(self, error: PortwayError) -> None:
        """End the session with *error*, told to the client if that still can be."""
        stream = self.stream
        if stream.closed:
            return
        stream.resume()
        answer = answer_to(error)
        if self.told or answer is End.RESET:
            stream.abort()
            return
        if not self._asked and self.version == wire.VERSION_5:
            code = LOGIN_REFUSALS.get(error.reason)
            if code is not None:
                await stream.send(bytes((wire.LOGIN_VERSION, code)))
        elif isinstance(answer, Reply):
            with suppress(PortwayError):
                await self.say(answer)
        await self._close()

    async def _close(self) -> None:
        """Close behind the last answer, once the client has had time to read it."""
        with suppress(PortwayError):
            await self.stream.send_eof()
        linger(self.stream, LINGER)
