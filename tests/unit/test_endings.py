"""What an error makes of the record of the exchange that it broke off."""

import asyncio

import pytest

from portway.endings import ending_of
from portway.errors import PeerError, Refused
from portway.model import Outcome, Reason, Side, Verdict

YES = Verdict(allowed=True, rule="all")


def test_a_refusal_before_the_first_byte_turns_the_verdict() -> None:
    ending = ending_of(Refused(Reason.LOOP, "no"), YES, moved=False)
    assert ending.outcome is Outcome.REFUSED
    assert not ending.verdict.allowed
    assert (ending.verdict.reason, ending.verdict.because) == (Reason.LOOP, "no")
    assert not ending.words


def test_a_refusal_after_that_is_a_cut() -> None:
    ending = ending_of(Refused(Reason.QUOTA), YES, moved=True)
    assert ending.outcome is Outcome.CUT
    assert ending.verdict is YES
    assert ending.words["reason"] == "quota"


def test_a_verdict_that_was_no_stays_as_it_was() -> None:
    no = Verdict(allowed=False, reason=Reason.RULE, rule="none")
    assert ending_of(Refused(Reason.RULE), no, moved=False).verdict is no


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PeerError(Side.SERVER, "gone"),
            {"reason": "gone", "error": "gone", "side": "server"},
        ),
        (asyncio.CancelledError(), {"side": "gateway"}),
        (KeyError("a secret"), {"side": "gateway", "error": "KeyError"}),
    ],
)
def test_who_is_to_blame(error: BaseException, words: dict[str, str]) -> None:
    for moved, outcome in ((False, Outcome.FAILED), (True, Outcome.CUT)):
        ending = ending_of(error, YES, moved=moved)
        assert ending.outcome is outcome
        assert ending.words == words
