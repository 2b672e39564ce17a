import pytest
from tests.unit.policy.asking import MONDAY, asked, group, ruleset

from portway.config import schema
from portway.config.amounts import Count, Speed
from portway.model import Access, Limit, Per, Reason, Verdict
from portway.policy.rule import Condition
from portway.policy.rules import NO_RULE, NeedsAddress

OUTSIDE = "203.0.113.7"
INSIDE = "192.168.1.1"


def allowed(rule: dict[str, object], access: Access) -> bool:
    return ruleset(rule).decide(access, MONDAY).allowed


# First match.


def test_the_first_rule_that_matches_decides() -> None:
    rules = ruleset(
        {"name": "bob", "who": "user:bob", "then": "deny", "because": "Not bob."},
        {"do": "read"},
        {"name": "never asked", "do": "read", "then": "deny"},
    )
    retr = asked("RETR", address=OUTSIDE)
    assert rules.decide(retr, MONDAY) == Verdict(
        allowed=True, rule="rule 2", rule_at="x.toml:1"
    )
    by_bob = asked("RETR", address=OUTSIDE, user="bob")
    assert rules.decide(by_bob, MONDAY) == Verdict(
        allowed=False,
        rule="bob",
        rule_at="x.toml:1",
        reason=Reason.RULE,
        because="Not bob.",
    )
    assert rules.decide(asked("STOR", address=OUTSIDE), MONDAY) is NO_RULE


def test_no_rules_deny() -> None:
    for address in (None, OUTSIDE, INSIDE):
        verdict = ruleset().decide(asked(address=address), MONDAY)
        assert verdict == Verdict(allowed=False, reason=Reason.DEFAULT)


# Who.


@pytest.mark.parametrize(
    ("who", "client", "user", "matches"),
    [
        ("*", "10.0.0.7", "", True),
        ("user:alice", "10.0.0.7", "alice", True),
        ("user:alice", "10.0.0.7", "Alice", False),
        ("user:alice", "10.0.0.7", "", False),
        ("10.0.0.7", "10.0.0.7", "", True),
        ("10.0.0.7", "10.0.0.8", "", False),
        ("10.0.0.0/8", "10.9.9.9", "alice", True),
        ("10.0.0.0/8", "::ffff:10.9.9.9", "", True),
        ("::ffff:10.0.0.7", "10.0.0.7", "", True),
        ("10.0.4.1-10.0.4.9", "10.0.4.9", "", True),
        ("10.0.4.1-10.0.4.9", "10.0.4.10", "", False),
        ("fd00::/8", "fd12::1", "", True),
        ("fe80::/10", "fe80::1%eth0", "", True),
        ("0.0.0.0/0", "fd12::1", "", False),
    ],
)
def test_who(who: str, client: str, user: str, *, matches: bool) -> None:
    access = asked(client=client, user=user, address=OUTSIDE)
    assert allowed({"who": who}, access) is matches


# Groups and MAC addresses.

LAB = group(
    "lab",
    "user:bob",
    "10.0.3.0/24",
    "fd00::/64",
    "mac:00-11-22-33-44-AA",
    "group:year7",
)
YEAR = group("year7", "user:eve", "10.7.0.1-10.7.0.9")


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({"user": "bob"}, True),
        ({"user": "eve"}, True),
        ({"user": "Bob"}, False),
        ({"user": ""}, False),
        ({"client": "10.0.3.9"}, True),
        ({"client": "::ffff:10.0.3.9"}, True),
        ({"client": "10.7.0.9"}, True),
        ({"client": "10.7.0.10"}, False),
        ({"client": "fd00::1"}, True),
        ({"mac": "00:11:22:33:44:aa"}, True),
        ({"mac": "00:11:22:33:44:ab"}, False),
        ({"groups": ("lab",)}, True),
        ({"groups": ("other", "year7")}, True),
        ({"groups": ("other",)}, False),
    ],
)
def test_who_is_in_a_group(keys: dict[str, object], *, matches: bool) -> None:
    access = asked(address=OUTSIDE, **keys)  # type: ignore[arg-type]
    rules = ruleset({"who": "group:lab"}, groups=(LAB, YEAR))
    assert rules.decide(access, MONDAY).allowed is matches
    (rule,) = rules.rules
    assert (rule.mismatch(access, MONDAY) is None) is matches


def test_who_is_in_the_inner_group_is_not_what_the_outer_one_is() -> None:
    rules = ruleset({"who": "group:year7"}, groups=(LAB, YEAR))
    access = asked(address=OUTSIDE, user="bob", groups=("lab",))
    assert not rules.decide(access, MONDAY).allowed


