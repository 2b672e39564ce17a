"""How many logins are checked at once, and who is next.

At most half of the room goes to addresses whose logins were wrong of late, so that
however many of them guess, somebody else's login is checked soon.

Not here: hashes and threads (local.py), and who is suspected (guessing.py). Invariant:
who waits for room holds no thread, and neither kind keeps the other out.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from portway.users.directory import Overloaded

CHECKED = 32  # logins at once: half a second of hashes on two cores
WAITING = 256  # more of each kind; as long as nobody minds waiting


@dataclass(slots=True)
class _Kind:
    """Those who may, at most *most* at once, and those who wait."""

    most: int
    inside: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Room:
    """Room for *checked* logins; *waiting* more of each kind may wait for it."""

    __slots__ = ("_checked", "_others", "_suspects", "_waiting")

    def __init__(self, checked: int = CHECKED, waiting: int = WAITING) -> None:
        self._checked = checked
        self._waiting = waiting
        self._suspects = _Kind(checked // 2)
        self._others = _Kind(checked)

    async def enter(self, *, suspected: bool) -> None:
        """Wait for room; then `leave` must follow. Raises Overloaded."""
        kind = self._kind(suspected)
        if not kind.waiting and self._has_room(kind):
            kind.inside += 1
            return
        if len(kind.waiting) >= self._waiting:
            raise Overloaded
        turn = asyncio.get_running_loop().create_future()
        kind.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(suspected=suspected)  # it was in already
            else:
                kind.waiting.remove(turn)
            raise

    def leave(self, *, suspected: bool) -> None:
        """Make room for the next."""
        self._kind(suspected).inside -= 1
        for kind in (self._suspects, self._others):
            while kind.waiting and self._has_room(kind):
                turn = kind.waiting.popleft()
                if not turn.done():
                    kind.inside += 1
                    turn.set_result(None)

    def _kind(self, suspected: bool) -> _Kind:  # noqa: FBT001 - the only argument
        return self._suspects if suspected else self._others

    def _has_room(self, kind: _Kind) -> bool:
        inside = self._suspects.inside + self._others.inside
        return inside < self._checked and kind.inside < kind.most
