"""SOCKS messages as bytes: RFC 1928, RFC 1929, and the SOCKS 4 and 4a papers.

Not here: reading them from a connection, and what is done about them. Invariant: what
is written here is read here as the same, and what cannot be written raises ValueError.
What a client says is read to its last byte and no further, however it is cut.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from portway.errors import ProtocolError
from portway.lines import shown
from portway.model import Credentials, Endpoint, Reason, Side
from portway.protocols.http.authority import read_host

VERSION_4, VERSION_5 = 4, 5
NO_LOGIN, PASSWORD, NONE_SUITS = 0x00, 0x02, 0xFF
LOGIN_VERSION = 1  # RFC 1929
LONGEST = 255  # bytes of a name, a login or a password; in SOCKS 4 a choice of ours
LOGIN_TAKEN = b"\1\0"  # RFC 1929, section 2

_PORT = struct.Struct("!H")
_IPV4, _NAME, _IPV6 = 1, 3, 4


class UnknownAddressError(ProtocolError):
    """A request whose kind of address nobody knows; so its end is not to be found."""


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


# What clients say. Each reader returns None while bytes are missing, else what it read
# and how many bytes that took.


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. *user* is the user id of SOCKS 4, which proves nothing.

    *command* may be none of `Command`. *at* is an address in its usual form, or a name.
    """

    version: int
    command: int
    at: Endpoint
    user: str = ""


def read_greeting(data: bytes) -> tuple[bytes, int] | None:
    """Read the ways to log in that a client knows. RFC 1928, section 3."""
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    used = 2 + data[1]
    return data[2:used], used


def choose_method(login: str, offered: bytes) -> int:
    """Return which way to log in, of those *offered*, suits a door whose *login* is so.

    It is NONE_SUITS if none does. Where nobody has to log in, a client that knows no
    other way may say any name and password.
    """
    wanted = {
        "required": (PASSWORD,),
        "optional": (PASSWORD, NO_LOGIN),
        "none": (NO_LOGIN, PASSWORD),
    }[login]
    return next((method for method in wanted if method in offered), NONE_SUITS)


def read_login(data: bytes) -> tuple[Credentials, int] | None:
    """Read a name and a password. RFC 1929, section 2. Raises ProtocolError."""
    if data[:1] not in {b"", b"\1"}:
        raise _wrong("a login of another version")
    found = []
    end = 1
    for _ in range(2):
        if len(data) <= end:
            return None
        begin, end = end + 1, end + 1 + data[end]
        if begin == end:
            raise _wrong("a login without a name or a password")
        found.append(data[begin:end].decode("utf-8", "surrogateescape"))
    return None if len(data) < end else (Credentials(*found), end)


def read_request(data: bytes) -> tuple[Request, int] | None:
    """Read a request of SOCKS 5. RFC 1928, section 4.

    The host of an ASSOCIATE is a hint that nobody needs: a name there is zeros.
    Raises ProtocolError; UnknownAddressError.
    """
    if len(data) >= 3 and (data[0] != VERSION_5 or data[2]):
        raise _wrong("no SOCKS 5 request")
    if len(data) < 5:
        return None
    end = 3 + _size(data[3:5])
    if len(data) < end:
        return None
    if data[1] == Command.ASSOCIATE and data[3] == _NAME:  # PySocks says "0"
        at = Endpoint("0.0.0.0", *_PORT.unpack(data[end - 2 : end]))
    else:
        at = _place(data[3:end])
    return _checked(Request(VERSION_5, data[1], at)), end


def read_request_4(data: bytes) -> tuple[Request, int] | None:
    """Read a request of SOCKS 4 or 4a. Raises ProtocolError."""
    if len(data) < 9:
        return None
    user, end = _text_4(data, 8)
    if not end:
        return None
    command, (port,), packed = data[1], _PORT.unpack(data[2:4]), data[4:8]
    host = str(IPv4Address(packed))
    if packed[:3] == bytes(3) and packed[3]:
        name, end = _text_4(data, end)
        if not end:
            return None
        host = _host(name)
    at = Endpoint(host, port)
    return _checked(Request(VERSION_4, command, at, shown(user))), end


def _checked(request: Request) -> Request:
    if request.command == Command.CONNECT and not request.at.port:
        raise _wrong("a port is from 1 to 65535")
    return request


def _text_4(data: bytes, begin: int) -> tuple[bytes, int]:
    """Return what stands before the next NUL, and where that ends; 0: not yet."""
    nul = data.find(0, begin, begin + LONGEST + 1)
    if nul < 0:
        if len(data) > begin + LONGEST:
            raise _wrong("a SOCKS 4 request without an end", Reason.TOO_LONG)
        return b"", 0
    return data[begin:nul], nul + 1


def read_datagram(data: bytes) -> tuple[Endpoint, int] | None:
    """Return where a client's datagram is to go, and where its payload begins.

    RFC 1928, section 7. None if it is none, or a fragment: those are not served.
    """
    if len(data) < 5 or data[:3] != b"\0\0\0":
        return None
    try:
        end = 3 + _size(data[3:5])
        at = _place(data[3:end]) if len(data) >= end else None
    except ProtocolError:
        return None
    return None if at is None or not at.port else (at, end)


def format_datagram_head(at: Endpoint) -> bytes:
    """Return what stands before the payload of a datagram to or from *at*."""
    return b"\0\0\0" + format_address(at)


def _size(head: bytes) -> int:
    try:
        return address_size(head)
    except ValueError as error:
        text = str(error)
        raise UnknownAddressError(Side.CLIENT, text, Reason.UNSUPPORTED) from None


def _place(data: bytes) -> Endpoint:
    """Return a whole address that a client wrote; a literal is no name."""
    kind, body, (port,) = data[0], data[1:-2], _PORT.unpack(data[-2:])
    if kind == _IPV4:
        return Endpoint(str(IPv4Address(body)), port)
    if kind == _IPV6:
        address = IPv6Address(body)
        return Endpoint(str(address.ipv4_mapped or address), port)
    return Endpoint(_host(body[1:]), port)


def _host(name: bytes) -> str:
    if b":" in name and name[:1] != b"[":
        name = b"[%b]" % name
    try:
        return read_host(name, idna=True)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _wrong(text: str, reason: Reason = Reason.SYNTAX) -> ProtocolError:
    return ProtocolError(Side.CLIENT, text, reason)


def _short(text: str, what: str) -> bytes:
    data = text.encode(errors="surrogateescape")
    if not 0 < len(data) <= LONGEST:
        raise ValueError(f"{what} has 1 to {LONGEST} bytes")
    return data
