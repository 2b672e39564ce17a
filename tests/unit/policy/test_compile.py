from zoneinfo import ZoneInfo

import pytest
from tests.unit.policy.asking import PROTOCOLS, ruleset, written

from portway.errors import Problem
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
        ("who", "group:lab", "not available in this version"),
        ("who", "mac:00:11:22:33:44:55", "not available in this version"),
        ("who", "@list", "not available in this version"),
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
        ("to", "@list", "not available in this version"),
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
