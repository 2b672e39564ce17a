import pytest

from portway.errors import ProtocolError
from portway.model import Endpoint, Reason, Side
from portway.protocols.ftp.wire import (
    Command,
    ReplyLine,
    ReplyReader,
    format_227,
    format_229,
    format_eprt,
    format_port,
    multi_reply,
    parse_227,
    parse_229,
    parse_command,
    parse_eprt,
    parse_port,
    parse_pwd,
    reply,
    resolve_path,
)

# Commands.


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        (b"NOOP", "NOOP", b""),
        (b"noop", "NOOP", b""),
        (b"RETR a b", "RETR", b"a b"),
        (b"retr  a ", "RETR", b" a "),
        (b"USER ", "USER", b""),
        (b"XMD5 f", "XMD5", b"f"),
        (b"STOR caf\xe9\xff", "STOR", b"caf\xe9\xff"),
        (b"X-Y", "X-Y", b""),
    ],
)
def test_a_command_is_forwarded_as_it_came(
    line: bytes, verb: str, argument: bytes
) -> None:
    assert parse_command(line) == Command(verb, argument, line)


@pytest.mark.parametrize(
    ("line", "forwarded"),
    [
        (b" DELE x", b"DELE x"),
        (b"\t \x0bDELE x", b"DELE x"),
        (b"DELE\tx", b"DELE x"),
        (b"DELE\x0b x", b"DELE  x"),
        (b"DELE\x0cx", b"DELE x"),
        (b" DELE", b"DELE"),
    ],
)
def test_blanks_that_only_some_servers_take_hide_no_verb(
    line: bytes, forwarded: bytes
) -> None:
    command = parse_command(line)
    assert command.verb == "DELE"
    assert command.line == forwarded
    assert parse_command(command.line) == command


@pytest.mark.parametrize(
    "line",
    [b"", b"  ", b"\t", b"D\xffELE x", b"DEL\x08E x", b"D\xc3\x89LE", b"\x1bX y"],
)
def test_what_is_no_verb_is_never_taken_for_one(line: bytes) -> None:
    assert parse_command(line).verb == ""


@pytest.mark.parametrize(
    "line",
    [
        b"PASS s3cret",
        b"pass s3cret",
        b"PASS\ts3cret",
        b"ACCT s3cret",
        b"RESP s3cret",
        b"SITE RESPONSE s3cret",
        b"site response s3cret",
        b"USER alice:s3cret:bob@h",
        b"USER alice:s3cret:bob:s3cret@h",
        b"P\xffSS s3cret",
    ],
)
def test_no_password_shows_in_a_repr(line: bytes) -> None:
    assert "s3cret" not in repr(parse_command(line))


def test_a_repr_shows_the_rest() -> None:
    assert repr(parse_command(b"USER bob@h")) == "Command(USER b'bob@h')"
    assert repr(parse_command(b"SITE CHMOD 600 f")) == "Command(SITE b'CHMOD 600 f')"


# Replies.


def read(data: bytes) -> list[ReplyLine]:
    return ReplyReader().feed(data)


def test_a_reply_of_one_line() -> None:
    assert read(b"220 Ready\r\n") == [ReplyLine(220, True, True, b"220 Ready\r\n")]


def test_a_reply_ends_only_at_its_own_code_and_a_blank() -> None:
    inner = [b"221 x", b" 220 x", b"x", b"", b"220-more", b"2200 x", b"220x"]
    data = b"220-Hello\r\n" + b"\r\n".join(inner) + b"\r\n220 Bye\r\n331 Next\r\n"
    lines = read(data)
    assert b"".join(line.line for line in lines) == data
    assert [line.code for line in lines] == [220] * 9 + [331]
    assert [line.first for line in lines] == [True] + [False] * 8 + [True]
    assert [line.final for line in lines] == [False] * 8 + [True, True]


def test_a_code_with_nothing_behind_it_is_final() -> None:
    assert read(b"226\r\n") == [ReplyLine(226, True, True, b"226\r\n")]
    assert [line.final for line in read(b"211-\r\n x\r\n211\r\n")] == [
        False,
        False,
        True,
    ]


def test_line_ends_are_made_whole_and_odd_bytes_blank() -> None:
    lines = read(b"220-a\n b\rc\0d\r\r\n220 e\n")
    assert [line.line for line in lines] == [b"220-a\r\n", b" b c d \r\n", b"220 e\r\n"]


