"""The datagrams of one UDP association, each destination asked for once.

RFC 1928, section 7. Two sockets of ours: the client sends to the one, servers, or the
parent's own relay, answer to the other. A datagram goes on at once, or it waits in a
short queue, or it is lost; only a destination that is being judged, or has a limit, has
a task.

Not here: how an association begins (udp.py). Invariant: nothing goes to a destination
that was not allowed, and nothing comes back but from where the client has sent to; all
that was asked for has left its record when the association is closed.
"""

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from portway.errors import PortwayError, Refused, UpstreamError
from portway.exchange import Exchange
from portway.model import Action, Endpoint, IPAddress, Outcome, Reason
from portway.net.datagram import Address, Datagrams
from portway.net.deadline import Deadline
from portway.protocols.socks import wire
from portway.protocols.socks.wire import Reply
from portway.relay.meter import Meter

if TYPE_CHECKING:
    from portway.protocols.socks.session import Session

KEPT = 256  # destinations of one association that are remembered
WAITING = 64  # datagrams of one association that wait
WAITING_BYTES = 262_144
FORGIVEN = 30.0  # seconds until what failed may be tried again
LASTING = frozenset(
    {Reason.RULE, Reason.DEFAULT, Reason.INSIDE, Reason.PORT, Reason.LOOP, Reason.QUOTA}
)
FOR_EVER = float("inf")
TICK = 60.0  # seconds between two looks at the rules' times


class Destination:
    """Where the client has sent to.

    *exchange* is its permit, *name* where datagrams to it are sent, with *head* before
    them where the parent takes them. *pair* is where it answers from, *back* stands
    before what does. It is *open* once datagrams may pass without waiting, and *shut*
    until some moment.
    """

    __slots__ = (
        "at",
        "back",
        "exchange",
        "head",
        "name",
        "open",
        "pair",
        "queue",
        "shut",
        "task",
        "waiter",
    )

    def __init__(self, at: Endpoint) -> None:
        self.at = at
        self.exchange: Exchange | None = None
        self.name: Address = ("", 0)
        self.head = b""
        self.back = b""
        self.pair: Address | None = None
        self.task: asyncio.Task[None] | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.open = False
        self.shut = 0.0
        # up or down, and what
        self.queue: deque[tuple[bool, bytes]] = deque()


