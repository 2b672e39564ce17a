"""A little FTP server for tests: well behaved, but for what a test has it say instead.

Not here: any client. Invariant: every socket of it is closed by `close`, and what it
was told is in `heard`, in order.
"""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.integration.network import Place

PATIENCE = 10.0  # seconds that anything in here waits for a peer


@dataclass(slots=True)
class Heard:
    """One command: the session's number, from 0, and the line without its end."""

    session: int
    line: str


class Gone(Exception):  # noqa: N818 - it is no error
    """The client closed the connection."""


Script = Callable[["NanoSession", str], None]


@dataclass(slots=True)
class NanoSession:
    """One client, as a script sees it."""

    server: "NanoFtpd"
    number: int
    control: socket.socket
    place: Place
    _buffer: bytes = b""
    _listener: socket.socket | None = None
    _target: tuple[str, int] | None = None
    _rest: int = 0
    _renamed: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def say(self, text: str) -> None:
        self.send(text.encode() + b"\r\n")

    def send(self, data: bytes) -> None:
        self.control.sendall(data)

    def line(self) -> str:
        """Return the next command, recorded. Raises Gone."""
        while b"\n" not in self._buffer:
            data = self.control.recv(65536)
            if not data:
                raise Gone
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        text = line.rstrip(b"\r").decode("latin-1")
        self.server.heard.append(Heard(self.number, text))
        return text

    def reset(self) -> None:
        """Close the control connection with RST."""
        reset(self.control)

    def data(self) -> socket.socket:
        """Return the data connection: accept, or dial, as the client asked."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            with listener:
                stream, _ = listener.accept()
        elif self._target is not None:
            stream = self.place.connect(*self._target, self.address)
        else:
            msg = "no data command came before the transfer"
            raise AssertionError(msg)
        stream.settimeout(PATIENCE)
        return stream

    @property
    def address(self) -> str:
        name: tuple[str, int] = self.control.getsockname()
        return name[0]

    @property
    def peer(self) -> str:
        name: tuple[str, int] = self.control.getpeername()
        return name[0]

    def listen(self) -> int:
        """Open the passive listener; return its port."""
        self.drop_data()
        self._listener = self.place.listen(self.address)
        self._listener.settimeout(PATIENCE)
        port: int = self._listener.getsockname()[1]
        return port

    def target(self, host: str, port: int) -> None:
        self.drop_data()
        self._target = host, port

    def drop_data(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._listener = self._target = None

    def take_rest(self) -> int:
        rest, self._rest = self._rest, 0
        return rest


def reset(stream: socket.socket) -> None:
    """Close with RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


class NanoFtpd:
    """Listens on *address* in *place*.

    *scripts* are told before the usual answers; an empty verb is the greeting.
    *files* are what it serves, by name without folder; uploads join them.
    """

    def __init__(
        self,
        place: Place,
        address: str,
        port: int = 21,
        *,
        scripts: Mapping[str, Script] | None = None,
    ) -> None:
        self.files: dict[str, bytes] = {}
        self.heard: list[Heard] = []
        self.scripts = dict(scripts or {})
        self.failures: list[BaseException] = []
        self.ended = threading.Event()  # a session has ended
        self.address = address
        self._place = place
        self._listener = place.listen(address, port)
        self._listener.settimeout(None)
        self._controls: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        number: int = self._listener.getsockname()[1]
        return number

    @property
    def verbs(self) -> list[str]:
        return [heard.line.split(" ", 1)[0].upper() for heard in self.heard]

    @property
    def lines(self) -> list[str]:
        return [heard.line for heard in self.heard]

    @property
    def sessions(self) -> int:
        return len(self._controls)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for control in self._controls:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
            control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                control, _ = self._listener.accept()
            except OSError:
                return
            control.settimeout(60)
            session = NanoSession(self, len(self._controls), control, self._place)
            self._controls.append(control)
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: NanoSession) -> None:
        try:
            self.scripts.get("", _greet)(session, "")
            while True:
                verb, _, argument = session.line().partition(" ")
                verb = re.sub("^[^A-Za-z]*", "", verb).upper()
                script = self.scripts.get(verb) or ANSWERS.get(verb, _unknown)
                script(session, argument)
        except (Gone, OSError):
            pass
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.failures.append(error)
        finally:
            session.drop_data()
            session.control.close()
            self.ended.set()


