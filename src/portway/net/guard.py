"""What counts as inside: where only a rule that says so may lead.

Not here: who asks, and the gateway's own public addresses, which only the kernel knows.
Invariant: an address that nobody is known to route for us counts as inside, and one
that carries an IPv4 address in itself counts as that address does.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from portway.model import IPAddress

# RFC 6890 and the IANA registry of special-purpose addresses. Not the networks for
# documentation (RFC 5737, RFC 3849, RFC 9637): they lead nowhere, and in examples they
# stand for the outside. `is_private` will not do: it differs between Pythons.
INSIDE4 = (
    IPv4Network("0.0.0.0/8"),  # this host on this network, RFC 791
    IPv4Network("10.0.0.0/8"),  # private, RFC 1918
    IPv4Network("100.64.0.0/10"),  # shared behind a carrier's NAT, RFC 6598
    IPv4Network("127.0.0.0/8"),  # loopback, RFC 1122
    IPv4Network("169.254.0.0/16"),  # link-local and cloud metadata, RFC 3927
    IPv4Network("172.16.0.0/12"),  # private, RFC 1918
    IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890
    IPv4Network("192.168.0.0/16"),  # private, RFC 1918
    IPv4Network("198.18.0.0/15"),  # benchmarks, RFC 2544
    IPv4Network("224.0.0.0/4"),  # multicast, RFC 5771
    IPv4Network("240.0.0.0/4"),  # reserved, and the broadcast, RFC 1112
)
# All that is not global unicast (RFC 4291, section 2.4) is inside: unspecified,
# loopback, fc00::/7, fe80::/10, fec0::/10, ff00::/8 and what is still unassigned.
GLOBAL6 = IPv6Network("2000::/3")
BENCHMARKS6 = IPv6Network("2001:2::/48")  # RFC 5180
TEREDO = IPv6Network("2001::/32")  # RFC 4380: a tunnel to any IPv4 address
SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056: IPv4 in bits 16 to 47
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 in the last 32 bits

# RFC 6761, RFC 6762, RFC 8375, and what ICANN has set aside in 2024.
INSIDE_NAMES = (".localhost", ".local", ".home.arpa", ".internal")

_MASKED4 = tuple((int(net.netmask), int(net.network_address)) for net in INSIDE4)


@lru_cache(4096)  # it is asked of each request, and of the same few again and again
def is_inside(address: IPAddress) -> bool:
    """Say whether *address* may be reached only where a rule names it."""
    address = fold(address)
    if isinstance(address, IPv4Address):
        bits = int(address)
        return any(bits & mask == network for mask, network in _MASKED4)
    if address in NAT64:
        return is_inside(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in SIX_TO_FOUR:
        return is_inside(IPv4Address(int(address) >> 80 & 0xFFFFFFFF))
    return address not in GLOBAL6 or address in TEREDO or address in BENCHMARKS6


def is_inside_name(host: str) -> bool:
    """Say whether a name is one that leads nowhere but inside, whoever resolves it."""
    return f".{host}".endswith(INSIDE_NAMES)


def fold(address: IPAddress) -> IPAddress:
    """Return *address* as IPv4 if it is one that is mapped into IPv6."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
