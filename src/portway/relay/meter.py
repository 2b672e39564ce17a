"""Counts what goes one way.

Not here: the payload itself, which is never touched to be counted. Invariant: *bytes*
is what was handed to the receiver's socket, and nothing else.
"""


class Meter:
    """One direction of one exchange."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0

    async def leave(self, want: int) -> int:
        """Return how many of *want* bytes may go now, at least one."""
        return want

    def moved(self, count: int) -> None:
        """Take note that *count* bytes went."""
        self.bytes += count