def says(*replies: str) -> Script:
    """Return a script that answers with *replies*, whatever the argument."""

    def script(session: NanoSession, _: str) -> None:
        for reply in replies:
            session.say(reply)

    return script


def _greet(session: NanoSession, _: str) -> None:
    session.say("220 nano ready")


def _unknown(session: NanoSession, _: str) -> None:
    session.say("502 Not known here")


def _pasv(session: NanoSession, _: str) -> None:
    port = session.listen()
    numbers = [*session.address.split("."), str(port >> 8), str(port & 255)]
    session.say(f"227 Entering Passive Mode ({','.join(numbers)})")


def _epsv(session: NanoSession, _: str) -> None:
    session.say(f"229 Entering Extended Passive Mode (|||{session.listen()}|)")


def _port(session: NanoSession, argument: str) -> None:
    *host, high, low = argument.split(",")
    session.target(".".join(host), int(high) * 256 + int(low))
    session.say("200 PORT command successful")


def _eprt(session: NanoSession, argument: str) -> None:
    _, _, host, port, _ = argument.split(argument[0])
    session.target(host, int(port))
    session.say("200 EPRT command successful")


def _name(argument: str) -> str:
    return argument.rsplit("/", 1)[-1]


def send_all(session: NanoSession, content: bytes) -> None:
    """The whole of a download: 150, the bytes, 226."""
    session.say("150 Here it comes")
    with session.data() as stream:
        stream.sendall(content)
    session.say("226 Transfer complete")


def receive_all(session: NanoSession) -> bytes:
    """The whole of an upload: 150, the bytes, 226. Raises OSError if it is reset."""
    session.say("150 Send it")
    parts = []
    with session.data() as stream:
        while part := stream.recv(65536):
            parts.append(part)
    session.say("226 Transfer complete")
    return b"".join(parts)


def _retr(session: NanoSession, argument: str) -> None:
    content = session.server.files.get(_name(argument))
    rest = session.take_rest()
    if content is None:
        session.say("550 No such file")
        return
    send_all(session, content[rest:])


def _stor(session: NanoSession, argument: str) -> None:
    session.server.files[_name(argument)] = receive_all(session)


def _list(session: NanoSession, _: str) -> None:
    lines = [
        f"-rw-r--r--   1 nano     nano     {len(content):>12} Jan  1 00:00 {name}\r\n"
        for name, content in session.server.files.items()
    ]
    send_all(session, "".join(lines).encode())


def _nlst(session: NanoSession, _: str) -> None:
    send_all(session, "".join(f"{name}\r\n" for name in session.server.files).encode())


def _size(session: NanoSession, argument: str) -> None:
    content = session.server.files.get(_name(argument))
    session.say("550 No such file" if content is None else f"213 {len(content)}")


def _rest(session: NanoSession, argument: str) -> None:
    session._rest = int(argument)
    session.say("350 Restarting")


def _quit(session: NanoSession, _: str) -> None:
    session.say("221 Bye")
    raise Gone


ANSWERS: Mapping[str, Script] = {
    "USER": says("331 Password please"),
    "PASS": says("230 Logged in"),
    "ACCT": says("230 Account noted"),
    "SYST": says("215 UNIX Type: L8"),
    "FEAT": says("211-Features:", " EPRT", " EPSV", " SIZE", " REST STREAM", "211 End"),
    "OPTS": says("200 Ok"),
    "NOOP": says("200 Ok"),
    "TYPE": says("200 Ok"),
    "MODE": says("200 Ok"),
    "STRU": says("200 Ok"),
    "CWD": says("250 Ok"),
    "CDUP": says("250 Ok"),
    "PWD": says('257 "/" is where you are'),
    "MKD": says('257 "made"'),
    "DELE": says("250 Gone"),
    "RNFR": says("350 And to?"),
    "RNTO": says("250 Renamed"),
    "ABOR": says("225 Nothing to abort"),
    "ALLO": says("202 No need"),
    "PASV": _pasv,
    "EPSV": _epsv,
    "PORT": _port,
    "EPRT": _eprt,
    "RETR": _retr,
    "STOR": _stor,
    "APPE": _stor,
    "LIST": _list,
    "NLST": _nlst,
    "SIZE": _size,
    "REST": _rest,
    "QUIT": _quit,
}
