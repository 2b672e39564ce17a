"""A request for an ``http`` or ``https`` URL: to its server, and the reply back.

Not here: reading the request, and connections (upstream.py). Invariant: both messages
are written anew from what was understood of them; a reply that breaks off once its head
has gone is cut, and so is the request whose client breaks off.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable

from portway.errors import ParentError, PeerError, PortwayError, Refused
from portway.exchange import Exchange
from portway.model import Naming, Reason, Side
from portway.protocols.http import bodies
from portway.protocols.http.authority import Form
from portway.protocols.http.fields import (
    Origin,
    max_forwards,
    request_fields,
    response_fields,
    wants_trailers,
)
from portway.protocols.http.framing import (
    Body,
    Framing,
    format_request,
    format_response,
    response_body,
    wants_keep_alive,
)
from portway.protocols.http.methods import action_of, naming_of
from portway.protocols.http.pace import Alarm, Pace
from portway.protocols.http.refusal import METHODS
from portway.protocols.http.turn import Turn
from portway.protocols.http.upload import Upload, framing_for, with_what_is_here
from portway.protocols.http.upstream import Server, reach, tie
from portway.protocols.http.wire import BadMessage, ResponseHead

NO_REPLY = "no reply in time"
INTERIM = 16  # replies of 1xx that one request may have
TRIED_AGAIN = frozenset({"GET", "HEAD", "OPTIONS"})
PLAIN = frozenset({"GET", "HEAD"})  # whose fields do not depend on the method
TIED = (b"ntlm", b"negotiate")  # logins that belong to a connection: RFC 4559


Join = Callable[[ResponseHead], Awaitable[None]]


async def forward(turn: Turn, alarm: Alarm, naming: Naming | None = None) -> None:
    """Serve *turn*: whatever comes of it, the client has its answer, or was cut."""
    head = turn.head
    naming = naming or naming_of(turn.target.scheme)
    exchange = await turn.begin(action_of(head.method), naming)
    try:
        await Passage(turn, exchange, alarm).run()
    except PortwayError as error:
        await turn.refuse(error, exchange)
        exchange.close(error)
    except BaseException as error:
        exchange.close(turn.blamed(error))
        raise
    else:
        exchange.close()


class Passage:
    """One request on its way to one server, and the reply on its way back."""

    __slots__ = ("_alarm", "_awaits", "_exchange", "_server", "_turn", "_upload")

    def __init__(self, turn: Turn, exchange: Exchange, alarm: Alarm) -> None:
        self._turn = turn
        self._exchange = exchange
        self._alarm = alarm
        self._server: Server | None = None
        self._upload: Upload | None = None
        self._awaits = False  # a reply

    @property
    def asked(self) -> bool:
        """Whether a server was reached: it may have acted on the request."""
        return self._server is not None

    async def run(
        self, connection: tuple[bytes, ...] = (), join: Join | None = None
    ) -> None:
        """Ask the server, and pass its reply on. Raises what breaks it off.

        *connection* is as for `ask`; *join* then serves a 101, and all behind it.
        """
        if self._turn.house.edge.is_in(self._turn.head):
            raise Refused(Reason.LOOP)
        reusable: bool | None = None
        try:
            head = await self.ask(connection)
            if head.status == 101 and join is not None:
                await join(head)
                return
            reusable = await self.pass_reply(head)
        finally:
            try:
                await self._end_upload()
            finally:  # the client may leave just then
                self._part(reusable=reusable)

    @property
    def server(self) -> Server:
        """The connection that was made."""
        if self._server is None:
            raise RuntimeError("no server was reached")
        return self._server

    # The request.

    async def ask(self, connection: tuple[bytes, ...] = ()) -> ResponseHead:
        """Send the request; return the head of the final reply to it.

        *connection* goes into ``Connection``. Replies of 1xx are passed on, a 101 is
        returned where *connection* has ``upgrade``. Raises PeerError, BadMessage.
        """
        turn = self._turn
        self._server = await reach(turn, self._exchange)
        again = self._server.reused and turn.read and turn.head.method in TRIED_AGAIN
        try:
            return await self._ask_once(connection)
        except PeerError as error:
            if not again or error.side is not Side.SERVER or turn.answered:
                raise
            if error.reason is not Reason.GONE:
                raise
        self._server.stream.close()
        await self._end_upload()
        self._server = await reach(turn, self._exchange, fresh=True)
        return await self._ask_once(connection)

    async def _ask_once(self, connection: tuple[bytes, ...]) -> ResponseHead:
        turn, server = self._turn, self.server
        exchange = self._exchange
        body = await framing_for(turn)
        data = self._request(body, connection)
        if turn.here and not turn.read and not exchange.up.limited:
            data = await with_what_is_here(turn, exchange, data)
        try:
            await server.stream.send(data)
        except PeerError:  # it may have said why
            if turn.read and server.reused:
                raise
        if not turn.read:
            self._upload = Upload(turn, exchange, server.stream, self._expect_reply)
        return await self._final_head(upgrade=b"upgrade" in connection)

    def _request(self, body: Framing, connection: tuple[bytes, ...]) -> bytes:
        """Return the head of the request, written anew."""
        turn, house = self._turn, self._turn.house
        head, target, host = turn.head, turn.target, turn.target.authority
        headers = self._exchange.verdict.handling.headers
        plain = body.kind is Body.NONE and head.method in PLAIN and not connection
        plain = plain and not self.server.to_parent
        asked = host, headers, head.minor
        if plain and (lines := turn.recall.lines_for(head, asked)):
            return b"%b %b HTTP/1.1%b" % (head.method.encode(), target.path, lines)
        fields = request_fields(
            head,
            house.edge,
            host,
            Origin(str(turn.gate.address), host.decode(), target.scheme),
            headers=headers,
            without=house.own_fields,
            connection=connection,
        )
        path = target.path
        if self.server.to_parent:
            where = b"" if path == b"*" else path
            path = b"%b://%b%b" % (target.scheme.encode(), host, where)
            fields = (*fields, *self._parent_login())
        sent = format_request(head.method, path, fields, body)
        if plain:
            turn.recall.asked(head, asked, sent)
        return sent

    def _parent_login(self) -> tuple[tuple[bytes, bytes], ...]:
        parent = self._turn.house.parent
        if parent is None or parent.credentials is None:
            return ()
        pair = f"{parent.credentials.user}:{parent.credentials.password}"
        login = b"Basic " + b64encode(pair.encode())
        return ((b"Proxy-Authorization", login),)

    async def _end_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            await upload.stop()

    # The reply.

    async def _final_head(self, *, upgrade: bool) -> ResponseHead:
        turn, server = self._turn, self.server
        settings = turn.house.settings.upstream
        self._awaits = True
        if self._upload is None:
            self._expect_reply()
        try:
            for _ in range(INTERIM + 1):
                head = await server.read_head(turn.recall, tolerant=settings.tolerant)
                if head.status >= 200 or (head.status == 101 and upgrade):
                    self._learn(head)
                    return head
                await self._pass_interim(head)
        finally:
            self._awaits = False
            self._alarm.clear()
        raise BadMessage(Side.SERVER, 502, f"over {INTERIM} replies of 1xx")

    def _expect_reply(self) -> None:
        """The server has the whole request: its reply is due."""
        if self._awaits:
            seconds = self._turn.house.settings.upstream.reply_timeout
            self._alarm.set(seconds, self.server.stream, NO_REPLY, Reason.TIMEOUT)

    async def _pass_interim(self, head: ResponseHead) -> None:
        turn = self._turn
        if head.status == 101:
            raise BadMessage(Side.SERVER, 502, "it changes the protocol unasked")
        if head.status == 100:
            if not turn.expects:
                return  # the client did not ask
            turn.expects = False
        if turn.head.minor:
            fields = response_fields(head, turn.house.edge)
            await turn.send(format_response(head.status, head.words, fields))

    def _learn(self, head: ResponseHead) -> None:
        old = self._turn.house.old
        place = (self._turn.target.host, self._turn.target.port)
        if not head.minor or place in old:
            old.learn(place, old=not head.minor)

    async def pass_reply(self, head: ResponseHead) -> bool:
        """Pass the reply on; say whether the server's connection may be used again.

        Raises what breaks it off.
        """
        turn, exchange = self._turn, self._exchange
        if head.status == 407:
            raise self._asks_for_login()
        framing = response_body(head, turn.head.method)
        media = head.known.get(b"content-type")
        if media is not None:
            exchange.note(type=media[:256].decode("latin-1"))
        early = not turn.read
        unknown = framing.kind is Body.CHUNKED or framing.kind is Body.EOF
        turn.settle(head.status, None if unknown else framing.length)
        if early:
            turn.keeps = False
            if head.status >= 400:
                await self._end_upload()
        exchange.told(str(head.status))
        await self._pass_body(self._written(head, framing), framing)
        if self._upload is not None:
            await self._upload.wait()
        good = framing.reusable and wants_keep_alive(head)
        return good and not early and turn.read

    def _written(self, head: ResponseHead, framing: Framing) -> bytes:
        """Return the head of the reply, written anew."""
        turn = self._turn
        told = turn.head.method, turn.keeps, turn.head.minor
        if data := turn.recall.told_for(head, told):
            return data
        connection = b"close" if not turn.keeps else b"keep-alive"
        said = () if turn.keeps and turn.head.minor else (connection,)
        fields = response_fields(head, turn.house.edge, connection=said)
        whole = framing.kind is Body.NONE or framing.kind is Body.LENGTH
        framed = framing if whole else turn.sent
        data = format_response(head.status, head.words, fields, framed)
        turn.recall.told(head, told, data)
        return data

    def _asks_for_login(self) -> PortwayError:
        """Return what a 407 means: only the parent may ask, and that is for us."""
        parent = self._turn.house.parent
        if self.server.to_parent and parent is not None:
            words = "it refuses the login (407)"
            return ParentError(Reason.VIA, parent.at, "login", words)
        return BadMessage(Side.SERVER, 502, "a server asks for the proxy's login")

    async def _pass_body(self, data: bytes, framing: Framing) -> None:
        """Send *data*, the head, and the body behind it."""
        turn, exchange, source = self._turn, self._exchange, self.server.stream
        if framing.kind is Body.NONE or framing.length == 0:
            turn.answered = True
            await turn.send(data)
            return
        length = framing.length
        if framing.kind is Body.LENGTH and not exchange.down.limited:
            server = self.server
            first = await source.receive(length) if server.surplus else b""
            turn.answered = True
            await turn.send(data + first)
            exchange.down.moved(len(first))
            length -= len(first)
            if not length:
                return
            data = b""
        settings = turn.house.settings
        pace = Pace(
            source, turn.client, exchange.down, settings.stall, settings.min_rate
        )
        try:
            await self._pass_long_body(data, framing, length)
        finally:
            pace.close()

    async def _pass_long_body(self, data: bytes, framing: Framing, length: int) -> None:
        turn, exchange, source = self._turn, self._exchange, self.server.stream
        turn.answered = True
        if framing.kind is Body.LENGTH:
            if data:
                await turn.send(data)
            await bodies.pass_length(source, turn.client, exchange, length, up=False)
            return
        outlet = bodies.Outlet(
            turn.client,
            exchange.down,
            chunked=turn.sent.kind is Body.CHUNKED,
            head=data,
            trailers=wants_trailers(turn.head),
        )
        if framing.kind is Body.CHUNKED:
            await bodies.pass_chunked(source, outlet, exchange, up=False)
        else:
            await bodies.pass_to_end(source, outlet, exchange)

    def _part(self, *, reusable: bool | None) -> None:
        """Let the server's connection wait for another request, or end it.

        *reusable* is None where something is missing of the request, or of the reply.
        """
        server, turn = self._server, self._turn
        if server is None or server.stream.closed:
            return
        if reusable is None or not turn.read:
            server.stream.abort()
        elif not reusable:
            server.stream.close()
        else:
            if self._is_tied:
                tie(server, turn)
            self._exchange.services.idle.keep(server.key, server.stream, server.address)

    @property
    def _is_tied(self) -> bool:
        """Whether a login was given that belongs to the connection alone."""
        login = self._turn.head.known.get(b"authorization")
        return login is not None and login.lower().startswith(TIED)


async def options(turn: Turn) -> None:
    """Answer an OPTIONS that is for us: our own 200. RFC 9110, section 9.3.7."""
    turn.keeps = turn.keeps and turn.read
    await turn.answer(200, ((b"Allow", METHODS),), length=0)
    await turn.finish()


def is_for_us(turn: Turn) -> bool:
    """Say whether an OPTIONS may go no further."""
    if turn.head.method != "OPTIONS":
        return False
    return turn.target.form is Form.ASTERISK or max_forwards(turn.head) == 0
