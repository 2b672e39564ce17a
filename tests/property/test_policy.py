"""The index against a plain scan, and patterns against a plain reading of them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from itertools import product
from random import Random
from time import process_time
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.policy.asking import MONDAY, asked, group, ruleset

from portway.config import schema
from portway.config.amounts import Count
from portway.model import Access, Verdict
from portway.net.guard import fold, is_inside
from portway.policy.clients import By
from portway.policy.explain import explain
from portway.policy.match import read_networks, read_path, read_target
from portway.policy.rule import Condition, Rule
from portway.policy.rules import NO_RULE, NeedsAddress, Ruleset
from portway.policy.schedule import read_spans


def words(text: str, most: int = 3) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(text.split()), min_size=1, max_size=most).map(tuple)


MAC = "00:11:22:33:44:55"
GROUPS = (
    group("lab", "user:alice", "10.0.0.7", "group:year7"),
    group("year7", "user:carol", f"mac:{MAC}", "group:young", "10.1.0.0/16"),
    group("young", "fd00::/8"),
    group("staff"),
)
LIMIT = (schema.Limit(connections=Count(1)),)
EACH_GROUP = (*LIMIT, schema.Limit(connections=Count(9), per="group"))


def with_limits(rule: Mapping[str, object]) -> dict[str, object]:
    """Limit what is allowed: each group, where all of `who` are groups."""
    who = cast("tuple[str, ...]", rule["who"])
    if rule["then"] == "deny" or "user:bob" in who:
        return {**rule}
    each = all(word.startswith("group:") for word in who)
    return {**rule, "limit": EACH_GROUP if each else LIMIT}


RULES: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {
        "who": st.just(("*",))
        | words("group:lab group:year7 group:young group:staff")
        | words(
            f"""
            * user:alice user:bob 10.0.0.0/8 10.0.0.7 10.0.0.0-10.0.0.9 ::/0
            group:lab group:year7 group:young group:staff mac:{MAC}
            """
        ),
        "do": st.just(("*",)) | words("* read write connect ftp ftp:STOR ftp:SIZE"),
        "to": words(
            """
            * inside *:21 *:22 inside:21 *.example.org example.org ftp*.example.org
            *.example.org:22 */in/* */in/**/x inside/in/* ftp.example.org/in/**
            203.0.113.0/24 203.0.113.7 203.0.113.0/24:22 203.0.113.7/in/* 10.0.0.0/8
            10.0.0.0/8:21 fd00::/8 [2a00::/16]:21/in/a */in/a ftp.example.org/in/a/x
            """
        ),
        "when": st.sampled_from([(), ("Mon",), ("Sun",), ("10:00-11:00", "Fri")]),
        "then": st.sampled_from(["allow", "deny"]),
    }
).map(with_limits)
WRITTEN = st.lists(RULES, max_size=8)
RULESETS = WRITTEN.map(lambda rules: ruleset(*rules, groups=GROUPS))
ADDRESSES = """
    203.0.113.7 203.0.113.8 1.1.1.1 10.0.0.1 ::ffff:10.0.0.1 fd00::1 2a00::1 127.0.0.1
