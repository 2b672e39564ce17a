import pytest
from tests.unit.policy.asking import group

from portway.config import schema
from portway.errors import Problem
from portway.policy.clients import Group
from portway.policy.groups import compile_groups


def compiled(*groups: schema.Group) -> tuple[dict[str, Group], list[Problem]]:
    problems: list[Problem] = []
    return compile_groups(groups, problems), problems


def test_a_group_holds_what_the_groups_in_it_hold() -> None:
    found, problems = compiled(
        group("a", "user:alice", "group:b"),
        group("b", "10.0.0.1", "group:c"),
        group("c", "mac:00:11:22:33:44:55"),
    )
    assert problems == []
    assert found["a"].users == {"alice"}
    assert found["a"].groups == {"a", "b", "c"}
    assert len(found["a"].networks) == 1
    assert found["a"].macs == {"00:11:22:33:44:55"}
    assert found["b"].groups == {"b", "c"}
    assert not found["b"].users


def test_a_group_may_be_in_two_groups() -> None:
    _, problems = compiled(
        group("a", "group:b", "group:c"),
        group("b", "group:d"),
        group("c", "group:d"),
        group("d"),
    )
    assert problems == []


@pytest.mark.parametrize(
    ("member", "cure"),
    [
        ("group:lad", 'there is no group "lad"; did you mean "lab"?'),
        ("group:zzz", 'there is no group "zzz"; add [group.zzz]'),
        ("group:the staff", 'add [group."the staff"]'),
        ("mac:1", "is not a MAC address"),
        ("*", 'write who = ["*"] in the rule'),
        ("bob", 'a user is written "user:bob"'),
        ("10.0.0.1/8", "begins inside its network"),
        ("a\n\x1b[31mb", "is neither"),
    ],
)
def test_what_is_wrong_with_a_member(member: str, cure: str) -> None:
    _, (problem,) = compiled(group("lab", "user:bob", member))
    assert (problem.where, problem.key) == ("g.toml:3", "group.lab.members")
    assert cure in problem.text
    assert str(problem).isprintable()


def test_every_problem_is_found() -> None:
    _, problems = compiled(
        group("a", "bob", "group:x", "10.0.0"), group("b", "mac:"), group("c", "*")
    )
    assert [problem.where for problem in problems] == [
        *("g.toml:2", "g.toml:3", "g.toml:4"),
        "g.toml:2",
        "g.toml:2",
    ]


@pytest.mark.parametrize(
    ("groups", "way"),
    [
        ([group("a", "group:a")], '"a" in "a"'),
        ([group("a", "group:b"), group("b", "group:a")], '"a" in "b" in "a"'),
        (
            [
                group("x", "group:a"),
                group("a", "group:b", "group:c"),
                group("b", "group:c"),
                group("c", "group:a"),
            ],
            '"a" in "c" in "a"',
        ),
    ],
)
def test_a_group_is_not_in_itself(groups: list[schema.Group], way: str) -> None:
    found, (problem,) = compiled(*groups)
    assert problem.text == (
        f"a group cannot be in itself, as {way} is; take one of them out"
    )
    assert problem.where == ("g.toml:3" if len(groups) > 2 else "g.toml:2")
    assert "a" in found["a"].groups


def test_two_circles_are_two_problems() -> None:
    _, problems = compiled(
        group("a", "group:a"), group("b", "group:c"), group("c", "group:b")
    )
    assert len(problems) == 2


@pytest.mark.slow
def test_a_long_chain_of_groups_is_no_trouble() -> None:
    chain = [group(f"g{n}", f"group:g{n + 1}") for n in range(1500)]
    found, problems = compiled(*chain, group("g1500", "user:bob"))
    assert problems == []
    assert found["g0"].users == {"bob"}
