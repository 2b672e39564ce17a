"""Sources of accounts, asked one after another: the first that knows a name decides.

Not here: any source. Invariant: a source that is down is never taken for one that does
not know the name.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users.directory import (
    UNKNOWN,
    Directory,
    Overloaded,
    Source,
    Verification,
    Verified,
)

SECONDS = 5.0  # that a source may take for an answer: protocols.md, section 9
QUIET = 60.0  # seconds between two lines about one source
OnFailure = Literal["closed", "next"]

log = logging.getLogger(__name__)


class Chain:
    """The *sources* in their order.

    *on_failure* says what becomes of a login when a source is down that would have been
    asked for it: ``closed`` refuses it, ``next`` asks the sources after it; if none of
    those knows the name, the login is refused all the same. Each has *seconds* for its
    answer. *clock* gives seconds that only go on, the loop's unless it is given.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        on_failure: OnFailure = "closed",
        *,
        seconds: float = SECONDS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._links = [_Link(source, seconds, clock) for source in sources]
        self._go_on = on_failure == "next"

    async def verify(self, credentials: Credentials) -> Verified:
        """Ask for *credentials*; see `Directory`."""
        refused: Refused | None = None
        for link in self._links:
            try:
                found = await link.verify(credentials)
            except Overloaded:
                raise  # whom to ask next is no question then
            except Refused as error:
                if not self._go_on:
                    raise
                refused = error
                continue
            if found.verification is not Verification.UNKNOWN:
                return found
        if refused is not None:
            raise refused
        return UNKNOWN

    async def knows(self, user: str) -> bool:
        """Say whether a source has *user*; see `Directory`."""
        refused: Refused | None = None
        for link in self._links:
            try:
                if await link.knows(user):
                    return True
            except Refused as error:
                if not self._go_on:
                    raise
                refused = error
        if refused is not None:
            raise refused
        return False

    async def renewed(self, verified: Verified) -> Verified | None:
        """Return *verified* as its source has it now; see `Directory`.

        None, too, if that source is configured no more.
        """
        for link in self._links:
            if link.source.name == verified.source:
                return await link.source.renewed(verified)
        return None

    def close(self) -> None:
        """Close the sources."""
        for link in self._links:
            link.source.close()


class _Link:
    """One source, and whether it could be asked the last time."""

    def __init__(
        self, source: Source, seconds: float, clock: Callable[[], float] | None
    ) -> None:
        self.source = source
        self._seconds = seconds
        self._clock = clock
        self._down = False
        self._told = False  # that it is down
        self._told_at = float("-inf")

    async def verify(self, credentials: Credentials) -> Verified:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self.source.verify(credentials)
        except Overloaded:
            raise
        except (Refused, TimeoutError) as error:
            raise self._no_answer(error) from error
        self._answered()
        return found

    async def knows(self, user: str) -> bool | None:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self.source.knows(user)
        except (Refused, TimeoutError) as error:
            raise self._no_answer(error) from error
        if found is not None:
            self._answered()
        return found

    def _no_answer(self, error: Refused | TimeoutError) -> Refused:
        """Note that the source is down; return what its client is told: no details."""
        timeout = f"no answer in {self._seconds:g} s"
        why = error.because if isinstance(error, Refused) else timeout
        now = self._now()
        if not self._down and now - self._told_at >= QUIET:
            self._told, self._told_at = True, now
            said = {"source": self.source.name, "why": why}
            log.error("login.source.down", extra=said)
        self._down = True
        return Refused(Reason.LOGIN_UNAVAILABLE)

    def _answered(self) -> None:
        if self._down and self._told:
            log.warning("login.source.back", extra={"source": self.source.name})
        self._down = self._told = False

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()


if TYPE_CHECKING:
    _: type[Directory] = Chain
