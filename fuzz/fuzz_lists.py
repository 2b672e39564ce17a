"""The files of named lists: any bytes, in any pieces, make a list or bad lines."""

from portway.model import read_address
from portway.policy.listreader import SHOWN, Format, Reader
from portway.policy.lists import NamedList

KEY = bytes(16)


def read(data: bytes, layout: Format, piece: int) -> NamedList:
    reader = Reader("fuzz", layout, KEY)
    for place in range(0, len(data), piece):
        reader.feed(data[place : place + piece])
    return reader.finish()


def check(found: NamedList, data: bytes) -> None:
    lines = data.count(b"\n") + 1
    assert found.bad_lines <= lines
    assert len(found.bad) == min(found.bad_lines, SHOWN)
    assert all(0 < line <= lines and text.isprintable() for line, text in found.bad)
    assert list(found.domains.marks) == sorted(set(found.domains.marks))
    for address in (read_address("10.0.0.1"), read_address("2001:db8::1")):
        found.has("www.example.org", address)


def target(data: bytes) -> None:
    for layout in Format:
        whole = read(data, layout, len(data) or 1)
        check(whole, data)
        for piece in (1, 7):
            cut = read(data, layout, piece)
            assert (len(cut), cut.bad, cut.bad_lines) == (
                len(whole),
                whole.bad,
                whole.bad_lines,
            )
            assert cut.domains.marks == whole.domains.marks
