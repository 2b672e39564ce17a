"""Which addresses and ports are the gateway's own, so that it never dials itself.

Not here: opening them. Invariant: a door on a wildcard address covers every address
that this machine has, or had a second ago.
"""

import socket
import time
from collections.abc import Iterable
from ipaddress import ip_address

from portway.errors import Refused
from portway.model import IPAddress, Reason
from portway.net.listen import EXHAUSTED

SECOND = 1.0

# Where a connection to "no address" ends up, by the version of IP.
LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


class Doors:
    """The addresses that the gateway's listeners are bound to."""

    __slots__ = ("_asked", "_bound", "_local", "_wild")

    def __init__(self, bound: Iterable[tuple[IPAddress, int]] = ()) -> None:
        self._asked = 0.0  # when what is known of addresses was asked first
        self._local: dict[IPAddress, bool] = {}
        self._bound = frozenset(bound)
        self._wild = frozenset(
            port for address, port in self._bound if address.is_unspecified
        )

    def is_ours(self, address: IPAddress, port: int) -> bool:
        """Say whether a connection to *address* and *port* would come back to us.

        *address* is no IPv4 mapped into IPv6. Raises Refused, BUSY, if there is no
        descriptor to find out with.
        """
        if address.is_unspecified:
            address = LOOPBACK[address.version]
        if (address, port) in self._bound:
            return True
        return port in self._wild and self.is_local(address)

    def is_local(self, address: IPAddress) -> bool:
        """Say whether *address* is one of this machine's.

        What the kernel said counts for a second: to ask it takes three system calls.
        Raises Refused, BUSY.
        """
        now = time.monotonic()
        if now - self._asked > SECOND:
            self._local.clear()
            self._asked = now
        found = self._local.get(address)
        if found is None:
            found = self._local[address] = is_local(address)
        return found


def is_local(address: IPAddress) -> bool:
    """Say whether *address* is one of this machine's: the kernel binds no other."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise Refused(Reason.BUSY) from error
        return False
    return True
