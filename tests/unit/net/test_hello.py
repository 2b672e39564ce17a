import ssl

import pytest

from portway.net.hello import ECH, MOST, RECORDS, alpn_of, read_hello


def hello(*protocols: str, version: ssl.TLSVersion | None = None) -> bytes:
    """Return OpenSSL's own ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if version is not None:
        context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="ftp.example.org")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


@pytest.mark.parametrize("version", [None, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("protocols", [(), ("ftp",), ("h2", "http/1.1", "x" * 255)])
def test_what_openssl_offers(
    protocols: tuple[str, ...], version: ssl.TLSVersion | None
) -> None:
    data = hello(*protocols, version=version)
    expected = frozenset(word.encode() for word in protocols)
    assert alpn_of(data) == expected


def test_every_cut_waits_for_more() -> None:
    data = hello("ftp")
    for end in range(len(data)):
        assert alpn_of(data[:end]) is None
    assert alpn_of(data) == frozenset({b"ftp"})


def test_a_hello_in_many_records() -> None:
    data = hello("ftp")
    message = data[5:]
    size = len(message) // RECORDS + 1
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    split = b"".join(data[:3] + len(part).to_bytes(2) + part for part in parts)
    assert alpn_of(split) == frozenset({b"ftp"})
    assert alpn_of(split[:-1]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"USER u@ftp.test\r\n",
        b"\x80\x2e\x01\x00\x02",  # as SSL 2 began
        b"\x16\x02\x00\x00\x01",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
        b"\x17\x03\x03\x00\x01x",
    ],
)
def test_what_is_no_hello(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no TLS|no ClientHello|too long"):
        alpn_of(data)


def test_no_more_is_wanted_than_a_bound() -> None:
    begin = b"\x16\x03\x01\x40\x00\x01\x00\x40\x00"
    assert alpn_of(begin.ljust(MOST - 1, b"\0")) is None
    with pytest.raises(ValueError, match="too long"):
        alpn_of(begin.ljust(MOST, b"\0"))


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x00\x00" * 2, b"\x16\x03\x01\x00\x01\x01" * (RECORDS + 1)],
    ids=["empty", "many"],
)
def test_pieces_that_nobody_sends_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(ValueError, match="in pieces"):
        alpn_of(data)


def with_extension(data: bytes, kind: int, body: bytes) -> bytes:
    """Return a hello with one extension more, at its end."""
    extension = kind.to_bytes(2) + len(body).to_bytes(2) + body
    at = 5 + 4 + 34  # the record, the message, the version and the random bytes
    for size in (1, 2, 1):
        at += size + int.from_bytes(data[at : at + size])
    listed = int.from_bytes(data[at : at + 2]) + len(extension)
    hello = data[9:at] + listed.to_bytes(2) + data[at + 2 :] + extension
    message = data[5:6] + len(hello).to_bytes(3) + hello
    return data[:3] + len(message).to_bytes(2) + message


def test_a_hello_within_the_hello_is_seen() -> None:
    plain = read_hello(hello("h2"))
    assert plain is not None
    assert not plain.ech
    found = read_hello(with_extension(hello("h2"), ECH, b"x" * 200))
    assert found == plain._replace(ech=True)
    assert found.server_name == "ftp.example.org"
