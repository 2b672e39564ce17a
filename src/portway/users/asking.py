"""Asking an account source that takes its time, in threads of its own.

Not here: any source, and giving up (chain.py). Invariant: however long a source takes,
so many threads wait for it and no more, and `WAITING` logins for a thread; a question
knows when nobody waits for its answer any more.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from portway.errors import Refused
from portway.model import Reason

# For one login, all servers and repetitions together: a little less than the five that
# the chain grants, so that its log says why and not only that it took too long.
SECONDS = 4.5
AT_ONCE = 16
WAITING = 64  # as for the local accounts: security.md, section 3

T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818 - its name says it
    """A source cannot be asked; the text says why in one line, without a secret."""


class Until:
    """A point in time, by which an answer must be there."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, more than 0. Raises Unavailable."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unavailable("no answer in time")
        return left

    def share(self, parts: int) -> "Until":
        """Return the end of the first of *parts* equal parts of what is left."""
        return Until(self.left() / parts)


class Asking:
    """The threads of the source called *name*; each question gets its `Until`."""

    def __init__(
        self, name: str, *, at_once: int = AT_ONCE, seconds: float = SECONDS
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._most = at_once + WAITING
        self._asked = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(at_once, f"login-{name}")

    async def ask(self, question: Callable[[Until], T]) -> T:
        """Return the answer. Raises Refused, LOGIN_UNAVAILABLE, if there is none."""
        with self._lock:
            if self._asked >= self._most:
                raise self._refused("too many logins wait for it")
            self._asked += 1
        asked = self._threads.submit(question, Until(self._seconds))
        # counted until it is over, not until whoever asked has gone
        asked.add_done_callback(self._one_less)
        try:
            return await asyncio.wrap_future(asked)
        except Unavailable as error:
            raise self._refused(str(error)) from error
        except OSError as error:  # no descriptor, no memory, no library
            raise self._refused(error.strerror or str(error)) from error

    def close(self) -> None:
        """Let the threads end; what they were asked is not answered any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _refused(self, why: str) -> Refused:
        return Refused(Reason.LOGIN_UNAVAILABLE, f"{self._name}: {why}")

    def _one_less(self, asked: Future[T]) -> None:
        del asked
        with self._lock:
            self._asked -= 1
