"""On to a server through the parent: another proxy that we connect to in its place.

Not here: whether the server may be reached (the exchange), and the words that a parent
wants to hear (the `Handshake` of its protocol). Invariant: whatever the end, nothing
stays open but the connection or the port that is returned.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from portway.errors import ParentError, PeerError, Refused, UpstreamError
from portway.model import Access, Endpoint, IPAddress, Reason, Side
from portway.net.dial import dial
from portway.net.guard import fold
from portway.net.parent import Handshake, Parent
from portway.net.stream import SocketStream, Stream
from portway.services import Services

T = TypeVar("T")
MOST = 3  # of a server's addresses that a parent is asked for, one after another

WHY = {
    Reason.NAME: "its name is unknown",
    Reason.RESOLVER: "the name server does not answer",
    Reason.REFUSED: "connection refused",
    Reason.UNREACHABLE: "network unreachable",
    Reason.CONNECT_TIMEOUT: "no answer in time",
}


@dataclass(frozen=True, slots=True)
class Step:
    """To *parent*, from *source*, in so many *seconds*."""

    parent: Parent
    source: IPAddress | None
    seconds: float


class Way:
    """How the servers of one visit are reached: by the *parent*, if there is one.

    *at_parent* is the address at which an FTP parent was reached; to us, it is the
    server. *foreign*: we may be told to dial from an address that is none of ours.
    """

    __slots__ = ("at_parent", "foreign", "parent")

    def __init__(self, parent: Parent | None = None, *, foreign: bool = False) -> None:
        self.parent = parent
        self.foreign = foreign
        self.at_parent: IPAddress | None = None

    @property
    def by_name(self) -> bool:
        """Whether a name is all that we shall ever know of a server that has one."""
        return self.parent is not None and self.parent.resolves

    @property
    def chained(self) -> Parent | None:
        """The parent, if each connection with the server has to be asked of it."""
        parent = self.parent
        return None if parent is None or parent.is_ftp else parent

    def can_listen(self, server: IPAddress | None) -> bool:
        """Say whether a server at *server* can make data connections to us.

        Where only the parent knows that address, nobody could tell who called.
        """
        parent = self.chained
        if parent is None:
            return True
        return parent.binds and server is not None

    async def reach(
        self,
        services: Services,
        server: Endpoint,
        addresses: Sequence[IPAddress],
        source: IPAddress | None,
        seconds: float,
    ) -> tuple[SocketStream, IPAddress | None]:
        """Connect to *server* at one of its *addresses*, or by name if none is known.

        Beside the stream stands the address, if it is known. Raises UpstreamError,
        Refused.
        """
        parent, port = self.parent, server.port
        if parent is None:
            stream = await dial(
                addresses,
                port,
                source=source,
                seconds=seconds,
                host=server.host,
                foreign=self.foreign,
            )
            return stream, stream.peer_address
        step = Step(parent, source, seconds)
        if parent.is_ftp:
            stream = await reach_parent(services, step)
            self.at_parent = stream.peer_address
            return stream, server.address
        targets = [Endpoint(str(one), port) for one in addresses] or [server]
        stream, at = await connect_through(services, step, targets)
        return stream, at.address

    async def reach_data(
        self,
        services: Services,
        at: Endpoint,
        source: IPAddress | None,
        seconds: float,
    ) -> SocketStream:
        """Connect to a data port of the server's. Raises UpstreamError, Refused."""
        parent = self.chained
        if parent is not None:
            step = Step(parent, source, seconds)
            return (await connect_through(services, step, [at]))[0]
        addresses = [] if at.address is None else [fold(at.address)]
        return await dial(
            addresses, at.port, source=source, seconds=seconds, foreign=self.foreign
        )

    async def listen(
        self,
        services: Services,
        server: Endpoint,
        admits: Callable[[IPAddress], bool],
        source: IPAddress | None,
        seconds: float,
    ) -> "ChainPort":
        """Let the parent listen for *server*'s data. Raises ParentError, Refused."""
        parent = self.chained
        if parent is None:
            raise RuntimeError("nobody listens for us")
        step = Step(parent, source, seconds)
        return await listen_through(services, step, server, admits)

    def facts(self, access: Access) -> dict[str, str]:
        """Return what records tell of the way."""
        facts = {"via": str(self.parent)}
        if self.by_name and access.host and access.address is None:
            facts["resolved_by"] = "parent"
        return facts