"""
ACCESSES = st.builds(
    asked,
    st.sampled_from(["CONNECT", "RETR", "STOR", "SIZE"]),
    st.sampled_from(["", "x", "example.org", "ftp.example.org", "ftp1.a.example.org"]),
    st.sampled_from(["", "/", "/in", "/in/a", "/in/a/x", "/in/x", "/out/a/b/c/d"]),
    client=st.sampled_from(["10.0.0.7", "::ffff:10.0.0.7", "10.1.0.0", "fd00::1"]),
    user=st.sampled_from(["", "alice", "bob", "carol"]),
    port=st.sampled_from([21, 22, 2121]),
    address=st.none() | st.sampled_from(ADDRESSES.split()),
    groups=st.sampled_from([(), ("lab",), ("young", "other"), ("staff", "year7")]),
    mac=st.sampled_from(["", MAC, "00:11:22:33:44:56"]),
)
TIMES = st.sampled_from([MONDAY, MONDAY - 86400, MONDAY - 86400 * 3, MONDAY + 7200])


def scan(
    rules: Ruleset, access: Access, now: float, *, inside: bool
) -> tuple[Rule | None, list[Rule]]:
    """Try every rule: the first that matches, and those before it that might."""
    might: list[Rule] = []
    for rule in rules.rules:
        failed = rule.mismatch(access, now, inside=inside)
        if failed is None:
            return rule, might
        if failed is Condition.ADDRESS:
            might.append(rule)
    return None, might


def naive(rules: Ruleset, access: Access, now: float) -> Verdict | None:
    """Decide as the design says, without an index; None: the address is needed."""
    inside = access.address is not None and is_inside(access.address)
    first, might = scan(rules, access, now, inside=inside)
    verdict = first.verdict(access) if first else NO_RULE
    if access.address is not None or not access.host:
        return verdict
    if verdict.allowed and not might:
        return verdict
    if_inside, might_inside = scan(rules, access, now, inside=True)
    possible = [first, if_inside, *might, *might_inside]
    return None if any(rule and rule.allows for rule in possible) else verdict


@settings(max_examples=5 * settings().max_examples)
@given(RULESETS, ACCESSES, TIMES)
def test_the_index_decides_as_a_scan_does(
    rules: Ruleset, access: Access, now: float
) -> None:
    try:
        found: Verdict | None = rules.decide(access, now)
    except NeedsAddress:
        found = None
    assert found == naive(rules, access, now)


def is_meant(word: str, access: Access) -> bool:
    """Say whether a word of `who` or `members` means the client, as it is written."""
    kind, colon, name = word.partition(":")
    members = next((group.members for group in GROUPS if group.name == name), ())
    match kind:
        case "*":
            return True
        case "user":
            return name == access.user
        case "mac":
            return name == access.mac
        case "group" if colon:
            inside = any(is_meant(member, access) for member in members)
            return inside or name in access.groups
    client = fold(access.client)
    return any(
        client.version == net.version and client in net for net in read_networks(word)
    )


@given(RULESETS, ACCESSES)
def test_clients_are_meant_as_it_is_written(rules: Ruleset, access: Access) -> None:
    for rule in rules.rules:
        meant = any(is_meant(word, access) for word in rule.who.text)
        assert rule.who.include(access) is meant
        of = [word.name for word in rule.who.words if word.by is By.GROUP]
        first = next((name for name in of if is_meant(f"group:{name}", access)), "")
        assert rule.who.group_of(access) == first


def decided(rules: Ruleset, access: Access, now: float) -> Verdict | None:
    """Return the verdict; None where the address is needed."""
    try:
        return rules.decide(access, now)
    except NeedsAddress:
        return None


@given(RULESETS, ACCESSES, TIMES)
def test_the_first_match_wins(rules: Ruleset, access: Access, now: float) -> None:
    access = replace(access, address=access.address or ip_address("203.0.113.7"))
    verdict = rules.decide(access, now)
    matching = [rule for rule in rules.rules if rule.mismatch(access, now) is None]
    assert verdict == (matching[0].verdict(access) if matching else NO_RULE)
    assert verdict.limits == (matching[0].limits if matching else ())


@given(WRITTEN, WRITTEN, ACCESSES, TIMES)
def test_a_rule_below_never_changes_a_decision_above(
    above: list[dict[str, object]],
    below: list[dict[str, object]],
    access: Access,
    now: float,
) -> None:
    before = decided(ruleset(*above, groups=GROUPS), access, now)
    after = decided(ruleset(*above, *below, groups=GROUPS), access, now)
    if before is None:  # the rules below may need the address, too, but not give it
        assert after is None
    elif before.rule and (before.allowed or access.address is not None):
        assert after == before
    elif before.rule and after is not None:
        assert not after.allowed


@given(
    RULESETS,
    st.lists(st.tuples(ACCESSES, TIMES), min_size=2, max_size=12),
    st.randoms(use_true_random=False),
)
def test_the_order_of_requests_never_changes_a_verdict(
    rules: Ruleset, requests: list[tuple[Access, float]], chance: Random
) -> None:
    fresh = [decided(Ruleset(rules.rules, rules.zone), *one) for one in requests]
    places = [*range(len(requests)), *range(len(requests))]
    chance.shuffle(places)
    for place in places:
        assert decided(rules, *requests[place]) == fresh[place]


@given(RULESETS, ACCESSES, TIMES)
def test_what_is_explained_is_what_is_decided(
    rules: Ruleset, access: Access, now: float
) -> None:
    explanation = explain(rules, access, now)
    try:
        decided = rules.decide(access, now)
    except NeedsAddress:
        assert not explanation.certain
        return
    assert explanation.certain
    assert replace(explanation.verdict, reason=decided.reason) == decided
    assert explanation.verdict.allowed or explanation.verdict.reason


@given(RULESETS, ACCESSES, TIMES, st.sampled_from(["203.0.113.7", "10.0.0.1", "::1"]))
def test_a_no_before_resolving_is_a_no_after_it(
    rules: Ruleset, access: Access, now: float, address: str
) -> None:
    try:
        before = rules.decide(replace(access, address=None), now)
    except NeedsAddress:
        return
    after = rules.decide(replace(access, address=ip_address(address)), now)
    if not access.host:
        return  # nothing would be resolved
    if not before.allowed:
        assert not after.allowed
    elif not is_inside(ip_address(address)):
        # only a network can make another rule the first, and then it was asked for
        assert after.allowed


@given(RULESETS, ACCESSES, TIMES)
def test_the_inside_is_reached_only_where_a_rule_names_it(
    rules: Ruleset, access: Access, now: float
) -> None:
    access = replace(access, address=ip_address("127.0.0.1"))
    verdict = rules.decide(access, now)
    assert verdict.reaches_inside is verdict.allowed


SEGMENTS = st.text("ab*?", min_size=1, max_size=4).filter(lambda s: "**" not in s)
PATTERNS = st.lists(SEGMENTS | st.just("**"), min_size=1, max_size=5)
PATHS = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6)


def fits_segment(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(fits_segment(pattern[1:], text[n:]) for n in range(len(text) + 1))
    if not text or pattern[0] not in ("?", text[0]):
        return False
    return fits_segment(pattern[1:], text[1:])


@lru_cache(maxsize=100_000)
def fits_path(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        least = 1 if len(pattern) == 1 else 0
        return any(
            fits_path(pattern[1:], path[n:]) for n in range(least, len(path) + 1)
        )
    if not path or not fits_segment(pattern[0], path[0]):
        return False
    return fits_path(pattern[1:], path[1:])


@given(PATTERNS, PATHS)
@example(["**", "a", "**", "**"], ["a"])
@example(["**", "a", "**", "b"], ["ab", "a", "b"])
@example(["**", "a*b", "b", "**", "a"], ["ab", "ab", "b", "a"])
def test_paths_fit_as_they_read(pattern: list[str], path: list[str]) -> None:
    # "a/**/**" asks for one folder below, as "a/**" does
    plain = [s for n, s in enumerate(pattern) if s != "**" or pattern[n - 1 : n] != [s]]
    regex = read_path("/" + "/".join(pattern)).regex
    fits = fits_path(tuple(plain), tuple(path))
    assert bool(regex.fullmatch("/" + "/".join(path))) is fits


ODD = st.text("*.:/[]-@%0159afin,é \n", max_size=20) | st.text(max_size=10)


@given(ODD)
def test_garbage_is_a_value_error_and_nothing_else(text: str) -> None:
    for read in (read_target, read_networks, read_path, read_spans):
        with suppress(ValueError):
            read(text)


@pytest.mark.slow
def test_ten_thousand_rules_cost_about_what_ten_do() -> None:
    def cost(rules: Ruleset) -> float:
        access = asked("STOR", path="/in/a", user="u9999", address="203.0.113.7")
        assert rules.decide(access, MONDAY).rule == "last"
        best = 1.0
        for _ in range(5):
            start = process_time()
            for _ in range(100):
                rules.decide(access, MONDAY)
            best = min(best, (process_time() - start) / 100)
        return best

    keys = ("who", "do", "to")
    many: list[dict[str, object]] = [
        dict(zip(keys, words, strict=True))
        for words in product(
            [f"user:u{n}" for n in range(50)],
            ["read", "ftp:STOR"],
            [f"h{n}.example.org/in/*" for n in range(100)],
        )
    ]
    few = ruleset(*many[:9], {"name": "last"})
    full = ruleset(*many, {"name": "last"})
    assert cost(full) < max(20 * cost(few), 100e-6)
