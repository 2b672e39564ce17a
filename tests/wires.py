"""TCP connections on loopback, for tests: our stream at one end, a socket at the other.

The socket is driven by the loop's own `sock_*` calls, so that what is tested meets
something that is not itself.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Self

from portway.model import Side
from portway.net.stream import SocketStream


def listener(host: str = "127.0.0.1", backlog: int = 8) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    sock.listen(backlog)
    return sock


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def tcp_pair(
    *, host: str = "127.0.0.1", buffers: int = 0
) -> tuple[socket.socket, socket.socket]:
    """Return two ends of a connection, neither of which blocks."""
    with listener(host) as door:
        if buffers:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        caller = socket.socket(door.family, socket.SOCK_STREAM)
        if buffers:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        caller.connect(door.getsockname())
        accepted, _ = door.accept()
    caller.setblocking(False)
    accepted.setblocking(False)
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return caller, accepted


class Wire:
    """A connection: *stream* is ours, *peer* whoever is at the other end."""

    def __init__(
        self, side: Side = Side.CLIENT, *, host: str = "127.0.0.1", buffers: int = 0
    ) -> None:
        self.peer, ours = tcp_pair(host=host, buffers=buffers)
        self.sock = ours
        self.stream = SocketStream(ours, side)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.peer.close()

    async def say(self, data: bytes) -> None:
        """Let the peer send *data*."""
        await asyncio.get_running_loop().sock_sendall(self.peer, data)

    def end(self) -> None:
        """Let the peer end what it sends."""
        self.peer.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Let the peer break the connection off."""
        linger = struct.pack("ii", 1, 0)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.peer.close()

    async def hear(self, limit: int = 65536) -> bytes:
        """Return what the peer receives next; raises what it meets."""
        return await asyncio.get_running_loop().sock_recv(self.peer, limit)

    async def hear_all(self) -> bytes:
        """Return all that the peer receives until the end."""
        heard = []
        while data := await self.hear(1 << 20):
            heard.append(data)
        return b"".join(heard)


async def send_until_it_fails(stream: SocketStream) -> None:
    """Send for as long as the peer takes it; raises what ends that."""
    while True:
        await stream.send(b"x" * 1000)
        await asyncio.sleep(0)


async def until(
    condition: Callable[[], bool], wake: Callable[[], Awaitable[object]] | None = None
) -> None:
    """Let the loop turn until *condition* holds; the test's timeout bounds it."""
    while not condition():
        await (asyncio.sleep(0.001) if wake is None else wake())


async def some_turns(turns: int = 5) -> None:
    """Let the loop poll a few times, so that what is ready is seen."""
    for _ in range(turns):
        await asyncio.sleep(0.001)
