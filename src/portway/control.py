"""The control socket: how a command speaks to the gateway that runs.

One JSON object a line, a request and its answer. Both halves are here; whoever may open
the socket's file may ask.

Not here: what a request does. Invariant: a gateway that runs keeps its socket; one
that died leaves a file that the next one replaces.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

NAME = "control.sock"  # in the state folder
ANSWER_TIME = 60.0  # seconds; a reload reads every file anew
LONGEST = 1 << 20


class Request(msgspec.Struct, frozen=True):
    """What a command asks of the gateway."""

    command: str


class Answer(msgspec.Struct, frozen=True):
    """What came of it: lines to be shown, of problems if it was not *done*."""

    done: bool
    lines: tuple[str, ...] = ()


Serve = Callable[[Request], Awaitable[Answer]]


class ControlError(OSError):
    """The gateway cannot be asked; one line that says what to do."""


async def listen(state: Path, serve: Serve) -> asyncio.Server:
    """Answer requests at the socket in *state*.

    Raises ControlError if another gateway does that already.
    """
    path = state / NAME
    if path.exists():
        if is_alive(path):
            text = "another gateway runs with this state folder; stop it first"
            raise ControlError(f"{state}: {text}")
        path.unlink()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:  # else somebody looked whether we are there
                answer = await answer_to(line, serve)
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or far too long
            pass
        finally:
            writer.close()

    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(talk, path, limit=LONGEST)
    finally:
        os.umask(before)


async def answer_to(line: bytes, serve: Serve) -> Answer:
    """Return what *serve* says to the request that *line* holds."""
    try:
        asked = msgspec.json.decode(line, type=Request)
    except msgspec.DecodeError:
        return Answer(done=False, lines=("not a request",))
    return await serve(asked)


def is_alive(path: Path) -> bool:
    """Say whether a gateway listens at *path*."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(str(path)) == 0


def request(state: Path, command: str) -> Answer:
    """Ask the gateway that runs with *state*, and wait for its answer.

    Raises ControlError if none runs, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_TIME)
        try:
            sock.connect(str(state / NAME))
            sock.sendall(msgspec.json.encode(Request(command)) + b"\n")
            with sock.makefile("rb") as lines:
                return msgspec.json.decode(lines.readline(LONGEST), type=Answer)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            text = "no gateway runs with this state folder; start one: portway serve"
            raise ControlError(f"{state}: {text}") from error
        except PermissionError as error:
            text = "the gateway is another user's; ask as that user"
            raise ControlError(f"{state}: {text}") from error
        except (OSError, msgspec.DecodeError) as error:
            raise ControlError(f"{state}: the gateway does not answer") from error
