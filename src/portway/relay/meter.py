"""Counts what goes one way, and holds it to its limits.

Not here: the payload itself, which is never touched to be counted, and whose limits
they are (limiter.py). Invariant: *bytes* is what was handed to the receiver's socket,
and nothing else; what was granted and did not go is given back.
"""

import asyncio
from typing import ClassVar

from portway.relay.quotas import Allowance
from portway.relay.rates import Rate


class Meter:
    """One direction of one exchange."""

    __slots__ = ("bytes",)

    limited: ClassVar[bool] = False  # whether `leave` may wait, or grant less

    def __init__(self) -> None:
        self.bytes = 0

    @property
    def waiting(self) -> bool:
        """Whether a limit holds it back at this moment."""
        return False

    @property
    def waited(self) -> float:
        """For how many seconds limits held it back."""
        return 0.0

    async def leave(self, want: int) -> int:
        """Return how many of *want* bytes may go now, at least one.

        Raises Refused, QUOTA, where none may go any more.
        """
        return want

    def moved(self, count: int) -> None:
        """Take note that *count* bytes went, of those that may."""
        self.bytes += count

    def rest(self) -> None:
        """Let go of what may go: there is nothing to move for now."""


class LimitedMeter(Meter):
    """A meter on *rates* and *quotas* that it shares with others.

    Only one task may be in `leave`.
    """

    __slots__ = ("_granted", "_quotas", "_rates", "_since", "_waited")

    limited: ClassVar[bool] = True

    def __init__(self, rates: tuple[Rate, ...], quotas: tuple[Allowance, ...]) -> None:
        super().__init__()
        self._rates = rates
        self._quotas = quotas
        self._granted = 0  # and not moved yet
        self._since: float | None = None
        self._waited = 0.0

    @property
    def waiting(self) -> bool:
        """Whether a limit holds it back at this moment."""
        return self._since is not None

    @property
    def waited(self) -> float:
        """For how many seconds limits held it back."""
        return self._waited

    async def leave(self, want: int) -> int:
        """Return how many of *want* bytes may go now; see `Meter.leave`."""
        self.rest()
        for quota in self._quotas:
            if not quota.left():
                raise quota.refusal()
        taken: list[tuple[Rate, int]] = []
        granted = want
        try:
            for rate in self._rates:
                granted = rate.take(granted, self) or await self._turn(rate, granted)
                taken.append((rate, granted))
            if self._quotas:
                granted = await self._reserve(granted)
        except BaseException:
            for rate, count in taken:
                rate.give_back(count)
            raise
        for rate, count in taken:
            if count > granted:
                rate.give_back(count - granted)
        self._granted = granted
        return granted

    async def _turn(self, rate: Rate, want: int) -> int:
        self._hold()
        try:
            return await rate.wait(want, self)
        finally:
            self._go_on()

    async def _reserve(self, want: int) -> int:
        """Reserve up to *want* bytes of all quotas at once.

        What others were granted of the last bytes may yet come back: it waits for that.
        """
        while True:
            scarce = min(self._quotas, key=Allowance.free)
            count = min(want, scarce.free())
            if count > 0:
                for quota in self._quotas:
                    quota.reserve(count)
                return count
            for quota in self._quotas:
                if not quota.left():
                    raise quota.refusal()
            self._hold()
            try:
                await scarce.changes()
            finally:
                self._go_on()

    def _hold(self) -> None:
        self._since = asyncio.get_running_loop().time()

    def _go_on(self) -> None:
        if self._since is not None:
            self._waited += asyncio.get_running_loop().time() - self._since
            self._since = None

    def moved(self, count: int) -> None:
        """Take note that *count* bytes went, of those that may."""
        self.bytes += count
        self._granted -= count
        for quota in self._quotas:
            quota.charge(count)

    def rest(self) -> None:
        """Give back what may go and did not."""
        if self._granted:
            for rate in self._rates:
                rate.give_back(self._granted)
            for quota in self._quotas:
                quota.give_back(self._granted)
            self._granted = 0