def test_who_is_known_by_a_mac_address() -> None:
    rules = ruleset({"who": ("mac:00:11:22:33:44:55", "user:bob")})
    here = asked(address=OUTSIDE, mac="00:11:22:33:44:55")
    assert rules.decide(here, MONDAY).allowed
    assert not rules.decide(asked(address=OUTSIDE), MONDAY).allowed


def test_a_ruleset_knows_whether_it_reads_mac_addresses() -> None:
    for who in ("mac:00:11:22:33:44:55", "group:lab"):
        assert ruleset({}, {"who": who}, groups=(LAB, YEAR)).reads_macs
    for who in ("user:bob", "*", "group:year7"):
        assert not ruleset({"who": who}, groups=(LAB, YEAR)).reads_macs
    assert ruleset(groups=(LAB, YEAR)).groups == {"lab", "year7"}


# Limits.

RATE = schema.Limit(rate=Speed(1000.0))
EACH_GROUP = schema.Limit(connections=Count(9), per="group")


def test_a_yes_carries_the_limits_of_its_rule() -> None:
    rules = ruleset({"who": "user:bob", "limit": (RATE,)}, {"limit": ()})
    by_bob = rules.decide(asked(address=OUTSIDE, user="bob"), MONDAY)
    assert by_bob.limits == (Limit(rate=1000.0),)
    assert by_bob.group == ""
    assert rules.decide(asked(address=OUTSIDE), MONDAY).limits == ()


def test_the_group_is_the_first_one_that_has_the_client() -> None:
    who = ("group:year7", "group:lab")
    rules = ruleset({"who": who, "limit": (RATE, EACH_GROUP)}, groups=(LAB, YEAR))
    by_eve = rules.decide(asked(address=OUTSIDE, user="eve"), MONDAY)
    assert by_eve.group == "year7"  # and in the lab by that
    by_bob = rules.decide(asked(address=OUTSIDE, user="bob"), MONDAY)
    assert by_bob.group == "lab"
    first, second = by_bob.limits
    assert (first.per, second.per) == (Per.USER, Per.GROUP)


def test_the_group_is_told_for_the_inside_too() -> None:
    limit = (EACH_GROUP,)
    rules = ruleset(
        {"who": "group:lab", "to": "inside", "limit": limit}, groups=(LAB, YEAR)
    )
    verdict = rules.decide(asked(address=INSIDE, groups=("lab",)), MONDAY)
    assert verdict.reaches_inside
    assert verdict.group == "lab"


def test_verdicts_are_made_once() -> None:
    rules = ruleset({"who": "group:lab", "limit": (EACH_GROUP,)}, groups=(LAB, YEAR))
    access = asked(address=OUTSIDE, user="bob")
    assert rules.decide(access, MONDAY) is rules.decide(access, MONDAY)


# Do.


@pytest.mark.parametrize(
    ("do", "method", "matches"),
    [
        ("*", "STOR", True),
        ("write", "STOR", True),
        ("read", "STOR", False),
        ("ftp", "STOR", True),
        ("ftp:STOR", "STOR", True),
        ("ftp:stor", "STOR", True),
        ("ftp:RETR", "STOR", False),
        ("ftp:SIZE", "SIZE", True),
        ("ftp:SIZE", "RETR", False),
        ("connect", "SIZE", True),
    ],
)
def test_do(do: str, method: str, *, matches: bool) -> None:
    assert allowed({"do": do}, asked(method, address=OUTSIDE)) is matches


def test_a_ruleset_knows_what_it_names() -> None:
    rules = ruleset({"do": ["ftp:SIZE", "write"], "to": "*"})
    assert rules.names_method("ftp", "SIZE")
    assert not rules.names_method("ftp", "STOR")
    assert not rules.reads_paths
    assert ruleset({"to": "*/in/*"}).reads_paths


# When.


@pytest.mark.parametrize(
    ("when", "zone", "matches"),
    [
        ("Mon 09:00-11:00", "UTC", True),
        ("Mon 11:00-12:00", "UTC", False),
        ("Mon 11:00-12:00", "Europe/Paris", True),
        ("Tue", "UTC", False),
        ("Tue", "Pacific/Kiritimati", True),
    ],
)
def test_when(when: str, zone: str, *, matches: bool) -> None:
    rules = ruleset({"when": when}, timezone=zone)
    assert rules.decide(asked(address=OUTSIDE), MONDAY).allowed is matches


