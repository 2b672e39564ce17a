"""One transfer: bring both legs up, move the bytes, settle the final reply.

Two tasks meet here. The one that reads the server asks `before` at each reply about
the transfer; the transfer's own runs `run`. Which of the data and the reply ends first
does not matter.

Not here: how a data path is made (legs.py), and what the ends mean (transfer.py).
Invariant: whatever happens, both legs are closed and the client gets exactly one final
reply.
"""

import asyncio
import contextlib

from portway.errors import ParentError, PeerError, PortwayError, Refused
from portway.exchange import Exchange
from portway.model import IPAddress, Reason, Side
from portway.net.deadline import Deadline
from portway.net.linger import linger
from portway.net.stream import SocketStream
from portway.protocols.ftp import replies, servertls, transfer
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.dialogue import Fate, Reply
from portway.protocols.ftp.legs import DataPath
from portway.protocols.ftp.protection import NotResumedError
from portway.protocols.ftp.transfer import Closing, DataEnd, Direction
from portway.protocols.ftp.upstream import Upstream
from portway.protocols.ftp.wire import ReplyLine

LEG_TIME = 60.0  # for the legs to come up, once the command was sent
LATE_LEG = 5.0  # for the server's leg, once the server said that it is done
REPLY_AFTER_FAILURE = 10.0  # the server's own account of a failure is awaited
REPLY_AFTER_DATA = 600.0  # slow disks sync before they say 226
REPLY_AT_END = 0.5  # for the final reply to come, before a download's end is passed on
MOMENTS = 0.002, 0.01  # between the ends of the connections of one who is killed
SHARE = 0.05  # of the time that an upload took: so long may its end be doubted
ONE_WRITE = 8192  # bytes that clients send at once: they are there, or none of them
LINGER = 5.0
DRAIN = 1.0
# The server would wait for its leg long.
NO_LEG = {DataEnd.NO_CLIENT, DataEnd.NO_SPARE, DataEnd.NO_WAY}
KNOWS_ABOR = (b"ABOR", b"abor", b"Abor")