class Association:
    """The datagrams of one client; *totals* is the association's own exchange.

    *client* is where they come from; its port is 0 until the first one came. *relay*
    is the parent's, if there is one.
    """

    __slots__ = (
        "_again",
        "_client",
        "_clock",
        "_inside",
        "_known",
        "_outside",
        "_pairs",
        "_relay",
        "_session",
        "_tasks",
        "_totals",
        "_waiting",
        "over",
    )

    def __init__(
        self,
        session: "Session",
        totals: Exchange,
        client: Address,
        relay: Endpoint | None,
    ) -> None:
        self._session = session
        self._totals = totals
        self._client = client
        self._relay = None if relay is None else (relay.host, relay.port)
        self._known: OrderedDict[Endpoint, Destination] = OrderedDict()
        self._pairs: dict[Address, Destination] = {}  # by where they answer from
        self._waiting = (0, 0)  # datagrams, and their bytes
        self._tasks: asyncio.TaskGroup
        self._inside: Datagrams
        self._outside: Datagrams
        self._clock = Deadline(self._silent)
        self._again = Deadline(self._judge_again)
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[PortwayError | None] = loop.create_future()

    async def run(self, inside: Datagrams, outside: Datagrams, told: Endpoint) -> None:
        """Tell the client where to send to, and pass datagrams on until `over` is done.

        Nothing may have turned the loop since the sockets were opened. Raises what it
        was finished with.
        """
        self._inside, self._outside = inside, outside
        self._alive()
        if self._totals.services.rules.reads_times:
            self._again.set(TICK)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                try:
                    await self._session.say(Reply.SUCCEEDED, told)
                    error = await self.over
                finally:
                    inside.close()
                    outside.close()
                    self._clock.close()
                    self._again.close()
                    for destination in self._known.values():
                        if destination.task is not None:
                            destination.task.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        if error is not None:
            raise error

    def close(self, error: BaseException | None) -> None:
        """Leave the records of all that was asked for."""
        for destination in self._known.values():
            self._leave(destination, error)
        self._known.clear()
        self._pairs.clear()

    def finish(self, error: PortwayError | None = None) -> None:
        """Let the association be over."""
        if not self.over.done():
            self.over.set_result(error)

    def _silent(self) -> None:
        self._totals.end(Outcome.OK, ended_by="timeout")
        self.finish()

    def _judge_again(self) -> None:
        """Shut what the rules do not allow at this time of the day."""
        now = self._totals.services.clock()
        for destination in tuple(self._known.values()):
            exchange = destination.exchange
            if exchange is None or not destination.open:
                continue
            verdict = exchange.decide(exchange.access, now)
            if not verdict.allowed:
                reason = verdict.reason or Reason.DEFAULT
                destination.open = False
                self._shut(destination, Refused(reason, verdict.because, verdict))
        self._again.set(TICK)

    def _alive(self) -> None:
        self._clock.set(self._session.house.settings.udp_idle)

    # What comes from the client.

    def from_client(self, data: bytes, name: Address) -> None:
        """Take a datagram that came to the client's socket."""
        host, port = self._client
        if name[0] != host or (port and name[1] != port):
            return
        found = wire.read_datagram(data)
        if found is None or self.over.done():
            return
        self._client = name
        self._alive()
        at, begin = found
        destination = self._known.get(at)
        if destination is None or self._may_try_again(destination):
            destination = self._begin(at)
        else:
            self._known.move_to_end(at)
        if destination.shut:
            return
        if destination.pair is not None:  # two names may be one place
            self._pairs[destination.pair] = destination
        if destination.open:
            self._send_up(destination, data[begin:])
        else:
            self._queue(destination, data[begin:], up=True)

    def _may_try_again(self, destination: Destination) -> bool:
        return bool(destination.shut) and destination.shut < self._now()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _begin(self, at: Endpoint) -> Destination:
        self._forget(at)
        if len(self._known) >= KEPT:
            self._forget(next(iter(self._known)))
        destination = self._known[at] = Destination(at)
        destination.task = self._tasks.create_task(self._serve(destination))
        return destination

    def _forget(self, at: Endpoint) -> None:
        destination = self._known.pop(at, None)
        if destination is None:
            return
        destination.shut = FOR_EVER
        if destination.task is not None:
            destination.task.cancel()
        self._drop_queue(destination)
        self._leave(destination, None)

    def _leave(self, destination: Destination, error: BaseException | None) -> None:
        destination.open = False
        pair = destination.pair
        if pair is not None and self._pairs.get(pair) is destination:
            del self._pairs[pair]
        if destination.exchange is not None:
            destination.exchange.close(error)

    # One destination.

    async def _serve(self, destination: Destination) -> None:
        """Ask for *destination*; then pass on what waits, for as long as it has to."""
        try:
            await self._ask(destination)
            while (taken := await self._next(destination)) is not None:
                up, data = taken
                await self._pass_on(destination, data, up=up)
        except PortwayError as error:
            self._shut(destination, error)

    async def _ask(self, destination: Destination) -> None:
        gate, at = self._session.gate, destination.at
        exchange = await gate.begin(Action.CONNECT, at, method="UDP")
        destination.exchange = exchange
        self._session.claims(exchange)
        addresses = await exchange.addresses()
        address = self._usable(addresses, at)
        source = self._session.house.settings.upstream.address
        exchange.reached(address, str(source or ""))
        self._place(destination, address)
        limited = exchange.up.limited or exchange.down.limited
        if not limited:
            self._flush(destination)
            destination.open = True

    def _usable(
        self, addresses: tuple[IPAddress, ...], at: Endpoint
    ) -> IPAddress | None:
        if not addresses and self._relay is not None:
            return None
        for address in addresses:
            if self._relay is not None or self._outside.reaches(address):
                return address
        text = f"{at}: no address of the family that is sent from"
        raise UpstreamError(Reason.UNREACHABLE, text)

    def _place(self, destination: Destination, address: IPAddress | None) -> None:
        """Take note where *destination* is, and where it answers from."""
        at = destination.at
        there = at if address is None else Endpoint(str(address), at.port)
        if self._relay is not None:
            destination.head = wire.format_datagram_head(there)
            destination.name = self._relay
        elif address is not None:
            destination.name = self._outside.name(address, at.port)
        destination.back = wire.format_datagram_head(there)
        # a name that the parent resolves answers from wherever that is
        destination.pair = "" if address is None else there.host, at.port
        self._pairs[destination.pair] = destination

    def _flush(self, destination: Destination) -> None:
        while destination.queue:
            _, data = self._take(destination)
            self._send_up(destination, data)

    async def _next(self, destination: Destination) -> tuple[bool, bytes] | None:
        """Return what is to be passed on; None once nothing has to wait any more."""
        while not destination.queue:
            if destination.open:
                return None
            destination.waiter = asyncio.get_running_loop().create_future()
            await destination.waiter
        return self._take(destination)

    async def _pass_on(
        self, destination: Destination, data: bytes, *, up: bool
    ) -> None:
        exchange = destination.exchange
        if exchange is None:
            return
        await charge(exchange.up if up else exchange.down, len(data))
        if up:
            if self._outside.send(destination.head + data, destination.name):
                self._totals.up.moved(len(data))
        elif self._inside.send(destination.back + data, self._client):
            self._totals.down.moved(len(data))

    def _shut(self, destination: Destination, error: PortwayError) -> None:
        """Let nothing more go to *destination*, for some time at least."""
        lasting = error.reason in LASTING
        destination.shut = FOR_EVER if lasting else self._now() + FORGIVEN
        self._drop_queue(destination)
        self._leave(destination, error)
        if error.reason is Reason.LOGIN:  # it does not count any more
            self._session.end(error)

    # Queues.

    def _queue(self, destination: Destination, data: bytes, *, up: bool) -> None:
        count, size = self._waiting
        if count >= WAITING or size + len(data) > WAITING_BYTES:
            return
        self._waiting = count + 1, size + len(data)
        destination.queue.append((up, data))
        waiter = destination.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take(self, destination: Destination) -> tuple[bool, bytes]:
        taken = destination.queue.popleft()
        count, size = self._waiting
        self._waiting = count - 1, size - len(taken[1])
        return taken

    def _drop_queue(self, destination: Destination) -> None:
        while destination.queue:
            self._take(destination)

    # What goes on.

    def _send_up(self, destination: Destination, data: bytes) -> None:
        if self._outside.send(destination.head + data, destination.name):
            if destination.exchange is not None:
                destination.exchange.up.moved(len(data))
            self._totals.up.moved(len(data))

    def from_outside(self, data: bytes, name: Address) -> None:
        """Take a datagram that came to the servers' socket."""
        if self._relay is None:
            destination, begin = self._pairs.get(name), 0
            back = b"" if destination is None else destination.back
        elif name == self._relay:
            destination, begin = self._answering(data)
            back = data[:begin]
        else:
            return
        if destination is None or self.over.done():
            return
        self._alive()
        if not destination.open:
            self._queue(destination, data[begin:], up=False)
        elif self._inside.send(back + data[begin:], self._client):
            count = len(data) - begin
            if destination.exchange is not None:
                destination.exchange.down.moved(count)
            self._totals.down.moved(count)

    def _answering(self, data: bytes) -> tuple[Destination | None, int]:
        """Return who sent what the parent has passed on, and where that begins."""
        found = wire.read_datagram(data)
        if found is None:
            return None, 0
        at, begin = found
        exact = self._pairs.get((at.host, at.port))
        return exact or self._pairs.get(("", at.port)), begin


async def charge(meter: Meter, count: int) -> None:
    """Wait until *count* bytes may go, and count them. Raises Refused, QUOTA."""
    while count:
        granted = await meter.leave(count)
        meter.moved(granted)
        count -= granted
