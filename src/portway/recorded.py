"""Recorded requests as the questions that they were, and what other rules say to them.

Not here: what has changed (replay.py). Invariant: what is remembered is an answer to
the very same question, but for what the rules do not read: they are asked about a
million requests, and by far most of those are alike.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import msgspec

from portway.judging import judge
from portway.model import Access, Action, IPAddress, Verdict, read_address
from portway.net.doors import Doors
from portway.policy.rule import Rule, Targets
from portway.policy.rules import NeedsAddress, Ruleset

REMEMBERED = 50_000  # answers, and clients: at most 50 MB
MINUTE = 60  # seconds; a schedule changes between two, never within one
FEW = 64  # schedules, or kinds of clients, that are worth telling apart
ACTIONS = frozenset(action.value for action in Action)
READ = ('"groups"', '"mac"', '"also"')  # facts that rules may ask about
NO_DOORS = Doors()

Key = tuple[object, ...]


class Row(NamedTuple):
    """The columns that are read of each record, as they stand in the ledger."""

    id: str
    time: float
    session: str
    protocol: str
    client: str
    client_port: int
    user: str
    method: str
    action: str
    url: str
    host: str
    port: int
    path: str
    address: str
    verdict: str
    rule: str
    rule_at: str
    reason: str
    facts: str


COLUMNS = Row._fields


def access_of(row: Row) -> Access | None:
    """Return the question that *row* was; None if it cannot be read as one."""
    client = read_address(row.client)
    if client is None or row.action not in ACTIONS:
        return None
    told = told_of(row)
    groups = groups_of(row) or ()
    return Access(
        protocol=row.protocol,
        client=client,
        user=row.user,
        action=Action(row.action),
        method=row.method,
        host=row.host,
        port=row.port,
        address=read_address(row.address) if row.address else None,
        path=row.path,
        groups=frozenset(groups),
        mac=told.get("mac", ""),
        also=told.get("also", ""),
    )


def told_of(row: Row) -> dict[str, str]:
    """Return the facts of *row*, if they say more of its client."""
    facts = facts_of(row)
    return msgspec.json.decode(facts, type=dict[str, str]) if facts else {}


def groups_of(row: Row) -> tuple[str, ...] | None:
    """Return the groups of the account; None if the record was too short for them."""
    words = told_of(row).get("groups") if '"groups"' in row.facts else None
    if words is None:
        return ()
    try:
        return msgspec.json.decode(words, type=tuple[str, ...])
    except msgspec.DecodeError:
        return None


def facts_of(row: Row) -> str:
    """Return the facts of *row*, JSON, if they say more of its client; else nothing."""
    facts = row.facts
    return facts if any(word in facts for word in READ) else ""


def by_parent(row: Row) -> str:
    """Return a word if another proxy alone knew the address of *row*'s host."""
    return "parent" if '"resolved_by"' in row.facts else ""


class Answers:
    """What *rules* say to rows; *is_ours* says whether an address is this machine's."""

    __slots__ = ("_clients", "_is_ours", "_known", "_moments", "_pathless", "_rules")

    def __init__(self, rules: Ruleset, is_ours: Callable[[IPAddress], bool]) -> None:
        self._rules = rules
        self._is_ours = lru_cache(4096)(is_ours)
        self._moments = Moments(rules)
        self._clients = Clients(rules)
        self._pathless = Pathless(rules) if rules.reads_paths else None
        self._known: dict[Key, Verdict | None] = {}

    def of(self, row: Row) -> Verdict | None:
        """Return the verdict; None: it depends on an address that nobody knew."""
        key: Key = (
            self._moments.at(row.time),
            self._clients.of(row),
            row.protocol,
            row.method,
            row.action,
            row.host,
            row.port,
            row.address or by_parent(row),
        )
        if self._pathless is not None and self._pathless.asks_for(row, key):
            key = (*key, row.path)
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        verdict = self._known[key] = self._ask(row)
        return verdict

    def _ask(self, row: Row) -> Verdict | None:
        access = access_of(row)
        if access is None:
            return None
        try:
            by_name = bool(by_parent(row))
            return judge(
                self._rules, NO_DOORS, access, row.time, self._is_ours, by_name=by_name
            )
        except NeedsAddress:
            return None


class Moments:
    """Tells apart the moments at which different schedules of *rules* hold."""

    __slots__ = ("_bits", "_minute", "_schedules")

    def __init__(self, rules: Ruleset) -> None:
        found = (rule.when for rule in rules.rules if rule.when is not None)
        self._schedules = tuple({(one.spans, one.zone): one for one in found}.values())
        self._minute = -1
        self._bits = 0

    def at(self, now: float) -> int:
        """Return the same number for two moments only if the same schedules hold."""
        if not self._schedules:
            return 0
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute = minute
            if len(self._schedules) > FEW:
                self._bits = minute
            else:
                holds = (one.covers(now) for one in self._schedules)
                self._bits = sum(1 << n for n, yes in enumerate(holds) if yes)
        return self._bits


class Clients:
    """Tells apart the clients that *rules* tell apart."""

    __slots__ = ("_known", "_whos")

    def __init__(self, rules: Ruleset) -> None:
        whos = {rule.who.text: rule.who for rule in rules.rules}
        whos = {text: who for text, who in whos.items() if not who.everyone}
        self._whos = tuple(whos.values()) if len(whos) <= FEW else None
        self._known: dict[Key, int] = {}

    def of(self, row: Row) -> object:
        """Return the same for the clients of two rows only if the same rules fit."""
        key: Key = (row.client, row.user, facts_of(row))
        if self._whos is None:
            return key
        if not self._whos:
            return 0
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        access = access_of(row)
        bits = -1  # of a client that cannot be read
        if access is not None:
            fits = (who.include(access) for who in self._whos)
            bits = sum(1 << n for n, yes in enumerate(fits) if yes)
        self._known[key] = bits
        return bits


class Pathless:
    """Tells the questions to which the path matters.

    Where rules without their paths let one decide that has none anyhow, all rules above
    it do not match for another reason, and no path changes that.
    """

    __slots__ = ("_known", "_reading", "_rules")

    def __init__(self, rules: Ruleset) -> None:
        self._rules = Ruleset(map(without_paths, rules.rules), rules.zone)
        reading = (rule for rule in rules.rules if reads(rule))
        self._reading = frozenset((rule.name, rule.where) for rule in reading)
        self._known: dict[Key, bool] = {}

    def asks_for(self, row: Row, key: Key) -> bool:
        """Say whether the answer to *row* may depend on its path.

        *key* is equal for two rows that differ in nothing but their paths.
        """
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        found = self._known[key] = self._ask(row)
        return found

    def _ask(self, row: Row) -> bool:
        access = access_of(row)
        if access is None:
            return False
        # as inside and as outside: which of both it is, is another question
        for ours in (False, True):
            try:
                verdict = self._rules.decide(access, row.time, ours=ours)
            except NeedsAddress:
                return True
            if (verdict.rule, verdict.rule_at) in self._reading:
                return True
        return False


def reads(rule: Rule) -> bool:
    """Say whether *rule* reads paths."""
    return any(target.path is not None for target in rule.to.all)


def without_paths(rule: Rule) -> Rule:
    """Return *rule* as it would be if it read no paths."""
    if not reads(rule):
        return rule
    targets = [replace(target, path=None) for target in rule.to.all]
    return replace(rule, to=Targets(targets, allows=rule.allows))
