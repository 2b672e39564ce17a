"""Many clients at once, each a process of its own, and sessions that stay idle.

Not here: what a session says (client.py). Invariant: a client that failed fails the
measurement, with the reason it saw.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection

from bench.client import Session, UnexpectedReplyError

Task = Callable[[int, str], None]
"""One session with the proxy on a port, to the target that a text names."""
Visit = Callable[[int, str], contextlib.AbstractContextManager[Callable[[], None]]]
"""A connection that is kept: it gives what is done again and again."""
BATCH = 32
_CONTEXT = multiprocessing.get_context("fork")


class LoadError(Exception):
    """A client could not do its work; the text says why."""


def anew(task: Task) -> Visit:
    """Return a visit that keeps nothing: each time is a session of its own."""

    @contextlib.contextmanager
    def visit(port: int, target: str) -> Iterator[Callable[[], None]]:
        yield partial(task, port, target)

    return visit


def _client(
    pipe: Connection, visit: Visit, port: int, target: str, until: float
) -> None:
    done = 0
    try:
        with visit(port, target) as turn:
            while time.monotonic() < until:
                turn()
                done += 1
    except (OSError, UnexpectedReplyError) as error:
        pipe.send(str(error) or type(error).__name__)
    else:
        pipe.send(done)


def hammer(
    visit: Visit, port: int, target: str, *, clients: int, seconds: float
) -> int:
    """Let *clients* make a *visit* of *seconds*; return how many turns they had.

    Raises LoadError.
    """
    until = time.monotonic() + seconds
    pipes: list[Connection] = []
    processes = []
    for _ in range(clients):
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(
            target=_client, args=(theirs, visit, port, target, until)
        )
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    results: list[int | str] = []
    for pipe in pipes:
        with pipe:
            try:
                results.append(pipe.recv())
            except EOFError:
                results.append("a client process died")
    for process in processes:
        process.join()
    total = 0
    for result in results:
        if isinstance(result, str):
            raise LoadError(result)
        total += result
    return total


def _login_together(port: int, user: str, count: int) -> list[Session]:
    """Return *count* sessions, logged in side by side."""
    sessions: list[Session] = []
    try:
        sessions.extend(Session(port) for _ in range(count))
        for session in sessions:
            session.reply(b"220")
            session.send(f"USER {user}")
        for session in sessions:
            session.reply(b"331", "USER")
            session.send("PASS bench@example.org")
        for session in sessions:
            session.reply(b"230", "PASS")
    except BaseException:
        for session in sessions:
            session.control.close()
        raise
    return sessions


@contextlib.contextmanager
def idle_sessions(port: int, user: str, count: int, *, room: int = 0) -> Iterator[int]:
    """Hold *count* logged-in sessions, or as many as the proxy takes.

    Gives their number. Where it takes fewer, *room* of them are closed again, so that
    others find a place.
    """
    held: list[Session] = []
    try:
        while len(held) < count:
            size = min(BATCH, count - len(held))
            try:
                held += _login_together(port, user, size)
            except (OSError, UnexpectedReplyError):
                for session in held[len(held) - room :]:
                    session.control.close()
                del held[len(held) - room :]
                break
        yield len(held)
    finally:
        for session in held:
            session.control.close()
