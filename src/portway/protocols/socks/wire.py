"""SOCKS messages as bytes: RFC 1928, RFC 1929, and the SOCKS 4 and 4a papers.

Not here: reading them from a connection, and what is done about them. Invariant: what
is written here is read here as the same, and what cannot be written raises ValueError.
"""

import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from portway.model import Credentials, Endpoint

VERSION_4, VERSION_5 = 4, 5
NO_LOGIN, PASSWORD, NONE_SUITS = 0x00, 0x02, 0xFF
LOGIN_VERSION = 1  # RFC 1929
LONGEST = 255  # bytes of a name, a login or a password in SOCKS 5

_PORT = struct.Struct("!H")
_IPV4, _NAME, _IPV6 = 1, 3, 4


class Command(IntEnum):
    """What a request asks for. RFC 1928, section 4."""

    CONNECT = 1
    BIND = 2
    ASSOCIATE = 3


class Reply(IntEnum):
    """What SOCKS 5 answers. RFC 1928, section 6."""

    SUCCEEDED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    EXPIRED = 6
    COMMAND_UNSUPPORTED = 7
    ADDRESS_UNSUPPORTED = 8


class Reply4(IntEnum):
    """What SOCKS 4 answers."""

    GRANTED = 90
    REJECTED = 91
    NO_IDENT = 92
    OTHER_USER = 93


def format_greeting(*methods: int) -> bytes:
    """Return a client's first words: the ways to log in that it knows."""
    return bytes((VERSION_5, len(methods), *methods))


def format_login(credentials: Credentials) -> bytes:
    """Return a login by name and password. RFC 1929, section 2."""
    user = _short(credentials.user, "a SOCKS login")
    password = _short(credentials.password, "a SOCKS password")
    head = bytes((LOGIN_VERSION, len(user)))
    return head + user + bytes((len(password),)) + password


def format_request(command: int, at: Endpoint) -> bytes:
    """Return a request of SOCKS 5. RFC 1928, section 4."""
    return bytes((VERSION_5, command, 0)) + format_address(at)


def format_reply(reply: int, at: Endpoint) -> bytes:
    """Return a reply of SOCKS 5. RFC 1928, section 6."""
    return bytes((VERSION_5, reply, 0)) + format_address(at)


def format_address(at: Endpoint) -> bytes:
    """Return an address or a name, and a port. RFC 1928, section 5."""
    address = at.address
    if isinstance(address, IPv4Address):
        head = bytes((_IPV4,)) + address.packed
    elif isinstance(address, IPv6Address):
        head = bytes((_IPV6,)) + address.packed
    else:
        name = _short(at.host, "a host name")
        head = bytes((_NAME, len(name))) + name
    return head + _PORT.pack(at.port)


def address_size(head: bytes) -> int:
    """Return the bytes of an address, from its kind on, that begins with *head*.

    *head* is the kind and one byte more. Raises ValueError for a kind of no meaning.
    """
    kind, first = head[0], head[1]
    if kind == _NAME:
        return 2 + first + _PORT.size
    if kind in {_IPV4, _IPV6}:
        return 1 + (4 if kind == _IPV4 else 16) + _PORT.size
    raise ValueError("an address of no known kind")


def read_address(data: bytes) -> Endpoint:
    """Read an address as `format_address` writes it. Raises ValueError."""
    if len(data) < 2 or len(data) != address_size(data[:2]):
        raise ValueError("an address of the wrong length")
    kind, body, (port,) = data[0], data[1:-2], _PORT.unpack(data[-2:])
    if kind != _NAME:
        return Endpoint(str(ip_address(body)), port)
    return Endpoint(read_name(body[1:]), port)


def read_name(data: bytes) -> str:
    """Return a host as an `Endpoint` has it. Raises ValueError for what is none."""
    if not data or not all(0x21 <= byte < 0x7F for byte in data):
        raise ValueError("a host name with bytes that no name has")
    return data.decode("ascii").lower().removesuffix(".")


def format_request_4(command: int, at: Endpoint, user: str) -> bytes:
    """Return a request of SOCKS 4, of 4a where *at* is a name."""
    address, login = at.address, user.encode()
    if 0 in login:
        raise ValueError("a SOCKS 4 login may hold no NUL")
    head = struct.pack("!BBH", VERSION_4, command, at.port)
    if isinstance(address, IPv4Address):
        return head + address.packed + login + b"\0"
    if address is not None:
        raise ValueError("SOCKS 4 knows no IPv6")
    name = _short(at.host, "a host name")
    return head + b"\0\0\0\1" + login + b"\0" + name + b"\0"


def format_reply_4(reply: int, at: Endpoint) -> bytes:
    """Return a reply of SOCKS 4; what is no IPv4 address is told as 0.0.0.0."""
    address = at.address
    packed = address.packed if isinstance(address, IPv4Address) else bytes(4)
    return struct.pack("!BBH", 0, reply, at.port) + packed


def read_reply_4(data: bytes) -> tuple[int, Endpoint]:
    """Read the eight bytes of a SOCKS 4 reply. Raises ValueError."""
    version, reply, port = struct.unpack("!BBH", data[:4])
    if version:
        raise ValueError("no SOCKS 4 reply")
    return reply, Endpoint(str(IPv4Address(data[4:8])), port)


def _short(text: str, what: str) -> bytes:
    data = text.encode(errors="surrogateescape")
    if not 0 < len(data) <= LONGEST:
        raise ValueError(f"{what} has 1 to {LONGEST} bytes")
    return data
