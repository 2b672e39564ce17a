"""The clients that are being served, and the sockets they come in by.

Not here: what a protocol does with a client. Invariant: a listening socket is closed
when its task ends, and a client is counted out when its session ends, however it ends.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from portway.admission import Admission
from portway.errors import PortwayError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Endpoint, Reason
from portway.net.introductions import Introductions
from portway.net.listen import serve
from portway.net.stream import SocketStream
from portway.policy.match import Networks
from portway.protocol import Handler
from portway.services import Current, Door

TURN_AWAY_TIME = 1.0  # seconds for the words to a client that is not let in

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entrance:
    """What the clients of one listener get; a reload puts another handler in."""

    door: Door
    handler: Handler
    too_many: bytes
    balancers: Networks = ()  # who must say first whom it connects for


class Sessions:
    """All client connections of a gateway. *tasks* gets a task for each."""

    def __init__(
        self, current: Current, admission: Admission, tasks: asyncio.TaskGroup
    ) -> None:
        self._current = current
        self._admission = admission
        self._tasks = tasks
        self._gates: dict[asyncio.Task[None], Gate] = {}
        self._introductions = Introductions()

    def __len__(self) -> int:
        return len(self._gates)

    def __iter__(self) -> Iterator[Gate]:
        """Yield the gate of each session that goes on, the oldest first."""
        return iter(tuple(self._gates.values()))

    def listen(self, sock: socket.socket, entrance: Entrance) -> asyncio.Task[None]:
        """Take clients in from *sock* until the task is cancelled."""
        return self._tasks.create_task(
            serve(sock, lambda stream: self._begin(stream, entrance))
        )

    def _begin(self, stream: SocketStream, entrance: Entrance) -> None:
        try:
            address = stream.peer_address
        except (PortwayError, ValueError):  # it is gone again
            stream.close()
            return
        if not any(address in network for network in entrance.balancers):
            self._enter(stream, entrance)
        elif len(self._introductions) >= self._admission.limits.connections:
            stream.abort()
        else:
            self._introductions.wait_for(
                stream,
                lambda stream, called: self._enter(stream, entrance, called),
                not_introduced,
            )

    def _enter(
        self, stream: SocketStream, entrance: Entrance, called: Endpoint | None = None
    ) -> None:
        address = stream.peer_address
        if not self._admission.enter(address):
            log.warning("listen.too_many", extra={"peer": str(address)})
            self._tasks.create_task(turn_away(stream, entrance.too_many))
            return
        gate = Gate(self._current, entrance.door, stream, address)
        if called is not None:
            gate.visitor = replace(gate.visitor, called=called)
        served = entrance.handler(stream, gate)
        task = self._tasks.create_task(self._see_out(served, gate))
        self._gates[task] = gate
        task.add_done_callback(self._over)

    async def _see_out(self, served: Awaitable[None], gate: Gate) -> None:
        try:
            await served
        except Exception:
            log.exception("session.failed")
            gate.stream.abort()
        except asyncio.CancelledError:
            gate.stream.close()
            raise

    def _over(self, task: asyncio.Task[None]) -> None:
        self._admission.leave(self._gates.pop(task).address)

    async def drain(self, seconds: float) -> None:
        """Let sessions end by themselves, for up to *seconds*; then cut them."""
        self._introductions.close()
        for gate in tuple(self._gates.values()):
            gate.drain()
        if self._gates:
            await asyncio.wait(tuple(self._gates), timeout=seconds)
        await self.cut()

    async def cut(self) -> None:
        """End all sessions now; the records of what they did say who did."""
        self._introductions.close()
        closing = Refused(Reason.DRAIN, "the gateway was told to stop")
        for one in self._current.services.live:
            if isinstance(one, Exchange):
                one.cut("drain", closing)
        left = tuple(self._gates)
        for task in left:
            task.cancel()
        if left:
            log.warning("session.cut", extra={"sessions": len(left)})
            await asyncio.wait(left)


def not_introduced(stream: SocketStream, error: PortwayError) -> None:
    """Close on a balancer that did not say whom it connects for.

    One that only looks whether anybody is there does nothing wrong.
    """
    level = logging.DEBUG if error.reason is Reason.GONE else logging.WARNING
    extra = {"peer": stream.peer.host, "error": error.text}
    log.log(level, "listen.not_introduced", extra=extra)
    stream.abort()


async def turn_away(stream: SocketStream, words: bytes) -> None:
    """Tell a client that it is one too many, and close."""
    with suppress(PortwayError, TimeoutError):
        async with asyncio.timeout(TURN_AWAY_TIME):
            await stream.send(words)
            await stream.send_eof()
            await stream.finish(TURN_AWAY_TIME)
    stream.close()
