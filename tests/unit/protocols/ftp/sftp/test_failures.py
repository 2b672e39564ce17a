"""What an FTP client is told of an SFTP server's refusals."""

import pytest

from portway.protocols.ftp.sftp.failures import refusal


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        (2, b"550 No such file or directory.\r\n"),
        (3, b"550 Permission denied.\r\n"),
        (7, b"426 The connection to the server was lost.\r\n"),
        (8, b"504 The server cannot do that.\r\n"),
        (14, b"452 Disk full.\r\n"),
        (15, b"552 Quota used up at the server.\r\n"),
    ],
)
def test_what_has_a_name(code: int, reply: bytes) -> None:
    assert refusal(code, "whatever\r\n226 it says") == reply


def test_what_has_none() -> None:
    assert refusal(4, "Failure") == b"550 The server refused: Failure\r\n"
    assert refusal(4, "", otherwise=451).startswith(b"451 The server refused: no ")
    assert refusal(99, "x") == b"550 The server refused: x\r\n"


def test_the_servers_words_are_one_line_and_no_longer_than_that() -> None:
    reply = refusal(4, "a\r\n226 done\x1b[31m\0" + "x" * 10000)
    assert reply.count(b"\n") == 1
    assert b"\x1b" not in reply
    assert len(reply) < 300


@pytest.mark.parametrize("code", range(40))
def test_none_is_a_success_or_ends_the_session(code: int) -> None:
    number = int(refusal(code, "text")[:3])
    assert 400 < number < 600
    assert number != 421
