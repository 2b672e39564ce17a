from collections.abc import Iterable
from ipaddress import ip_address

import pytest
from tests.unit.policy.asking import MONDAY, group, ruleset

from portway.model import Access, Action
from portway.policy.rules import Ruleset
from portway.recorded import Moments, Row, access_of
from portway.replay import Change, Changed, Replay, Unasked

BASE = Row(
    id="A",
    time=MONDAY,
    session="S",
    protocol="ftp",
    client="10.0.0.7",
    client_port=40000,
    user="alice",
    method="STOR",
    action="write",
    url="ftp://ftp.example.org/in/a",
    host="ftp.example.org",
    port=21,
    path="/in/a",
    address="203.0.113.7",
    verdict="allow",
    rule="staff",
    rule_at="old.toml:8",
    reason="",
    facts="{}",
)
Words = dict[str, object]
STAFF: Words = {"name": "staff", "who": "user:alice"}
NO_STORES: Words = {
    "name": "no stores",
    "do": "ftp:STOR",
    "then": "deny",
    "because": "No.",
}


def row(**values: object) -> Row:
    return BASE._replace(**values)  # type: ignore[arg-type]


def denied(reason: str = "default", rule: str = "") -> Row:
    return row(verdict="deny", reason=reason, rule=rule, rule_at="")


def play(rules: Ruleset, rows: Iterable[Row]) -> tuple[Replay, list[Changed]]:
    work = Replay(rules, ["ftp"], is_ours=lambda _: False)
    return work, list(work.run(rows))


def change(rules: Ruleset, one: Row) -> Change | Unasked:
    """Return what becomes of the only row."""
    work, _ = play(rules, [one])
    assert work.total == 1
    if work.unasked:
        [(why, _)] = work.unasked
        return why
    [found] = [kind for kind, count in work.counts.items() if count]
    return found


def test_the_same_rule_by_name_is_the_same() -> None:
    work, changes = play(ruleset(STAFF), [BASE, BASE])
    assert changes == []
    assert work.counts[Change.SAME] == 2
    assert not work.groups


def test_what_changes_is_told_with_the_new_verdict() -> None:
    work, [changed] = play(ruleset(NO_STORES, STAFF), [BASE])
    assert changed.change is Change.DENIED
    assert changed.row == BASE
    assert (changed.verdict.rule, changed.verdict.because) == ("no stores", "No.")
    [found] = work.groups.values()
    assert (found.rule, found.rule_at, found.count) == ("staff", "old.toml:8", 1)
    assert (found.users, found.hosts) == ({"alice"}, {"ftp.example.org"})


@pytest.mark.parametrize("reason", ["rule", "default", "port", "inside"])
def test_what_a_rule_had_denied_may_be_allowed_now(reason: str) -> None:
    assert change(ruleset(STAFF), denied(reason)) is Change.ALLOWED


def test_another_rule_with_the_same_verdict() -> None:
    other: Words = {"name": "other", "who": "*"}
    assert change(ruleset(other), BASE) is Change.ALLOWED_BY
    assert change(ruleset(), denied("rule", "no")) is Change.DENIED_BY
    assert change(ruleset(), denied()) is Change.SAME


@pytest.mark.parametrize("reason", ["login-wrong", "syntax", "quota", "loop", "busy"])
def test_what_no_rule_had_refused_is_only_counted(reason: str) -> None:
    assert change(ruleset(STAFF), denied(reason)) is Unasked.OTHER


def test_what_was_never_decided_is_only_counted() -> None:
    unresolved = row(rule="", address="", reason="name")
    assert change(ruleset(STAFF), unresolved) is Unasked.UNRESOLVED
    forgotten = row(client="10.0.0.0", client_port=0, user="~1f2e3d")
    assert change(ruleset(STAFF), forgotten) is Unasked.ANONYMOUS
    admin = row(protocol="control", method="ADMIN", client="", rule="")
    assert change(ruleset(STAFF), admin) is Unasked.UNKNOWN


def test_a_verdict_that_needs_an_address_nobody_knew() -> None:
    networks: Words = {"name": "there", "to": ("203.0.113.0/24",)}
    assert change(ruleset(networks), row(address="")) is Unasked.ADDRESS
    assert change(ruleset(networks), BASE) is Change.ALLOWED_BY


