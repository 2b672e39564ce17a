"""A ClientHello, looked at before TLS reads it. RFC 8446, section 4.1.2.

Not here: reading it from a socket (tls.py). Invariant: bytes that are none raise
ValueError, however they are cut, and no more than MOST of them are ever wanted.
"""

from typing import NamedTuple

MOST = 16384  # bytes: security.md, section 3; post-quantum hellos are near 2 KiB
RECORDS = 8  # that a hello may be cut into
HANDSHAKE = 22  # the content type of a record
CLIENT_HELLO = 1
SERVER_NAME = 0  # the extension's type, RFC 6066, section 3
ALPN = 16  # RFC 7301
ECH = 0xFE0D  # encrypted_client_hello
NONE: frozenset[bytes] = frozenset()


class Hello(NamedTuple):
    """What a client says first: the server that it names, if any, and protocols.

    *server_name* is as it came, lower-case and without a dot at its end; bytes that are
    not ASCII are in no name. *ech*: another hello is encrypted within, which may name
    another server; or nothing is, as browsers do so that nobody can tell.
    """

    server_name: str = ""
    alpn: frozenset[bytes] = NONE
    ech: bool = False


def read_hello(data: bytes) -> Hello | None:
    """Return what *data*, a client's first bytes, says; None: more are needed.

    Raises ValueError if it is no ClientHello.
    """
    message = _handshake_bytes(data)
    if message[:1] not in {b"", b"\x01"}:
        raise ValueError("no ClientHello")
    length = int.from_bytes(message[1:4])
    if length > MOST:
        raise ValueError("a ClientHello that is too long")
    if len(message) < 4 or len(message) < 4 + length:
        if len(data) >= MOST:
            raise ValueError("a ClientHello that is too long")
        return None
    return _read(message[4 : 4 + length])


def alpn_of(data: bytes) -> frozenset[bytes] | None:
    """Return the protocols that a client offers by ALPN; None: more bytes are needed.

    *data* is what the client sent first. Raises ValueError if it is no ClientHello.
    """
    hello = read_hello(data)
    return None if hello is None else hello.alpn


def _handshake_bytes(data: bytes) -> bytes:
    """Return what the records hold, as far as they have come."""
    found = b""
    records = 0
    while data:
        records += 1
        if data[0] != HANDSHAKE or (len(data) > 1 and data[1] != 3):
            raise ValueError("no TLS")
        length = int.from_bytes(data[3:5])
        if records > RECORDS or (len(data) >= 5 and not length):
            raise ValueError("a ClientHello in pieces that nobody sends")
        found += data[5 : 5 + length]
        if len(data) < 5 + length:
            break
        data = data[5 + length :]
    return found


def _read(hello: bytes) -> Hello:
    """Read the extensions of *hello*, a whole one."""
    rest = hello[34:]  # behind the version and the random bytes
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        _, rest = _cut(rest, size)
    if not rest:
        return Hello()  # RFC 5246, section 7.4.1.2: they may be left out
    name, alpn, ech = "", NONE, False
    extensions, _ = _cut(rest, 2)
    while extensions:
        kind = int.from_bytes(extensions[:2])
        body, extensions = _cut(extensions[2:], 2)
        if kind == ALPN:
            alpn = frozenset(_names(_cut(body, 2)[0]))
        elif kind == SERVER_NAME and body:
            name = _server_name(_cut(body, 2)[0])
        elif kind == ECH:
            ech = True
    return Hello(name, alpn, ech)


def _server_name(listed: bytes) -> str:
    """Return the host among *listed*; there is no other kind of name."""
    while listed:
        kind = listed[0]
        name, listed = _cut(listed[1:], 2)
        if not kind:
            return name.decode("ascii", "replace").lower().removesuffix(".")
    return ""


def _names(listed: bytes) -> list[bytes]:
    names = []
    while listed:
        name, listed = _cut(listed, 1)
        names.append(name)
    return names


def _cut(data: bytes, size: int) -> tuple[bytes, bytes]:
    """Split off a vector, whose length stands before it in *size* bytes."""
    end = size + int.from_bytes(data[:size])
    if len(data) < max(end, size):
        raise ValueError("no ClientHello")
    return data[size:end], data[end:]
