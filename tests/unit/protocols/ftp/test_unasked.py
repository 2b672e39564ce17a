import pytest

from portway.protocols.ftp.commands import METHODS, VERBS, Kind
from portway.protocols.ftp.unasked import UNASKED


def test_no_method_with_an_action_is_listed() -> None:
    assert not METHODS.keys() & UNASKED.keys()


def test_what_is_always_answered_here_is_listed() -> None:
    here = {
        name
        for name, verb in VERBS.items()
        if verb.kind in {Kind.SECURITY, Kind.NOT_OFFERED}
    }
    assert here <= UNASKED.keys()


@pytest.mark.parametrize("verb", ["USER", "PASS", "ACCT", "REIN", "QUIT", "ABOR"])
def test_what_the_session_itself_deals_with_is_listed(verb: str) -> None:
    assert UNASKED[verb]


@pytest.mark.parametrize("verb", ["SIZE", "CWD", "PASV", "FEAT", "HOST", "XYZZY"])
def test_talk_that_a_rule_may_name_is_not(verb: str) -> None:
    assert verb not in UNASKED
