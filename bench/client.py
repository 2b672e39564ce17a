"""FTP as a load client speaks it: blocking sockets, no library in between.

Not here: how many clients there are (load.py). Invariant: a reply that is not the one
expected ends the measurement; nothing is counted that was not served.
"""

import socket
import time
from types import TracebackType
from typing import Self

BLOCK = 256 * 1024
LOOPBACK = "127.0.0.1"
SECONDS = 60.0


class UnexpectedReplyError(Exception):
    """A peer answered something else; the text has command and reply."""


class Session:
    """One control connection to *port* of loopback."""

    __slots__ = ("_buffer", "control")

    def __init__(self, port: int) -> None:
        self.control = socket.create_connection((LOOPBACK, port), timeout=SECONDS)
        self.control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.control.close()

    def reply(self, expected: bytes, after: str = "connecting") -> bytes:
        """Return the last line of the next reply, which must begin with *expected*."""
        while True:
            line = self._line()
            if line[3:4] == b" " and line[:3].isdigit():
                break
        if not line.startswith(expected):
            raise UnexpectedReplyError(f"{after}: {line.decode(errors='replace')}")
        return line

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            data = self.control.recv(4096)
            if not data:
                raise UnexpectedReplyError("the control connection was closed")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def send(self, command: str) -> None:
        """Send one command."""
        self.control.sendall(command.encode() + b"\r\n")

    def ask(self, command: str, expected: bytes) -> bytes:
        """Send one command and return the last line of its reply."""
        self.send(command)
        return self.reply(expected, command.partition(" ")[0])

    def login(self, user: str) -> None:
        """Log in; *user* is what names the server to a proxy."""
        self.reply(b"220")
        self.ask(f"USER {user}", b"331")
        self.ask("PASS bench@example.org", b"230")

    def data(self) -> socket.socket:
        """Return a new passive data connection."""
        line = self.ask("PASV", b"227").decode()
        numbers = line[4:].translate({ord(char): " " for char in "(),"}).split()
        high, low = [int(word) for word in numbers if word.isdigit()][-2:]
        where = (LOOPBACK, high << 8 | low)
        return socket.create_connection(where, timeout=SECONDS)

    def fetch(self, path: str) -> int:
        """Download *path*; return its size in bytes."""
        with self.data() as data:
            self.send(f"RETR {path}")
            self.reply(b"1", "RETR")
            total = 0
            into = bytearray(BLOCK)
            while count := data.recv_into(into):
                total += count
        self.reply(b"226", "RETR")
        return total

    def store(self, path: str, size: int) -> None:
        """Upload *size* zero bytes to *path*."""
        block = memoryview(bytes(BLOCK))
        with self.data() as data:
            self.send(f"STOR {path}")
            self.reply(b"1", "STOR")
            while size:
                size -= data.send(block[: min(size, BLOCK)])
        self.reply(b"226", "STOR")

    def quit(self) -> None:
        """Take leave, and wait until the peer has closed."""
        self.send("QUIT")
        self.reply(b"2", "QUIT")
        while self.control.recv(4096):
            pass


def login_only(port: int, user: str) -> None:
    """One session that logs in and leaves."""
    with Session(port) as session:
        session.login(user)
        session.quit()


def login_and_fetch(port: int, user: str) -> None:
    """One session that logs in, downloads a small file, and leaves."""
    with Session(port) as session:
        session.login(user)
        session.ask("TYPE I", b"200")
        session.fetch("small")
        session.quit()


def timed_fetch(port: int, user: str, path: str, size: int) -> float:
    """Download *path* of *size* bytes; return the seconds its transfer took."""
    with Session(port) as session:
        session.login(user)
        session.ask("TYPE I", b"200")
        began = time.monotonic()
        got = session.fetch(path)
        took = time.monotonic() - began
        session.quit()
    if got != size:
        raise UnexpectedReplyError(f"RETR: {got} bytes of {size}")
    return took


def timed_store(port: int, user: str, path: str, size: int) -> float:
    """Upload *size* bytes to *path*; return the seconds its transfer took."""
    with Session(port) as session:
        session.login(user)
        session.ask("TYPE I", b"200")
        began = time.monotonic()
        session.store(path, size)
        took = time.monotonic() - began
        session.quit()
    return took
