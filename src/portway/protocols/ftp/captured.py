"""Transparent doors: the server is the one that the client was on its way to.

Not here: what all doors share whose server is known (fixed.py), and the sockets
(net/capture.py). Invariant: the one server that is offered is the original
destination; nothing that the client says changes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from portway.config.schema import Listener
from portway.gate import Gate
from portway.net.capture import original_destination
from portway.net.stream import SocketStream
from portway.protocols.ftp.fixed import Named, Offer, Servers


@dataclass(frozen=True, slots=True)
class Captured:
    """The servers of one transparent door; see Servers."""

    early: bool

    def offers(self, gate: Gate, stream: SocketStream, user: bytes) -> Iterable[Offer]:
        """Yield the server that the client of *stream* has called."""
        del gate, user
        yield Named(original_destination(stream))


def captured_by(listener: Listener, methods: tuple[str, ...]) -> Servers | None:
    """Return the servers of *listener*, if it is a transparent door.

    Where clients log in to us, or may name a server themselves, they speak first.
    """
    if listener.mode != "transparent":
        return None
    return Captured(early=listener.login == "none" and not methods)
