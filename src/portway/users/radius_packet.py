"""RADIUS packets, as far as a login by password goes. RFC 2865, RFC 3579.

Not here: sockets. Invariant: an answer is taken only if it proves twice that its sender
knows the secret: by the authenticator of RFC 2865, which MD5 no longer protects by
itself (CVE-2024-3596), and by the Message-Authenticator of RFC 3579, section 3.2.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

REQUEST, ACCEPT, REJECT, CHALLENGE = 1, 2, 3, 11
USER_NAME, USER_PASSWORD, FILTER_ID, CLASS = 1, 2, 11, 25
SERVICE_TYPE, NAS_IDENTIFIER, MESSAGE_AUTHENTICATOR = 6, 32, 80
AUTHENTICATE_ONLY = (8).to_bytes(4, "big")

HEAD = 20
LARGEST = 4096  # bytes of a packet: RFC 2865, section 3
PASSWORD = 128  # bytes: section 5.2
_AUTHENTICATOR = slice(4, HEAD)


@dataclass(frozen=True, slots=True)
class Request:
    """An Access-Request as it is sent, and what its answer is known by."""

    packet: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def identifier(self) -> int:
        return self.packet[1]

    @property
    def authenticator(self) -> bytes:
        return self.packet[_AUTHENTICATOR]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that proved to be one; *attributes* in their order."""

    code: int
    attributes: tuple[tuple[int, bytes], ...]

    def values(self, kind: int) -> list[bytes]:
        """Return the values of the attributes of that *kind*."""
        return [value for number, value in self.attributes if number == kind]


def request(  # noqa: PLR0913 - what a packet is made of
    user: bytes,
    password: bytes,
    secret: bytes,
    nas: bytes,
    *,
    identifier: int,
    authenticator: bytes,
) -> Request:
    """Return an Access-Request; *authenticator* is 16 random bytes.

    *password* has at most 128 bytes, and no NUL at its end.
    """
    attributes = [
        # the first, so that no prefix of the packet can be chosen by a user
        (MESSAGE_AUTHENTICATOR, bytes(16)),
        (USER_NAME, user),
        (USER_PASSWORD, hidden(password, secret, authenticator)),
        (SERVICE_TYPE, AUTHENTICATE_ONLY),
        (NAS_IDENTIFIER, nas),
    ]
    body = b"".join(bytes((kind, 2 + len(it))) + it for kind, it in attributes)
    head = struct.pack("!BBH", REQUEST, identifier, HEAD + len(body)) + authenticator
    signature = hmac.digest(secret, head + body, "md5")
    return Request(head + body[:2] + signature + body[18:], secret)


def hidden(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """Return *password* as it goes over the wire. RFC 2865, section 5.2."""
    size = max(16, -(-len(password) // 16) * 16)
    padded = password.ljust(size, b"\0")
    found, before = b"", authenticator
    for at in range(0, size, 16):
        mask = _md5(secret + before)
        block = bytes(a ^ b for a, b in zip(padded[at : at + 16], mask, strict=True))
        found, before = found + block, block
    return found


def read_answer(data: bytes, asked: Request) -> Answer:
    """Read the answer to *asked*. Raises ValueError: *data* is none, and why."""
    if len(data) < HEAD:
        raise ValueError("a packet that is cut")
    code, identifier, size = struct.unpack_from("!BBH", data)
    if not HEAD <= size <= min(len(data), LARGEST):
        raise ValueError("a packet of a wrong size")
    if identifier != asked.identifier or code not in {ACCEPT, REJECT, CHALLENGE}:
        raise ValueError("an answer to something else")
    data = data[:size]
    signed = data[:4] + asked.authenticator + data[HEAD:]
    if not hmac.compare_digest(_md5(signed + asked.secret), data[_AUTHENTICATOR]):
        raise ValueError("a wrong authenticator; is the secret the server's?")
    _check_message_authenticator(signed, asked.secret)
    found = tuple((kind, data[at:end]) for kind, at, end in _attributes(data))
    return Answer(code, found)


def _check_message_authenticator(signed: bytes, secret: bytes) -> None:
    places = [
        (at, end)
        for kind, at, end in _attributes(signed)
        if kind == MESSAGE_AUTHENTICATOR
    ]
    if len(places) != 1 or places[0][1] - places[0][0] != 16:
        raise ValueError("no Message-Authenticator; make the server send it")
    at, end = places[0]
    blank = signed[:at] + bytes(16) + signed[end:]
    if not hmac.compare_digest(hmac.digest(secret, blank, "md5"), signed[at:end]):
        raise ValueError("a wrong Message-Authenticator")


def _attributes(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind of each attribute, and where its value begins and ends."""
    at = HEAD
    while at < len(packet):
        size = packet[at + 1] if at + 1 < len(packet) else 0
        if size < 2 or at + size > len(packet):
            raise ValueError("an attribute that is cut")
        yield packet[at], at + 2, at + size
        at += size


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
