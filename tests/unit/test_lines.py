import pytest

from portway.errors import ProtocolError
from portway.lines import BadLine, LineReader, shown
from portway.model import Reason, Side


def telnet(*chunks: bytes) -> tuple[list[bytes | BadLine], bytes]:
    reader = LineReader(telnet=True)
    lines = [line for chunk in chunks for line in reader.feed(chunk)]
    return lines, reader.take_answers()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"NOOP\r\n", [b"NOOP"]),
        (b"NOOP\n", [b"NOOP"]),
        (b"\r\n", [b""]),
        (b"\n", [b""]),
        (b"A\r\nB\nC\r\n", [b"A", b"B", b"C"]),
        (b"RETR  two blanks \r\n", [b"RETR  two blanks "]),
        (b"RETR caf\xc3\xa9\xe9\r\n", [b"RETR caf\xc3\xa9\xe9"]),
    ],
)
def test_a_line_feed_ends_a_line_and_one_cr_before_it_goes(
    data: bytes, lines: list[bytes]
) -> None:
    assert LineReader().feed(data) == lines


@pytest.mark.parametrize("line", [b"A\0B", b"A\rB", b"A\r", b"\r", b"DELE x\rSTOR y"])
def test_control_characters_are_refused_and_the_next_line_is_served(
    line: bytes,
) -> None:
    assert LineReader().feed(line + b"\r\nNOOP\r\n") == [BadLine.CONTROL, b"NOOP"]


def test_a_line_waits_for_its_end() -> None:
    reader = LineReader()
    assert reader.feed(b"USER b") == []
    assert reader.pending == 6
    assert reader.feed(b"ob\r") == []
    assert reader.feed(b"\nPA") == [b"USER bob"]
    assert reader.pending == 2
    assert reader.feed(b"SS x\r\n") == [b"PASS x"]
    assert reader.pending == 0


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line_of_8192_bytes_is_taken_and_one_byte_more_is_not(end: bytes) -> None:
    reader = LineReader()
    longest = b"x" * 8192
    assert reader.feed(longest + end) == [longest]
    assert reader.feed(longest + end[:-1]) == []
    assert reader.feed(b"\n") == [longest]
    assert reader.feed(longest + b"x" + end) == [BadLine.TOO_LONG]
    assert reader.feed(longest + b"x" + end + b"NOOP\r\n") == [
        BadLine.TOO_LONG,
        b"NOOP",
    ]


def test_a_long_line_is_dropped_as_it_comes() -> None:
    reader = LineReader()
    for _ in range(7):
        assert reader.feed(b"x" * 8192) == []
        assert len(reader._held) <= 8193
    assert reader.pending == 7 * 8192
    assert reader.feed(b"\r\nNOOP\r\n") == [BadLine.TOO_LONG, b"NOOP"]


@pytest.mark.parametrize("pieces", [1, 257])
def test_64_kib_without_a_line_feed_end_it(pieces: int) -> None:
    data = b"x" * 65537
    reader = LineReader()
    size = len(data) // pieces
    for start in range(0, len(data) - size, size):
        assert reader.feed(data[start : start + size]) == []
    with pytest.raises(ProtocolError) as caught:
        reader.feed(data[-size:])
    assert caught.value.side is Side.CLIENT
    assert caught.value.reason is Reason.TOO_LONG


def test_64_kib_with_a_line_feed_at_last_is_only_a_long_line() -> None:
    assert LineReader().feed(b"x" * 65536 + b"\n") == [BadLine.TOO_LONG]


def test_without_telnet_0xff_is_a_byte_like_any_other() -> None:
    line = b"\xff\xf4\xff\xfb\x01\xff"
    assert LineReader().feed(line + b"\r\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xf4\xff\xf2ABOR",  # RFC 959, section 4.1.3
        b"\xff\xf4\xffABOR",  # the DM was lost
        b"\xff\xf4\xf2ABOR",  # the IAC before it was
        b"\xff\xf4\xffabor",
        b"\xff\xf2ABOR",
        b"AB\xff\xf1OR",
        b"\xff\xfa\x18\x00xterm\xff\xf0ABOR",
        b"\xff\xfa\xff\xff\xf0\xff\xf0ABOR",  # an escaped IAC in the parameters
        b"\xff\xfc\x01\xff\xfe\x03ABOR\xff\xf9",
    ],
)
def test_telnet_commands_are_taken_out(line: bytes) -> None:
    lines, answers = telnet(line + b"\r\n")
    assert [bytes(text).upper() for text in lines if isinstance(text, bytes)] == [
        b"ABOR"
    ]
    assert answers == b""


def test_options_are_refused_and_the_line_goes_on() -> None:
    lines, answers = telnet(b"\xff\xfb\x01\xff\xfd\x00\xff\xfb\xffUSER x\r\n")
    assert lines == [b"USER x"]
    assert answers == b"\xff\xfe\x01\xff\xfc\x00\xff\xfe\xff"


def test_options_are_answered_before_a_line_is_complete() -> None:
    reader = LineReader(telnet=True)
    assert reader.feed(b"\xff\xfd") == []
    assert reader.take_answers() == b""
    assert reader.feed(b"\x03") == []
    assert reader.take_answers() == b"\xff\xfc\x03"
    assert reader.take_answers() == b""
    assert reader.feed(b"NOOP\r\n") == [b"NOOP"]
    assert reader.take_answers() == b""


def test_a_line_end_is_no_option() -> None:
    reader = LineReader(telnet=True)
    assert reader.feed(b"\xff\xfb\r") == []
    assert reader.take_answers() == b""
    assert reader.feed(b"\n") == [BadLine.CONTROL]


def test_answers_are_bounded() -> None:
    reader = LineReader(telnet=True)
    reader.feed(b"\xff\xfb\x01" * 2000)
    assert len(reader.take_answers()) < 1100


def test_0xff_stays_as_it_was_sent() -> None:
    lines, _ = telnet(b"RETR a\xff\xffb\xffc\xff\r\n")
    assert lines == [b"RETR a\xff\xffb\xffc\xff"]


@pytest.mark.parametrize(
    "line",
    [b"DELE a\xff\xfa b", b"DELE a\xff\xfb", b"DELE a\xff\xfe", b"\xff\xfaX\xff"],
)
def test_half_a_telnet_command_is_refused(line: bytes) -> None:
    assert telnet(line + b"\r\nNOOP\r\n")[0] == [BadLine.CONTROL, b"NOOP"]


def test_no_telnet_command_reaches_over_a_line_feed() -> None:
    lines, answers = telnet(b"\xff\xfb\nDELE x\n\xff\xfa\nSTOR y\n\xff\xf0\n")
    assert lines == [BadLine.CONTROL, b"DELE x", BadLine.CONTROL, b"STOR y", b""]
    assert answers == b""


def test_a_flood_of_telnet_commands_is_a_flood() -> None:
    reader = LineReader(telnet=True)
    for _ in range(16):
        assert reader.feed(b"\xff\xf1" * 2048) == []
        assert len(reader._held) <= 8193
    with pytest.raises(ProtocolError):
        reader.feed(b"\xff\xf1")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"/pub/file", "/pub/file"),
        ("/caf\u00e9/\u65e5".encode(), "/caf\u00e9/\u65e5"),
        (b"/caf\xe9", "/caf%E9"),
        (b"\xff\x80\xc3", "%FF%80%C3"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
        (b"a\tb\x1b", "a\tb\x1b"),
        (b"", ""),
    ],
)
def test_shown(data: bytes, text: str) -> None:
    assert shown(data) == text
