import pytest
from tests.unit.policy.asking import group, ruleset

from portway.config import schema
from portway.config.amounts import Count
from portway.policy.review import review

GROUPS = (group("lab", "10.0.0.0/8"), group("staff"))


def warnings(*rules: dict[str, object]) -> list[str]:
    return [str(problem) for problem in review(ruleset(*rules, groups=GROUPS))]


def test_nothing_is_wrong_with_an_empty_policy_or_a_plain_one() -> None:
    assert warnings() == []
    assert warnings({"to": ("*", "inside")}) == []


def test_a_policy_that_allows_nothing() -> None:
    (warning,) = warnings({"then": "deny"}, {"then": "deny", "to": "inside"})
    assert warning == (
        "x.toml:1: rules: no rule allows anything, so every request is denied"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"who": "user:bob", "do": "read", "when": "Mon", "to": "*:21"}),
        ({"do": "ftp"}, {"do": ("ftp:STOR", "ftp")}),
        ({"do": ("read", "write")}, {"do": "write"}),
        ({"who": "group:lab"}, {"who": "group:lab", "to": "*/in/*"}),
        ({"who": ("user:bob", "10.0.0.0/8")}, {"who": ("user:bob", "10.0.0.0/8")}),
        ({"to": ("*", "inside")}, {"to": "ftp.example.org/in/*"}),
        ({"to": ("*", "inside")}, {"to": ("10.0.0.0/8:21", "inside")}),
        ({"to": "203.0.113.0/24"}, {"to": ("203.0.113.7", "203.0.113.64/26:21")}),
        ({"to": "a.org"}, {"to": "a.org/in/*", "then": "deny"}),
        ({"to": "*.a.org/in/*"}, {"to": "*.a.org/in/*"}),
        ({"when": "Mon"}, {"when": "Mon"}),
    ],
)
def test_a_rule_that_an_earlier_one_takes_all_of(
    first: dict[str, object], second: dict[str, object]
) -> None:
    (warning,) = warnings({**first, "name": "first"}, {**second, "name": "second"})
    assert warning == (
        'x.toml:1: rules[1]: "second" never matches: "first" (x.toml:1) comes before '
        "it and takes all of it; put it first, or take it out"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"to": "inside"}),
        ({}, {"to": "a.org"}),  # it may lead inside
        ({"to": "inside"}, {}),
        ({"to": ("*:21", "inside")}, {"to": "a.org:21"}),
        ({"do": "read"}, {"do": ("read", "write")}),
        ({"do": "ftp:STOR"}, {"do": "write"}),
        ({"who": "user:bob"}, {}),
        ({"who": "group:lab"}, {"who": "group:staff"}),
        ({"to": "*:21"}, {"to": "*"}),
        ({"to": "*:21"}, {"to": "*:22"}),
        ({"to": "a.org/in/**"}, {"to": "a.org"}),
        ({"to": "a.org"}, {"to": "b.org"}),
        ({"to": "203.0.113.0/25"}, {"to": "203.0.113.0/24"}),
        ({"to": "203.0.113.0/24"}, {"to": "2001:db8::/32"}),
        ({"when": "Mon"}, {"when": "Tue"}),
        ({"when": "Mon"}, {}),
    ],
)
def test_a_rule_that_may_match(
    first: dict[str, object], second: dict[str, object]
) -> None:
    assert warnings(first, second) == []


@pytest.mark.slow
def test_ten_thousand_rules_are_reviewed_in_no_time() -> None:
    rules: list[dict[str, object]] = [
        {"who": f"10.0.{n >> 8}.{n & 255}"} for n in range(5000)
    ]
    rules += [{"to": f"h{n}.example.org"} for n in range(5000)]
    assert warnings(*rules) == []


def test_a_folder_of_which_only_what_is_below_is_open() -> None:
    (warning,) = warnings({"to": ("a.org", "b.org:21/secret/**")})
    assert warning == (
        'x.toml:1: rules[0].to: "b.org:21/secret/**" is what lies below /secret, and '
        'no rule allows to list /secret itself; add "b.org:21/secret"'
    )


@pytest.mark.parametrize(
    "rules",
    [
        [{"to": ("a.org/in/**", "a.org/in")}],
        [{"to": ("a.org/in/**", "a.org/*")}],
        [{"to": ("a.org/in/**", "a.org")}],
        [{"to": "a.org/in/**"}, {"to": "a.org/in", "do": "list"}],
        [{"to": "a.org/in/**"}, {"who": "group:lab"}],
        [{"to": "a.org/in/**"}, {"to": "*.org/in"}],
        [{"to": "a.org/in/**"}, {"to": "10.0.0.0/8"}],
        [{"to": "a.org/in/**", "do": ("read", "write")}],
        [{"to": "a.org/in/**", "then": "deny", "do": "read"}, {}],
        [{"to": "a.org/**"}],
        [{"to": "a.org/*/x/**"}],
    ],
)
def test_a_folder_that_is_open_or_not_in_question(
    rules: list[dict[str, object]],
) -> None:
    assert warnings(*rules) == []


@pytest.mark.parametrize("do", ["*", "manage", ("read", "ftp:RNFR")])
def test_a_folder_that_may_be_renamed_out_of_a_rule(do: str | tuple[str, ...]) -> None:
    deny: dict[str, object] = {"name": "n", "then": "deny", "do": do, "to": "*/in/**"}
    (warning,) = warnings(deny, {"name": "all"})
    assert warning == (
        'x.toml:1: rules[0].to: "*/in/**" is what lies below /in, and not /in itself: '
        'who renames it goes round the rule; add "*/in"'
    )
    assert warnings({**deny, "to": ("*/in", "*/in/**")}, {"name": "all"}) == []
    assert warnings({**deny, "do": "read"}, {"name": "all"}) == []


@pytest.mark.parametrize(
    ("when", "slip"),
    [("16:00-13:00", True), ("22:00-06:00", False), ("13:00-16:00", False)],
)
def test_a_time_that_is_most_of_a_day(when: str, *, slip: bool) -> None:
    found = warnings({"when": when})
    words = 'lasts until 13:00 on the next day; write "13:00-16:00" if not meant so'
    assert bool(found) is slip
    assert all(words in warning for warning in found)


def test_limits_that_are_counted_by_a_place() -> None:
    limit: object = (schema.Limit(connections=Count(1)),)
    (warning,) = warnings({"limit": limit, "name": ""})
    assert "has limits and no name" in warning
    assert warnings({"limit": limit, "name": "students"}) == []
