"""Rules, and what they decide: the first that matches, or no.

Not here: reading rules (compile.py), putting them into words (explain.py), and the
clock, which is an argument. Invariant: `decide` answers as if it had tried every rule
from the top with `Rule.mismatch`; the index only spares it those that cannot match,
and what it knows of those that can.
"""

from collections.abc import Iterable, Iterator
from datetime import tzinfo

from portway.model import Access, Reason, Verdict
from portway.net.guard import is_inside
from portway.policy.index import Index
from portway.policy.rule import Condition, Rule

NO_RULE = Verdict(allowed=False, reason=Reason.DEFAULT)


class NeedsAddress(Exception):  # noqa: N818 -- a question back, not an error
    """The answer depends on the address of the host, which nobody has resolved."""


class Ruleset:
    """All rules, in order. It never changes, and two threads may ask it at once.

    *groups* are the names of those that the configuration declares.
    """

    __slots__ = (
        "_allowing",
        "_index",
        "_methods",
        "groups",
        "intercepts",
        "reads_macs",
        "reads_paths",
        "reads_times",
        "rules",
        "zone",
    )

    def __init__(
        self,
        rules: Iterable[Rule],
        zone: tzinfo | None = None,
        groups: Iterable[str] = (),
    ) -> None:
        self.rules = tuple(rules)
        self.zone = zone
        self.groups = frozenset(groups)
        self.intercepts = any(rule.handling.intercept for rule in self.rules)
        self.reads_macs = any(rule.who.reads_macs for rule in self.rules)
        self.reads_times = any(rule.when is not None for rule in self.rules)
        self.reads_paths = any(t.path for rule in self.rules for t in rule.to.all)
        self._methods = frozenset[str]().union(*(rule.do for rule in self.rules))
        self._index = Index(self.rules)
        self._allowing = sum(1 << n for n, r in enumerate(self.rules) if r.allows)

    def names_method(self, protocol: str, method: str) -> bool:
        """Say whether a rule names this very method."""
        return f"{protocol}:{method}" in self._methods

    def names_port(self, verdict: Verdict, access: Access) -> bool:
        """Say whether the rule that gave *verdict* names the port of *access*."""
        at = verdict.rule, verdict.rule_at
        by = next((rule for rule in self.rules if (rule.name, rule.where) == at), None)
        return by is not None and by.to.name_port(access)

    def decide(self, access: Access, now: float, *, ours: bool = False) -> Verdict:
        """Answer *access* at *now*, in seconds since the epoch.

        *ours* says that the address is one of this machine's, which counts as inside.
        Without an address, the answer is a yes if it is one for a host outside, and
        holds for the outside only; it is a no if it is one wherever the host may
        lead. Raises NeedsAddress if it is neither.
        """
        if access.address is None:
            return self._decide_unresolved(access, now)
        inside = ours or is_inside(access.address)
        sure, _ = self._index.find(access, now, inside=inside)
        for rule in self._pick(sure):
            if rule.to.mismatch(access, inside=inside) is None:
                return rule.verdict(access)
        return NO_RULE

    def decide_by_name(self, access: Access, now: float, *, inside: bool) -> Verdict:
        """Answer *access*, whose address nobody will ever tell us.

        A rule that reads addresses does not match, whether it allows or denies.
        """
        sure, _ = self._index.find(access, now, inside=inside)
        for rule in self._pick(sure):
            if rule.to.mismatch(access, inside=inside) is None:
                return rule.verdict(access)
        return NO_RULE

    def _decide_unresolved(self, access: Access, now: float) -> Verdict:
        outside, certain = self._search(access, now, inside=False)
        if outside is not None and outside.allows and certain:
            return outside.verdict(access)
        if access.host:  # else there is nothing to resolve
            inside, _ = self._search(access, now, inside=True)
            if any(rule is not None and rule.allows for rule in (outside, inside)):
                raise NeedsAddress
        return outside.verdict(access) if outside is not None else NO_RULE

    def _search(
        self, access: Access, now: float, *, inside: bool
    ) -> tuple[Rule | None, bool]:
        """Return the first rule that matches whatever the address, if one does.

        Then, whether none before it might; raises NeedsAddress if one might that
        allows. Once a rule that denies might match, others of its kind say no more.
        """
        sure, unsure = self._index.find(access, now, inside=inside)
        certain = True
        bits = sure | unsure
        while bits:
            low = bits & -bits
            bits ^= low
            rule = self.rules[low.bit_length() - 1]
            failed = rule.to.mismatch(access, inside=inside)
            if failed is None:
                return rule, certain
            if failed is Condition.ADDRESS:
                if rule.allows and access.host:
                    raise NeedsAddress
                certain = False
                bits &= sure | self._allowing
        return None, certain

    def _pick(self, bits: int) -> Iterator[Rule]:
        while bits:
            low = bits & -bits
            yield self.rules[low.bit_length() - 1]
            bits ^= low
