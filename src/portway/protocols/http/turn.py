"""One request of an HTTP client, and the one answer that it gets.

Not here: what is done about it (forward.py, ftp_urls.py, tunnel.py), and the
connection that it came on (session.py). Invariant: an answer is begun once, and one
that cannot be ended whole is cut, so that it never looks whole.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from email.utils import formatdate

from portway.errors import PeerError, PortwayError
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import NO_FACTS, Action, Naming, Reason, Side
from portway.net.stream import CHUNK, SocketStream, Stream
from portway.protocols.http import bodies, pages
from portway.protocols.http.answers import answer_to, phrase, words_of
from portway.protocols.http.authority import Target
from portway.protocols.http.chunks import chunk, last_chunk
from portway.protocols.http.facts import facts_of
from portway.protocols.http.framing import (
    CHUNKED,
    NO_BODY,
    UNTIL_EOF,
    Body,
    Framing,
    expects_continue,
    format_response,
    request_body,
    wants_keep_alive,
)
from portway.protocols.http.house import House
from portway.protocols.http.methods import action_of
from portway.protocols.http.pace import Pace, send_in_time
from portway.protocols.http.places import Place, judge_name
from portway.protocols.http.recall import Recall
from portway.protocols.http.refusal import answer_for, because_of, fields_of
from portway.protocols.http.second import judge
from portway.protocols.http.wire import RequestHead
from portway.relay.meter import Meter

Fields = Iterable[tuple[bytes, bytes]]  # names and values, as they go on the wire

DROPPED = 65536  # bytes of a body that nobody wants, so that the connection may stay
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Turn:
    """One request, and its answer.

    *head* is the request's, *target* what it asks for. What came behind the head,
    *here* bytes, was given back to *client*, the connection. *answered*: bytes of an
    answer have gone. *keeps*: the connection may serve another request behind this one.
    *place* says where to go, if the target does not. *recall* is of the turns before.
    """

    __slots__ = (
        "_left",
        "_pending",
        "answered",
        "body",
        "client",
        "error",
        "expects",
        "facts",
        "gate",
        "head",
        "here",
        "house",
        "keeps",
        "place",
        "read",
        "recall",
        "sent",
        "status",
        "target",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what the session knows of a request
        self,
        house: House,
        gate: Gate,
        client: SocketStream,
        head: RequestHead,
        target: Target,
        here: int = 0,
        recall: Recall | None = None,
    ) -> None:
        self.house = house
        self.gate = gate
        self.client = client
        self.head = head
        self.target = target
        self.here = here
        self.recall = recall or Recall()
        self.place: Place | None = None
        self.facts = NO_FACTS  # of where it came from
        self.body: Framing = request_body(head)
        self.read = self.body.kind is Body.NONE or self.body.length == 0
        self.keeps = wants_keep_alive(head)
        self.answered, self.status = False, 0
        self.error: PortwayError | None = None  # what ended it from outside
        self.sent: Framing = NO_BODY  # how the body of the answer is framed
        self.expects = expects_continue(head)  # the client does, a 100
        self._left = 0  # bytes of the answer that were promised and not sent
        self._pending = b""  # its head, until there is something to go with it

    # The exchange.

    async def begin(
        self, action: Action, naming: Naming, *, method: str = "", word: str = ""
    ) -> Exchange:
        """Ask the policy about it. Raises as `Gate.begin` does, and Refused, PORT.

        *word* is for the door's list of ports: a scheme, or ``connect``. The exchange
        is the caller's to close, with what is `blamed`.
        """
        target, place = self.target, self.place
        exchange = await self.gate.begin(
            action,
            target.endpoint if place is None else place.endpoint,
            method=method or self.head.method,
            resource=target.view,
            naming=naming,
            facts={**self.facts, **facts_of(self.head)},
        )
        try:
            if place is None:
                self.house.ports.check(word or target.scheme, exchange)
            elif place.unproven:
                exchange.note(host_unproven=place.unproven)
                judge_name(exchange, place.unproven)
            judge(exchange, self.head, target)
        except BaseException as error:
            if isinstance(error, PortwayError):
                error.record = exchange.id
                exchange.told(str(answer_to(error).status))
            exchange.close(error)
            raise
        return exchange

    def blamed(self, error: BaseException) -> BaseException:
        """Return what ended it, if that is what *error* comes of."""
        if isinstance(error, asyncio.CancelledError) and self.error is not None:
            return self.error
        return error

    # The request's body.

    @property
    def length(self) -> int | None:
        """The bytes of the request's body, 0: it has none, None: nobody knows."""
        return None if self.body.kind is Body.CHUNKED else max(self.body.length, 0)

    @property
    def waits(self) -> bool:
        """Whether the client waits for a 100 before it sends the body."""
        return self.expects and not self.read and not self.here

    async def go_on(self) -> None:
        """Tell a client that waits for it to send the body. Raises PeerError."""
        if self.waits:
            await self.send(CONTINUE)
        self.expects = False

    async def read_into(self, sink: Stream, exchange: Exchange) -> int:
        """Move the request's body, decoded, to *sink*; return its bytes.

        They are counted, and limited, as *exchange*'s bytes up. A client that waits for
        a 100 gets it now. The sink is not ended. Raises PeerError with the side that
        failed, ProtocolError for bad framing: then the body is not whole.
        """
        if self.read:
            return 0
        await self.go_on()
        pace = self._pace(self.client, sink, exchange.up)
        try:
            if self.body.kind is Body.CHUNKED:
                outlet = bodies.Outlet(sink, exchange.up, chunked=False)
                count = await bodies.pass_chunked(
                    self.client, outlet, exchange, up=True
                )
            else:
                count = self.body.length
                await bodies.pass_length(self.client, sink, exchange, count, up=True)
        finally:
            pace.close()
        self.read = True
        return count

    def _pace(self, source: Stream, sink: Stream, meter: Meter) -> Pace:
        settings = self.house.settings
        return Pace(source, sink, meter, settings.stall, settings.min_rate)

    # The answer.

    async def answer(
        self, status: int, fields: Fields = (), *, length: int | None = None
    ) -> None:
        """Begin the answer: *length* bytes follow, None: nobody knows how many.

        Framing, Date, Via and Connection are added here, and are never in *fields*. The
        head goes out with the first bytes behind it, or by `finish`. An answer that
        has no body (to HEAD, 204, 304) may have a *length* all the same. Raises
        PeerError.
        """
        own = [(b"Date", formatdate(usegmt=True).encode())]
        self.settle(status, length)
        fields = (*fields, *own, *self.connection())
        words = phrase(status).encode("ascii")
        self._pending = format_response(status, words, tuple(fields), self.sent)

    def settle(self, status: int, length: int | None) -> None:
        """Decide how the answer is framed, and whether the connection stays."""
        self.status = status
        bodiless = status in {204, 304} or status < 200 or self.head.method == "HEAD"
        if bodiless:
            told = -1 if length is None or status == 204 else length
            self.sent, self._left = Framing(Body.NONE, told), 0
        elif length is not None:
            self.sent, self._left = Framing(Body.LENGTH, length), length
        elif self.head.minor:
            self.sent = CHUNKED
        else:
            self.sent, self.keeps = UNTIL_EOF, False
        if not self.read and not self._droppable:
            self.keeps = False
        if self.gate.draining:
            self.keeps = False

    @property
    def _droppable(self) -> bool:
        """Whether what is left of the request's body may be read and dropped."""
        length = self.length
        return not self.waits and length is not None and length <= DROPPED

    def connection(self) -> Fields:
        """Return what the client is told of the connection. RFC 9112, section 9.3."""
        if not self.keeps:
            return ((b"Connection", b"close"),)
        return ((b"Connection", b"keep-alive"),) if not self.head.minor else ()

    async def send(self, data: bytes) -> None:
        """Send *data* to a client, who may not take so long for it as it likes.

        Raises PeerError.
        """
        await send_in_time(self.client, data, self.house.settings.stall)

    async def write(self, data: bytes | memoryview) -> None:
        """Send *data* as the next part of the body. Raises PeerError."""
        if self.sent.kind is Body.NONE or not data:
            return
        pending, self._pending = self._pending, b""
        self.answered = True
        if self.sent.kind is Body.CHUNKED:
            await self.send(pending + chunk(bytes(data)))
            return
        self._left -= len(data)
        await self.send(pending + bytes(data))

    async def write_from(
        self, source: Stream, exchange: Exchange, length: int | None = None
    ) -> int:
        """Send what *source* gives, to its end or *length* bytes; return how many.

        They are counted, and limited, as *exchange*'s bytes down. Raises PeerError.
        """
        pace = self._pace(source, self.client, exchange.down)
        try:
            if self.sent.kind is not Body.CHUNKED:
                await self._flush()
                moved = await exchange.transfer(source, self.client, length=length)
                self._left -= moved
                return moved
            return await self._write_chunks(source, exchange, length)
        finally:
            pace.close()

    async def _write_chunks(
        self, source: Stream, exchange: Exchange, length: int | None
    ) -> int:
        moved = 0
        outlet = bodies.Outlet(self.client, exchange.down, chunked=True)
        while length is None or moved < length:
            most = CHUNK if length is None else min(CHUNK, length - moved)
            data = await source.receive(most)
            if not data:
                break
            outlet.head, self._pending = self._pending, b""
            self.answered = True
            await outlet.send(data)
            moved += len(data)
            await asyncio.sleep(0)
        return moved

    async def _flush(self) -> None:
        pending, self._pending = self._pending, b""
        if pending:
            self.answered = True
            await self.send(pending)

    async def finish(self) -> None:
        """End the answer: all of its body was written. Raises PeerError.

        A body shorter than the *length* that was told is cut instead.
        """
        if self.sent.kind is Body.LENGTH and self._left:
            self.cut()
            raise PeerError(Side.SERVER, "the body is shorter than was told")
        pending, self._pending = self._pending, b""
        end = last_chunk() if self.sent.kind is Body.CHUNKED else b""
        if pending or end:
            self.answered = True
            await self.send(pending + end)

    async def refuse(
        self, error: PortwayError, exchange: Exchange | None = None
    ) -> None:
        """Answer *error* by the table of refusals, or cut what was begun already.

        *exchange* gets the status for its record; it stays the caller's to close. A
        client that is gone is no error here.
        """
        if self.answered:
            self.cut()
            return
        if error.side is Side.CLIENT and error.reason is Reason.GONE:
            self.keeps = False
            self.client.abort()
            return
        answer = answer_for(self.house, error)
        if exchange is not None:
            exchange.told(str(answer.status))
        if answer.closes or (error.side is Side.CLIENT and not self.read):
            self.keeps = False
        page = self._page(answer.status, words_of(error), exchange, error=error)
        with suppress(PeerError):
            self.client.resume()
            await self._send_page(page, fields_of(self.house, answer))
            return
        self.cut()

    async def page(
        self,
        status: int,
        text: str = "",
        fields: Fields = (),
        *,
        exchange: Exchange | None = None,
        title: str = "",
    ) -> None:
        """Answer with a page of ours: *text*, one line, in the form that is accepted.

        *exchange* gets the status for its record. Raises PeerError.
        """
        if exchange is not None:
            exchange.told(str(status))
        page = self._page(status, text, exchange, title=title)
        await self._send_page(page, fields)

    def _page(
        self,
        status: int,
        text: str,
        exchange: Exchange | None,
        *,
        title: str = "",
        error: PortwayError | None = None,
    ) -> pages.Page:
        record = "" if error is None else error.record
        return pages.Page(
            status=status,
            title=title or phrase(status),
            text=text,
            time=self.gate.services.clock(),
            host=self.target.host,
            action=action_of(self.head.method).value if self.target.host else "",
            because=because_of(error),
            record=record if exchange is None else exchange.id,
            contact=self.gate.services.contact,
            gateway=self.house.name,
        )

    async def _send_page(self, page: pages.Page, fields: Fields) -> None:
        media, body = pages.render(page, self.head.known.get(b"accept"))
        own = [(b"Content-Type", media), *pages.SAFE, *fields]
        await self.answer(page.status, own, length=len(body))
        await self.write(body)
        await self.finish()

    def cut(self) -> None:
        """Reset the connection: what was sent of the answer is not whole."""
        self.keeps = False
        self.client.abort()
