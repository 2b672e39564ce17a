"""Other rules over the requests of the ledger: what would change.

Not here: reading the ledger, and printing. Invariant: a request is compared only where
the rules decided it then and can decide it now by what its record holds; all others
are counted, by why.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from portway.model import IPAddress, Reason, Verdict
from portway.net.doors import is_local
from portway.policy.rules import Ruleset
from portway.recorded import Answers, Row, groups_of

# What rules say no with; any other reason came from elsewhere.
OF_RULES = frozenset({Reason.RULE, Reason.DEFAULT, Reason.PORT, Reason.INSIDE})
EXAMPLES = 3
VISIT = "CONNECT"  # the method that a session's server is asked for with


class Change(StrEnum):
    """How the verdict of now stands to the one of then."""

    SAME = "same"
    DENIED = "denied"
    ALLOWED = "allowed"
    ALLOWED_BY = "allowed-by-another-rule"
    DENIED_BY = "denied-by-another-rule"


class Unasked(StrEnum):
    """Why a request is not compared."""

    OTHER = "other"  # something else than a rule had refused it
    ADDRESS = "address"  # the answer depends on one that nobody had looked up
    UNRESOLVED = "unresolved"  # the name had none, so the rules had not decided
    ANONYMOUS = "anonymous"  # the ledger has forgotten by whom it was
    GROUPS = "groups"  # its client was in more of them than the record holds
    UNKNOWN = "unknown"  # a protocol that is not served, an administrator's command


@dataclass(frozen=True, slots=True)
class Changed:
    """A request whose deciding rule is another one, or whose verdict is."""

    change: Change
    row: Row
    verdict: Verdict


@dataclass(slots=True)
class Group:
    """All requests that went from one rule to another one, or to none."""

    change: Change
    verdict: Verdict
    rule: str
    rule_at: str
    count: int = 0
    users: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    examples: list[Row] = field(default_factory=list)


class Replay:
    """Asks *rules* about rows that come oldest first, and keeps the sums.

    *protocols* are those that the rules know, *is_ours* says whether an address is
    this machine's. *beyond* counts the requests in sessions whose server would have
    been denied before, so that they would not have come at all.
    """

    def __init__(
        self,
        rules: Ruleset,
        protocols: Collection[str],
        is_ours: Callable[[IPAddress], bool] = is_local,
    ) -> None:
        self.counts: Counter[Change] = Counter(dict.fromkeys(Change, 0))
        self.unasked: Counter[tuple[Unasked, str]] = Counter()
        self.groups: dict[tuple[str, ...], Group] = {}
        self.beyond = 0
        self.reads_macs = rules.reads_macs
        self.first = self.last = 0.0  # when the oldest and the newest began
        self._protocols = frozenset(protocols)
        self._answers = Answers(rules, is_ours)
        self._denied_sessions: set[str] = set()

    @property
    def total(self) -> int:
        """How many requests there were."""
        return self.counts.total() + self.unasked.total()

    def run(self, rows: Iterable[Iterable[object]]) -> Iterator[Changed]:
        """Yield what changes among *rows*, each with the columns of a `Row`."""
        for values in rows:
            changed = self._compare(Row._make(values))
            if changed is not None:
                yield changed

    def _compare(self, row: Row) -> Changed | None:
        self.last = row.time
        self.first = self.first or row.time
        why = self._undecided(row)
        verdict = None if why else self._answers.of(row)
        if verdict is None:
            self.unasked[why or (Unasked.ADDRESS, "")] += 1
            return None
        change = compare(row, verdict)
        self.counts[change] += 1
        if self._denied_sessions or change is Change.DENIED:
            self._follow(row, change)
        if change is Change.SAME:
            return None
        self._sum_up(row, verdict, change)
        return Changed(change, row, verdict)

    def _undecided(self, row: Row) -> tuple[Unasked, str] | None:
        """Return why no rule had decided *row*, and a word about that."""
        if row.protocol not in self._protocols:
            return Unasked.UNKNOWN, row.protocol
        if not row.client_port:  # it is forgotten along with the client
            return Unasked.ANONYMOUS, ""
        if groups_of(row) is None:
            return Unasked.GROUPS, ""
        if row.verdict != "allow":
            return None if row.reason in OF_RULES else (Unasked.OTHER, row.reason)
        return None if row.rule else (Unasked.UNRESOLVED, row.reason)

    def _follow(self, row: Row, change: Change) -> None:
        """Find what comes after a server that would have been denied."""
        if row.method != VISIT:
            self.beyond += row.session in self._denied_sessions
        elif change is Change.DENIED:
            self._denied_sessions.add(row.session)
        else:
            self._denied_sessions.discard(row.session)

    def _sum_up(self, row: Row, verdict: Verdict, change: Change) -> None:
        then = row.reason if row.verdict != "allow" else ""
        key = (change, verdict.rule, verdict.reason or "", row.rule, then)
        group = self.groups.get(key)
        if group is None:
            group = Group(change, verdict, row.rule, row.rule_at)
            self.groups[key] = group
        group.count += 1
        group.users.add(row.user or row.client)
        group.hosts.add(row.host)
        if len(group.examples) < EXAMPLES:
            group.examples.append(row)


def compare(row: Row, verdict: Verdict) -> Change:
    """Return how *verdict* stands to the one of *row*; rules are known by name."""
    allowed = row.verdict == "allow"
    if verdict.allowed != allowed:
        return Change.ALLOWED if verdict.allowed else Change.DENIED
    if verdict.rule == row.rule:
        return Change.SAME
    return Change.ALLOWED_BY if allowed else Change.DENIED_BY
