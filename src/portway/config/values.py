"""Single values of the configuration: from what TOML gives to what we act upon.

Not here: which key has which type (decode.py). Invariant: each reader returns a value
of its type or raises ValueError, whose text is one line: what is wrong and the cure.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, time
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar
from unicodedata import category

from portway.config.report import nearest, quoted
from portway.model import Endpoint, IPAddress
from portway.units import parse_rate, parse_seconds, parse_size

T = TypeVar("T")


class BadValueError(ValueError):
    """A value cannot be taken; its text says why, with the cure."""


_PORTS = re.compile(r" *([0-9]{1,5}) *(?:- *([0-9]{1,5}) *)?")
_PORT = re.compile(r"[0-9]{1,5}")
_MANY = 1 << 53  # whole numbers that every reader of JSON knows


def read_text(value: object) -> str:
    """Take a string without control characters: it may end up in a line of FTP."""
    if not isinstance(value, str):
        raise BadValueError(f"text in quotes is expected, not {kind_of(value)}")
    control = next((sign for sign in value if category(sign) == "Cc"), None)
    if control is not None:
        raise BadValueError(f"holds the control character {control!a}; take it out")
    return value


def read_flag(value: object) -> bool:
    """Take a boolean."""
    if not isinstance(value, bool):
        raise BadValueError(f"true or false, without quotes, not {kind_of(value)}")
    return value


def read_number(value: object) -> int:
    """Take a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValueError(f"a whole number without quotes, not {kind_of(value)}")
    if not 0 <= value < _MANY:
        raise BadValueError("a whole number from 0 upwards, within reason")
    return value


def read_choice(value: object, choices: tuple[str, ...]) -> str:
    """Take one of *choices*."""
    known = " or ".join(map(quoted, choices))
    if not isinstance(value, str):
        raise BadValueError(f"must be {known}, not {kind_of(value)}")
    if value not in choices:
        hint = nearest(value, choices) if len(choices) > 1 else ""
        raise BadValueError(f"must be {known}, not {quoted(value)}{hint}")
    return value


def read_address(value: object) -> IPAddress:
    """Take an address without a port; an IPv4-mapped one is the IPv4 that it holds."""
    text = read_text(value).strip(" ")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        raise BadValueError(f"{quoted(text)} is no IPv4 or IPv6 address") from None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        raise BadValueError(f"{quoted(text)}: zones cannot be used; leave out the %")
    return address.ipv4_mapped or address


def read_network(value: object) -> IPv4Network | IPv6Network:
    """Take a network, or an address as the network of it alone."""
    text = read_text(value).strip(" ")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        like = '"192.168.1.0/24" or "192.168.1.7"'
        raise BadValueError(
            f"{quoted(text)} is no network; write it like {like}"
        ) from None
    try:
        return ip_network(text)
    except ValueError:
        cure = f'the network is "{network}"'
        raise BadValueError(
            f"{quoted(text)} names a host within a network; {cure}"
        ) from None


def read_endpoint(value: object) -> Endpoint:
    """Take ``"192.168.1.1:2121"``, ``"[::]:2121"`` or ``"localhost:2121"``.

    Other names are refused: where we listen must not hang on what a name server says.
    Port 0 lets the kernel choose one.
    """
    text = read_text(value).strip(" ")
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or text.endswith("]"):
        raise BadValueError(f'{quoted(text)} needs a port, as in "192.168.1.1:2121"')
    if not bracketed and ":" in host:
        raise BadValueError(f'{quoted(text)} needs brackets, as in "[::1]:2121"')
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise BadValueError(f"{quoted(text)}: a port is a number from 1 to 65535")
    if not host:
        every = f'"0.0.0.0:{port}" and "[::]:{port}" are every address of this machine'
        raise BadValueError(f"{quoted(text)} names no address; {every}")
    if host.lower() == "localhost":
        return Endpoint("localhost", int(port))
    return Endpoint(str(_listening(host)), int(port))


def _listening(host: str) -> IPAddress:
    try:
        return read_address(host)
    except ValueError as error:
        if "%" in host:
            raise
        cure = "names are not looked up here: write an address of this machine"
        raise BadValueError(f"{quoted(host)} is no address; {cure}") from error


def read_ports(value: object) -> range:
    """Take ``"50000-50999"``, or one port alone."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise BadValueError('write ports in quotes, as in "50000-50999"')
    text = read_text(value)
    ports = _PORTS.fullmatch(text)
    if ports is None:
        raise BadValueError(f'{quoted(text)} is no range of ports, as "50000-50999" is')
    first, last = int(ports[1]), int(ports[2] or ports[1])
    if not 0 < first <= last <= 65535:
        raise BadValueError(f"{quoted(text)}: ports go upwards and lie from 1 to 65535")
    return range(first, last + 1)


def read_quantity(parse: Callable[[str], T], example: str) -> Callable[[object], T]:
    """Return a reader of what *parse* reads: text with a unit, like *example*."""

    def read(value: object) -> T:
        if isinstance(value, str):
            return parse(value)
        raise BadValueError(
            f'text with a unit, as in "{example}", not {kind_of(value)}'
        )

    return read


read_seconds = read_quantity(parse_seconds, "30s")
read_size = read_quantity(parse_size, "64 KiB")
read_rate = read_quantity(parse_rate, "5 Mbit/s")


def kind_of(value: object) -> str:
    """Return what TOML value this is, in words."""
    words: Mapping[type, str] = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    if isinstance(value, date | time):
        return "a date or a time"
    return words.get(type(value), "this")
