import pytest

from portway.errors import ProtocolError
from portway.model import Side
from portway.protocols.ftp.dialogue import HELD_REPLY, Awaited, Fate, Pairer, Reply
from portway.protocols.ftp.wire import ReplyLine

LINE = ReplyLine(200, first=True, final=True, line=b"200 ok\r\n")


def test_an_answer_goes_out_at_once_where_nothing_is_due() -> None:
    assert Pairer().answer(b"200 ours\r\n") == b"200 ours\r\n"


def test_answers_wait_their_turn_and_go_together() -> None:
    pairer = Pairer()
    pairer.expect(Awaited("PWD"))
    assert pairer.answer(b"1") == pairer.answer(b"2") == b""
    pairer.expect(Awaited("NOOP"))
    assert pairer.answer(b"3") == b""
    assert pairer.finish() == b"12"
    assert pairer.head is not None
    assert pairer.head.verb == "NOOP"
    assert pairer.finish() == b"3"
    assert len(pairer) == 0


def test_a_kept_reply_shows_nothing_and_is_bounded() -> None:
    awaited = Awaited("FEAT", Fate.KEEP)
    assert awaited.take(LINE) == b""
    assert bytes(awaited.text) == LINE.line
    long = ReplyLine(200, first=False, final=False, line=b"x" * HELD_REPLY)
    with pytest.raises(ProtocolError) as caught:
        awaited.take(long)
    assert caught.value.side is Side.SERVER


def test_a_relayed_reply_is_rewritten() -> None:
    assert Awaited("USER", rewrite=lambda line: b"!" + line.line).take(LINE) == (
        b"!200 ok\r\n"
    )


@pytest.mark.parametrize(
    ("code", "text", "good", "words"),
    [
        (230, b"230-a\r\nb\r\n230 In \r\n", True, b"In"),
        (530, b"530 No\r\n", False, b"No"),
        (331, b"331\r\n", False, b""),
    ],
)
def test_a_whole_reply(code: int, text: bytes, good: bool, words: bytes) -> None:
    reply = Reply(code, text)
    assert (reply.good, reply.words) == (good, words)
