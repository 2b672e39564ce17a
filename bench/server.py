"""A fast FTP server for load: ``python -m bench.server PORT``.

It takes every login, has one small file under every name, and touches no disk, so that
the proxies are what is measured. Not here: anything a person could use; commands are
believed, paths are ignored. Invariant: one process, one epoll loop, nothing blocks.
"""

import contextlib
import selectors
import socket
import sys
from collections.abc import Callable

PAYLOAD = bytes(10 * 1024)

FIXED = {
    b"USER": b"331 Password, please\r\n",
    b"PASS": b"230 Logged in\r\n",
    b"SYST": b"215 UNIX Type: L8\r\n",
    b"FEAT": b"211-Features:\r\n PASV\r\n EPSV\r\n SIZE\r\n211 End\r\n",
    b"TYPE": b"200 Type set\r\n",
    b"PWD": b'257 "/" is the directory\r\n',
    b"CWD": b"250 Changed\r\n",
    b"SIZE": b"213 10240\r\n",
    b"DELE": b"250 Deleted\r\n",
    b"NOOP": b"200 Well\r\n",
    b"OPTS": b"200 Well\r\n",
    b"QUIT": b"221 Goodbye\r\n",
}


class Session:
    """One control connection, and its data connection while there is one."""

    __slots__ = ("_buffer", "_control", "_data", "_listener", "_loop", "_wanted")

    def __init__(self, loop: selectors.BaseSelector, control: socket.socket) -> None:
        self._loop = loop
        self._control = control
        self._buffer = b""
        self._listener: socket.socket | None = None
        self._data: socket.socket | None = None
        self._wanted = False
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.register(control, selectors.EVENT_READ, self.readable)
        control.send(b"220 Ready\r\n")

    def readable(self) -> None:
        """Take what came, and answer every whole line of it."""
        try:
            data = self._control.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        with contextlib.suppress(OSError):
            for line in lines:
                self._obey(line.strip())

    def _obey(self, line: bytes) -> None:
        verb = line.partition(b" ")[0].upper()
        if verb in FIXED:
            self._control.send(FIXED[verb])
        elif verb in {b"PASV", b"EPSV"}:
            self._listen(extended=verb == b"EPSV")
        elif verb == b"RETR":
            self._wanted = True
            self._control.send(b"150 Here it comes\r\n")
            self._deliver()
        else:
            self._control.send(b"502 Not here\r\n")
        if verb == b"QUIT":
            self._close()

    def _listen(self, *, extended: bool) -> None:
        self._drop_data()
        self._listener = listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        listener.setblocking(False)
        self._loop.register(listener, selectors.EVENT_READ, self._accept)
        port = listener.getsockname()[1]
        where = f"127,0,0,1,{port >> 8},{port & 255}"
        text = f"229 Here (|||{port}|)" if extended else f"227 Here ({where})"
        self._control.send(text.encode() + b"\r\n")

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            data, _ = self._listener.accept()
            self._forget_listener()
            self._data = data
            self._deliver()

    def _deliver(self) -> None:
        if not self._wanted or self._data is None:
            return
        self._wanted = False
        self._data.send(PAYLOAD)  # less than any socket buffer
        self._drop_data()
        self._control.send(b"226 Sent\r\n")

    def _forget_listener(self) -> None:
        if self._listener is not None:
            self._loop.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _drop_data(self) -> None:
        self._forget_listener()
        if self._data is not None:
            self._data.close()
            self._data = None

    def _close(self) -> None:
        self._drop_data()
        if self._control.fileno() >= 0:
            self._loop.unregister(self._control)
            self._control.close()


def serve(port: int) -> None:
    """Serve for ever."""
    loop = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)

    def accept() -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                Session(loop, listener.accept()[0])

    loop.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in loop.select():
            handler: Callable[[], None] = key.data
            # An event of this turn may be for what an earlier one closed.
            if isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() >= 0:
                handler()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