def test_a_long_line_is_cut_and_its_rest_dropped() -> None:
    reader = ReplyReader()
    reader.feed(b"220 hi\r\n")
    assert reader.feed(b"211-" + b"x" * 100_000) == []
    assert len(reader._held) < 8192
    (first, second) = reader.feed(b"x" * 100_000 + b"\r\n211 end\r\n")
    assert first.line == b"211-" + b"x" * 8186 + b"\r\n"
    assert len(first.line) == 8192
    assert second.final


def test_a_line_of_8192_bytes_is_whole() -> None:
    line = b"220 " + b"x" * 8186 + b"\r\n"
    assert [found.line for found in read(line)] == [line]


def test_a_reply_of_any_length_is_streamed() -> None:
    reader = ReplyReader()
    reader.feed(b"211-Status\r\n")
    for _ in range(200):
        assert len(reader.feed(b" file\r\n" * 1000)) == 1000
        assert reader.pending == 0
    assert reader.feed(b"211 end\r\n")[0].final


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"22",
        b"22 x",
        b"2200 x",
        b"220x",
        b"099 x",
        b"600 x",
        b" 220 x",
        b"2 0 x",
    ],
)
def test_what_is_no_reply_is_dropped_and_counted(line: bytes) -> None:
    reader = ReplyReader()
    found = reader.feed(line + b"\r\n220 x\r\n")
    assert [reply_line.code for reply_line in found] == [220]
    assert reader.dropped == 1


def test_sixteen_lines_in_a_row_that_are_no_reply_are_too_many() -> None:
    reader = ReplyReader()
    reader.feed(b"x\r\n" * 15)
    reader.feed(b"220 after all\r\n" + b"\r\n" * 15)
    assert reader.dropped == 30
    with pytest.raises(ProtocolError) as caught:
        reader.feed(b"x\r\n")
    assert caught.value.side is Side.SERVER


@pytest.mark.parametrize("data", [b"x" * 8193, b"220 " + b"x" * 8189 + b"\r\n"])
def test_8_kib_before_any_reply_are_too_many(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        ReplyReader().feed(data)
    assert caught.value.side is Side.SERVER


def test_our_own_replies_are_one_line_each() -> None:
    assert reply(220, "edge\r\n230 in\0") == b"220 edge  230 in \r\n"
    assert reply(550, b"caf\xe9") == b"550 caf\xe9\r\n"
    text = multi_reply(211, "Features:", ["EPRT", "211 x"], "End")
    assert text == b"211-Features:\r\n EPRT\r\n 211 x\r\n211 End\r\n"
    lines = read(text)
    assert [line.final for line in lines] == [False, False, False, True]


# Data addresses.


@pytest.mark.parametrize("text", [b"192,168,1,10,156,64", b" 192, 168,1 ,10,156,64 "])
def test_port(text: bytes) -> None:
    assert parse_port(text) == Endpoint("192.168.1.10", 40000)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1,2,3,4,5",
        b"1,2,3,4,5,6,7",
        b"256,2,3,4,5,6",
        b"1,2,3,4,5,256",
        b"1,2,3,4,0,0",
        b"1.2.3.4,5,6",
        b"1,2,3,4,5,-6",
        b"1,2,3,4,5,6x",
        b"1,2,3,4,5,0006",
        b"1,2,3,4,5,\xb2",
    ],
)
def test_port_malformed(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_port(text)
    assert (caught.value.side, caught.value.reason) == (Side.CLIENT, Reason.SYNTAX)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (b"|1|132.235.1.2|6275|", Endpoint("132.235.1.2", 6275)),
        (b"|2|1080::8:800:200C:417A|5282|", Endpoint("1080::8:800:200c:417a", 5282)),
        (b"!1!1.2.3.4!5!", Endpoint("1.2.3.4", 5)),
        (b".1.1.2.3.4.5.", Endpoint("1.2.3.4", 5)),
        (b":2:::1:99:", Endpoint("::1", 99)),
    ],
)
def test_eprt(text: bytes, endpoint: Endpoint) -> None:
    assert parse_eprt(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"|1|1.2.3.4|5",
        b"1|1.2.3.4|5|",
        b"|1|::1|5|",
        b"|2|1.2.3.4|5|",
        b"|1|1.2.3.4|0|",
        b"|1|1.2.3.4|65536|",
        b"|2|fe80::1%lo|5|",
        b"|1|1.2.3.004|5|",
        b" 1 1.2.3.4 5 ",
    ],
)
def test_eprt_malformed(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_eprt(text)
    assert (caught.value.side, caught.value.reason) == (Side.CLIENT, Reason.SYNTAX)


@pytest.mark.parametrize("text", [b"|3|1.2.3.4|5|", b"|0|x|5|", b"|12|::1|5|"])
def test_eprt_of_an_unknown_family(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_eprt(text)
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        b"227 Entering Passive Mode (198,51,100,5,78,32).\r\n",
        b"227 Entering Passive Mode 198,51,100,5,78,32\r\n",
        b"227 =198,51,100,5,78,32\r\n",
        b"227 ok ( 198, 51,100 ,5,78,32 )",
        b"227-Two lines\r\n227 Entering Passive Mode (198,51,100,5,78,32)\r\n",
        b"227 Mode 3, version 2,1: (198,51,100,5,78,32)",
        b"227 (998,1,2,3,4,5) no, (198,51,100,5,78,32)",
        b"227 198,51,100,5,78,32,99",
    ],
)
def test_227(text: bytes) -> None:
    assert parse_227(text) == Endpoint("198.51.100.5", 20000)


