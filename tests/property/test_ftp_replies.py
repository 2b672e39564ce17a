import ftplib
import io

from fuzz.fuzz_replies import check
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import ProtocolError
from portway.protocols.ftp.wire import ReplyReader, multi_reply, reply

PIECE = st.one_of(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"220", b"220-", b"220 ", b"150 "]),
    st.sampled_from(
        [b"220 x\r\n", b"211-y\r\n", b"211 z\r\n", b" 211 \r\n", b"x" * 57]
    ),
    st.binary(max_size=8),
)
STREAM = st.lists(PIECE, max_size=30).map(b"".join)
CUTS = st.lists(st.integers(1, 400), max_size=6)
CODES = st.integers(100, 599)
TEXT = st.text(st.characters(exclude_characters="\0\r\n"), max_size=40)
TEXTS = st.lists(TEXT, max_size=5)


@given(STREAM, CUTS)
def test_any_cut_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    check(data, cuts)


@given(st.lists(st.binary(max_size=4096), max_size=40))
def test_garbage_ends_in_nothing_but_a_protocol_error(chunks: list[bytes]) -> None:
    reader = ReplyReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
            assert len(reader._held) < 8192
    except ProtocolError:
        return


@given(CODES, TEXT, TEXTS, TEXT)
def test_a_reply_as_we_write_it_is_read_as_one(
    code: int, first: str, inner: list[str], last: str
) -> None:
    for text in (reply(code, last), multi_reply(code, first, inner, last)):
        lines = ReplyReader().feed(text)
        assert b"".join(line.line for line in lines) == text
        assert {line.code for line in lines} == {code}
        assert [line.final for line in lines] == [False] * (len(lines) - 1) + [True]


class Reading(ftplib.FTP):
    """The standard library's client, reading from memory."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.file = io.TextIOWrapper(io.BytesIO(data), "latin-1", newline="\r\n")


@given(st.lists(st.tuples(CODES, TEXT, TEXTS, TEXT), min_size=1, max_size=4))
def test_replies_end_where_ftplib_sees_their_end(
    replies: list[tuple[int, str, list[str], str]],
) -> None:
    data = b"".join(multi_reply(*parts) for parts in replies)
    client = Reading(data)
    ends = [line.code for line in ReplyReader().feed(data) if line.final]
    assert ends == [int(client.getmultiline()[:3]) for _ in replies]
