import pytest

from portway.errors import (
    PeerError,
    PortwayError,
    ProtocolError,
    Refused,
    UpstreamError,
)
from portway.model import Reason, Side
from portway.protocols.ftp import replies
from portway.protocols.ftp.wire import ReplyReader

# What makes lftp try again after a 5xx; see its src/ftpclass.cc.
RETRY = (
    "too many",
    "overloaded",
    "try again later",
    "is restricted to",
    "maximum number",
    "number of connect",
    "more connection",
    "already connected",
    "simultaneous login",
    "login incorrect",
)
CONSTANTS = {
    name: value for name, value in vars(replies).items() if isinstance(value, bytes)
}


def every_reply() -> dict[str, bytes]:
    refused = {f"REFUSALS {key}": text for key, text in replies.REFUSALS.items()}
    ends = {f"CLIENT_ENDS {key}": text for key, text in replies.CLIENT_ENDS.items()}
    return CONSTANTS | refused | ends | {"ready": replies.ready("edge", "")}


@pytest.mark.parametrize(("name", "text"), every_reply().items())
def test_each_is_one_whole_reply(name: str, text: bytes) -> None:
    (line,) = ReplyReader().feed(text)
    assert line.first
    assert line.final
    assert line.line == text
    assert text.isascii()


@pytest.mark.parametrize(("name", "text"), every_reply().items())
def test_nothing_final_holds_a_word_that_makes_clients_try_again(
    name: str, text: bytes
) -> None:
    if text.startswith(b"5"):
        assert not any(word in text.decode().lower() for word in RETRY)


def test_every_reason_has_its_reply() -> None:
    assert set(replies.REFUSALS) == set(Reason)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UpstreamError(Reason.NAME, "x"), b"530 Cannot resolve host h.\r\n"),
        (
            UpstreamError(Reason.REFUSED, "x"),
            b"421 Cannot reach host h: connection refused.\r\n",
        ),
        (
            UpstreamError(Reason.CONNECT_TIMEOUT, "x"),
            b"421 Cannot reach host h: connection timed out.\r\n",
        ),
        (ProtocolError(Side.SERVER, "x"), b"421 Host h does not speak FTP.\r\n"),
        (PeerError(Side.SERVER, "x"), b"421 Host h did not greet.\r\n"),
        (Refused(Reason.RULE, "a\r\n b"), b"530 Denied: a b\r\n"),
        (Refused(Reason.INSIDE), b"530 Denied by policy.\r\n"),
        (Refused(Reason.LOOP), b"530 That address is this proxy itself.\r\n"),
    ],
)
def test_why_a_host_was_not_reached(error: PortwayError, text: bytes) -> None:
    assert replies.not_reached(error, "h") == text
