"""A rate that many transfers share, one after another in the order they came.

Not here: whose rate it is (limiter.py), and payload. Invariant: who waits is served
before whoever comes later, and what was granted to someone who is gone is given back.
"""

import asyncio
from collections import deque
from contextlib import suppress

from portway.relay.bucket import Bucket

# A grant is worth so many seconds of the rate, PIECE bytes where that is between: few
# wake-ups on fast lines, an even trickle on slow ones.
SHORTEST, LONGEST = 0.02, 0.1
PIECE = 65536
BURST = 0.25  # seconds of the rate that a loop which is busy elsewhere may make up for
SHARE = 65536  # at a time for each of those that go on at once
SHARED = 1.0  # seconds for which another one is remembered
TICK = 0.001  # what loops tell apart


class Rate:
    """So many bytes a second, for all who ask here together."""

    __slots__ = ("_bucket", "_last", "_loop", "_piece", "_queue", "_shared", "_timer")

    def __init__(self, rate: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._bucket = Bucket(rate, burst_of(rate), self._loop.time())
        self._piece = piece_of(rate)
        self._queue: deque[tuple[asyncio.Future[int], int, object]] = deque()
        self._timer: asyncio.Handle | None = None
        self._last: object = None  # who was granted something last
        self._shared = 0.0  # until when there is more than one of them

    def change(self, rate: float) -> None:
        """Go on at another rate; whoever waits feels it at once."""
        if rate != self._bucket.rate:
            self._bucket.change(rate, burst_of(rate), self._loop.time())
            self._piece = piece_of(rate)
            self._serve()

    def is_idle(self) -> bool:
        """Say whether nobody waits and nothing of the past is remembered."""
        return not self._queue and self._bucket.is_full(self._loop.time())

    def take(self, want: int, who: object) -> int:
        """Return how many of *want* bytes *who* may move at once; 0: wait for them."""
        now = self._loop.time()
        if self._queue or now < self._shared:
            return 0
        return self._grant(want, who, now)

    async def wait(self, want: int, who: object) -> int:
        """Wait for the turn of *who*; return how many of *want* bytes may go then."""
        granted: asyncio.Future[int] = self._loop.create_future()
        waiter = (granted, want, who)
        self._queue.append(waiter)
        if self._timer is None:
            self._arm()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                with suppress(ValueError):
                    self._queue.remove(waiter)
            else:
                self.give_back(granted.result())
            raise

    def give_back(self, count: int) -> None:
        """Take back *count* bytes that were granted and did not go."""
        self._bucket.give_back(count)
        if self._queue:
            self._serve()

    def _grant(self, want: int, who: object, now: float) -> int:
        count = self._bucket.take(want, self._least(want), now)
        if count and who is not self._last:
            if self._last is not None:
                self._shared = now + SHARED
            self._last = who
        return count

    def _least(self, want: int) -> float:
        """Return what is worth a turn of one who wants *want* bytes."""
        return max(min(want, self._piece / 4), 1)

    def _serve(self) -> None:
        """Grant what there is to those who wait, the first first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._queue:
            granted, want, who = self._queue[0]
            if granted.done():  # cancelled
                self._queue.popleft()
                continue
            count = self._grant(self._fair(want, now), who, now)
            if not count:
                self._arm()
                return
            self._queue.popleft()
            granted.set_result(count)

    def _fair(self, want: int, now: float) -> int:
        """Return how much of *want* is fair to the others there are."""
        return min(want, SHARE) if now < self._shared else want

    def _arm(self) -> None:
        """Come again when there is enough for those who wait."""
        now = self._loop.time()
        want = self._fair(self._queue[0][1], now)
        if self._bucket.level(now) >= self._least(want):
            self._timer = self._loop.call_soon(self._serve)
            return
        amount = max(min(want * len(self._queue), self._piece), 1)
        delay = max(self._bucket.delay(amount, now), TICK)
        self._timer = self._loop.call_later(delay, self._serve)


def piece_of(rate: float) -> float:
    """Return how many bytes are granted together."""
    return min(max(rate * SHORTEST, PIECE), rate * LONGEST)


def burst_of(rate: float) -> float:
    """Return how many bytes may be made up for."""
    return max(rate * BURST, 1.0)
