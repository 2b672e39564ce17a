"""The permit for one accountable thing, from the question to the record.

Not here: who the client is and how its data ports are found (gate.py), nor the rules.
Invariant: what is dialled is an address that was judged, and `close` leaves exactly
one record.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from portway.chain import DIRECT, FROM_ANYWHERE, Way
from portway.endings import ending_of
from portway.errors import PortwayError, Refused
from portway.judging import judge
from portway.ledger.ids import new_id
from portway.model import (
    NO_FACTS,
    Access,
    Action,
    Endpoint,
    IPAddress,
    Outcome,
    Reason,
    Record,
    Verdict,
)
from portway.net.guard import fold
from portway.net.stream import SocketStream, Stream
from portway.policy.rules import NeedsAddress
from portway.relay.limiter import Permit
from portway.relay.meter import Meter
from portway.relay.pump import pump, relay
from portway.services import Services, Visitor

Target = tuple[str, int, IPAddress | None]
NOWHERE: Target = ("", 0, None)


def target_of(destination: Endpoint | None) -> Target:
    """Return host, port, and the address if *destination* names one."""
    if destination is None:
        return NOWHERE
    literal = destination.address
    address = None if literal is None else fold(literal)
    return destination.host, destination.port, address


class Exchange:
    """The permit for one accountable thing, and the notes for its record.

    It exists after a yes. How it ended is what `end` was last told; left alone, an
    exchange ends well, or as the error says that it is closed with.
    """

    __slots__ = (
        "_addresses",
        "_by",
        "_closed",
        "_ending",
        "_facts",
        "_outcome",
        "_permit",
        "_source",
        "_start",
        "_tick",
        "access",
        "down",
        "id",
        "named",
        "number",
        "ours",
        "over",
        "server_login",
        "services",
        "up",
        "verdict",
        "visitor",
        "way",
    )

    def __init__(
        self,
        services: Services,
        visitor: Visitor,
        access: Access,
        *,
        number: int,
        by: str = "",
    ) -> None:
        self.services = services
        self.access = access
        self.verdict = Verdict(allowed=True)
        self.up = Meter()
        self.down = Meter()
        self.number = number
        self.over: Callable[[Exchange], None] | None = None
        self.ours: bool | None = None  # whether the address dialled is this machine's
        self.way = FROM_ANYWHERE if visitor.door.captures else DIRECT
        self.server_login = ""  # who the client is to the server
        self.named = ""  # another name for its server: rules have to allow both
        self.visitor = visitor
        self._by = by
        self._start = services.clock()
        self._tick = asyncio.get_running_loop().time()
        self.id = new_id(self._start)
        self._addresses: list[tuple[IPAddress, Verdict]] | None = None
        self._source = ""
        self._facts: dict[str, str] | None = None
        self._outcome: Outcome | None = None
        self._ending: dict[str, str] = {}
        self._closed = False
        self._permit: Permit | None = None

    @property
    def session(self) -> str:
        """The id of its client's session."""
        return self.visitor.session

    @property
    def target(self) -> Target:
        """Host, port, and the address dialled or to be dialled, if it is known."""
        return self.access.host, self.access.port, self.access.address

    @property
    def server(self) -> IPAddress | None:
        """Where data connections come from and go to; None: only the parent knows."""
        return self.way.at_parent or self.access.address

    @property
    def held_back(self) -> bool:
        """Whether a limit, and nothing else, keeps bytes from moving just now."""
        return self.up.waiting or self.down.waiting

    @property
    def closed(self) -> bool:
        """Whether its record was left."""
        return self._closed

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return asyncio.get_running_loop().time() - self._tick

    def go(self, way: Way) -> None:
        """Reach the server by *way*; to be said before it is judged."""
        self.way = way
        self.note(**way.facts(self.access))

    async def judge(self) -> None:
        """Ask the rules; resolve the name only where they read addresses.

        Raises Refused if they say no, or a limit that they set does; UpstreamError if
        the name has no address.
        """
        try:
            self.verdict = self.decide(self.access)
        except NeedsAddress:
            await self._permitted()
        if not self.verdict.allowed:
            raise self._refusal()
        if self.verdict.limits:
            self._admit(self.verdict)

    def allow_also(self, action: Action) -> None:
        """Ask the rules whether the same may be done as *action*. Raises Refused."""
        verdict = self.decide(replace(self.access, action=action))
        if not verdict.allowed:
            self.verdict = verdict
            raise self._refusal()
        if verdict.limits and verdict.rule != self.verdict.rule:
            self._admit(verdict, beside=self._permit)

    def _admit(self, verdict: Verdict, beside: Permit | None = None) -> None:
        """Come under the limits of *verdict*, before any byte. Raises Refused."""
        permit = self.services.limiter.admit(
            verdict, self.access, self.visitor.session, beside
        )
        self._permit = permit
        self.up, self.down = permit.up, permit.down

    def _let_go(self) -> None:
        """Come out from under the limits."""
        if self._permit is not None:
            self._permit.release()
            self._permit = None

    def decide(self, access: Access, now: float | None = None) -> Verdict:
        """Ask the rules of the beginning about *access*, then or *now*.

        Raises NeedsAddress.
        """
        services, moment = self.services, self._start if now is None else now
        judging = services.rules, services.doors, access, moment, self._is_ours
        return judge(*judging, by_name=self.way.by_name)

    def _is_ours(self, address: IPAddress) -> bool:
        """Say whether *address* is this machine's; the kernel is asked once."""
        if address != self.access.address:
            return self.services.doors.is_local(address)
        if self.ours is None:
            self.ours = self.services.doors.is_local(address)
        return self.ours

    def _refusal(self) -> Refused:
        reason = self.verdict.reason or Reason.DEFAULT
        return Refused(reason, self.verdict.because, self.verdict)

    async def _permitted(self) -> list[tuple[IPAddress, Verdict]]:
        """Resolve the destination, once, and judge each of its addresses."""
        if self._addresses is None:
            found = await self.services.resolver.resolve(self.access.host)
            judged = [
                (address, self.decide(replace(self.access, address=address)))
                for address in found
            ]
            self._addresses = [pair for pair in judged if pair[1].allowed]
            self.verdict = (self._addresses or judged)[0][1]
        if not self._addresses:
            raise self._refusal()
        return self._addresses

    async def addresses(self) -> tuple[IPAddress, ...]:
        """Return the addresses that may be dialled; none where only the parent knows.

        Raises UpstreamError, or Refused when no address of the name may be reached.
        """
        if self.access.address is not None:
            return (self.access.address,)
        permitted = [] if self.way.by_name else await self._permitted()
        return tuple(address for address, _ in permitted)

    def reached(self, address: IPAddress | None, source: str) -> None:
        """Take note that the destination is reached, at one of its `addresses`.

        It comes under that one's rule, and limits. Raises Refused.
        """
        for permitted, verdict in self._addresses or ():
            if permitted == address and verdict is not self.verdict:
                self.come_under(verdict)
        if address != self.access.address:
            self.access = replace(self.access, address=address)
        self._source = source

    async def connect(
        self, *, source: IPAddress | None = None, seconds: float = 10.0
    ) -> SocketStream:
        """Dial the destination: the very addresses that were judged.

        Raises UpstreamError, or Refused when no address of the name may be reached.
        """
        addresses = await self.addresses()
        at = Endpoint(self.access.host, self.access.port)
        reach = self.way.reach
        stream, peer = await reach(self.services, at, addresses, source, seconds)
        try:
            self.reached(peer, stream.local.host)
        except BaseException:
            stream.close()
            raise
        return stream

    def come_under(self, verdict: Verdict) -> None:
        """Another of the name's addresses is reached: by its rule, its limits."""
        before, self.verdict = self.verdict, verdict
        if (verdict.rule, verdict.limits) == (before.rule, before.limits):
            return
        self._let_go()
        self.up, self.down = Meter(), Meter()
        if verdict.limits:
            self._admit(verdict)

    @property
    def names_port(self) -> bool:
        """Whether the rule that allows it names the very port."""
        return self.services.rules.names_port(self.verdict, self.access)

    async def transfer(
        self,
        source: Stream,
        sink: Stream,
        *,
        up: bool = False,
        length: int | None = None,
    ) -> int:
        """Move one payload from *source* to *sink*; *up* is toward the server.

        Returns its bytes once the last one was handed to the sink's socket. Neither
        stream is closed. Raises PeerError; what had moved by then is counted.
        """
        meter = self.up if up else self.down
        return await pump(source, sink, meter, self.services.pipes, length=length)

    async def relay(self, client: Stream, server: Stream) -> None:
        """Move bytes both ways until both have ended, each end passed on by itself.

        Neither stream is closed. Raises PeerError; what had moved by then is counted.
        """
        await relay(client, server, self.up, self.down, self.services.pipes)

    def note(self, **facts: str) -> None:
        """Add details to the record."""
        if self._facts is None:
            self._facts = facts
        else:
            self._facts.update(facts)

    def end(self, outcome: Outcome, **ending: str) -> None:
        """Say how it ended.

        *ending* holds any of the record's ``status``, ``reason``, ``error``,
        ``side`` and ``ended_by``. After an ``ended_by`` nothing more is heard.
        """
        if "ended_by" in self._ending:
            return
        self._outcome = outcome
        self._ending.update(ending)

    def cut(self, by: str, error: PortwayError) -> None:
        """Let the record say that *by* ended it, whatever comes of it now."""
        words = {"reason": error.reason, "error": error.text, "side": error.side}
        self.end(Outcome.CUT, **words, ended_by=by)

    def told(self, status: str) -> None:
        """Take note of the *status* that the client gets."""
        self._ending.setdefault("status", status)

    def close(self, error: BaseException | None = None) -> None:
        """Leave the record; only the first call does.

        *error* is what broke the exchange off, if anything did, and counts where
        `end` has said nothing.
        """
        if self._closed:
            return
        self._closed = True
        if error is not None and self._outcome is None:
            self._blame(error)
        if self._permit is not None:
            waited = round(self._permit.waited * 1000)
            if waited:
                self.note(limited_ms=str(waited))
            self._let_go()
        services = self.services
        services.sink.take(self.record(self._outcome or Outcome.OK))
        services.live.discard(self)
        if self.over is not None:
            self.over(self)

    def _blame(self, error: BaseException) -> None:
        moved = bool(self.up.bytes or self.down.bytes)
        ending = ending_of(error, self.verdict, moved=moved)
        self.verdict = ending.verdict
        self.end(ending.outcome, **ending.words)

    def record(self, outcome: Outcome = Outcome.OPEN) -> Record:
        """Return the record as it would be now."""
        access, verdict, ending = self.access, self.verdict, self._ending
        door, client = self.visitor.door, self.visitor.client
        return Record(
            id=self.id,
            time=self._start,
            duration=self.age,
            session=self.visitor.session,
            seq=self.number,
            protocol=access.protocol,
            listener=door.listener,
            mode=door.mode,
            client=client.host,
            client_port=client.port,
            user=access.user,
            by=self._by,
            method=access.method,
            action=access.action.value,
            url=door.url(access),
            host=access.host,
            port=access.port,
            path=access.path,
            address=str(access.address) if access.address else "",
            source=self._source,
            verdict="allow" if verdict.allowed else "deny",
            rule=verdict.rule,
            rule_at=verdict.rule_at,
            reason=ending.get("reason", verdict.reason or ""),
            because=verdict.because,
            outcome=outcome,
            status=ending.get("status", ""),
            error=ending.get("error", ""),
            side=ending.get("side", ""),
            ended_by=ending.get("ended_by", ""),
            bytes_up=self.up.bytes,
            bytes_down=self.down.bytes,
            server_login=self.server_login,
            facts=self._facts or NO_FACTS,
        )
