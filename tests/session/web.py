"""HTTP heads and bodies, as the tests of an HTTP door write and read them.

Not here: the door (socks.py has it), and what a test expects. Invariant: a head is read
to its end and no further.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.session.peers import Peer
from tests.session.socks import Scene, door

from portway.protocols.http.settings import HttpSettings

ANY = HttpSettings(ports=("*",))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass
class Head:
    """A message's first line, and its fields by lower-case name."""

    line: bytes
    fields: dict[bytes, bytes] = field(default_factory=dict)

    def __getitem__(self, name: bytes) -> bytes:
        return self.fields[name]

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])


async def head(peer: Peer) -> Head:
    """Read a head. Raises Ended."""
    found = Head(await peer.line())
    while line := await peer.line():
        name, _, value = line.partition(b": ")
        found.fields[name.lower()] = value
    return found


async def heard(peer: Peer, count: int) -> bytes:
    """Return the next *count* bytes, and keep what comes behind. Raises Ended."""
    while len(peer._held) < count:
        held, peer._held = peer._held, b""
        peer._held = held + await peer.hear()
    data, peer._held = peer._held[:count], peer._held[count:]
    return data


async def reply(peer: Peer) -> tuple[Head, bytes]:
    """Read a reply with a length, and its body."""
    found = await head(peer)
    return found, await heard(peer, int(found.fields.get(b"content-length", b"0")))


@asynccontextmanager
async def web(**keys: object) -> AsyncIterator[Scene]:
    """Open an HTTP door that reaches every port."""
    keys.setdefault("settings", ANY)
    async with door(protocol="http", **keys) as scene:  # type: ignore[arg-type]
        yield scene


def ask(
    scene: Scene,
    *fields: str,
    method: str = "GET",
    path: str = "/",
    host: str = "here.test",
    minor: int = 1,
    body: bytes = b"",
) -> bytes:
    """Return a request for `Scene.port`, with its ``Host``."""
    at = f"{host}:{scene.port.number}"
    line = f"{method} http://{at}{path} HTTP/1.{minor}"
    lines = "".join(f"{one}\r\n" for one in (line, f"Host: {at}", *fields))
    return lines.encode() + b"\r\n" + body


async def asked(scene: Scene, request: bytes) -> tuple[Peer, Peer, Head]:
    """Let a client ask; return it, the server, and the head that the server got."""
    client = await scene.arrive(request)
    server = await scene.called()
    return client, server, await head(server)
