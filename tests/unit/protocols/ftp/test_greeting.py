import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.protocols.ftp.greeting import Greeting, as_230, login_rewrite
from portway.protocols.ftp.wire import ReplyReader

ONE = b"220 Hi\r\n"
MANY = b"220-Hi\r\nmore\r\n220 Bye\r\n"


@pytest.mark.parametrize(
    ("text", "hidden", "shown"),
    [
        (ONE, False, ONE),
        (MANY, False, MANY),
        (MANY, True, b"220 Bye\r\n"),
        (b"230 Odd\r\n", False, b"220 Odd\r\n"),
        (b"220\r\n", False, b"220 \r\n"),
        (
            b"230-Odd\r\n220 in it\r\n220\r\n220x\r\n230-y\r\n230 z\r\n",
            False,
            b"220-Odd\r\n 220 in it\r\n 220\r\n 220x\r\n230-y\r\n220 z\r\n",
        ),
        (
            b"220-Hi\r\ncut before its end\r\n",
            False,
            b"220-Hi\r\n220 cut before its end\r\n",
        ),
    ],
)
def test_as_the_reply_to_open(text: bytes, hidden: bool, shown: bytes) -> None:
    assert Greeting(text, hidden).as_reply() == shown


def test_in_front_of_a_reply_it_makes_one_whole_reply() -> None:
    text = Greeting(MANY).in_front_of(b"331-Go\r\n331 on\r\n")
    lines = ReplyReader().feed(text)
    assert [line.final for line in lines] == [False] * (len(lines) - 1) + [True]
    assert text.startswith(b"331-Hi\r\n more\r\n 220 Bye\r\n331-Go\r\n")


@pytest.mark.parametrize(
    ("verb", "reply", "told"),
    [
        ("USER", b"232 ok\r\n", b"230-Hi\r\n230 ok\r\n"),
        ("USER", b"331 go\r\n", b"331-Hi\r\n331 go\r\n"),
        ("USER", b"530 no\r\n", b"530 no\r\n"),
        ("PASS", b"230 ok\r\n", b"230-Hi\r\n230 ok\r\n"),
        ("USER", b"232-a\r\nb\r\n232 c\r\n", b"230-Hi\r\n230-a\r\nb\r\n230 c\r\n"),
        (
            "USER",
            b"232-a\r\n230 b\r\n232 c\r\n",
            b"230-Hi\r\n230-a\r\n 230 b\r\n230 c\r\n",
        ),
        (
            "PASS",
            b"230-a\r\n230-b\r\n230 c\r\n",
            b"230-Hi\r\n230-a\r\n230-b\r\n230 c\r\n",
        ),
    ],
)
def test_before_the_reply_to_a_login(verb: str, reply: bytes, told: bytes) -> None:
    rewrite = login_rewrite(verb, Greeting(ONE))
    assert rewrite is not None
    assert b"".join(map(rewrite, ReplyReader().feed(reply))) == told


def test_220_is_never_told_to_user() -> None:
    rewrite = login_rewrite("USER", None)
    assert rewrite is not None
    assert [rewrite(line) for line in ReplyReader().feed(b"220 x\r\n")] == [
        b"230 x\r\n"
    ]
    assert login_rewrite("PASS", None) is None


def test_a_kept_success_becomes_230() -> None:
    assert as_230(b"232-a\r\nb\r\n232 c\r\n", 232) == b"230-a\r\nb\r\n230 c\r\n"
    assert as_230(b"332 a\r\n", 332) == b"332 a\r\n"
    assert as_230(b"232 a\r\n", 232) == b"230 a\r\n"
    inner = as_230(b"232-a\r\n230 b\r\n230\r\n232 c\r\n", 232)
    assert inner == b"230-a\r\n 230 b\r\n 230\r\n230 c\r\n"


@given(
    st.sampled_from([200, 220, 230, 232]),
    st.lists(st.sampled_from([b"220 x", b"230", b"230 y", b"230-", b"", b"22"])),
)
def test_whatever_a_server_says_a_client_hears_one_reply(
    code: int, inner: list[bytes]
) -> None:
    digits = b"%d" % code
    middle = [line for line in inner if line[:3] != digits or line[3:4] == b"-"]
    text = b"\r\n".join([digits + b"-first", *middle, digits + b" last", b""])
    rewrite = login_rewrite("USER", Greeting(MANY))
    assert rewrite is not None
    for told in (
        Greeting(text).as_reply(),
        as_230(text, code),
        b"".join(map(rewrite, ReplyReader().feed(text))),
    ):
        lines = ReplyReader().feed(told)
        assert [line.final for line in lines] == [False] * (len(lines) - 1) + [True]
