"""How many clients are let in: in all, from one address, from one IPv6 network.

Not here: rules, and what a client that is one too many is told. Invariant: every
`enter` that was granted is followed by one `leave`.
"""

import logging
import resource
from collections import Counter
from ipaddress import IPv6Address
from typing import TypeVar

from portway.config.schema import Limits
from portway.model import IPAddress
from portway.relay.pipes import MOST, SMALL

# Two sockets for each session and, as most sessions are idle, two more for every second
# one that moves data; one that finds no descriptor left is told to try again.
DESCRIPTORS = 3
FEW = 8  # where the table is small, pipes are few, too
PIPES = 2 * MOST // SMALL  # the descriptors of all pipes that there can be
RESERVED = 256 + PIPES  # for the gateway itself
log = logging.getLogger(__name__)

Key = TypeVar("Key")

NETWORK6 = 64  # bits that one site has to itself


class Admission:
    """The connections there are, against the *limits* there may be."""

    __slots__ = ("_clients", "_networks", "limits", "total")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = 0
        self._clients: Counter[IPAddress] = Counter()
        self._networks: Counter[int] = Counter()

    def enter(self, client: IPAddress) -> bool:
        """Count *client* in, unless it is one too many. Loopback counts in all only."""
        limits = self.limits
        if self.total >= limits.connections:
            return False
        if not client.is_loopback:
            network = network_of(client)
            if self._clients[client] >= limits.per_client or (
                network is not None and self._networks[network] >= limits.per_network6
            ):
                return False
            self._clients[client] += 1
            if network is not None:
                self._networks[network] += 1
        self.total += 1
        return True

    def leave(self, client: IPAddress) -> None:
        """Count *client* out."""
        self.total -= 1
        if client.is_loopback:
            return
        count_out(self._clients, client)
        network = network_of(client)
        if network is not None:
            count_out(self._networks, network)


def network_of(client: IPAddress) -> int | None:
    """Return the number of the IPv6 network that *client* is in, None for IPv4."""
    if isinstance(client, IPv6Address):
        return int(client) >> (128 - NETWORK6)
    return None


def count_out(counts: Counter[Key], key: Key) -> None:
    """Take one off, and forget what has none."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def possible(limits: Limits) -> Limits:
    """Return *limits* with no more connections than there are descriptors for.

    The process's own bound is raised as far as the system lets it be.
    """
    soft = raise_descriptors(limits.connections * DESCRIPTORS + RESERVED)
    most = max((soft - RESERVED) // DESCRIPTORS, soft // FEW, 1)
    if limits.connections <= most:
        return limits
    log.debug("limits.connections", extra={"lowered_to": most, "descriptors": soft})
    return Limits(
        connections=most,
        per_client=limits.per_client,
        per_network6=limits.per_network6,
    )


def raise_descriptors(wanted: int) -> int:
    """Let this process open *wanted* descriptors; return how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    for most in (wanted, min(wanted, hard)):  # beyond *hard* with privileges only
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, hard)))
        except (ValueError, OSError):
            continue
        return most
    return soft
