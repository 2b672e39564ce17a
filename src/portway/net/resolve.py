"""Names to addresses, by the system's resolver.

Not here: which of the addresses may be used. Invariant: a name that hangs holds one
thread, however many ask for it, and nothing else; who asks is answered in time, if only
by an error, and at once where no thread will be free in time.
"""

import asyncio
import queue
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from portway.errors import UpstreamError
from portway.model import IPAddress, Reason
from portway.net.guard import fold

Addresses = tuple[IPAddress, ...]
Answer = asyncio.Future[Addresses]

KEPT_FOR = 30.0  # seconds: getaddrinfo tells no time to live
KEPT = 1024  # names
ASKED = 1024  # names at once; who asks for one more while they hang is told so
THREADS = 64  # made as they are needed: one that hangs is one less for all others

# Not under these names on every system: EAI_NODATA, EAI_ADDRFAMILY of <netdb.h>.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, -5, -9})


@dataclass(frozen=True, slots=True)
class Question:
    """A name that was asked for at *since*, in the loop's time."""

    host: str
    since: float
    answer: Answer


class Resolver(Protocol):
    """Turns a host into addresses."""

    async def resolve(self, host: str) -> Addresses:
        """Return the addresses of *host*, at least one, best first.

        *host* is a name or an address as text. Raises UpstreamError: NAME if there
        is none, RESOLVER if nobody could tell.
        """


class SystemResolver:
    """Asks ``getaddrinfo``, in threads of its own.

    At most *workers* names are asked for at once, and nobody waits for longer than
    *seconds*. Names are remembered for half a minute.
    """

    def __init__(self, workers: int = THREADS, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._most = workers
        self._threads = 0
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._asked: dict[str, Question] = {}  # in the order of the threads' work
        self._known: dict[str, tuple[float, Addresses]] = {}

    async def resolve(self, host: str) -> Addresses:
        """Return the addresses of *host*; see `Resolver`."""
        with suppress(ValueError):
            return (fold(ip_address(host)),)
        loop = asyncio.get_running_loop()
        known = self._known.get(host)
        if known is not None and loop.time() < known[0]:
            return known[1]
        question = self._asked.get(host) or self._ask(host, loop)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(question.answer)
        except TimeoutError as error:
            text = f"{host}: the resolver does not answer"
            raise UpstreamError(Reason.RESOLVER, text) from error

    def _ask(self, host: str, loop: asyncio.AbstractEventLoop) -> Question:
        if len(self._asked) >= ASKED or self._is_stuck(loop.time()):
            text = f"{host}: too many names are being resolved"
            raise UpstreamError(Reason.RESOLVER, text)
        answer: Answer = loop.create_future()
        question = Question(host, loop.time(), answer)
        self._asked[host] = question
        answer.add_done_callback(lambda done: self._learn(host, done))
        if len(self._asked) > self._threads and self._threads < self._most:
            self._threads += 1
            # daemons: a resolver that hangs must not keep the gateway from ending
            worker = threading.Thread(
                target=_answer_all, args=(self._questions,), daemon=True, name="resolve"
            )
            worker.start()
        self._questions.put(question)
        return question

    def _is_stuck(self, now: float) -> bool:
        """Say whether every thread has been at its name for longer than we wait."""
        at_work = list(islice(self._asked.values(), self._most))
        late = now - self._seconds
        return len(at_work) == self._most and all(q.since < late for q in at_work)

    def _learn(self, host: str, answer: Answer) -> None:
        del self._asked[host]
        if answer.cancelled() or answer.exception() is not None:
            return
        self._known.pop(host, None)
        if len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        due = answer.get_loop().time() + KEPT_FOR
        self._known[host] = (due, answer.result())

    def close(self) -> None:
        """Let the threads end; those that hang end with the process."""
        for _ in range(self._threads):
            self._questions.put(None)
        self._threads = 0


def _answer_all(questions: "queue.SimpleQueue[Question | None]") -> None:
    """Work through *questions*, in a thread, until one is None."""
    while (question := questions.get()) is not None:
        answer = question.answer
        found: Addresses | UpstreamError
        try:
            found = look_up(question.host)
        except UpstreamError as error:
            found = error
        with suppress(RuntimeError):  # the loop is gone, and whoever asked with it
            answer.get_loop().call_soon_threadsafe(_settle, answer, found)


def _settle(answer: Answer, found: Addresses | UpstreamError) -> None:
    if answer.done():
        return
    if isinstance(found, UpstreamError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def look_up(host: str) -> Addresses:
    """Return the addresses of *host*, however long that takes."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        reason = Reason.NAME if error.errno in _NO_SUCH_NAME else Reason.RESOLVER
        raise UpstreamError(reason, f"{host}: {error.strerror}") from error
    except (ValueError, OSError) as error:  # no name at all: UnicodeError is one
        raise UpstreamError(Reason.NAME, f"{host}: not a name") from error
    return tuple(dict.fromkeys(fold(ip_address(name[0])) for *_, name in found))


if TYPE_CHECKING:
    _: type[Resolver] = SystemResolver
