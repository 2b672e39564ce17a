"""The two ends of a session, driven by hand: plain sockets that wait for what is due.

Not here: the gateway between them (stage.py). Invariant: nothing in here waits for
longer than `PATIENCE`, so that what never comes is named by the test that misses it.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from tests.wires import listener, port_of

from portway.net.listen import prepare

T = TypeVar("T")
PATIENCE = 6.0
RESET = struct.pack("ii", 1, 0)


class Ended(Exception):  # noqa: N818 - it is often what is expected
    """The other end has closed; *how* says whether by ``eof`` or ``reset``."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


async def soon(what: Awaitable[T], seconds: float = PATIENCE) -> T:
    """Wait for *what*, but not for ever."""
    async with asyncio.timeout(seconds):
        return await what


class Peer:
    """A connected socket with lines on it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._held = b""

    async def say(self, data: bytes) -> None:
        await soon(asyncio.get_running_loop().sock_sendall(self.sock, data))

    async def hear(self, limit: int = 65536) -> bytes:
        """Return what comes next. Raises Ended."""
        if self._held:
            held, self._held = self._held, b""
            return held
        try:
            data = await soon(asyncio.get_running_loop().sock_recv(self.sock, limit))
        except ConnectionError:
            raise Ended("reset") from None
        if not data:
            raise Ended("eof")
        return data

    async def line(self) -> bytes:
        """Return the next line without its end, which must be CR LF. Raises Ended."""
        while b"\n" not in self._held:
            held, self._held = self._held, b""
            try:
                held += await self.hear()
            finally:
                self._held = held
        line, self._held = self._held.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1]

    async def the_rest(self) -> tuple[bytes, str]:
        """Return all that still comes, and how it ended: ``eof`` or ``reset``."""
        heard = bytearray()
        while True:
            try:
                heard += await self.hear(1 << 20)
            except Ended as ended:
                return bytes(heard), ended.how

    async def silent(self, seconds: float = 0.1) -> bool:
        """Say whether nothing comes for a moment."""
        if self._held:
            return False
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError, ConnectionError):
            self._held = await soon(loop.sock_recv(self.sock, 65536), seconds)
            return False
        return True

    def end(self) -> None:
        """Say that nothing more comes."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        self.sock.close()


class Port:
    """A listening socket: a server's control port, or anybody's data port."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.sock = listener(host)
        prepare(self.sock)
        self.host = host
        self.number = port_of(self.sock)

    async def accept(self) -> Peer:
        sock, _ = await soon(asyncio.get_running_loop().sock_accept(self.sock))
        return Peer(sock)

    async def nobody_comes(self, seconds: float = 0.1) -> bool:
        try:
            await soon(asyncio.get_running_loop().sock_accept(self.sock), seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self.sock.close()

    @property
    def as_port(self) -> str:
        """The argument of PORT, or what a 227 holds."""
        return f"{self.host.replace('.', ',')},{self.number >> 8},{self.number & 255}"

    @property
    def as_eprt(self) -> str:
        return f"|{2 if ':' in self.host else 1}|{self.host}|{self.number}|"


async def call(host: str, port: int, source: str = "") -> Peer:
    """Connect to a port. Raises ConnectionRefusedError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        await soon(asyncio.get_running_loop().sock_connect(sock, (host, port)))
    except BaseException:
        sock.close()
        raise
    return Peer(sock)
