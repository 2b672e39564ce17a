from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from tests.unit.policy.asking import PROTOCOLS, group, ruleset, written

from portway.config import schema
from portway.config.amounts import Count, Pace, Speed
from portway.errors import Problem
from portway.model import Limit, Per, Period, Quota
from portway.policy.compile import compile_rules


def problems(timezone: str = "UTC", **keys: object) -> tuple[Problem, ...]:
    _, found = compile_rules((written(**keys),), timezone=timezone, protocols=PROTOCOLS)
    return found


def test_every_problem_is_found_with_its_line_and_key() -> None:
    rules = (
        written(),
        written(who=("alice", "10.0.0.5/8"), do="wirte", to="h:0", when="Someday"),
    )
    _, found = compile_rules(rules, timezone="Mars/Base", protocols=PROTOCOLS)
    assert [(problem.where, problem.key) for problem in found] == [
        ("", "gateway.timezone"),
        ("x.toml:2", "rules[1].who"),
        ("x.toml:2", "rules[1].who"),
        ("x.toml:3", "rules[1].do"),
        ("x.toml:4", "rules[1].to"),
        ("x.toml:5", "rules[1].when"),
    ]


@pytest.mark.parametrize(
    ("key", "word", "cure"),
    [
        ("who", "alice", '"user:alice"'),
        ("who", "user:", 'write "user:alice"'),
        ("who", "group:lab", "add [group.lab]"),
        ("who", "group:", 'write "group:lab"'),
        ("who", "mac:00:11:22:33:44", "is not a MAC address"),
        ("who", "@list", 'no list "@list"; name its file in a table [list.NAME]'),
        ("who", "10.0.0.0.0", "not an IPv4 or IPv6 address"),
        ("who", "", 'neither "*" nor an address'),
        ("do", "wirte", 'did you mean "write"?'),
        ("do", "fpt", 'did you mean "ftp"?'),
        ("do", "Write", 'did you mean "write"?'),
        ("do", "STOR", 'did you mean "ftp:STOR"?'),
        ("do", "zzz", "these are: connect read write"),
        ("do", "", "these are: connect read write"),
        ("do", "http", "http is not available in this version"),
        ("do", "http:POST", "http is not available in this version"),
        ("do", "gopher:GET", "is not a protocol; these are: ftp"),
        ("do", "ftp:STORE", 'did you mean "ftp:STOR"?'),
        ("do", "ftp:STRO", 'did you mean "ftp:STOR"?'),
        ("do", "ftp:SIT", 'did you mean "ftp:SITE"?'),
        ("do", "ftp:write", 'write is an action: write "write"'),
        ("do", "ftp:Write", 'Write is an action: write "write"'),
        ("do", "ftp:list", 'write "list", or "ftp:LIST"'),
        ("do", "ftp:", "has no method"),
        ("do", "ftp:*", "has no method"),
        ("to", "@list", 'no list "@list"; name its file in a table [list.NAME]'),
        ("to", "", "not a host"),
        ("when", "Fry", "is no day"),
        ("when", "", "empty"),
    ],
)
def test_what_is_wrong_and_the_cure(key: str, word: str, cure: str) -> None:
    (problem,) = problems(**{key: word})
    assert cure in problem.text
    assert str(problem).startswith(f"x.toml:2: rules[0].{key}: ")


def test_a_problem_is_one_line() -> None:
    for key in ("who", "do", "to", "when"):
        (problem,) = problems(**{key: "a\n\x1b[31mb"})
        assert str(problem).isprintable()


def test_a_method_that_is_never_asked_about() -> None:
    rules = (written(do=("ftp:RETR", "ftp:quit")),)
    unasked = {"ftp": {"QUIT": "leave it out"}}
    _, (problem,) = compile_rules(
        rules, timezone="UTC", protocols=PROTOCOLS, unasked=unasked
    )
    assert problem.key == "rules[0].do"
    assert problem.text == '"ftp:quit": no rule is asked about QUIT; leave it out'