DIRECT = Way()
FROM_ANYWHERE = Way(foreign=True)


async def reach_parent(services: Services, step: Step) -> SocketStream:
    """Connect to the parent itself.

    Raises ParentError; Refused, LOOP, where it is a door of ours.
    """
    at = step.parent.at
    try:
        found: Sequence[IPAddress] = () if at.address is None else (at.address,)
        found = found or await services.resolver.resolve(at.host)
        if any(services.doors.is_ours(address, at.port) for address in found):
            raise Refused(Reason.LOOP)
        return await dial(found, at.port, source=step.source, seconds=step.seconds)
    except UpstreamError as error:
        words = f"it cannot be reached: {WHY.get(error.reason, 'no connection')}"
        raise ParentError(Reason.VIA, at, "parent", words) from error


async def connect_through(
    services: Services, step: Step, targets: Sequence[Endpoint]
) -> tuple[SocketStream, Endpoint]:
    """Return a connection to the first of *targets* that the parent reaches.

    Beside it stands which it was. Raises ParentError, Refused.
    """
    handshake = services.handshakes[step.parent.scheme]
    *others, last = targets[:MOST]
    for target in others:
        try:
            return await _connect(services, step, handshake, target), target
        except ParentError as error:
            if error.fault != "target":
                raise
    return await _connect(services, step, handshake, last), last


async def _connect(
    services: Services, step: Step, handshake: Handshake, target: Endpoint
) -> SocketStream:
    stream = await reach_parent(services, step)
    try:
        words = handshake.connect(stream, target, step.parent.credentials)
        await _in_time(words, step)
    except BaseException:
        stream.close()
        raise
    return stream


async def _in_time(words: Awaitable[T], step: Step) -> T:
    """Wait for a handshake. Raises ParentError for all that goes wrong in it."""
    try:
        async with asyncio.timeout(step.seconds):
            return await words
    except TimeoutError as error:
        text = "it does not answer in time"
        raise ParentError(Reason.VIA, step.parent.at, "parent", text) from error
    except PeerError as error:
        raise ParentError(Reason.VIA, step.parent.at, "parent", error.text) from error


class ChainPort:
    """A data port at the parent, which waits for one connection from one peer.

    *endpoint* is where it listens, as a server is told.
    """

    __slots__ = ("_admits", "_caller", "_stream", "endpoint")

    def __init__(
        self,
        endpoint: Endpoint,
        stream: SocketStream,
        caller: Callable[[Stream], Awaitable[Endpoint]],
        admits: Callable[[IPAddress], bool],
    ) -> None:
        self.endpoint = endpoint
        self._stream: SocketStream | None = stream
        self._caller = caller
        self._admits = admits

    async def accept(self) -> SocketStream:
        """Return the connection, once the parent says that it was made.

        Raises ParentError, also where it was made by a stranger; PeerError if the port
        is closed.
        """
        stream = self._stream
        if stream is None:
            raise PeerError(Side.SERVER, "the data port was closed")
        who = (await self._caller(stream)).address
        if who is None or not self._admits(fold(who)):
            text = "a stranger came to its data port"
            raise ParentError(Reason.VIA, stream.peer, "target", text)
        self._stream = None
        return stream

    def close(self, *, reset: bool = False) -> None:
        """Give the port up, and what came to it that nobody has taken."""
        stream, self._stream = self._stream, None
        if stream is not None:
            if reset:
                stream.abort()
            else:
                stream.close()


async def listen_through(
    services: Services,
    step: Step,
    server: Endpoint,
    admits: Callable[[IPAddress], bool],
) -> ChainPort:
    """Let the parent listen for a data connection from *server*.

    Raises ParentError, Refused.
    """
    handshake = services.handshakes[step.parent.scheme]
    if handshake.listen is None or handshake.caller is None:
        raise ParentError(Reason.VIA, step.parent.at, "target", "it cannot listen")
    stream = await reach_parent(services, step)
    try:
        words = handshake.listen(stream, server, step.parent.credentials)
        at = await _in_time(words, step)
        if at.address is None or at.address.is_unspecified:  # "where you found me"
            at = replace(at, host=str(stream.peer_address))
    except BaseException:
        stream.close()
        raise
    return ChainPort(at, stream, handshake.caller, admits)
