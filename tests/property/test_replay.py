"""What is remembered in a replay against asking each time."""

from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.test_policy import ACCESSES, RULESETS
from tests.unit.policy.asking import MONDAY

from portway.judging import judge
from portway.model import Access, IPAddress, Verdict
from portway.net.doors import Doors
from portway.policy.rules import NeedsAddress, Ruleset
from portway.recorded import Answers, Row, access_of

HOUR = 3600.0


def is_ours(address: IPAddress) -> bool:
    return int(address) % 2 == 0


def row_of(access: Access, time: float) -> Row:
    facts = {
        "groups": msgspec.json.encode([*access.groups]).decode(),
        "mac": access.mac,
    }
    return Row(
        id="",
        time=time,
        session="",
        protocol=access.protocol,
        client=str(access.client),
        client_port=40000,
        user=access.user,
        method=access.method,
        action=access.action.value,
        url="",
        host=access.host,
        port=access.port,
        path=access.path,
        address="" if access.address is None else str(access.address),
        verdict="allow",
        rule="",
        rule_at="",
        reason="",
        facts=msgspec.json.encode({k: v for k, v in facts.items() if v}).decode(),
    )


def plainly(rules: Ruleset, access: Access, time: float) -> Verdict | None:
    try:
        return judge(rules, Doors(), access, time, is_ours)
    except NeedsAddress:
        return None


def told(verdict: Verdict | None) -> object:
    """Return what a replay reads of *verdict*."""
    if verdict is None:
        return None
    return verdict.allowed, verdict.rule, verdict.rule_at, verdict.reason


def near(base: Access, other: Access) -> tuple[Access, ...]:
    """Return accesses that differ from *base* in what is forgotten the soonest."""
    who = {key: getattr(other, key) for key in ("client", "user", "groups", "mac")}
    return (
        base,
        replace(base, path=other.path),
        replace(base, **who),
        replace(base, host=other.host),
        replace(base, address=other.address),
        other,
    )


HOURS = st.integers(0, 7 * 24).map(lambda hour: MONDAY + hour * HOUR)


@settings(max_examples=4 * settings().max_examples)
@given(RULESETS, ACCESSES, st.lists(ACCESSES, max_size=8), st.lists(HOURS, min_size=1))
def test_remembering_changes_no_answer(
    rules: Ruleset, base: Access, others: list[Access], times: list[float]
) -> None:
    answers = Answers(rules, is_ours)
    for time in times:
        for access in [one for other in others for one in near(base, other)]:
            found = answers.of(row_of(access, time))
            assert told(found) == told(plainly(rules, access, time))


@given(ACCESSES)
def test_a_row_is_the_question_that_it_was(access: Access) -> None:
    assert access_of(row_of(access, MONDAY)) == access