def test_when_is_any_of_its_lines() -> None:
    rules = ruleset({"when": ("Sun", "Mon 10:00-10:01")})
    assert rules.decide(asked(address=OUTSIDE), MONDAY).allowed
    assert not rules.decide(asked(address=OUTSIDE), MONDAY + 60).allowed


def test_the_same_ruleset_is_asked_at_other_times() -> None:
    rules = ruleset({"when": "Mon 10:00-10:01"}, {"when": "Mon 10:01-10:02"})
    access = asked(address=OUTSIDE)
    seconds = (60, 0, 59.9, 60, 120, -1, 119, 0)
    decided = [rules.decide(access, MONDAY + second).rule for second in seconds]
    one, two = "rule 1", "rule 2"
    assert decided == [two, one, one, two, "", "", two, one]


# To, with an address.


@pytest.mark.parametrize(
    ("to", "host", "address", "matches", "reaches"),
    [
        ("*", "ftp.example.org", OUTSIDE, True, False),
        ("*", "ftp.example.org", INSIDE, False, False),
        ("*", "127.0.0.1", "127.0.0.1", False, False),
        ("*", "x", "::ffff:127.0.0.1", False, False),
        ("inside", "ftp.example.org", INSIDE, True, True),
        ("inside", "ftp.example.org", OUTSIDE, False, True),
        ("ftp.example.org", "ftp.example.org", INSIDE, True, True),
        ("*.example.org", "ftp.example.org", INSIDE, True, True),
        ("*.example.org", "example.org", OUTSIDE, False, False),
        ("other.org", "ftp.example.org", OUTSIDE, False, False),
        ("192.168.0.0/16", "ftp.example.org", INSIDE, True, True),
        ("192.168.0.0/16", "x", "::ffff:192.168.1.1", True, True),
        ("10.0.0.0/8", "ftp.example.org", INSIDE, False, False),
        ("203.0.113.0/24", "ftp.example.org", OUTSIDE, True, True),
        ("*:21", "ftp.example.org", OUTSIDE, True, False),
        ("*:22", "ftp.example.org", OUTSIDE, False, False),
        ("inside:21", "ftp.example.org", INSIDE, True, True),
        ("ftp.example.org:22", "ftp.example.org", OUTSIDE, False, False),
        ("192.168.1.1:21", "ftp.example.org", INSIDE, True, True),
        ("192.168.1.1:22", "ftp.example.org", INSIDE, False, False),
    ],
)
def test_to(to: str, host: str, address: str, *, matches: bool, reaches: bool) -> None:
    verdict = ruleset({"to": to}).decide(asked(host=host, address=address), MONDAY)
    assert verdict.allowed is matches
    assert verdict.reaches_inside is (matches and reaches)


def test_a_no_reaches_nothing() -> None:
    rules = ruleset({"to": ("ftp.example.org", "inside"), "then": "deny"})
    assert not rules.decide(asked(address=INSIDE), MONDAY).reaches_inside


def test_an_address_of_ours_counts_as_inside() -> None:
    access = asked(address=OUTSIDE)
    everywhere = ruleset({"to": "*"})
    assert everywhere.decide(access, MONDAY).allowed
    assert not everywhere.decide(access, MONDAY, ours=True).allowed
    assert ruleset({"to": "inside"}).decide(access, MONDAY, ours=True).allowed


@pytest.mark.parametrize(
    ("to", "path", "matches"),
    [
        ("ftp.example.org/in/*.exe", "/in/a.exe", True),
        ("ftp.example.org/in/*.exe", "/in/b/a.exe", False),
        ("ftp.example.org/in/*.exe", "/IN/a.exe", False),
        ("ftp.example.org/in/**", "/in/b/a.exe", True),
        ("ftp.example.org/in/**", "", False),
        ("*/secret/*", "/secret/x", True),
        ("*/secret/*", "/a/secret/x", False),
        ("*/**/secret/*", "/a/secret/x", True),
        ("203.0.113.0/24/in", "/in", True),
        ("other.org/in/**", "/in/a", False),
    ],
)
def test_to_with_a_path(to: str, path: str, *, matches: bool) -> None:
    access = asked("RETR", path=path, address=OUTSIDE)
    assert allowed({"to": to}, access) is matches


# To, before anybody has resolved the host.


def test_a_yes_for_the_outside_stands() -> None:
    rules = ruleset({"to": "*", "then": "allow"}, {"to": "inside", "then": "deny"})
    assert rules.decide(asked(), MONDAY).rule == "rule 1"


