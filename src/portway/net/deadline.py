"""A moment that is moved far more often than it comes.

Not here: what happens then. Invariant: at most one timer of the loop's stands for a
deadline, however often it is moved; moving it later, and clearing it, cost nothing.
"""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls *call* once a moment has passed without being moved or cleared."""

    __slots__ = ("_call", "_due", "_loop", "_timer")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call
        self._loop = asyncio.get_running_loop()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Let it come *seconds* from now, and not before."""
        self._due = due = self._loop.time() + seconds
        timer = self._timer
        if timer is not None:
            if timer.when() <= due:
                return  # it will find out when it comes
            timer.cancel()
        self._timer = self._loop.call_at(due, self._timer_came)

    def clear(self) -> None:
        """Let it never come, until it is set again."""
        self._due = None

    def close(self) -> None:
        """Clear it for good, and let go of what it would have called."""
        self._due = self._call = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_came(self) -> None:
        self._timer = None
        if self._due is None or self._call is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._timer_came)
            return
        self._due = None
        self._call()
