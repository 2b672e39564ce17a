"""Line ends on their way."""

import pytest

from portway.protocols.ftp.sftp.textlines import FromWire, Lines, ToWire, Unchanged


def all_of(lines: Lines, pieces: list[bytes]) -> bytes:
    return b"".join([lines.feed(piece) for piece in pieces]) + lines.end()


@pytest.mark.parametrize(
    ("kind", "data", "result"),
    [
        (ToWire, b"a\nb\n\n", b"a\r\nb\r\n\r\n"),
        (ToWire, b"a\r\nb\rc\n", b"a\r\nb\rc\r\n"),
        (ToWire, b"\n", b"\r\n"),
        (ToWire, b"a\r", b"a\r"),
        (FromWire, b"a\r\nb\r\n", b"a\nb\n"),
        (FromWire, b"a\rb\nc\r\r\n\r", b"a\rb\nc\r\n\r"),
        (Unchanged, b"a\r\nb\n\r", b"a\r\nb\n\r"),
    ],
)
def test_however_they_are_cut(kind: type[Lines], data: bytes, result: bytes) -> None:
    assert all_of(kind(), [data]) == result
    assert all_of(kind(), [data[at : at + 1] for at in range(len(data))]) == result
    for at in range(len(data) + 1):
        assert all_of(kind(), [data[:at], b"", data[at:]]) == result
