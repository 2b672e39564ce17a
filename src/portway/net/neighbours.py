"""The link-layer address of a machine on an attached network, as the kernel knows it.

Two questions over rtnetlink, rtnetlink(7): by which interface an address is reached,
and what the neighbour table of that interface holds of it. A machine behind a router
has no address here; the router's would be taken for it otherwise.

Not here: what such an address allows; any machine can take another's. Invariant: it
never waits, for the kernel answers within the call, and whatever fails is "not known".
"""

import errno
import os
import socket
import struct

from portway.model import IPAddress
from portway.net.guard import fold

LONGEST = 1 << 16  # bytes of an answer: the kernel sends a page, at most

# linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
NLM_F_REQUEST = 1
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_VIA = 1, 4, 5, 18
NDA_DST, NDA_LLADDR = 1, 2
NUD_UNKNOWN = 0x01 | 0x20 | 0x40  # incomplete, failed, an interface without ARP

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")  # length, type
ROUTE = struct.Struct("=BBBBBBBBI")  # family, bits of the destination, and no more
NEIGHBOUR = struct.Struct("=BBHiHBB")  # family, padding, index, state, flags, type
INDEX = struct.Struct("=i")
MAC_BYTES = 6


def mac_of(address: IPAddress) -> str:
    """Return the MAC of *address*, as in ``00:11:22:33:44:55``; empty if not known."""
    address = fold(address)
    if address.is_loopback:
        return ""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0
        ) as kernel:
            kernel.setblocking(False)
            index = _interface(kernel, family, address)
            return _look_up(kernel, family, address.packed, index) if index else ""
    except (OSError, struct.error):
        return ""


def _interface(kernel: socket.socket, family: int, address: IPAddress) -> int:
    """Return the index of the interface that *address* is attached to, or 0."""
    scope = getattr(address, "scope_id", None)
    if scope:  # a link-local one says it itself
        return int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    head = ROUTE.pack(family, len(address.packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    asked = head + _attribute(RTA_DST, address.packed)
    answer = _ask(kernel, RTM_GETROUTE, RTM_NEWROUTE, asked)
    found = _attributes(answer[ROUTE.size :])
    if RTA_GATEWAY in found or RTA_VIA in found or RTA_OIF not in found:
        return 0
    index: int = INDEX.unpack(found[RTA_OIF])[0]
    return index


def _look_up(kernel: socket.socket, family: int, packed: bytes, index: int) -> str:
    head = NEIGHBOUR.pack(family, 0, 0, index, 0, 0, 0)
    asked = head + _attribute(NDA_DST, packed)
    answer = _ask(kernel, RTM_GETNEIGH, RTM_NEWNEIGH, asked)
    _, _, _, _, state, _, _ = NEIGHBOUR.unpack_from(answer)
    mac = _attributes(answer[NEIGHBOUR.size :]).get(NDA_LLADDR, b"")
    if state & NUD_UNKNOWN or len(mac) != MAC_BYTES:
        return ""
    return mac.hex(":")


def _ask(kernel: socket.socket, kind: int, wanted: int, body: bytes) -> bytes:
    """Return the body of the kernel's answer. Raises OSError."""
    size = HEADER.size + len(body)
    kernel.send(HEADER.pack(size, kind, NLM_F_REQUEST, 0, 0) + body)
    answer = kernel.recv(LONGEST)
    length, found, _, _, _ = HEADER.unpack_from(answer)
    if found != wanted or length > len(answer):  # NLMSG_ERROR: there is no such entry
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return answer[HEADER.size : length]


def _attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute; addresses of 4 and of 16 bytes need no padding."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value


def _attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes that *data* is, each of them padded to four bytes."""
    found: dict[int, bytes] = {}
    place = 0
    while place + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, place)
        if length < ATTRIBUTE.size:
            return found
        found[kind] = data[place + ATTRIBUTE.size : place + length]
        place += length + 3 & ~3
    return found
