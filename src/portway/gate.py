"""The seam: how a protocol asks for permission, reaches out, and leaves a record.

Not here: any protocol's words, and any decision; rules decide, the gate carries their
verdict out. Invariant: no connection to a server, and no byte of payload, without an
exchange that was allowed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from portway.chain import Way
from portway.errors import PeerError, PortwayError, Refused
from portway.exchange import NOWHERE, Exchange, Target, target_of
from portway.ledger.ids import new_id
from portway.model import (
    NO_FACTS,
    NOBODY,
    PLAIN,
    Access,
    Action,
    Credentials,
    Endpoint,
    Identity,
    IPAddress,
    Naming,
    Reason,
    Side,
)
from portway.net.dataport import DataPort, open_data_port
from portway.net.deadline import Deadline
from portway.net.dial import dial
from portway.net.neighbours import mac_of
from portway.net.parent import Parent
from portway.net.stream import SocketStream
from portway.services import Current, DataPorts, Door, Services, Visitor
from portway.users.directory import Verification, Verified
from portway.users.turnstile import to_its_end

T = TypeVar("T")


class Gate:
    """One client connection's way to everything else.

    *address* is the client's, as the policy sees it, *stream* its connection, which TLS
    may be laid over: then it is another. Only one task may wait in
    `wait_for`; exchanges are independent of each other.
    """

    __slots__ = (
        "_busy",
        "_count",
        "_current",
        "_cut_off",
        "_end",
        "_idle",
        "_mac",
        "_said",
        "_waiting",
        "address",
        "draining",
        "identity",
        "moved",
        "parent",
        "since",
        "stream",
        "taken",
        "tells",
        "visitor",
    )

    def __init__(
        self, current: Current, door: Door, stream: SocketStream, address: IPAddress
    ) -> None:
        self.since = current.services.clock()  # seconds since the epoch
        self.visitor = Visitor(door, stream.peer, new_id(self.since))
        self.address = address
        self.identity: Identity = NOBODY
        self.taken: Verified | None = None  # the login that stands
        self._said = NO_FACTS  # what its records tell
        self.parent: Parent | None = None  # through which servers are reached
        self.moved = (0, 0)  # bytes up and down, in the exchanges that are over
        self._end: Callable[[PortwayError], None] | None = None
        self.tells: Callable[[PortwayError], str] | None = None  # an error's status
        self._cut_off: tuple[str, PortwayError] | None = None
        self._current = current
        self._mac: str | None = None  # until a rule asks for it
        self.stream = stream
        self._count = self._busy = 0
        self.draining = self._waiting = False
        self._idle = Deadline(self._idle_too_long)

    @property
    def services(self) -> Services:
        """The services that the next exchange will use."""
        return self._current.services

    async def login(self, credentials: Credentials) -> Verification:
        """Say whether the account store takes *credentials*, in the address's turn.

        If it does, the identity of all later exchanges is the account's. A wrong
        password leaves a record of its own, and its answer waits; the words for an
        unknown name may be a server's, so they leave none until `refuse_unknown`. Who
        goes away meanwhile has tried. Raises Refused, with its record left: RATE, or
        LOGIN_UNAVAILABLE, the store could not be asked.
        """
        services, user, wait, gone = self.services, credentials.user, 0.0, None
        try:
            async with services.turnstile.turn(self.address):
                asked, gone = await to_its_end(services.directory.verify(credentials))
                found = asked.result()
                unknown = gone and self.visitor.door.login == "required"
                if found.verification is Verification.OK:
                    services.turnstile.succeeded(found.user)
                    self.take(found)
                elif found.verification is Verification.WRONG or unknown:
                    wait = self._login_failed(user)
        except Refused as refused:
            self.leave(refused, "LOGIN", user)
            raise gone or refused from None
        if gone:
            raise gone
        await asyncio.sleep(wait)
        return found.verification

    async def refuse_unknown(self, user: str) -> None:
        """Refuse the login of *user*, who is no account, as one that was wrong is."""
        await asyncio.sleep(self._login_failed(user))

    async def renew(self) -> bool:
        """Say whether the login, if there was one, still counts.

        It does not once its password was changed, or the account is off, over or gone;
        then a record is left, all further exchanges are refused, and the session
        should end. The groups of the identity follow those of the account.
        """
        taken = self.taken
        if taken is None:
            return True
        renewed = await self.services.directory.renewed(taken)
        if self.taken is not taken:
            return True
        if renewed is None:
            self.leave(Refused(Reason.LOGIN), "LOGIN", taken.user)
            return False
        if renewed is not taken:
            self.take(renewed)
        return True

    def log_out(self) -> None:
        """Forget who the client is."""
        self.identity, self.taken, self._said = NOBODY, None, NO_FACTS

    def take(self, login: Verified) -> None:
        """Let a login stand that was verified; `renew` says if it still counts."""
        self.taken = login
        self.identity = Identity(login.user, "password", login.groups)
        said = {"login_source": login.source}
        if login.groups:
            said["groups"] = msgspec.json.encode(sorted(login.groups)).decode()
        self._said = said

    def _login_failed(self, user: str) -> float:
        """Record and count a wrong login; return the seconds that its answer waits."""
        self.leave(Refused(Reason.LOGIN_WRONG), "LOGIN", user)
        return self.services.turnstile.failed(user, self.address)

    def leave(self, error: PortwayError, method: str, user: str = "") -> None:
        """Leave the record of what led nowhere; *user* is a name that was claimed."""
        exchange = self.draft(Action.CONNECT, None, method)
        if user:
            exchange.note(claimed=user)
        self._refuse(exchange, error)

    def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        """Leave the record of what could not be."""
        if isinstance(error, PortwayError):
            error.record = exchange.id
            if self.tells is not None:
                exchange.told(self.tells(error))
        exchange.close(error)

    async def knows(self, user: str) -> bool:
        """Say whether *user* may be an account. Raises Refused, its record left."""
        try:
            return await self.services.directory.knows(user)
        except Refused as refused:
            self.leave(refused, "LOGIN")  # of a name that may be a server's, so unnamed
            raise

    @contextlib.asynccontextmanager
    async def open(
        self,
        action: Action,
        destination: Endpoint | None = None,
        *,
        method: str = "",
        resource: str = "",
        naming: Naming = PLAIN,
    ) -> AsyncIterator[Exchange]:
        """Ask the policy, and hold an exchange for as long as the block lasts."""
        exchange = await self.begin(
            action, destination, method=method, resource=resource, naming=naming
        )
        try:
            yield exchange
        except BaseException as error:
            exchange.close(error)
            raise
        exchange.close()

    async def begin(  # noqa: PLR0913 - all that a request may be
        self,
        action: Action,
        destination: Endpoint | None = None,
        *,
        method: str = "",
        resource: str = "",
        within: Exchange | None = None,
        naming: Naming = PLAIN,
        facts: Mapping[str, str] = NO_FACTS,
    ) -> Exchange:
        """Ask the policy; the exchange returned must be closed by the caller.

        *within* is the exchange whose server this one is about; it stands for the
        destination. *facts* are on record, whatever comes of it. Raises Refused, with
        its record left; UpstreamError for a name that is needed and not known.
        """
        if not await self.renew():
            raise Refused(Reason.LOGIN)
        target = within.target if within else target_of(destination)
        exchange = self.draft(action, target, method, resource, naming)
        if self._said or facts:
            exchange.note(**self._said, **facts)
        if within is not None:
            exchange.server_login, exchange.ours = within.server_login, within.ours
        if self.parent is not None:
            exchange.go(Way(self.parent) if within is None else within.way)
        await exchange.services.sink.ready()
        try:
            await exchange.judge()
        except BaseException as error:
            if self._cut_off is not None:
                exchange.cut(*self._cut_off)
            self._refuse(exchange, error)
            raise
        exchange.services.live.add(exchange)
        self._busy += action is not Action.CONNECT
        exchange.over = self._exchange_over
        return exchange

    def draft(  # noqa: PLR0913, PLR0917 - all that a request may be
        self,
        action: Action,
        target: Target | None,
        method: str,
        resource: str = "",
        naming: Naming = PLAIN,
        counts: int = 1,
    ) -> Exchange:
        """Return an exchange that nobody has judged; 0 *counts* for one to ask with."""
        host, port, address = target or NOWHERE
        access = Access(
            protocol=naming.protocol or self.visitor.door.speaks,
            client=self.address,
            user=self.identity.user,
            action=action,
            method=method,
            host=host,
            port=port,
            address=address,
            path=resource,
            groups=self.identity.groups,
            mac=self._known_mac() if self.services.rules.reads_macs else "",
            scheme=naming.scheme,
            also=naming.also,
        )
        self._count += counts
        exchange = Exchange(
            self._current.services,
            self.visitor,
            access,
            number=self._count,
            by=self.identity.by if access.user else "",
        )
        if access.mac:
            exchange.note(mac=access.mac)
        if access.also:
            exchange.note(also=access.also)
        return exchange

    def _known_mac(self) -> str:
        """Return the client's MAC, which the kernel is asked for once."""
        if self._mac is None:
            self._mac = mac_of(self.address)
        return self._mac

    def listen(self, at: DataPorts, address: IPAddress | None = None) -> DataPort:
        """Listen for one data connection from the client, on the address it reached.

        *address* overrides the address listened on. Refused BUSY: no port is free.
        """
        return open_data_port(
            address or self.stream.local_address,
            at.ports,
            lambda peer: peer == self.address or any(peer in net for net in at.peers),
            Side.CLIENT,
            foreign=self.visitor.door.captures,
            introduces=at.introduces,
        )

    async def call_back(
        self, port: int, *, source_port: int = 0, seconds: float = 10.0
    ) -> SocketStream:
        """Dial *port* at the client, whose address is not an argument on purpose.

        Raises PeerError; Refused, LOOP, where that would be a door of ours.
        """
        if self.services.doors.is_ours(self.address, port):
            raise Refused(Reason.LOOP)
        here = self.stream.local_address  # a balancer may change the family
        return await dial(
            [self.address],
            port,
            side=Side.CLIENT,
            source=here if here.version == self.address.version else None,
            source_port=source_port,
            seconds=seconds,
            foreign=self.visitor.door.captures,
        )

    async def wait_for(self, read: Awaitable[T], seconds: float | None) -> T:
        """Wait for the client's next words, at most *seconds* (None: for ever).

        Raises PeerError IDLE when they do not come, and Refused DRAIN when the
        gateway closes while nothing but this wait goes on.
        """
        self.begin_wait(seconds)
        try:
            return await read
        finally:
            self.end_wait()

    def begin_wait(self, seconds: float | None) -> None:
        """Do as `wait_for` does, up to `end_wait`: one coroutine less that waits."""
        self._waiting = True
        if self.draining:
            self._drain_if_quiet()
        if seconds is not None:
            self._idle.set(seconds)

    def end_wait(self) -> None:
        """The client has spoken."""
        self._idle.clear()
        self._waiting = False

    def drain(self) -> None:
        """End the session as soon as nothing moves in it."""
        self.draining = True
        self._drain_if_quiet()

    def on_end(self, end: Callable[[PortwayError], None]) -> None:
        """Let *end* end the session, if anybody wants that, and tell the client why."""
        self._end = end
        if self._cut_off is not None:
            end(self._cut_off[1])

    def cut_off(self, by: str, error: PortwayError) -> None:
        """End the session with *error*: now, or as soon as it has begun.

        *by* is ``admin`` or ``reload``. Who knows its exchanges has to `cut` them.
        """
        self._cut_off = by, error
        if self._end is not None:
            self._end(error)

    def close(self) -> None:
        """Forget the clocks; the session is over."""
        self._end = None
        self._idle.close()

    def _exchange_over(self, exchange: Exchange) -> None:
        up, down = self.moved
        self.moved = up + exchange.up.bytes, down + exchange.down.bytes
        self._busy -= exchange.access.action is not Action.CONNECT
        if self.draining:
            self._drain_if_quiet()

    def _drain_if_quiet(self) -> None:
        if self._waiting and not self._busy:
            self.stream.interrupt(Refused(Reason.DRAIN))

    def _idle_too_long(self) -> None:
        self.stream.interrupt(PeerError(Side.CLIENT, "idle too long", Reason.IDLE))
