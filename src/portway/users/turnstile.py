"""Where logins wait for their turn, and for the answer to a wrong one.

Not here: how long (guessing.py). Invariant: two logins from one address are never
checked at once, and nobody who waits holds a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from portway.errors import Refused
from portway.model import IPAddress, Reason
from portway.net.turns import Turns
from portway.users.guessing import Guesses, place_of


@dataclass(slots=True)
class _Line:
    """Who waits at one address; *length* counts the one who is at it."""

    turns: Turns = field(default_factory=Turns)
    length: int = 0


class Turnstile:
    """The way in for all logins of a gateway; *clock* is the loop's if it is None."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._guesses = Guesses()
        self._clock = clock
        self._lines: dict[IPAddress, _Line] = {}

    @asynccontextmanager
    async def turn(self, address: IPAddress) -> AsyncIterator[None]:
        """Wait for the turn of a login from *address*, and check it in the block.

        Raises Refused RATE while logins from there are refused.
        """
        place = place_of(address)
        self._refuse_banned(place)
        line = self._lines.setdefault(place, _Line())
        line.length += 1
        try:
            async with line.turns:
                # nobody but who is at the turn can make it longer
                await asyncio.sleep(self._guesses.wait(place, self._now()))
                self._refuse_banned(place)
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[place]

    def failed(self, name: str, address: IPAddress) -> float:
        """Count a failure; return the seconds after which to answer it."""
        return self._guesses.failed(name, address, self._now())

    def succeeded(self, name: str) -> None:
        """Forget the failures of *name*."""
        self._guesses.succeeded(name)

    def _refuse_banned(self, address: IPAddress) -> None:
        if self._guesses.banned(address, self._now()):
            raise Refused(Reason.RATE, "too many wrong logins from this address")

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()
