"""A moment that is moved far more often than it comes.

All deadlines wait in one wheel of short slots, and one timer of the loop's stands for
the first slot: ten thousand sessions that wait cost no timers, only places in sets.

Not here: what happens then. Invariant: a deadline never comes early, and at most a slot
late; moving it later, and clearing it, cost next to nothing.
"""

import asyncio
import heapq
from collections.abc import Callable

SLOT = 0.1  # seconds


class Deadline:
    """Calls *call* once a moment has passed without being moved or cleared."""

    __slots__ = ("_call", "_due", "_slot", "_wheel")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call
        self._wheel = _wheel_of(asyncio.get_running_loop())
        self._due: float | None = None
        self._slot = 0  # where it is in the wheel; 0 is nowhere

    def set(self, seconds: float) -> None:
        """Let it come *seconds* from now, and not before."""
        self._due = due = self._wheel.loop.time() + seconds
        slot = int(due / SLOT) + 1
        if self._slot:
            if self._slot <= slot:
                return  # it will find out when it comes there
            self._wheel.take(self, self._slot)
        self._slot = slot
        self._wheel.put(self, slot)

    def clear(self) -> None:
        """Let it never come, until it is set again."""
        self._due = None

    def close(self) -> None:
        """Clear it for good, and let go of what it would have called."""
        self._due = self._call = None
        if self._slot:
            self._wheel.take(self, self._slot)
            self._slot = 0

    def reached(self) -> None:
        """Its slot has come; for the wheel."""
        self._slot = 0
        if self._due is None or self._call is None:
            return
        left = self._due - self._wheel.loop.time()
        if left > 0:
            self.set(left)
            return
        self._due = None
        self._call()


class _Wheel:
    """The deadlines of one loop, by the slot in which they are to be looked at."""

    __slots__ = ("_order", "_slots", "_timer", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._slots: dict[int, set[Deadline]] = {}
        self._order: list[int] = []  # a heap of the slots there are
        self._timer: asyncio.TimerHandle | None = None

    def put(self, deadline: Deadline, slot: int) -> None:
        found = self._slots.get(slot)
        if found is not None:
            found.add(deadline)
            return
        self._slots[slot] = {deadline}
        heapq.heappush(self._order, slot)
        if self._order[0] == slot:
            self._arm()

    def take(self, deadline: Deadline, slot: int) -> None:
        found = self._slots.get(slot)
        if found is not None:  # else it is being gone through
            found.discard(deadline)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._order[0] * SLOT, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = self.loop.time() / SLOT
        while self._order and self._order[0] <= now:
            for deadline in self._slots.pop(heapq.heappop(self._order)):
                self._reach(deadline)
        if self._order and self._timer is None:
            self._arm()

    def _reach(self, deadline: Deadline) -> None:
        try:
            deadline.reached()
        except Exception as error:  # noqa: BLE001 - one's fault must not stop all others
            context = {"message": "a deadline failed", "exception": error}
            self.loop.call_exception_handler(context)


# The wheel of the loop that runs; a process has one loop, tests one after another.
_wheel: _Wheel | None = None


def _wheel_of(loop: asyncio.AbstractEventLoop) -> _Wheel:
    global _wheel  # noqa: PLW0603 - see above
    if _wheel is None or _wheel.loop is not loop:
        _wheel = _Wheel(loop)
    return _wheel