class Transfer:
    """One payload between the two legs of *path*.

    *stall* is how many seconds may pass without a byte, *dial_time* how many a
    connection to the server may take, from *source*. *client* gets a reply of ours
    where the server gives none. `over` is done once the client has its final reply.
    """

    __slots__ = (
        "_answered",
        "_client",
        "_client_up",
        "_closed",
        "_control",
        "_data_over",
        "_detail",
        "_dial_time",
        "_final",
        "_moved_before",
        "_path",
        "_server",
        "_source",
        "_stall",
        "_stall_time",
        "_start",
        "_task",
        "_upstream",
        "aborted",
        "code",
        "direction",
        "end",
        "exchange",
        "over",
    )

    def __init__(  # noqa: PLR0913 - made in one place
        self,
        upstream: Upstream,
        path: DataPath,
        exchange: Exchange,
        direction: Direction,
        *,
        stall: float,
        dial_time: float,
        source: IPAddress | None,
        client: Client,
    ) -> None:
        new = asyncio.get_running_loop().create_future
        self.exchange = exchange
        self.direction = direction
        self.code: int | None = None
        self.end: DataEnd | None = None
        self.aborted = False
        self.over: asyncio.Future[None] = new()
        self._path = path
        self._upstream = upstream
        self._stall_time = stall
        self._dial_time = dial_time
        self._source = source
        self._control = client
        self._answered = False  # by us, in the server's place
        self._closed = False
        self._detail = ""
        self._client: SocketStream | None = None
        self._server: SocketStream | None = None
        self._start: asyncio.Future[None] = new()  # 1yz, or the final reply
        self._client_up: asyncio.Future[bool] = new()
        self._data_over: asyncio.Future[None] = new()
        self._final: asyncio.Future[None] = new()
        self._task: asyncio.Task[None] | None = None
        self._stall = Deadline(self._check_progress)
        self._moved_before = 0
        path.use()

    @property
    def moved(self) -> int:
        """Bytes of payload that went through so far."""
        return self.exchange.up.bytes + self.exchange.down.bytes

    @property
    def suspicion(self) -> str:
        """What may be behind the server's refusal, in words; empty: who knows."""
        return servertls.why_refused(self.code, self._server)

    # The data.

    async def run(self) -> None:
        """Bring the legs up, move the payload, close the legs."""
        self._task = asyncio.current_task()
        try:
            if self.end is None:
                end = await self._move()
                self.end = self.end or end
        finally:
            self._close(self.end or DataEnd.CUT)
        if self.end is not None:
            # a control connection that breaks here is noticed by whoever reads it
            with contextlib.suppress(PortwayError):
                await self._make_sure_of_an_answer(self.end)

    def _close(self, end: DataEnd) -> None:
        """Close both legs, as *end* wants it; only the first call does."""
        if self._closed:
            return
        self._closed = True
        self.end = end
        self._stall.close()
        client, server = transfer.closings(self.direction, end)
        self._path.close(reset=client is Closing.RESET)
        close_leg(self._client, client)
        close_leg(self._server, server)
        if not self._client_up.done():
            self._client_up.set_result(False)
        release(self._data_over)

    async def _move(self) -> DataEnd:
        failed = await self._bring_legs_up()
        if failed is not None:
            return failed
        client, server = self._client, self._server
        if client is None or server is None:
            return DataEnd.CUT
        self._upstream.wait_at_most(None)
        self._stall.set(self._stall_time)
        try:
            if self.direction is Direction.BOTH:
                client.reset_if_lost(True)
                server.reset_if_lost(True)
                await self.exchange.relay(client, server)
            else:
                up = self.direction is Direction.UP
                source, sink = (client, server) if up else (server, client)
                sink.reset_if_lost(True)
                await self.exchange.transfer(source, sink, up=up)
                if not await self._end_is_meant(source, up=up):
                    return DataEnd.CLIENT_BROKE if up else DataEnd.SERVER_BROKE
                await sink.send_eof()
        except PeerError as error:
            if error.side is Side.CLIENT:
                return DataEnd.CLIENT_BROKE
            cut = servertls.was_cut(self._server)
            return DataEnd.TRUNCATED if cut else DataEnd.SERVER_BROKE
        except Refused as refused:
            self._detail = replies.which(refused)
            return DataEnd.QUOTA
        return DataEnd.WHOLE

    async def _end_is_meant(self, source: SocketStream, *, up: bool) -> bool:
        """Say whether the end of the data is no more than that.

        Who is killed ends its data like one who is done, and its control connection
        with it, a moment sooner or later: Linux takes 0.2 ms, and longer if it is busy.
        A server has its final reply to tell.
        """
        if up:
            meant = await self._control.protection.part(source, self.exchange)
            return meant or not await self._client_dies()
        await servertls.part(self._upstream, source, self.exchange)
        source.close()  # some wait for this before they reply
        if not self._final.done():
            await asyncio.wait({self._final}, timeout=REPLY_AT_END)
        return self._final.done() or not self._upstream.stream.has_ended()

    async def _client_dies(self) -> bool:
        """Say whether the client's control connection ends with its data."""
        if not self._control.gone and not 0 < self.moved <= ONE_WRITE:
            least, most = MOMENTS
            await asyncio.sleep(max(least, min(most, SHARE * self.exchange.age)))
        return self._control.gone

    async def _bring_legs_up(self) -> DataEnd | None:
        """Return what failed, or None."""
        try:
            async with asyncio.timeout(LEG_TIME) as time:
                self._final.add_done_callback(lambda _: hasten(time))
                stream = await self._path.server_leg(
                    self.exchange, self._source, self._dial_time
                )
                self._server = await servertls.cover(
                    self._upstream, stream, self.exchange
                )
        except (PortwayError, TimeoutError) as error:
            if is_busy(error):
                return DataEnd.NO_SPARE
            if isinstance(error, ParentError):
                self._detail = f"the next proxy: {error.words}"
                return DataEnd.NO_WAY
            denied = isinstance(error, Refused)
            self._detail = "denied by policy" if denied else str(error)
            return DataEnd.NO_TLS if is_tls(error) else DataEnd.NO_SERVER
        try:
            if self._path.calls_client:
                await self._first_sign(self._server)
            async with asyncio.timeout(LEG_TIME):
                client = await self._path.client_leg()
        except (PortwayError, TimeoutError) as error:
            return DataEnd.NO_SPARE if is_busy(error) else DataEnd.NO_CLIENT
        self._client_up.set_result(True)  # some clients wait for the 1yz until TLS
        return await self._cover_client(client)

    async def _cover_client(self, leg: SocketStream) -> DataEnd | None:
        try:
            self._client = await self._control.protection.cover(leg, self.exchange)
        except NotResumedError:
            return DataEnd.NOT_RESUMED
        except PortwayError as error:
            self._detail = error.text
            return DataEnd.NO_CLIENT_TLS
        return None

    async def _first_sign(self, server: SocketStream) -> None:
        """Wait for the server to begin: by its reply, or by its first byte."""
        if self._start.done() or self.direction is not Direction.DOWN:
            await asyncio.wait({self._start})
            return
        async with asyncio.TaskGroup() as race:
            looking = race.create_task(self._look_for_byte(server))
            await asyncio.wait({self._start})
            looking.cancel()

    async def _look_for_byte(self, server: SocketStream) -> None:
        with contextlib.suppress(PeerError):  # the pump will meet it again
            data = await server.receive()
            if data:
                server.unread(data)
        release(self._start)

    def _check_progress(self) -> None:
        if self._moved_before == self.moved and not self.exchange.held_back:
            self._detail = f"no byte in {self._stall_time:.0f} s"
            self.end = DataEnd.STALLED
            for leg in (self._client, self._server):
                if leg is not None:
                    leg.abort()  # which ends the pump
            return
        self._moved_before = self.moved
        self._stall.set(self._stall_time)

    async def _make_sure_of_an_answer(self, end: DataEnd) -> None:
        """Tell the client how it ended, if the server does not."""
        if self._final.done():
            return
        if end is DataEnd.WHOLE:
            self._upstream.wait_at_most(REPLY_AFTER_DATA)
            return
        if end not in NO_LEG:
            await asyncio.wait({self._final}, timeout=REPLY_AFTER_FAILURE)
        if self._final.done() or self.aborted:
            return
        self._answered = True
        await self._upstream.abort_transfer(Fate.KEEP, urgent=True)
        answer = transfer.final_reply(end, None, self._detail)
        await self._control.tell(answer or replies.TRANSFER_ABORTED)
        release(self.over)

    # What others tell it.

    def stop(self, end: DataEnd) -> None:
        """End the data now, as *end*; what has ended already stays as it was."""
        if self.end is not None:
            return
        self._close(end)
        if self._task is not None:
            self._task.cancel()

    def cancel(self) -> None:
        """Wait for nothing more: the session is over."""
        if self._task is not None:
            self._task.cancel()

    async def before(self, line: ReplyLine) -> bytes | None:
        """At the first line of a reply: what the client gets in its place, if so.

        None lets the server's reply pass.
        """
        if self._answered:
            if line.code >= 200:
                await self._after_abort(line)
            return b""
        if line.code < 200:
            if self.end is None:
                self._upstream.wait_at_most(None)
            release(self._start)
            if self._path.calls_client and not await self._client_up:
                return b""
            return None
        self.code = line.code
        release(self._final)
        if self.aborted:
            return await self._after_abort(line)
        if line.code >= 400:
            self.stop(DataEnd.GIVEN_UP if self.moved else DataEnd.CALLED_OFF)
        elif self.direction is Direction.UP:
            # the server is content with less than the client has to send
            self.stop(DataEnd.SERVER_BROKE)
        release(self._start)
        await self._data_over
        return transfer.final_reply(self.end or DataEnd.CUT, line.code, self._detail)

    def finished(self, reply: Reply) -> None:
        """The client has what `before` let it have of the final reply."""
        del reply
        release(self.over)

    async def _after_abort(self, line: ReplyLine) -> bytes | None:
        """Make two replies of one, where the server has only one for an ABOR."""
        await self._data_over
        about_abort = line.code == 225 or any(word in line.line for word in KNOWS_ABOR)
        if not about_abort or await self._upstream.second_reply_comes():
            return None
        self._upstream.read_again(line)
        return replies.TRANSFER_ABORTED


def is_busy(error: Exception) -> bool:
    """Whether the gateway had no descriptor, or no port, for a leg."""
    return isinstance(error, Refused) and error.reason is Reason.BUSY


def is_tls(error: Exception) -> bool:
    """Whether it was TLS that failed."""
    return isinstance(error, PortwayError) and error.reason is Reason.TLS


def hasten(time: asyncio.Timeout) -> None:
    """The server is done: its leg comes soon, if it comes."""
    with contextlib.suppress(RuntimeError):  # it came
        time.reschedule(asyncio.get_running_loop().time() + LATE_LEG)


def close_leg(leg: SocketStream | None, how: Closing) -> None:
    """Close *leg*, which may never have come up, without waiting."""
    if leg is None:
        return
    if how in {Closing.FINISH, Closing.QUIET}:
        leg.reset_if_lost(False)
    if how is Closing.FINISH:
        linger(leg, LINGER)
    elif how is Closing.DRAIN:
        linger(leg, DRAIN, reset=True)
    elif how is Closing.QUIET:
        leg.close()
    else:
        leg.abort()


def release(future: asyncio.Future[None]) -> None:
    """Let go whoever waits for *future*."""
    if not future.done():
        future.set_result(None)
