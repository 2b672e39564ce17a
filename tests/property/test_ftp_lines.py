from fuzz.fuzz_lines import check
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import ProtocolError
from portway.lines import FLOOD, LineReader, shown

TELNET = st.sampled_from(
    b"\xff\xf4 \xff\xf2 \xff\xff \xff \xff\xfb\x01 \xff\xfd\x03 "
    b"\xff\xfa\x18\x00\xff\xf0 \xff\xfa ABOR".split()
)
PIECE = st.one_of(
    TELNET,
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"USER bob@h", b"x" * 59]),
    st.binary(max_size=12),
)
STREAM = st.lists(PIECE, max_size=30).map(b"".join)
CUTS = st.lists(st.integers(1, 400), max_size=6)


@given(STREAM, CUTS, st.booleans())
def test_any_cut_gives_the_same_lines(
    data: bytes, cuts: list[int], telnet: bool
) -> None:
    check(data, cuts, telnet=telnet)


@given(st.lists(st.binary(max_size=4096), max_size=60), st.booleans())
def test_garbage_ends_in_nothing_but_a_protocol_error(
    chunks: list[bytes], telnet: bool
) -> None:
    reader = LineReader(telnet=telnet)
    try:
        for chunk in chunks:
            reader.feed(chunk)
            assert len(reader._held) <= 8193
            assert reader.pending <= FLOOD
            assert len(reader._answers) < 1100
    except ProtocolError:
        return


CLEAN = st.binary(max_size=200).map(lambda line: line.translate(None, b"\0\r\n"))


@given(st.lists(CLEAN, max_size=10), st.sampled_from([b"\n", b"\r\n"]))
def test_what_is_clean_comes_out_as_it_was(lines: list[bytes], end: bytes) -> None:
    reader = LineReader()
    assert reader.feed(b"".join(line + end for line in lines)) == lines


@given(CLEAN)
def test_a_line_with_every_0xff_doubled_comes_out_as_it_was(line: bytes) -> None:
    wire = line.replace(b"\xff", b"\xff\xff")
    assert LineReader(telnet=True).feed(wire + b"\r\n") == [wire]


@given(st.text())
def test_text_is_shown_as_it_is(text: str) -> None:
    data = text.encode("utf-8", "ignore")
    assert shown(data) == data.decode()


@given(st.binary())
def test_anything_is_shown_as_text_that_can_be_written(data: bytes) -> None:
    shown(data).encode()
