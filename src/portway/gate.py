"""The seam: how a protocol asks for permission, reaches out, and leaves a record.

Not here: any protocol's words, and any decision; rules decide, the gate carries their
verdict out. Invariant: no connection to a server, and no byte of payload, without an
exchange that was allowed.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from portway.errors import PeerError, Refused
from portway.exchange import Exchange
from portway.ledger.ids import new_id
from portway.model import (
    NOBODY,
    Access,
    Action,
    Credentials,
    Endpoint,
    Identity,
    IPAddress,
    Reason,
    Side,
)
from portway.net.dataport import DataPort, open_data_port
from portway.net.deadline import Deadline
from portway.net.dial import dial
from portway.net.guard import fold
from portway.net.stream import SocketStream
from portway.services import Current, DataPorts, Door, Services, Visitor
from portway.users.directory import Verification, normal

T = TypeVar("T")


class Gate:
    """One client connection's way to everything else.

    *address* is the client's, as the policy sees it. Only one task may wait in
    `wait_for`; exchanges are independent of each other.
    """

    __slots__ = (
        "_busy",
        "_count",
        "_current",
        "_draining",
        "_idle",
        "_stream",
        "_waiting",
        "address",
        "identity",
        "visitor",
    )

    def __init__(
        self, current: Current, door: Door, stream: SocketStream, address: IPAddress
    ) -> None:
        services = current.services
        self.visitor = Visitor(door, stream.peer, new_id(services.clock()))
        self.address = address
        self.identity: Identity = NOBODY
        self._current = current
        self._stream = stream
        self._count = 0
        self._busy = 0
        self._draining = False
        self._waiting = False
        self._idle = Deadline(self._idle_too_long)

    @property
    def services(self) -> Services:
        """The services that the next exchange will use."""
        return self._current.services

    async def login(self, credentials: Credentials) -> Verification:
        """Say whether the account store takes *credentials*.

        If it does, the identity of all later exchanges is the account's. A wrong
        password leaves a record, as a refused exchange of its own; the words for an
        unknown name may be a server's, so they leave none. Refused,
        LOGIN_UNAVAILABLE: the store could not be asked.
        """
        verified = await self.services.directory.verify(credentials)
        if verified is Verification.OK:
            self.identity = Identity(normal(credentials.user), "password")
        elif verified is Verification.WRONG:
            self.record_login(credentials.user, Reason.LOGIN_WRONG)
        return verified

    def record_login(self, user: str, reason: Reason) -> None:
        """Leave the record of a proxy login that was refused."""
        exchange = self._exchange(self._access(Action.CONNECT, None, "LOGIN", ""))
        exchange.note(claimed=user)
        exchange.close(Refused(reason))

    async def knows(self, user: str) -> bool:
        """Say whether *user* may be an account of the gateway."""
        return await self.services.directory.knows(user)

    @contextlib.asynccontextmanager
    async def open(
        self,
        action: Action,
        destination: Endpoint | None = None,
        *,
        method: str = "",
        resource: str = "",
    ) -> AsyncIterator[Exchange]:
        """Ask the policy, and hold an exchange for as long as the block lasts."""
        exchange = await self.begin(
            action, destination, method=method, resource=resource
        )
        error: BaseException | None = None
        try:
            yield exchange
        except BaseException as caught:
            error = caught
            raise
        finally:
            exchange.close(error)

    async def begin(
        self,
        action: Action,
        destination: Endpoint | None = None,
        *,
        method: str = "",
        resource: str = "",
        within: Exchange | None = None,
    ) -> Exchange:
        """Ask the policy; the exchange returned must be closed by the caller.

        *within* is the exchange whose server this one is about; it stands for the
        destination. Raises Refused, with its record already left, if the answer is
        no; UpstreamError if a name had to be resolved for the answer and could not.
        """
        access = self._access(action, destination, method, resource, within)
        exchange = self._exchange(access)
        if within is not None:
            exchange.server_login, exchange.ours = within.server_login, within.ours
        services = exchange.services
        await services.sink.ready()
        try:
            await exchange.judge()
        except BaseException as error:
            exchange.close(error)
            raise
        services.live.add(exchange)
        if action is not Action.CONNECT:
            self._busy += 1
            exchange.over = self._exchange_over
        return exchange

    def _exchange(self, access: Access) -> Exchange:
        self._count += 1
        return Exchange(
            self._current.services,
            self.visitor,
            access,
            number=self._count,
            by=self.identity.by if access.user else "",
        )

    def _access(
        self,
        action: Action,
        destination: Endpoint | None,
        method: str,
        resource: str,
        within: Exchange | None = None,
    ) -> Access:
        if within is not None:
            host, port, address = within.target
        elif destination is not None:
            host, port = destination.host, destination.port
            literal = destination.address
            address = None if literal is None else fold(literal)
        else:
            host, port, address = "", 0, None
        return Access(
            protocol=self.visitor.door.protocol,
            client=self.address,
            user=self.identity.user,
            action=action,
            method=method,
            host=host,
            port=port,
            address=address,
            path=resource,
            groups=self.identity.groups,
        )

    def listen(self, at: DataPorts, address: IPAddress | None = None) -> DataPort:
        """Listen for one data connection from the client, on the address it reached.

        *address* overrides the address listened on. Refused BUSY: no port is free.
        """
        return open_data_port(
            address or self._stream.local_address,
            at.ports,
            lambda peer: peer == self.address or any(peer in net for net in at.peers),
            Side.CLIENT,
        )

    async def call_back(
        self, port: int, *, source_port: int = 0, seconds: float = 10.0
    ) -> SocketStream:
        """Dial *port* at the client, whose address is not an argument on purpose.

        Raises PeerError; Refused, LOOP, where that would be a door of ours.
        """
        if self.services.doors.is_ours(self.address, port):
            raise Refused(Reason.LOOP)
        return await dial(
            [self.address],
            port,
            side=Side.CLIENT,
            source=self._stream.local_address,
            source_port=source_port,
            seconds=seconds,
        )

    async def wait_for(self, read: Awaitable[T], seconds: float | None) -> T:
        """Wait for the client's next words, at most *seconds* (None: for ever).

        Raises PeerError IDLE when they do not come, and Refused DRAIN when the
        gateway closes while nothing but this wait goes on.
        """
        self._waiting = True
        if self._draining:
            self._drain_if_quiet()
        if seconds is not None:
            self._idle.set(seconds)
        try:
            return await read
        finally:
            self._idle.clear()
            self._waiting = False

    def drain(self) -> None:
        """End the session as soon as nothing moves in it."""
        self._draining = True
        self._drain_if_quiet()

    def close(self) -> None:
        """Forget the clocks; the session is over."""
        self._idle.close()

    def _exchange_over(self) -> None:
        self._busy -= 1
        if self._draining:
            self._drain_if_quiet()

    def _drain_if_quiet(self) -> None:
        if self._waiting and not self._busy:
            self._stream.interrupt(Refused(Reason.DRAIN))

    def _idle_too_long(self) -> None:
        self._stream.interrupt(PeerError(Side.CLIENT, "idle too long", Reason.IDLE))
