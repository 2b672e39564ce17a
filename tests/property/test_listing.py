"""Listings: whatever a server sends, each line comes out as something, and no error."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from portway.protocols.ftp.entries import Entry, Kind, Text, parse_facts
from portway.protocols.ftp.listing import Listing
from portway.protocols.http.ftp_folders import Reader

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
SIGNS = st.characters(codec="utf-8", exclude_characters="\r\n\0/")
NAMES = (
    st.text(SIGNS, min_size=1, max_size=40)
    .filter(lambda name: name.strip() == name and " -> " not in name)
    .filter(lambda name: name not in {".", ".."})
)
WORDS = st.sampled_from(
    b"-rw-r--r--|drwxr-xr-x|total|Jan|31|2024|12:30|<DIR>|01-02-24|03:04PM|+i1,m2,/,|"
    b"\t| |-> |[RWCE-FM-]|d|A.TXT;1|12/15|1-JAN-2024|(RWED,RE,,)|type=".split(b"|")
)
LINES = st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=12).map(b" ".join))


@given(st.lists(LINES, max_size=20))
def test_no_line_is_an_error(lines: list[bytes]) -> None:
    listing = Listing(NOW)
    found = [listing.read(line) for line in lines]
    for item in [*found, listing.end(), *map(parse_facts, lines)]:
        assert item is None or isinstance(item, Entry | Text)
        if isinstance(item, Entry):
            assert item.name
            assert item.size is None or item.size >= 0


@given(NAMES, st.integers(0, 10**15), st.booleans())
def test_a_name_comes_through_as_it_is(name: str, size: int, folder: bool) -> None:
    raw, kind = name.encode(), Kind.FOLDER if folder else Kind.FILE
    letter = b"d" if folder else b"-"
    line = b"%brw-r--r--   1 joe users %14d Mar  7  2024 %b" % (letter, size, raw)
    entry = Listing(NOW).read(line)
    assert isinstance(entry, Entry)
    assert (entry.name, entry.kind, entry.size) == (raw, kind, size)
    word = b"dir" if folder else b"file"
    entry = parse_facts(b"type=%b;size=%d; %b" % (word, size, raw))
    assert isinstance(entry, Entry)
    assert (entry.name, entry.kind, entry.size) == (raw, kind, size)


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8))
def test_wherever_it_is_cut_it_says_the_same(data: bytes, cuts: list[int]) -> None:
    for facts in (False, True):
        whole = Reader(NOW.timestamp(), facts=facts)
        expected = [*whole.feed(data), *whole.end()]
        pieces = Reader(NOW.timestamp(), facts=facts)
        found, start = [], 0
        for cut in [*sorted(cuts), len(data)]:
            found += pieces.feed(data[start:cut])
            start = max(start, cut)
        assert [*found, *pieces.end()] == expected
