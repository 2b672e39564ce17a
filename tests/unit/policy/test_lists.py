"""Rules that name lists."""

import pytest
from tests.unit.policy.asking import MONDAY, PROTOCOLS, asked, written

from portway.model import Access, Verdict
from portway.policy.compile import compile_rules
from portway.policy.explain import describe, explain
from portway.policy.listreader import Format, Reader
from portway.policy.lists import NamedList
from portway.policy.rules import NeedsAddress, Ruleset

OUTSIDE = "203.0.113.7"
INSIDE = "192.168.1.1"


def read(name: str, text: str) -> NamedList:
    reader = Reader(name, Format.AUTO, b"k" * 16)
    reader.feed(text.encode())
    return reader.finish()


LISTS = {
    "games": read("games", "games.example\nplay.example.org"),
    "servers": read("servers", "203.0.113.0/28\n10.1.0.0/16\n2001:db8::/32"),
    "lab": read("lab", "10.0.3.0/24"),
    "empty": read("empty", ""),
}


def problems(**keys: object) -> list[str]:
    _, found = compile_rules(
        (written(**keys),), timezone="UTC", protocols=PROTOCOLS, lists=LISTS
    )
    return [str(problem) for problem in found]


def ruleset(*rules: dict[str, object]) -> Ruleset:
    found, wrong = compile_rules(
        tuple(written(**rule) for rule in rules),
        timezone="UTC",
        protocols=PROTOCOLS,
        lists=LISTS,
    )
    assert wrong == ()
    return found


def decided(rules: Ruleset, access: Access) -> Verdict:
    found = rules.decide(access, MONDAY)
    again = [rule for rule in rules.rules if rule.mismatch(access, MONDAY) is None]
    assert found.rule == (again[0].name if again else "")
    return found


NO_GAMES = ruleset({"to": "@games", "then": "deny", "name": "no"}, {"name": "all"})


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("games.example", "no"),
        ("ftp.eu.games.example", "no"),
        ("play.example.org", "no"),
        ("example.org", "all"),
        ("mygames.example", "all"),
        ("203.0.113.7", "all"),
    ],
)
def test_a_listed_domain_is_itself_and_all_below(host: str, rule: str) -> None:
    assert decided(NO_GAMES, asked(host=host, address=OUTSIDE)).rule == rule


def test_a_rule_that_denies_listed_domains_denies_them_everywhere() -> None:
    for address in (OUTSIDE, INSIDE, None):
        access = asked(host="games.example", address=address)
        assert decided(NO_GAMES, access).rule == "no"


def test_a_rule_that_allows_listed_domains_opens_nothing_inside() -> None:
    rules = ruleset({"to": "@games"})
    allowed = decided(rules, asked(host="games.example", address=OUTSIDE))
    assert allowed.allowed
    assert not allowed.reaches_inside
    assert not decided(rules, asked(host="games.example", address=INSIDE)).allowed
    assert decided(rules, asked(host="games.example")).allowed  # if it is outside
    for inside in (False, True):
        there = asked(host="games.example", address=OUTSIDE)
        assert rules.decide(there, MONDAY, ours=inside).allowed is not inside


def test_listed_networks_are_what_is_dialled() -> None:
    rules = ruleset({"to": "@servers"})
    assert decided(rules, asked(host="x.example", address=OUTSIDE)).allowed
    assert not decided(rules, asked(host="x.example", address="203.0.113.16")).allowed
    inside = decided(rules, asked(host="x.example", address="10.1.2.3"))
    assert inside.allowed
    assert inside.reaches_inside
    with pytest.raises(NeedsAddress):
        rules.decide(asked(host="x.example"), MONDAY)


def test_a_host_may_be_denied_by_its_address() -> None:
    rules = ruleset({"to": "@servers", "then": "deny"}, {"name": "all"})
    with pytest.raises(NeedsAddress):
        rules.decide(asked(host="x.example"), MONDAY)
    assert not decided(rules, asked(host="x.example", address=OUTSIDE)).allowed


def test_clients_may_be_listed() -> None:
    rules = ruleset({"who": "@lab", "then": "deny", "name": "lab"}, {"name": "all"})
    for client, rule in (("10.0.3.9", "lab"), ("10.0.4.1", "all")):
        assert decided(rules, asked(client=client, address=OUTSIDE)).rule == rule
    mapped = asked(client="::ffff:10.0.3.9", address=OUTSIDE)
    assert decided(rules, mapped).rule == "lab"


def test_an_empty_list_is_nobody_and_nowhere() -> None:
    rules = ruleset({"who": "@empty"}, {"to": "@empty"})
    assert not decided(rules, asked(address=OUTSIDE)).allowed


def test_lists_stand_beside_other_words() -> None:
    rules = ruleset({"to": ("@games", "ftp.example.net:21", "@servers")})
    for host in ("games.example", "ftp.example.net"):
        assert decided(rules, asked(host=host, address="1.1.1.1")).allowed
    assert not decided(rules, asked(host="x.example", address="1.1.1.1")).allowed


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"to": "@game"}, 'there is no list "@game"; did you mean "@games"?'),
        ({"who": "@x"}, 'there is no list "@x"; name its file in a table [list.NAME]'),
        ({"to": "@games:21"}, 'there is no list "@games:21"; did you mean "@games"?'),
        ({"who": "@games"}, '"@games" holds domains: a client is known by networks'),
    ],
)
def test_what_is_wrong(keys: dict[str, object], text: str) -> None:
    [problem] = problems(**keys)
    assert problem == f"x.toml:2: rules[0].{next(iter(keys))}: {text}"


def why(rules: Ruleset, access: Access) -> str:
    [passed] = explain(rules, access, MONDAY).passed_over
    return f"{passed.key}: {passed.why}"


def test_why_a_list_does_not_match() -> None:
    access = asked(host="ftp.x.example", address=OUTSIDE)
    assert why(NO_GAMES, access) == (
        "to: ftp.x.example:21 (203.0.113.7) is not in list @games (2 entries)"
    )
    rules = ruleset({"to": "@servers"}, {"to": ("inside", "*")})
    text = "to: x.example might lead to list @servers (3 entries), and was not resolved"
    assert why(rules, asked(host="x.example")) == text
    rules = ruleset({"to": ("@games", "a.example")}, {"to": "inside"})
    assert why(rules, asked(host="x.example", address=INSIDE)) == (
        "to: x.example:21 (192.168.1.1) is not among list @games (2 entries) "
        "or a.example"
    )
    assert why(rules, asked(host="games.example", address=INSIDE)) == (
        "to: games.example:21 (192.168.1.1) is inside, and a list of domains opens "
        "only what is outside: list @games (2 entries)"
    )
    rules = ruleset({"who": "@lab"}, {"name": "all"})
    assert "is not among @lab" in why(rules, asked(address=OUTSIDE))


def test_lists_in_plain_words() -> None:
    [no, _] = describe(NO_GAMES)
    assert "deny everything to list @games (2 entries), for everyone" in no
