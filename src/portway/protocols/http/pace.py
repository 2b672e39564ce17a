"""Clocks on a session: for what must come by a moment, and for bodies that crawl.

security.md, section 3. Not here: what is told to whom. Invariant: who is blamed is the
one whom the gateway waited for; limits that hold a body back are nobody's fault.
"""

import select

from portway.errors import PeerError
from portway.model import Reason, Side
from portway.net.deadline import Deadline
from portway.net.stream import SocketStream, Stream
from portway.relay.meter import Meter

TICK = 30.0  # seconds between two looks at a body
GRACE = 3  # ticks until its rate counts
WINDOW = 2  # ticks over which it is taken


class Alarm:
    """Interrupts a stream that has not done its part in time."""

    __slots__ = ("_clock", "_reason", "_stream", "_text")

    def __init__(self) -> None:
        self._clock = Deadline(self._ring)
        self._stream: SocketStream | None = None
        self._text = ""
        self._reason = Reason.TIMEOUT

    def set(
        self, seconds: float, stream: SocketStream, text: str, reason: Reason
    ) -> None:
        """Interrupt *stream*, with *text* and *reason*, unless cleared in time."""
        self._stream, self._text, self._reason = stream, text, reason
        self._clock.set(seconds)

    def clear(self) -> None:
        """It has come in time."""
        self._clock.clear()
        self._stream = None

    def close(self) -> None:
        """Clear it for good."""
        self._stream = None
        self._clock.close()

    def _ring(self) -> None:
        if self._stream is not None:
            error = PeerError(self._stream.side, self._text, self._reason)
            self._stream.interrupt(error)


class Pace:
    """Watches one body from *source* to *sink*, whose bytes *meter* counts.

    *stall* seconds without a byte end it, whoever it is that we wait for; fewer than
    *least* bytes a second over a minute do where that is the client.
    """

    __slots__ = ("_clock", "_least", "_meter", "_seen", "_sink", "_source", "_stall")

    def __init__(
        self,
        source: Stream,
        sink: Stream,
        meter: Meter,
        stall: float,
        least: float,
    ) -> None:
        self._source = source
        self._sink = sink
        self._meter = meter
        self._stall = stall
        self._least = least
        self._seen = [meter.bytes]  # at each tick
        self._clock = Deadline(self._look)
        self._clock.set(min(TICK, stall))

    def close(self) -> None:
        """It has ended."""
        self._clock.close()

    def _look(self) -> None:
        tick = min(TICK, self._stall)
        self._clock.set(tick)
        if self._meter.waiting:
            self._seen = [self._meter.bytes]
            return
        self._seen.append(self._meter.bytes)
        guilty = self._sink if is_full(self._sink) else self._source
        still = len(self._seen) - 1 - self._seen.index(self._seen[-1])
        if still * tick >= self._stall:
            self._end(guilty, f"no byte in {self._stall:.0f} s")
        elif (
            guilty.side is Side.CLIENT
            and len(self._seen) > GRACE
            and self._seen[-1] - self._seen[-1 - WINDOW] < self._least * tick * WINDOW
        ):
            self._end(guilty, "too few bytes a second")
        del self._seen[: -max(GRACE, int(self._stall / tick)) - 1]

    def _end(self, guilty: Stream, text: str) -> None:
        self._clock.clear()
        guilty.interrupt(PeerError(guilty.side, text, Reason.TIMEOUT))


async def send_in_time(client: SocketStream, data: bytes, seconds: float) -> None:
    """Send *data*; a client that does not take it in time is interrupted.

    Raises PeerError.
    """
    sent = client.send_at_once(data)
    if sent == len(data):
        return
    error = PeerError(client.side, "the client does not read", Reason.TIMEOUT)
    late = Deadline(lambda: client.interrupt(error))
    late.set(seconds)
    try:
        await client.send(memoryview(data)[sent:])
    finally:
        late.close()


def is_full(stream: Stream) -> bool:
    """Say whether the peer does not take what it is sent."""
    if not isinstance(stream, SocketStream) or stream.closed:
        return False
    asking = select.poll()
    asking.register(stream.fileno(), select.POLLOUT)
    return not asking.poll(0)
