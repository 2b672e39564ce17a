"""What SOCKS says for each reason: the table of protocols.md, section 1.3."""

import errno
import os

import pytest

from portway.errors import (
    ParentError,
    PeerError,
    PortwayError,
    ProtocolError,
    Refused,
    UpstreamError,
)
from portway.model import Reason, Side
from portway.protocols.socks.replies import (
    LOGIN_REFUSALS,
    REFUSALS,
    End,
    answer_to,
    status_of,
)
from portway.protocols.socks.via import WORDS
from portway.protocols.socks.wire import (
    VERSION_4,
    VERSION_5,
    Reply,
    UnknownAddressError,
)

TABLE = {
    "close": "syntax too-long idle",
    "reset": "gone timeout drain admin",
    "01": "resolver tls via protocol busy login-unavailable",
    "02": "rule default port inside connections rate quota filter unscanned loop "
    "login login-wrong",
    "04": "name unreachable",
    "05": "refused",
    "06": "connect-timeout",
    "07": "unsupported",
}


def test_every_reason_has_its_answer() -> None:
    wanted = {
        Reason(word): said for said, words in TABLE.items() for word in words.split()
    }
    assert set(REFUSALS) == set(Reason)
    told = {
        reason: answer.value if isinstance(answer, End) else f"{answer:02}"
        for reason, answer in REFUSALS.items()
    }
    assert told == wanted
    assert Reply.SUCCEEDED not in REFUSALS.values()


def test_the_answers_to_a_login() -> None:
    assert LOGIN_REFUSALS[Reason.LOGIN_WRONG] == 1
    assert LOGIN_REFUSALS[Reason.LOGIN_UNAVAILABLE] == 2


def unreachable(number: int) -> UpstreamError:
    text = f"192.0.2.1:80: {os.strerror(number).lower()}"
    return UpstreamError(Reason.UNREACHABLE, text)


def by_parent(reply: Reply, reason: Reason = Reason.VIA) -> ParentError:
    return ParentError(reason, "10.0.0.1:1080", "target", WORDS[reply])


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (unreachable(errno.ENETUNREACH), Reply.NETWORK_UNREACHABLE),
        (unreachable(errno.EHOSTUNREACH), Reply.HOST_UNREACHABLE),
        (by_parent(Reply.NOT_ALLOWED), Reply.NOT_ALLOWED),
        (by_parent(Reply.FAILED), Reply.FAILED),
        (by_parent(Reply.ADDRESS_UNSUPPORTED), Reply.ADDRESS_UNSUPPORTED),
        (by_parent(Reply.REFUSED, Reason.REFUSED), Reply.REFUSED),
        (by_parent(Reply.EXPIRED, Reason.CONNECT_TIMEOUT), Reply.EXPIRED),
        (
            by_parent(Reply.NETWORK_UNREACHABLE, Reason.UNREACHABLE),
            Reply.NETWORK_UNREACHABLE,
        ),
        (by_parent(Reply.HOST_UNREACHABLE, Reason.UNREACHABLE), Reply.HOST_UNREACHABLE),
        (ParentError(Reason.VIA, "x", "parent", "it cannot be reached"), Reply.FAILED),
        (
            UnknownAddressError(Side.CLIENT, "x", Reason.UNSUPPORTED),
            Reply.ADDRESS_UNSUPPORTED,
        ),
        (ProtocolError(Side.CLIENT, "x"), End.CLOSE),
        (PeerError(Side.CLIENT, "gone"), End.RESET),
        (PeerError(Side.CLIENT, "idle", Reason.IDLE), End.CLOSE),
        (Refused(Reason.RULE), Reply.NOT_ALLOWED),
    ],
)
def test_answers_to_errors(error: PortwayError, answer: object) -> None:
    assert answer_to(error) is answer


def test_the_words_of_a_record() -> None:
    refused = Refused(Reason.RULE)
    assert status_of(refused, VERSION_5) == "02"
    assert status_of(refused, VERSION_4) == "91"
    assert status_of(ProtocolError(Side.CLIENT, "x"), VERSION_5) == ""