def test_a_server_whose_address_the_next_proxy_alone_knew_is_judged_by_name() -> None:
    networks: Words = {"name": "no", "to": ("203.0.113.0/24",), "then": "deny"}
    rules = ruleset(networks, STAFF)
    by_parent = row(address="", facts='{"resolved_by":"parent"}')
    assert change(rules, row(address="")) is Unasked.ADDRESS
    assert change(rules, by_parent) is Change.SAME


def test_a_schedule_is_asked_about_the_time_of_the_record() -> None:
    closed: Words = {**NO_STORES, "when": "Mon 10:00-11:00"}
    rules = ruleset(closed, STAFF)
    week, hour = 7 * 86400, 3600
    times = [MONDAY - 1, MONDAY, MONDAY + hour - 1, MONDAY + hour, MONDAY + week]
    work, changes = play(rules, [row(time=at) for at in times])
    assert [one.row.time for one in changes] == [times[1], times[2], times[4]]
    assert work.counts[Change.SAME] == 2
    assert (work.first, work.last) == (times[0], times[-1])


def test_many_schedules_are_told_apart_by_the_minute() -> None:
    rules = ruleset(
        *(
            Words({"name": str(n), "when": f"Mon {n // 60:02}:{n % 60:02}-23:59"})
            for n in range(70)
        )
    )
    moments = Moments(rules)
    assert moments.at(MONDAY) == moments.at(MONDAY + 59)
    assert moments.at(MONDAY) != moments.at(MONDAY + 60)


def test_the_path_counts_where_a_rule_reads_paths() -> None:
    inbox: Words = {"name": "inbox", "to": ("*/in/*",)}
    rows = [row(path="/in/a"), row(path="/out/a"), row(path="/in/b")]
    work, _ = play(ruleset(inbox), rows)
    assert (work.counts[Change.ALLOWED_BY], work.counts[Change.DENIED]) == (2, 1)


def test_groups_and_mac_come_from_the_facts() -> None:
    facts = r"""{"groups":"[\"lab\",\"two, words\"]","mac":"00:11:22:33:44:55"}"""
    access = access_of(row(facts=facts))
    assert access is not None
    assert access.groups == {"lab", "two, words"}
    assert access.mac == "00:11:22:33:44:55"
    lab = ruleset({"name": "lab", "who": "group:lab"}, groups=(group("lab"),))
    assert change(lab, row(facts=facts)) is Change.ALLOWED_BY
    assert change(lab, BASE) is Change.DENIED


def test_the_question_is_the_one_of_then() -> None:
    assert access_of(BASE) == Access(
        protocol="ftp",
        client=ip_address("10.0.0.7"),
        user="alice",
        action=Action.WRITE,
        method="STOR",
        host="ftp.example.org",
        port=21,
        address=ip_address("203.0.113.7"),
        path="/in/a",
    )
    assert access_of(row(client="")) is None
    assert access_of(row(action="dance")) is None


def test_what_would_not_have_come_is_counted() -> None:
    connect = row(method="CONNECT", action="connect", path="")
    elsewhere = connect._replace(host="other.example", address="203.0.113.9")
    rules = ruleset(
        {"name": "not there", "to": "ftp.example.org", "do": "connect", "then": "deny"},
        STAFF,
    )
    rows = [connect, BASE, BASE, row(session="T"), elsewhere, BASE]
    work, _ = play(rules, rows)
    assert work.counts[Change.DENIED] == 1
    assert work.beyond == 2


def test_groups_are_by_both_rules() -> None:
    rules = ruleset(NO_STORES)
    rows = [BASE, row(rule="guests", user=""), row(user="bob"), row(method="RETR")]
    work, _ = play(rules, rows)
    found = [(g.verdict.rule, g.rule, g.count) for g in work.groups.values()]
    assert found == [
        ("no stores", "staff", 2),
        ("no stores", "guests", 1),
        ("", "staff", 1),
    ]
    users = [g.users for g in work.groups.values()]
    assert users == [{"alice", "bob"}, {"10.0.0.7"}, {"alice"}]


def test_only_some_examples_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "portway.recorded.REMEMBERED", 2
    )  # and forgetting changes nothing
    rows = [row(user=f"u{n}") for n in range(10)]
    work, changes = play(ruleset(NO_STORES), rows)
    [found] = work.groups.values()
    assert (found.count, len(found.examples), len(changes)) == (10, 3, 10)
