"""A ClientHello, looked at before TLS reads it. RFC 8446, section 4.1.2.

Not here: reading it from a socket (tls.py). Invariant: bytes that are none raise
ValueError, however they are cut, and no more than MOST of them are ever wanted.
"""

MOST = 16384  # bytes: security.md, section 3; post-quantum hellos are near 2 KiB
RECORDS = 8  # that a hello may be cut into
HANDSHAKE = 22  # the content type of a record
CLIENT_HELLO = 1
ALPN = 16  # the extension's type, RFC 7301
NONE: frozenset[bytes] = frozenset()


def alpn_of(data: bytes) -> frozenset[bytes] | None:
    """Return the protocols that a client offers by ALPN; None: more bytes are needed.

    *data* is what the client sent first. Raises ValueError if it is no ClientHello.
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
    return _offered(message[4 : 4 + length])


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


def _offered(hello: bytes) -> frozenset[bytes]:
    """Return what the extension ALPN of *hello*, a whole one, lists."""
    rest = hello[34:]  # behind the version and the random bytes
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        _, rest = _cut(rest, size)
    if not rest:
        return NONE  # RFC 5246, section 7.4.1.2: they may be left out
    extensions, _ = _cut(rest, 2)
    while extensions:
        kind = int.from_bytes(extensions[:2])
        body, extensions = _cut(extensions[2:], 2)
        if kind == ALPN:
            return frozenset(_names(_cut(body, 2)[0]))
    return NONE


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
