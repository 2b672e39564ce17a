"""Connections that were on their way to somewhere else, and sockets to go with them.

A packet filter turns them to a door of ours: by REDIRECT, which changes the address
and remembers the one before, or by TPROXY, which leaves it as it was.

Not here: the filter's rules (cli/capturing.py). Invariant: an address that is none of
this machine's is bound only where this process may do that, which takes CAP_NET_ADMIN.
"""

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from portway.model import Endpoint, IPAddress
from portway.net.stream import SocketStream

ORIGINAL_DST = 80  # SO_ORIGINAL_DST, <linux/netfilter_ipv4.h>; on IPv6 the same number
IPV6_TRANSPARENT = 75  # <linux/in6.h>; Python has no name for it
ADDRESS4 = struct.Struct("!2xH4s8x")  # struct sockaddr_in: port, address
ADDRESS6 = struct.Struct("!2xH4x16s4x")  # struct sockaddr_in6

LACKING = (
    'capture = "tproxy" needs CAP_NET_ADMIN: run the gateway as root, or give its '
    'service AmbientCapabilities=CAP_NET_ADMIN, or write capture = "redirect"'
)


class RightLackingError(PermissionError):
    """This process may not do what TPROXY needs; *strerror* says what would help."""


def original_destination(stream: SocketStream) -> Endpoint:
    """Return where a connection was going that came to *stream*'s door.

    Under TPROXY that is its own local address; so it is for one that was not captured.
    """
    form, level = ADDRESS4, socket.SOL_IP
    if ":" in stream.local.host:
        form, level = ADDRESS6, socket.IPPROTO_IPV6
    try:
        told = stream.option(level, ORIGINAL_DST, form.size)
    except OSError:  # no filter has seen it, or it is gone again
        return stream.local
    port, packed = form.unpack(told)
    address = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return Endpoint(str(address), port)


def take_any_address(sock: socket.socket) -> None:
    """Let *sock* be bound to, and be reached at, addresses that are not ours.

    Raises RightLackingError.
    """
    level, option = socket.SOL_IP, socket.IP_TRANSPARENT
    if sock.family == socket.AF_INET6:
        level, option = socket.IPPROTO_IPV6, IPV6_TRANSPARENT
    if sock.getsockopt(level, option):
        return  # who opened it for us may have done so
    try:
        sock.setsockopt(level, option, 1)
    except PermissionError as error:
        raise RightLackingError(errno.EPERM, LACKING) from error


def bind_to(
    sock: socket.socket, address: IPAddress | str, port: int, *, foreign: bool
) -> None:
    """Bind *sock*; *foreign*: *address* may be none of ours. Raises OSError."""
    if foreign:
        take_any_address(sock)
    sock.bind((str(address), port))
