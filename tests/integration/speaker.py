"""A client that says what a test tells it to, and nothing by itself.

Not here: what the words mean. Invariant: it reads whole replies, and keeps what came
after one for the next.
"""

import contextlib
import re
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.integration.network import Place

PATIENCE = 8.0  # seconds for a reply


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, and its lines as they came, without their ends."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The last line, without the code."""
        return self.lines[-1][4:]

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Closed(Exception):  # noqa: N818 - it may be what a test waits for
    """The other side closed the connection."""


class Speaker:
    """A control connection from *place* to *address*, whose greeting was read."""

    def __init__(
        self, place: Place, address: str, port: int, *, source: str = ""
    ) -> None:
        self.place = place
        self.peer = address
        self.control = place.connect(address, port, source)
        self.control.settimeout(PATIENCE)
        self._buffer = b""
        self.greeting = self.reply()

    # Words.

    def send(self, line: str) -> None:
        self.control.sendall(line.encode() + b"\r\n")

    def ask(self, line: str) -> Reply:
        """Send *line*, return the reply to it."""
        self.send(line)
        return self.reply()

    def expect(self, line: str, code: int) -> Reply:
        """Send *line*; its reply must have *code*."""
        reply = self.ask(line)
        assert reply.code == code, f"{line} got {reply}"
        return reply

    def reply(self) -> Reply:
        """Return the next reply. Raises Closed; TimeoutError after `PATIENCE`."""
        lines = [self.line()]
        code = lines[0][:3]
        if lines[0][3:4] == "-":
            while not lines[-1].startswith(f"{code} "):
                lines.append(self.line())
        return Reply(int(code), tuple(lines))

    def line(self) -> str:
        """Return the next line."""
        while b"\r\n" not in self._buffer:
            try:
                data = self.control.recv(65536)
            except ConnectionError as error:
                raise Closed from error
            if not data:
                raise Closed
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def login(self, user: str, password: str = "s3cret") -> None:
        self.expect(f"USER {user}", 331)
        self.expect(f"PASS {password}", 230)

    # Data.

    def passive(self, verb: str = "PASV") -> tuple[str, int]:
        """Send PASV or EPSV; return the address and the port that it names."""
        reply = self.ask(verb)
        assert reply.code == (227 if verb == "PASV" else 229), reply
        if verb == "EPSV":
            found = re.search(r"\(\|\|\|(\d+)\|\)", str(reply))
            assert found, reply
            return self.peer, int(found[1])
        found = re.search(r"(\d+,\d+,\d+,\d+),(\d+),(\d+)", str(reply))
        assert found, reply
        return found[1].replace(",", "."), int(found[2]) * 256 + int(found[3])

    def dial(self, verb: str = "PASV", *, source: str = "") -> socket.socket:
        """Send PASV or EPSV, and connect."""
        return self.place.connect(*self.passive(verb), source)

    def offer(self, verb: str = "PORT") -> socket.socket:
        """Listen, send PORT or EPRT; return the listener."""
        address = self.control.getsockname()[0]
        listener = self.place.listen(address)
        port = listener.getsockname()[1]
        if verb == "PORT":
            numbers = [*address.split("."), str(port >> 8), str(port & 255)]
            self.expect(f"PORT {','.join(numbers)}", 200)
        else:
            family = 2 if ":" in address else 1
            self.expect(f"EPRT |{family}|{address}|{port}|", 200)
        return listener

    def fetch(self, command: str, mode: str = "PASV") -> bytes:
        """Download by *command*, all of it: 150, the bytes, 226."""
        with self.data(command, mode) as stream:
            content = read_all(stream)
        reply = self.reply()
        assert reply.code == 226, reply
        return content

    def store(self, command: str, content: bytes, mode: str = "PASV") -> None:
        """Upload by *command*: 150, the bytes, 226."""
        with self.data(command, mode) as stream:
            stream.sendall(content)
        reply = self.reply()
        assert reply.code == 226, reply

    def data(self, command: str, mode: str = "PASV") -> socket.socket:
        """Begin a transfer; return its data connection, once the 150 was read."""
        if mode in ("PASV", "EPSV"):
            stream = self.dial(mode)
            self.expect(command, 150)
            return stream
        with self.offer(mode) as listener:
            self.send(command)
            stream, _ = listener.accept()
        stream.settimeout(PATIENCE)
        reply = self.reply()
        assert reply.code == 150, reply
        return stream

    # End.

    def closed(self) -> bool:
        """Read until the other side closes; say whether it did, within `PATIENCE`."""
        try:
            while True:
                self.line()
        except Closed:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        self.control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self.close()


def read_all(stream: socket.socket) -> bytes:
    """Return all that comes until the end. Raises ConnectionResetError."""
    parts = []
    while part := stream.recv(65536):
        parts.append(part)
    return b"".join(parts)
