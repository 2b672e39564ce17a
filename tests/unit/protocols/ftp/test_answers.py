import pytest

from portway.protocols.ftp import replies
from portway.protocols.ftp.answers import Waiting, everywhere, features_of
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.wire import parse_command


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"AUTH SSL", None),
        (b"SSCN ON", replies.NOT_OFFERED),
        (b"MIC x", replies.NOT_OFFERED),
        (b"", b"500 No command.\r\n"),
        (b"NOOP", None),
        (b"XYZZY", None),
    ],
)
def test_what_no_server_gets_to_see(line: bytes, answer: bytes | None) -> None:
    assert everywhere(parse_command(line)) == answer


def test_features_of_a_server_are_its_own_and_those_of_our_leg() -> None:
    text = b"211-Hi\r\n SIZE\r\n AUTH TLS\r\n MODE Z\r\n EPRT\r\n211 End\r\n"
    told = b"211-Features:\r\n SIZE\r\n EPRT\r\n EPSV\r\n211 End\r\n"
    assert features_of(Reply(211, text)) == told


def test_a_server_that_refuses_feat_has_ours_alone() -> None:
    told = b"211-Features:\r\n EPRT\r\n EPSV\r\n211 End\r\n"
    assert features_of(Reply(500, b"500 What?\r\n")) == told


def test_what_is_remembered_is_bounded() -> None:
    waiting = Waiting(("site",))
    for number in range(9):
        waiting.answer(parse_command(b"CLNT %d" % number))
    assert len(tuple(waiting.after_login())) == 2


def test_host_is_for_the_server_that_it_names() -> None:
    waiting = Waiting(("site",))
    waiting.answer(parse_command(b"HOST A.test"))
    assert tuple(waiting.before_login("a.test")) == (b"HOST A.test",)
    assert tuple(waiting.before_login("b.test")) == ()