def test_a_named_host_is_allowed_wherever_it_is() -> None:
    verdict = ruleset({"to": "ftp.example.org"}).decide(asked(), MONDAY)
    assert verdict.allowed
    assert verdict.reaches_inside


def test_a_no_for_all_is_said_without_resolving() -> None:
    rules = ruleset(
        {"to": "203.0.113.0/24", "then": "deny"},
        {"to": "*", "then": "deny", "name": "no"},
        {"to": "inside", "then": "deny"},
    )
    assert rules.decide(asked(), MONDAY).rule == "no"


@pytest.mark.parametrize(
    "rules",
    [
        [{"to": "*", "then": "deny"}, {"to": "inside"}],
        [{"to": "inside"}],
        [{"to": "203.0.113.0/24"}],
        [{"to": "203.0.113.0/24", "then": "deny"}, {"to": "*"}],
        [{"to": ("inside", "203.0.113.0/24"), "then": "deny"}, {"to": "*"}],
        [{"to": "*", "then": "deny"}, {"to": "10.0.0.0/8"}],
        [{"to": "10.0.0.0/8", "then": "deny"}, {"to": "203.0.113.0/24"}],
    ],
)
def test_what_depends_needs_the_address(rules: list[dict[str, object]]) -> None:
    with pytest.raises(NeedsAddress):
        ruleset(*rules).decide(asked(), MONDAY)


@pytest.mark.parametrize(
    "network",
    [
        {"to": "203.0.113.0/24", "do": "write"},
        {"to": "203.0.113.0/24", "who": "user:bob"},
        {"to": "203.0.113.0/24", "when": "Sun"},
        {"to": "203.0.113.0/24:22"},
        {"to": "203.0.113.0/24/in/*"},
    ],
)
def test_a_network_that_fails_otherwise_needs_no_address(
    network: dict[str, object],
) -> None:
    rules = ruleset({**network, "then": "deny"}, {"to": "*"})
    assert rules.decide(asked(), MONDAY).allowed


def test_a_name_before_the_network_needs_no_address() -> None:
    rules = ruleset({"to": ("203.0.113.0/24", "ftp.example.org"), "then": "deny"})
    assert rules.decide(asked(), MONDAY).reason is Reason.RULE


def test_where_no_host_is_named_nothing_is_resolved() -> None:
    rules = ruleset({"to": ("inside", "203.0.113.0/24")}, {"to": "*", "do": "read"})
    assert rules.decide(asked(host=""), MONDAY) is NO_RULE
    assert rules.decide(asked("RETR", host=""), MONDAY).allowed


# Why not.


@pytest.mark.parametrize(
    ("keys", "condition"),
    [
        ({"who": "user:bob"}, Condition.WHO),
        ({"who": "user:bob", "do": "write", "when": "Sun"}, Condition.WHO),
        ({"do": "write", "when": "Sun", "to": "other.org"}, Condition.DO),
        ({"when": "Sun", "to": "other.org"}, Condition.WHEN),
        ({"to": "other.org"}, Condition.TO),
        ({"to": "203.0.113.0/24"}, Condition.ADDRESS),
        ({"to": ("203.0.113.0/24", "ftp.example.org")}, None),
        ({}, None),
    ],
)
def test_the_first_condition_that_fails(
    keys: dict[str, object], condition: Condition | None
) -> None:
    (rule,) = ruleset(keys).rules
    assert rule.mismatch(asked(), MONDAY) is condition


# To, where another proxy resolves the host: a name is all there is.


def test_by_name_rules_about_addresses_do_not_match() -> None:
    rules = ruleset(
        {"to": "203.0.113.0/24", "then": "deny"},
        {"to": "198.51.100.0/24"},
        {"to": "*", "name": "outside"},
    )
    with pytest.raises(NeedsAddress):
        rules.decide(asked(), MONDAY)
    assert rules.decide_by_name(asked(), MONDAY, inside=False).rule == "outside"
    assert rules.decide_by_name(asked(), MONDAY, inside=True) is NO_RULE


def test_by_name_a_rule_about_the_inside_is_one_about_names_there() -> None:
    rules = ruleset({"to": "inside", "name": "inside"}, {"to": "*", "name": "outside"})
    assert rules.decide_by_name(asked(), MONDAY, inside=True).rule == "inside"
    assert rules.decide_by_name(asked(), MONDAY, inside=False).rule == "outside"
