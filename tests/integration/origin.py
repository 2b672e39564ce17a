"""Servers of the tests' own, in threads, behind sockets of a namespace.

`Recorder` reads strictly, by h11, and keeps what it understood; `Script` says to each
path what it was given for that path. Not here: what is expected. Invariant: all they
started has ended when they are closed.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from typing import Self

import h11
from tests.integration.network import Place

PATIENCE = 10.0  # seconds for a peer's next words


class Listener:
    """Accepts on *port* of each of *addresses*; a thread serves each connection."""

    def __init__(self, place: Place, addresses: Iterable[str], port: int) -> None:
        self._sockets = [place.listen(address, port) for address in addresses]
        self._streams: list[socket.socket] = []
        self._threads = [
            threading.Thread(target=self._accept, args=(one,)) for one in self._sockets
        ]
        self._lock = threading.Lock()
        for thread in list(self._threads):
            thread.start()

    def _accept(self, listener: socket.socket) -> None:
        listener.settimeout(None)
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:  # it was closed
                return
            stream.settimeout(PATIENCE)
            thread = threading.Thread(target=self._serve, args=(stream,))
            with self._lock:
                self._streams.append(stream)
                self._threads.append(thread)
            thread.start()

    def _serve(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            self.serve(stream)

    def serve(self, stream: socket.socket) -> None:
        """Serve one connection, which is closed then."""
        raise NotImplementedError

    def close(self) -> None:
        for listener in self._sockets:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for stream in self._streams:
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recorder(Listener):
    """*requests* it has read to their end: METHOD, target, bytes of the body.

    *bad* is why h11 took something for no request; *raw* all that it got.
    """

    def __init__(self, place: Place, addresses: Iterable[str], port: int = 80) -> None:
        self.requests: list[str] = []
        self.bad: list[str] = []
        self.raw: list[bytes] = []
        super().__init__(place, addresses, port)

    def serve(self, stream: socket.socket) -> None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        line, length = "", 0
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                if parser.trailing_data[0] or "peer unexpectedly" not in str(error):
                    self.bad.append(f"{line}: {error}")
                return
            if event is h11.NEED_DATA:
                data = stream.recv(65536)
                self.raw.append(data)
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                line, length = f"{event.method.decode()} {event.target.decode()}", 0
            elif isinstance(event, h11.Data):
                length += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.requests.append(f"{line} {length}")
                fields = [("Content-Length", "0")]
                reply = parser.send(h11.Response(status_code=200, headers=fields))
                stream.sendall(reply or b"")
                parser.send(h11.EndOfMessage())
                if parser.our_state is h11.MUST_CLOSE:
                    return
                parser.start_next_cycle()
            else:
                return


class Script(Listener):
    """Says ``answers[path]`` to the first request of a connection, and closes it."""

    def __init__(
        self,
        place: Place,
        addresses: Iterable[str],
        port: int,
        answers: Mapping[str, bytes],
    ) -> None:
        self._answers = answers
        super().__init__(place, addresses, port)

    def serve(self, stream: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = stream.recv(65536)
            if not more:
                return
            data += more
        path = data.split(b" ", 2)[1].decode()
        stream.sendall(self._answers[path])
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass


def reset(stream: socket.socket) -> None:
    """Close it so that the other side sees a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
