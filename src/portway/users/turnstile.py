"""Where logins wait for their turn.

Not here: how long a wrong one waits (guessing.py), and how many are checked at once
(room.py). Invariant: two logins from one address are never checked at once, and nobody
who waits holds a thread.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from portway.errors import Refused
from portway.members import place_of
from portway.model import IPAddress, Reason
from portway.net.turns import Turns
from portway.users.directory import Overloaded
from portway.users.guessing import Guesses
from portway.users.room import Room

QUIET = 60.0  # seconds between two lines about too many logins

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Line:
    """Who waits at one address; *length* counts the one who is at it."""

    turns: Turns = field(default_factory=Turns)
    length: int = 0


class Turnstile:
    """The way in for all logins of a gateway; *clock* is the loop's if it is None."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._guesses = Guesses()
        self._room = Room()
        self._told_at = float("-inf")
        self._clock = clock
        self._lines: dict[IPAddress, _Line] = {}

    @asynccontextmanager
    async def turn(self, address: IPAddress) -> AsyncIterator[None]:
        """Wait for the turn of a login from *address*, and check it in the block.

        Raises Refused RATE while logins from there are refused; Overloaded.
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
                async with self._check(place):
                    yield
        except Overloaded:
            self._tell()
            raise
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[place]

    @asynccontextmanager
    async def _check(self, place: IPAddress) -> AsyncIterator[None]:
        suspected = self._guesses.suspected(place, self._now())
        await self._room.enter(suspected=suspected)
        try:
            yield
        finally:
            self._room.leave(suspected=suspected)

    def _tell(self) -> None:
        now = self._now()
        if now - self._told_at >= QUIET:
            self._told_at = now
            log.warning("login.overload", extra={"refused": "too many logins at once"})

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


async def to_its_end(
    asked: Coroutine[Any, Any, T],
) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """Wait until *asked* is done, even if we are cancelled meanwhile.

    Beside it stands that cancellation, to be raised by whoever calls.
    """
    gone: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    task = loop.create_task(asked)
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancelled:
            gone = cancelled
    return task, gone
