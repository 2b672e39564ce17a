"""How much may go at a rate: a bucket that fills evenly and never runs over.

Not here: waiting, and clocks; the time is an argument, in seconds. Invariant: in any
stretch of time no more is taken, less what is given back, than the rate allows in it
and one burst.
"""


class Bucket:
    """Fills by *rate* a second up to *burst*, and is full at first."""

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = now

    def level(self, now: float) -> float:
        """Return what it holds."""
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
            self._at = now
        return self._level

    def take(self, most: int, least: float, now: float) -> int:
        """Take what there is, *most* at most; nothing where that is under *least*."""
        level = self.level(now)
        if level < least:
            return 0
        taken = min(most, int(level))
        self._level = level - taken
        return taken

    def give_back(self, count: int) -> None:
        """Put back what was taken and not used."""
        self._level = min(self.burst, self._level + count)

    def delay(self, amount: float, now: float) -> float:
        """Return the seconds until it holds *amount*, which is no more than a burst."""
        return max(amount - self.level(now), 0.0) / self.rate

    def is_full(self, now: float) -> bool:
        """Say whether it remembers nothing."""
        return self.level(now) >= self.burst

    def change(self, rate: float, burst: float, now: float) -> None:
        """Fill at another rate from now on."""
        self._level = min(self.level(now), burst)
        self.rate = rate
        self.burst = burst
