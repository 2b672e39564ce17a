import pytest
from tests.unit.policy.asking import MONDAY, asked, group, ruleset

from portway.config import schema
from portway.config.amounts import Pace, Speed
from portway.model import Period, Quota, Reason
from portway.policy.explain import describe, explain, limits_of

INSIDE = "192.168.1.1"
OUTSIDE = "203.0.113.7"


@pytest.mark.parametrize(
    ("keys", "key", "why"),
    [
        (
            {"who": "user:bob"},
            "who",
            "alice at 10.0.0.7 is not among user:bob",
        ),
        (
            {"do": ("write", "ftp:SITE")},
            "do",
            "ftp:RETR, which is read, is not among ftp:SITE or write",
        ),
        (
            {"when": ("Sat", "Mon 11:00-12:00")},
            "when",
            "Mon 2026-11-23 10:00 is not in Sat or Mon 11:00-12:00",
        ),
        (
            {"to": "other.org"},
            "to",
            "ftp.example.org:21/in/a (203.0.113.7) is not among other.org",
        ),
        (
            {"to": ("inside", "*:22")},
            "to",
            "ftp.example.org:21/in/a (203.0.113.7) is not among the inside or *:22",
        ),
    ],
)
def test_why_a_rule_was_passed_over(
    keys: dict[str, object], key: str, why: str
) -> None:
    rules = ruleset({"name": "x", "then": "deny", **keys}, {"name": "y"})
    access = asked("RETR", path="/in/a", user="alice", address=OUTSIDE)
    explanation = explain(rules, access, MONDAY)
    assert explanation.verdict == rules.decide(access, MONDAY)
    assert explanation.verdict.rule == "y"
    assert explanation.certain
    (passed,) = explanation.passed_over
    assert (passed.rule, passed.rule_at) == ("x", "x.toml:1")
    assert (passed.key, passed.why) == (key, why)


LAB = (group("lab", "user:eve", "10.1.0.0/16"), group("staff"))


@pytest.mark.parametrize(
    ("who", "keys", "why"),
    [
        ("group:lab", {"user": "bob"}, 'bob at 10.0.0.7 is not in group "lab"'),
        (
            ("group:lab", "group:staff"),
            {},
            '10.0.0.7, without a login, is not in group "lab" or "staff"',
        ),
        (
            ("user:eve", "group:lab", "10.2.0.1"),
            {"user": "bob", "groups": ("other",)},
            (
                'bob (group "other") at 10.0.0.7 is not among user:eve or 10.2.0.1, '
                'and is not in group "lab"'
            ),
        ),
        (
            "mac:00:11:22:33:44:55",
            {"user": "bob"},
            (
                "bob at 10.0.0.7 is not among mac:00:11:22:33:44:55; its MAC address "
                "is not known"
            ),
        ),
        (
            "mac:00:11:22:33:44:55",
            {"mac": "00:11:22:33:44:56"},
            (
                "10.0.0.7 (00:11:22:33:44:56), without a login, is not among "
                "mac:00:11:22:33:44:55"
            ),
        ),
    ],
)
def test_why_a_client_is_not_meant(
    who: object, keys: dict[str, object], why: str
) -> None:
    rules = ruleset({"who": who}, groups=LAB)
    explanation = explain(rules, asked(address=OUTSIDE, **keys), MONDAY)  # type: ignore[arg-type]
    assert explanation.passed_over[0].why == why


def test_an_address_of_this_machine_is_inside() -> None:
    rules = ruleset({}, {"to": "inside"})
    access = asked(address=OUTSIDE)
    explanation = explain(rules, access, MONDAY, ours=True)
    assert explanation.verdict == rules.decide(access, MONDAY, ours=True)
    assert explanation.verdict.rule == "rule 2"
    assert "is inside" in explanation.passed_over[0].why


def test_the_limits_that_would_apply() -> None:
    limits = (
        schema.Limit(rate=Speed(625_000.0), quota=(Quota(2 * 10**9, Period.DAY),)),
        schema.Limit(requests=Pace(60), per="group"),
    )
    rules = ruleset({"who": "group:lab", "limit": limits}, groups=LAB)
    access = asked(address=OUTSIDE, user="eve")
    verdict = explain(rules, access, MONDAY).verdict
    assert list(map(str, limits_of(verdict, access))) == [
        '5 Mbit/s and 2 GB a day for user "eve"',
        '60 requests a minute for group "lab"',
    ]
    (described,) = describe(rules)
    assert described.endswith(
        'for group "lab"; 5 Mbit/s and 2 GB a day for each user; '
        "60 requests a minute for each group"
    )


def test_why_the_inside_is_not_reached() -> None:
    explanation = explain(ruleset({}), asked(address=INSIDE), MONDAY)
    assert explanation.verdict.reason is Reason.INSIDE
    assert explanation.passed_over[0].why == (
        'ftp.example.org:21 (192.168.1.1) is inside, and "*" is only what is outside'
    )


def test_why_another_host_is_not_meant() -> None:
    rules = ruleset({"to": "other.org"})
    explanation = explain(rules, asked(address=INSIDE), MONDAY)
    assert explanation.passed_over[0].why == (
        "ftp.example.org:21 (192.168.1.1) is not among other.org"
    )


def test_why_a_path_is_wanted() -> None:
    explanation = explain(ruleset({"to": "*/in/*"}), asked(address=OUTSIDE), MONDAY)
    assert "without a path, is not among */in/*" in explanation.passed_over[0].why


def test_what_depends_on_the_address() -> None:
    rules = ruleset({"to": "203.0.113.0/24", "then": "deny"}, {"name": "y"})
    explanation = explain(rules, asked(), MONDAY)
    assert not explanation.certain
    assert explanation.verdict.rule == "y"
    assert explanation.if_inside is not None
    assert explanation.if_inside.reason is Reason.INSIDE
    (passed,) = explanation.passed_over
    assert passed.key == "to"
    assert "might lead to 203.0.113.0/24" in passed.why


def test_a_host_that_nobody_named_is_explained_too() -> None:
    explanation = explain(ruleset({"do": "read"}), asked(host=""), MONDAY)
    assert explanation.certain
    assert explanation.if_inside is None
    assert explanation.verdict.reason is Reason.DEFAULT


def test_rules_in_plain_words() -> None:
    rules = ruleset(
        {
            "name": "no uploads",
            "who": ("user:bob", "10.0.0.0/8"),
            "do": ("write", "delete"),
            "to": ("*", "inside"),
            "when": "Mon-Fri 08:00-12:00",
            "then": "deny",
            "because": "Closed.",
        },
        {"to": tuple(f"h{n}.org" for n in range(9))},
    )
    first, second = describe(rules)
    assert first == (
        '"no uploads" (x.toml:1): deny delete or write to anywhere outside or the '
        "inside, for user:bob or 10.0.0.0/8, when it is Mon-Fri 08:00-12:00; "
        'because: "Closed."'
    )
    assert second == (
        '"rule 2" (x.toml:1): allow everything to h0.org or h1.org or h2.org or h3.org '
        "or 5 more, for everyone"
    )
