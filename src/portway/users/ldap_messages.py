"""LDAP's messages, as far as a login goes. RFC 4511.

Not here: sockets, and what an answer means to a login. Invariant: whatever bytes are
read, the only error is ValueError.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portway.users.ber import (
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    SET,
    Reader,
    element,
    flag,
    number,
)

BIND, UNBIND, SEARCH, EXTENDED = 0x60, 0x42, 0x63, 0x77
BOUND, ENTRY, DONE, REFERENCE, EXTENDED_DONE = 0x61, 0x64, 0x65, 0x73, 0x78
START_TLS = b"1.3.6.1.4.1.1466.20037"  # section 4.14.1

# Result codes, appendix A.
SUCCESS = 0
SIZE_LIMIT = 4
REFERRAL = 10
CONSTRAINT = 19
NO_SUCH_OBJECT = 32
INAPPROPRIATE = 48
INVALID_CREDENTIALS = 49
UNWILLING = 53
RESULTS = {
    1: "operations error",
    2: "protocol error",
    3: "time limit",
    7: "authentication method not supported",
    8: "stronger authentication required",
    10: "referral",
    13: "confidentiality required",
    32: "no such object",
    34: "invalid DN",
    48: "inappropriate authentication",
    49: "invalid credentials",
    50: "insufficient access",
    51: "busy",
    52: "unavailable",
    53: "unwilling to perform",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a server: its *number*, the *tag* and *content* of what it is."""

    number: int
    tag: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the directory; names of *attributes* are in small letters."""

    dn: bytes
    attributes: Mapping[str, Sequence[bytes]]

    def values(self, name: str) -> Sequence[bytes]:
        """Return the values of the attribute *name*."""
        return self.attributes.get(name.lower(), ())


def bind(dn: bytes, password: bytes) -> bytes:
    """Section 4.2. A *password* that is empty is no login: the caller must not ask."""
    return element(BIND, number(3), element(OCTETS, dn), element(0x80, password))


def search(
    base: bytes, query: bytes, attributes: Sequence[str], most: int, seconds: int
) -> bytes:
    """Section 4.5.1: the whole tree below *base*, at most *most* entries of it."""
    subtree, never = 2, 0
    return element(
        SEARCH,
        element(OCTETS, base),
        number(subtree, ENUMERATED),
        number(never, ENUMERATED),  # aliases lead elsewhere
        number(most),
        number(seconds),
        flag(value=False),
        query,
        element(SEQUENCE, *(element(OCTETS, name.encode()) for name in attributes)),
    )


def start_tls() -> bytes:
    """Section 4.14.1."""
    return element(EXTENDED, element(0x80, START_TLS))


def unbind() -> bytes:
    """Section 4.3."""
    return element(UNBIND)


def wrapped(serial: int, operation: bytes) -> bytes:
    """Return the message that carries *operation*."""
    return element(SEQUENCE, number(serial), operation)


def read_message(data: bytes) -> Message:
    """Read one whole message. Section 4.1.1."""
    reader = Reader(Reader(data).take(SEQUENCE))
    serial = reader.take_number()
    return Message(serial, *reader.next())


def read_result(content: bytes) -> int:
    """Return the result code of an answer. Section 4.1.9."""
    return Reader(content).take_number(ENUMERATED)


def read_entry(content: bytes) -> Entry:
    """Section 4.5.2."""
    reader = Reader(content)
    dn = reader.take(OCTETS)
    attributes: dict[str, Sequence[bytes]] = {}
    listed = Reader(reader.take(SEQUENCE))
    while listed:
        one = Reader(listed.take(SEQUENCE))
        name = one.take(OCTETS).decode("ascii", "replace").lower()
        values = Reader(one.take(SET))
        found = []
        while values:
            found.append(values.take(OCTETS))
        attributes[name] = found
    return Entry(dn, attributes)


_FIRST = re.compile(r"\s*cn\s*=\s*((?:\\.|[^,+\\])*)", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)


def common_name(value: bytes) -> str:
    """Return the ``cn`` that a DN begins with, else *value* as it is. RFC 4514, 3."""
    text = value.decode(errors="replace")
    found = _FIRST.match(text)
    if found is None:
        return text
    raw = found[1].strip().encode()
    plain = _ESCAPED.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else m[2], raw)
    return plain.decode(errors="replace")