def test_two_rules_with_one_name() -> None:
    rules = (written(name="a"), written(name="rule 4"), written(name="a"), written())
    _, found = compile_rules(rules, timezone="UTC", protocols=PROTOCOLS)
    assert [(problem.where, problem.key) for problem in found] == [
        ("x.toml:2", "rules[2].name"),
        ("x.toml:1", "rules[3].name"),
    ]
    assert found[0].text.startswith('"a" is the name of the rule at x.toml:1 too; ')


def test_a_word_is_told_with_its_own_line() -> None:
    rule = written(who=("10.0.0.1", "bob"))
    rule.lines["who[1]"] = "x.toml:7"
    _, (problem,) = compile_rules((rule,), timezone="UTC", protocols=PROTOCOLS)
    assert (problem.where, problem.key) == ("x.toml:7", "rules[0].who")


# Users that there are not.

LAB = group("lab", "10.0.0.1", "user:bib")


def strangers(
    *rules: schema.Rule, accounts: Callable[[], frozenset[str] | None]
) -> list[str]:
    _, found = compile_rules(
        rules, timezone="UTC", protocols=PROTOCOLS, groups=(LAB,), accounts=accounts
    )
    return list(map(str, found))


def test_a_user_who_does_not_exist() -> None:
    rules = (written(), written(who=("user:bob", "user:alice", "group:lab")))
    assert strangers(*rules, accounts=lambda: frozenset({"bob"})) == [
        'g.toml:3: group.lab.members: there is no account "bib"; did you mean "bob"?',
        (
            'x.toml:2: rules[1].who: there is no account "alice"; make it with '
            '"portway user add alice"'
        ),
    ]


def test_where_nobody_can_tell_every_user_is_taken() -> None:
    assert strangers(written(who="user:bob"), accounts=lambda: None) == []


def test_accounts_are_asked_for_only_where_a_user_is_named() -> None:
    def never() -> None:
        raise AssertionError

    rules = (written(who=("10.0.0.1", "mac:00:11:22:33:44:55")),)
    _, found = compile_rules(rules, timezone="UTC", protocols=PROTOCOLS, accounts=never)
    assert found == ()


def test_a_name_is_compared_in_its_normal_form() -> None:
    decomposed = "user:jose\u0301"
    rules = (written(who=decomposed),)
    known = frozenset({"jos\u00e9", "bib"})
    assert strangers(*rules, accounts=lambda: known) == []
    (rule,) = ruleset({"who": decomposed}).rules
    assert rule.who.users == {"jos\u00e9"}


def test_limits_are_as_they_were_written() -> None:
    limit = schema.Limit(
        rate=Speed(9.0),
        up=Speed(8.0),
        down=Speed(7.0),
        quota=(Quota(6, Period.WEEK),),
        connections=Count(5),
        requests=Pace(4),
        per="rule",
    )
    (rule,) = ruleset({"limit": (limit,)}).rules
    assert rule.limits == (
        Limit(Per.RULE, 9.0, 8.0, 7.0, (Quota(6, Period.WEEK),), 5, 4),
    )


def test_a_method_without_an_action_is_legal() -> None:
    for word in ("ftp:SIZE", "ftp:XYZZY", "ftp:SYST", "ftp:LIST"):
        assert problems(do=word) == ()


def test_a_rule_without_a_name_has_its_number() -> None:
    rules = ruleset({"name": "first"}, {}).rules
    assert [(rule.name, rule.number) for rule in rules] == [("first", 1), ("rule 2", 2)]


def test_the_zone_is_the_gateways() -> None:
    assert ruleset(timezone="Europe/Paris").zone == ZoneInfo("Europe/Paris")
    assert ruleset(timezone="").zone is None


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", "Europe", "a\0b", "/x"])
def test_a_time_zone_that_there_is_not(zone: str) -> None:
    (problem,) = problems(timezone=zone)
    assert problem.key == "gateway.timezone"
    assert '"Europe/Paris"' in problem.text
