"""The exchanges in progress, and the rows that tell of them while they last.

Not here: an exchange's last record; it leaves that itself. Invariant: an exchange is
here from its yes to its record, and no start row of it is made after that.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from portway.ledger.sink import Sink
from portway.model import Record

AFTER = 1.0  # seconds until an exchange gets a start row
EVERY = 10.0  # seconds between two looks whether that row is out of date
TICK = 0.5
AT_ONCE = 200  # rows made in one go: about 2 ms of the loop's time


class Counted(Protocol):
    """What has moved one way."""

    @property
    def bytes(self) -> int:
        """How much so far."""


class Running(Protocol):
    """An exchange, as far as it concerns this module."""

    @property
    def age(self) -> float:
        """Seconds since it began."""

    @property
    def up(self) -> Counted:
        """What went to the server."""

    @property
    def down(self) -> Counted:
        """What went to the client."""

    def record(self) -> Record:
        """Return its record as it is now, which is `Outcome.OPEN`."""


class Live:
    """All exchanges in progress, oldest first.

    `run` gives start rows to *sink*: one when an exchange has lasted *after* seconds,
    and another one each *every* seconds if bytes have moved since.
    """

    __slots__ = ("_after", "_every", "_fresh", "_shown", "_sink")

    def __init__(
        self, sink: Sink, *, after: float = AFTER, every: float = EVERY
    ) -> None:
        self._sink = sink
        self._after = after
        self._every = every
        self._fresh: dict[Running, None] = {}
        # with a row: the age at which to look again, and the bytes in the row
        self._shown: dict[Running, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._fresh) + len(self._shown)

    def __iter__(self) -> Iterator[Running]:
        return iter([*self._shown, *self._fresh])

    def add(self, exchange: Running) -> None:
        """Take *exchange* in."""
        self._fresh[exchange] = None

    def discard(self, exchange: Running) -> None:
        """Forget *exchange*, if it is here: its record was left."""
        if exchange in self._fresh:
            del self._fresh[exchange]
        else:
            self._shown.pop(exchange, None)

    async def run(self) -> None:
        """Give start rows for as long as the task lasts."""
        while True:
            full = self.tick()
            await asyncio.sleep(0 if full else TICK)

    def tick(self) -> bool:
        """Give the start rows that are due; return whether some had to wait."""
        first = self._due_first()
        again = self._due_again()
        for exchange in first:
            del self._fresh[exchange]
            self._show(exchange)
        for exchange in again:
            _, before = self._shown.pop(exchange)
            if exchange.up.bytes + exchange.down.bytes == before:
                self._shown[exchange] = (exchange.age + self._every, before)
            else:
                self._show(exchange)
        return AT_ONCE in (len(first), len(again))

    def _show(self, exchange: Running) -> None:
        moved = exchange.up.bytes + exchange.down.bytes
        self._sink.take(exchange.record())
        self._shown[exchange] = (exchange.age + self._every, moved)

    def _due_first(self) -> list[Running]:
        due: list[Running] = []
        for exchange in self._fresh:
            if len(due) == AT_ONCE or exchange.age < self._after:
                break
            due.append(exchange)
        return due

    def _due_again(self) -> list[Running]:
        due: list[Running] = []
        for exchange, (age, _) in self._shown.items():
            if len(due) == AT_ONCE or exchange.age < age:
                break
            due.append(exchange)
        return due
