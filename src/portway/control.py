"""The control socket: how a command, or a page, speaks to the gateway that runs.

JSON, one object a line. Who asks may ask many times on one connection; each request
gets its items, a line each, and then one answer. docs/control.md tells it to others.

Not here: what a request does. Invariant: only the gateway's own user and root are
answered, and no peer, however slow, holds up anything but its own connection.
"""

import asyncio
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

NAME = "control.sock"  # in the state folder
VERSION = 1  # of what is said; another one is not understood
ANSWER_TIME = 60.0  # seconds; a reload reads every file anew
LONGEST_REQUEST = 1 << 16  # bytes
LONGEST = 1 << 20  # bytes of an item or an answer
CONNECTIONS = 32
BETWEEN_REQUESTS = 60.0  # seconds until a whole request must have come
TO_READ = 10.0  # seconds that a peer may leave what it was sent unread
PEER = struct.Struct("3i")  # struct ucred: process, user, group; unix(7)

Arguments = Mapping[str, str | bool]
NO_ARGUMENTS: Arguments = {}

T = TypeVar("T")

log = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True):
    """What is asked of the gateway."""

    command: str
    arguments: Arguments = NO_ARGUMENTS
    version: int = VERSION


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it: lines to be shown, of problems if it was not *done*.

    *fault* is then a word: ``request``, ``version``, ``command``, ``argument`` for
    what was asked wrongly, ``refused`` for what could not be done, ``busy``, and
    ``internal`` for a fault of the gateway's own.
    """

    done: bool
    lines: tuple[str, ...] = ()
    fault: str = ""
    version: int = VERSION


class Item(msgspec.Struct, frozen=True):
    """One thing of many that were asked for."""

    item: msgspec.Raw


class LiveSession(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session that goes on: an item of ``sessions``.

    *since* is in seconds since the epoch. *method* and *path* are what it does now, the
    first empty where it waits for its client. The bytes are all that it moved so far.
    """

    id: str
    listener: str
    protocol: str
    client: str
    client_port: int
    since: float
    user: str = ""
    host: str = ""
    port: int = 0
    method: str = ""
    path: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    rule: str = ""
    rule_at: str = ""


