"""Which addresses and ports are the gateway's own, so that it never dials itself.

Not here: opening them. Invariant: a door on a wildcard address covers every address
that this machine has at the moment of the question.
"""

import socket
from collections.abc import Iterable

from portway.model import IPAddress


class Doors:
    """The addresses that the gateway's listeners are bound to."""

    __slots__ = ("_bound", "_wild")

    def __init__(self, bound: Iterable[tuple[IPAddress, int]] = ()) -> None:
        self._bound = frozenset(bound)
        self._wild = frozenset(
            port for address, port in self._bound if address.is_unspecified
        )

    def is_ours(self, address: IPAddress, port: int) -> bool:
        """Say whether a connection to *address* and *port* would come back to us."""
        if (address, port) in self._bound:
            return True
        return port in self._wild and is_local(address)


def is_local(address: IPAddress) -> bool:
    """Say whether *address* is one of this machine's: the kernel binds no other."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
