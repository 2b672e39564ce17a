import pytest

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