class LiveServer(msgspec.Struct, frozen=True):
    """A server of a reverse door: an item of ``servers``.

    *state* is ``up``, ``down`` as probes have found it, or ``out`` for a while since it
    failed a session.
    """

    listener: str
    host: str
    port: int
    state: str
    sessions: int


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gateway says of itself: the item of ``status``.

    *since* is in seconds since the epoch, *waiting* the records that the ledger does
    not hold yet.
    """

    name: str
    version: str
    pid: int
    since: float
    configuration: str
    listeners: tuple[str, ...]
    rules: int
    sessions: int
    exchanges: int
    waiting: int
    draining: bool = False


Asked = Callable[["Call"], Awaitable[Answer]]


class ControlError(OSError):
    """The gateway cannot be asked; one line that says what to do."""


class Call:
    """One request, as it is served. *uid* is the system's user who asks."""

    __slots__ = ("_send", "arguments", "command", "uid")

    def __init__(
        self, request: Request, uid: int, send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self.command = request.command
        self.arguments = request.arguments
        self.uid = uid
        self._send = send

    async def give(self, item: object) -> None:
        """Send a Struct or a dataclass; waits while the peer does not read."""
        await self._send(b'{"item":' + msgspec.json.encode(item) + b"}\n")


class Control:
    """The gateway's end: a listening socket, and those who talk to it."""

    __slots__ = ("_serve", "_server", "_talks")

    def __init__(self, serve: Asked) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def listen(self, state: Path) -> None:
        """Answer requests at the socket in *state*, of which only its owner knows.

        Raises ControlError if another gateway does that already.
        """
        path = state / NAME
        if is_alive(path):
            text = "another gateway runs with this state folder; stop it first"
            raise ControlError(f"{state}: {text}")
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._talk, path, limit=LONGEST_REQUEST
            )
        except OSError as error:
            if error.errno is not None:
                raise
            text = "its path is too long for a socket; choose a shorter one"
            raise ControlError(f"{state}: {text}") from error
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Listen no more, and end every talk."""
        if self._server is not None:
            self._server.close()
        talks = tuple(self._talks)
        for talk in talks:
            talk.cancel()
        if talks:
            await asyncio.wait(talks)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        full = len(self._talks) >= CONNECTIONS
        self._talks.add(task)
        try:
            if full:
                await say(writer, Answer(done=False, lines=(FULL,), fault="busy"))
            else:
                await self._requests(reader, writer)
        except (ConnectionError, TimeoutError):  # gone, silent, or it does not read
            writer.transport.abort()
        finally:
            self._talks.discard(task)
            writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        uid = user_of(writer)
        if uid not in {0, os.geteuid()}:
            text = "the gateway is another user's"
            await say(writer, Answer(done=False, lines=(text,), fault="refused"))
            return
        while True:
            try:
                async with asyncio.timeout(BETWEEN_REQUESTS):
                    line = await reader.readline()
            except ValueError:
                await say(writer, wrong("request", "a request is one line of 64 KiB"))
                return
            if not line.endswith(b"\n"):
                return
            await say(writer, await self._answer(line, uid, writer))

    async def _answer(
        self, line: bytes, uid: int, writer: asyncio.StreamWriter
    ) -> Answer:
        try:
            asked = msgspec.json.decode(line, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = 'not a request: write {"version": 1, "command": "status"}'
            return wrong("request", text)
        if asked.version != VERSION:
            return wrong("version", f"this gateway speaks version {VERSION}")
        try:
            return await self._serve(Call(asked, uid, lambda data: send(writer, data)))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("control.failed")
            return wrong("internal", "the gateway met an error of its own; see its log")


FULL = f"{CONNECTIONS} talk to the gateway already; end one of them"


def wrong(fault: str, text: str) -> Answer:
    """Return the answer to what was asked wrongly."""
    return Answer(done=False, lines=(text,), fault=fault)


async def say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Send *answer*."""
    await send(writer, msgspec.json.encode(answer) + b"\n")


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send *data*. Raises TimeoutError if the peer does not read."""
    writer.write(data)
    async with asyncio.timeout(TO_READ):
        await writer.drain()


def user_of(writer: asyncio.StreamWriter) -> int:
    """Return the user who connected, as the kernel has it."""
    sock = writer.get_extra_info("socket")
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    uid: int = PEER.unpack(found)[1]
    return uid


def is_alive(path: Path) -> bool:
    """Say whether a gateway listens at *path*."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)  # one that is too busy to answer is alive
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            return error.errno is not None  # else the path is too long
    return True


# The other half: who asks.


def request(state: Path, command: str, arguments: Arguments = NO_ARGUMENTS) -> Answer:
    """Ask the gateway that runs with *state*, and wait for its answer.

    Raises ControlError if none runs, or it does not answer.
    """
    asking = stream(state, command, arguments, msgspec.Raw)
    while True:
        try:
            next(asking)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


def stream(
    state: Path, command: str, arguments: Arguments, kind: type[T]
) -> Generator[T, None, Answer]:
    """Ask as `request` does, and yield each item of the answer as a *kind*."""
    asked = msgspec.json.encode(Request(command, arguments)) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, translated(state):
        sock.settimeout(ANSWER_TIME)
        sock.connect(str(state / NAME))
        with suppress(BrokenPipeError):  # it may have said why
            sock.sendall(asked)
        with sock.makefile("rb") as lines:
            while (line := lines.readline(LONGEST)).startswith(b'{"item":'):
                found = msgspec.json.decode(line, type=Item)
                yield msgspec.json.decode(found.item, type=kind)
            return msgspec.json.decode(line, type=Answer)


@contextmanager
def translated(state: Path) -> Iterator[None]:
    """Make a ControlError of what fails between us and the gateway of *state*."""
    try:
        yield
    except (FileNotFoundError, ConnectionRefusedError) as error:
        text = "no gateway runs with this state folder; start one: portway serve"
        raise ControlError(f"{state}: {text}") from error
    except PermissionError as error:
        text = "the gateway is another user's; ask as that user"
        raise ControlError(f"{state}: {text}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise ControlError(f"{state}: the gateway does not answer") from error