@pytest.mark.parametrize(
    "text",
    [
        b"227 Entering Passive Mode\r\n",
        b"227 (300,1,2,3,4,5,6)",
        b"227 (3000,1,2,3,4,5,6)",
        b"227 (1,2,3,4,0,0)",
        b"227,1,2,3,4,5",
        b"227 1,2,3,4,5,6666",
        b"",
    ],
)
def test_227_without_an_address(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_227(text)
    assert caught.value.side is Side.SERVER


@pytest.mark.parametrize(
    "text",
    [
        b"229 Entering Extended Passive Mode (|||50123|)\r\n",
        b"229 Entering Extended Passive Mode |||50123|\r\n",
        b"229 ok (!!!50123!)",
        b"229 ok (|1|192.0.2.1|50123|)",
        b"229 ok (|2|2001:db8::1|50123|)",
        b"229-Two...\r\n229 lines... (|||50123|)\r\n",
        b"229 (|||99999|) (|||50123|)",
    ],
)
def test_229(text: bytes) -> None:
    assert parse_229(text) == 50123


@pytest.mark.parametrize(
    "text",
    [b"229 ok (|||0|)", b"229 (||50123|)", b"229 50123", b"229 (|||65536|)", b""],
)
def test_229_without_a_port(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_229(text)
    assert caught.value.side is Side.SERVER


def test_addresses_as_we_write_them() -> None:
    endpoint = Endpoint("192.168.1.1", 50123)
    assert format_port(endpoint) == b"192,168,1,1,195,203"
    assert format_eprt(endpoint) == b"|1|192.168.1.1|50123|"
    assert format_eprt(Endpoint("fd00:1::1", 50123)) == b"|2|fd00:1::1|50123|"
    assert format_227(endpoint) == (
        b"227 Entering Passive Mode (192,168,1,1,195,203).\r\n"
    )
    assert format_229(50123) == b"229 Entering Extended Passive Mode (|||50123|)\r\n"


# Paths.


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        (b'257 "/" is the current directory\r\n', b"/"),
        (b'257 "/a ""b"" c" here', b'/a "b" c'),
        (b'257 "/x"', b"/x"),
        (b'257 """"', b'"'),
        (b'257-Note\r\n257 "/y" is "current"\r\n', b"/y"),
    ],
)
def test_pwd(text: bytes, directory: bytes) -> None:
    assert parse_pwd(text) == directory


@pytest.mark.parametrize("text", [b"257 /x", b'257 "/x', b"257"])
def test_pwd_without_a_directory(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_pwd(text)


@pytest.mark.parametrize(
    ("directory", "argument", "path"),
    [
        (b"/", b"f", b"/f"),
        (b"/a", b"f", b"/a/f"),
        (b"/a/", b"./b//c/", b"/a/b/c"),
        (b"/a/b", b"..", b"/a"),
        (b"/a", b"../../../x", b"/x"),
        (b"/a", b"/x/../y", b"/y"),
        (b"/a", b"", b"/a"),
        (b"/a", b"//x", b"/x"),
        (b"", b"x", b"/x"),
        (b"/a", b" x ", b"/a/ x "),
        (b"/a", b"...", b"/a/..."),
    ],
)
def test_resolve_path(directory: bytes, argument: bytes, path: bytes) -> None:
    assert resolve_path(directory, argument) == path
