"""The PROXY protocol's header, versions 1 and 2: whom a balancer speaks for.

Source: "The PROXY protocol, versions 1 & 2", HAProxy, sections 2.1 and 2.2.

Not here: from whom a header is believed, and how long it is waited for. Invariant: no
byte behind the header is ever asked for, so that TLS may follow it at once.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from portway.errors import ProtocolError
from portway.model import Endpoint, IPAddress, Side, read_address
from portway.net.guard import fold

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
SHORTEST = b"PROXY UNKNOWN\r\n"  # of version 1; version 2 has a byte more at least
LONGEST = 107  # bytes of version 1, its end included
LONGEST_2 = 536  # of version 2: the addresses, and 504 of other fields

_HEAD = struct.Struct("!12sBBH")
_ADDRESSES: dict[
    int, tuple[struct.Struct, type[IPv4Address | IPv6Address]]
] = {  # family and transport, and the addresses behind them
    0x11: (struct.Struct("!4s4sHH"), IPv4Address),
    0x21: (struct.Struct("!16s16sHH"), IPv6Address),
}
LOCAL, PROXIED = 0x20, 0x21


@dataclass(frozen=True, slots=True)
class Preface:
    """Whom the connection is from, and what it was made to.

    None is what the balancer does not tell: it speaks for itself.
    """

    client: Endpoint | None = None
    server: Endpoint | None = None


def wanted(data: bytes) -> int:
    """Return how many bytes may be read behind *data*; 0: the header is whole.

    Raises ProtocolError as soon as *data* cannot begin one.
    """
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _wanted_2(data)
    begin = data[:6]
    if begin != b"PROXY "[: len(begin)]:
        raise ProtocolError(Side.CLIENT, "no PROXY header")
    if len(data) < len(SHORTEST):
        return len(SHORTEST) - len(data)
    if data.endswith(b"\r\n"):
        return 0
    if b"\n" in data or len(data) >= LONGEST:
        raise ProtocolError(Side.CLIENT, "a PROXY header without an end")
    return 1


def _wanted_2(data: bytes) -> int:
    if len(data) < len(SHORTEST):  # it may be either version yet
        return len(SHORTEST) - len(data)
    if len(data) < _HEAD.size:
        return _HEAD.size - len(data)
    *_, length = _HEAD.unpack_from(data)
    if _HEAD.size + length > LONGEST_2:
        raise ProtocolError(Side.CLIENT, "a PROXY header that is too long")
    return int(_HEAD.size + length - len(data))


def read_preface(data: bytes) -> Preface:
    """Read a whole header, of either version. Raises ProtocolError."""
    if data.startswith(SIGNATURE):
        return _read_2(data)
    return _read_1(data)


def _read_1(data: bytes) -> Preface:
    words = data.removesuffix(b"\r\n").decode("ascii", "replace").split(" ")
    match words:
        case ["PROXY", "UNKNOWN", *_]:
            return Preface()
        case ["PROXY", "TCP4" | "TCP6" as family, client, server, from_port, to_port]:
            version = 4 if family == "TCP4" else 6
            return Preface(
                _endpoint(client, from_port, version),
                _endpoint(server, to_port, version),
            )
    raise ProtocolError(Side.CLIENT, "a PROXY header that cannot be read")


def _endpoint(host: str, port: str, version: int) -> Endpoint:
    address = read_address(host)
    digits = port.isascii() and port.isdigit() and len(port) <= 5
    if address is None or address.version != version or not digits:
        raise ProtocolError(Side.CLIENT, "a PROXY header without proper addresses")
    if int(port) > 65535 or (len(port) > 1 and port[0] == "0"):
        raise ProtocolError(Side.CLIENT, "a PROXY header without proper ports")
    return _at(address, int(port))


def _at(address: IPAddress, port: int) -> Endpoint:
    return Endpoint(str(fold(address)), port)


def _read_2(data: bytes) -> Preface:
    _, command, family, length = _HEAD.unpack_from(data)
    if command == LOCAL:
        return Preface()
    if command != PROXIED:
        raise ProtocolError(
            Side.CLIENT, "a PROXY header of an unknown version or command"
        )
    if family not in _ADDRESSES:  # UNSPEC, UDP, unix sockets: nothing that we can use
        return Preface()
    form, kind = _ADDRESSES[family]
    if length < form.size:
        raise ProtocolError(Side.CLIENT, "a PROXY header without its addresses")
    client, server, from_port, to_port = form.unpack_from(data, _HEAD.size)
    return Preface(_at(kind(client), from_port), _at(kind(server), to_port))


def format_1(client: Endpoint, server: Endpoint) -> bytes:
    """Return the header of version 1; addresses of two families are told as IPv6."""
    source, target, version = _alike(client, server)
    words = f"PROXY TCP{version} {source} {target} {client.port} {server.port}\r\n"
    return words.encode("ascii")


def format_2(client: Endpoint, server: Endpoint) -> bytes:
    """Return the header of version 2; addresses of two families are told as IPv6."""
    source, target, version = _alike(client, server)
    family = 0x11 if version == 4 else 0x21
    form, _ = _ADDRESSES[family]
    body = form.pack(source.packed, target.packed, client.port, server.port)
    return _HEAD.pack(SIGNATURE, PROXIED, family, len(body)) + body


def _alike(client: Endpoint, server: Endpoint) -> tuple[IPAddress, IPAddress, int]:
    source, target = _bare(client), _bare(server)
    if source.version == target.version:
        return source, target, source.version
    return _as_6(source), _as_6(target), 6


def _bare(at: Endpoint) -> IPAddress:
    """Return the address of *at*, without the zone that a link-local one may name."""
    address = at.address
    if address is None:
        raise ValueError("a PROXY header holds addresses")
    return type(address)(address.packed)


def _as_6(address: IPAddress) -> IPv6Address:
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


FORMATS = {"v1": format_1, "v2": format_2}
NOBODY_ELSE = {  # who sends these connects for itself, to see whether a server lives
    "v1": SHORTEST,
    "v2": _HEAD.pack(SIGNATURE, LOCAL, 0, 0),
}
