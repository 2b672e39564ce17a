from pathlib import Path

import pytest
from tests.unit.config.kinds import KINDS

from portway.config.load import parse
from portway.config.schema import Configuration, Limit, Rule
from portway.model import Period, Quota

DOOR = '[listen.x]\nprotocol = "test"\naddress = "127.0.0.1:2121"\n'


def read(text: str) -> tuple[Configuration, list[str]]:
    configuration, problems = parse(DOOR + text, Path("p.toml"), KINDS)
    return configuration, list(map(str, problems))


def only_rule(text: str) -> Rule:
    configuration, problems = read(f'[[rules]]\nthen = "allow"\n{text}')
    assert problems == []
    (rule,) = configuration.rules
    return rule


def wrong(text: str, then: str = "allow") -> str:
    _, problems = read(f'[[rules]]\nthen = "{then}"\n{text}')
    (problem,) = problems
    return problem


# Limits.


def test_every_limit() -> None:
    rule = only_rule(
        'limit = { rate = "5 Mbit/s", up = "1 MB/s", down = "2 MB/s", '
        'quota = ["2 GB/day", "20 GB/month"], connections = 10, requests = "60/min", '
        'per = "client" }'
    )
    assert rule.limit == (
        Limit(
            rate=625_000.0,  # type: ignore[arg-type]
            up=1_000_000.0,  # type: ignore[arg-type]
            down=2_000_000.0,  # type: ignore[arg-type]
            quota=(Quota(2 * 10**9, Period.DAY), Quota(20 * 10**9, Period.MONTH)),
            connections=10,  # type: ignore[arg-type]
            requests=60,  # type: ignore[arg-type]
            per="client",
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        'limit = { quota = "2 GB/day" }',
        'limit = [{ quota = "2 GB/day" }]',
        '[rules.limit]\nquota = "2 GB/day"',
        '[[rules.limit]]\nquota = ["2 GB/day"]',
    ],
)
def test_how_a_limit_may_be_written(text: str) -> None:
    (limit,) = only_rule(text).limit
    assert limit == Limit(quota=(Quota(2 * 10**9, Period.DAY),))
    assert limit.per == "user"


def test_several_limits() -> None:
    rule = only_rule('limit = [{ connections = 1 }, { requests = 9, per = "rule" }]')
    first, second = rule.limit
    assert (first.connections, first.per) == (1, "user")
    assert (second.requests, second.per) == (9, "rule")


@pytest.mark.parametrize(
    ("text", "key", "cure"),
    [
        ('limit = { rate = "5 parsecs" }', "limit.rate", "is no unit here"),
        ('limit = [{ rate = "0 B/s" }]', "limit[0].rate", "allows nothing"),
        ('limit = { quota = ["1 B/day", "9" ] }', "limit.quota[1]", "needs a period"),
        (
            'limit = { quota = ["1 GB/day", "2 GB/day"] }',
            "limit.quota[1]",
            "has two amounts for a day",
        ),
        ("limit = { rates = 1, connections = 1 }", "limit.rates", 'mean "rate"?'),
        ('limit = { per = "user" }', "limit", "limits nothing; add one of: rate up"),
        ("limit = {}", "limit", "limits nothing"),
        ("limit = []", "limit", "is empty"),
        ("limit = 5", "limit", "a table, as in { rate ="),
        ("limit = [5]", "limit[0]", "must be a table"),
        ('limit = { per = "users", connections = 1 }', "limit.per", '"user"'),
        ('limit = { per = "group", connections = 1 }', "limit", "is no group"),
    ],
)
def test_what_is_wrong_with_a_limit(text: str, key: str, cure: str) -> None:
    problem = wrong(text)
    assert problem.startswith(f"p.toml:6: rules[0].{key}: ")
    assert cure in problem


def test_who_is_denied_is_not_limited() -> None:
    problem = wrong("limit = { connections = 1 }", then="deny")
    assert problem.startswith("p.toml:6: rules[0].limit: a rule that denies")


def test_a_slip_in_then_is_one_problem() -> None:
    problem = wrong("limit = { connections = 1 }", then="alow")
    assert "rules[0].then" in problem


# The lines of words.


def test_a_word_on_a_line_of_its_own_has_that_line() -> None:
    rule = only_rule('who = ["10.0.0.1",\n  "10.0.0.2",\n  "10.0.0.3"]')
    assert rule.lines == {
        "then": "p.toml:5",
        "who": "p.toml:6",
        "who[1]": "p.toml:7",
        "who[2]": "p.toml:8",
    }


# Groups.


def test_groups() -> None:
    configuration, problems = read(
        '[group.lab]\nmembers = ["user:bob",\n"10.0.3.0/24"]\n'
        '[group."year 7"]\nmembers = "group:lab"\n[group.later]\n'
    )
    assert problems == []
    lab, year, later = configuration.groups
    assert (lab.name, lab.where) == ("lab", "p.toml:4")
    assert lab.members == ("user:bob", "10.0.3.0/24")
    assert lab.lines == ("p.toml:5", "p.toml:6")
    assert (year.name, year.members) == ("year 7", ("group:lab",))
    assert (later.members, later.lines) == ((), ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("group = 5", "p.toml:4: group: must be a table, not a number"),
        ("[group]\nlab = 5", "p.toml:5: group.lab: must be a table, not a number"),
        (
            "[group.lab]\nmember = []",
            'p.toml:5: group.lab.member: unknown key; did you mean "members"?',
        ),
        ("[group.lab]\nmembers = 5", "p.toml:5: group.lab.members: must be a list"),
        (
            "[group.lab]\nmembers = [5]",
            "p.toml:5: group.lab.members[0]: text in quotes is expected",
        ),
        ('[group.""]', 'p.toml:4: group."": "" is no name for a group'),
        ('[group." a"]', 'p.toml:4: group." a": " a" is no name for a group'),
        ('[group."\\u001b"]', "holds the control character"),
    ],
)
def test_what_is_wrong_with_a_group(text: str, problem: str) -> None:
    # keys of the file's own stand before its tables
    _, problems = parse(f"\n\n\n{text}\n{DOOR}", Path("p.toml"), KINDS)
    assert len(problems) == 1
    assert problem in str(problems[0])
