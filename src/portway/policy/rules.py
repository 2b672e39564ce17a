"""Rules, and what they decide: the first that matches, or no.

Not here: reading rules (compile.py), putting them into words (explain.py), and the
clock, which is an argument. Invariant: `decide` answers as if it had tried every rule
from the top with `Rule.mismatch`; the index only spares it those that cannot match,
and what it knows of those that can.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from enum import StrEnum
from typing import TypeVar

from portway.model import Access, Reason, Verdict
from portway.net.guard import is_inside
from portway.policy.match import (
    Names,
    Networks,
    Place,
    Prefixes,
    Target,
    by_name,
    by_network,
)
from portway.policy.schedule import Schedule

K = TypeVar("K", bound=Hashable)

NO_RULE = Verdict(allowed=False, reason=Reason.DEFAULT)


class NeedsAddress(Exception):  # noqa: N818 -- a question back, not an error
    """The answer depends on the address of the host, which nobody has resolved."""


class Condition(StrEnum):
    """The key of a rule that does not fit an access."""

    WHO = "who"
    DO = "do"
    WHEN = "when"
    TO = "to"
    ADDRESS = "address"  # `to` names networks, and there is no address yet


class Clients:
    """A rule's ``who``; *text* is how it was written."""

    __slots__ = ("_prefixes", "everyone", "networks", "text", "users")

    def __init__(
        self,
        text: tuple[str, ...] = ("*",),
        *,
        everyone: bool = False,
        users: Iterable[str] = (),
        networks: Networks = (),
    ) -> None:
        self.text = text
        self.everyone = everyone
        self.users = frozenset(users)
        self.networks = networks
        self._prefixes = Prefixes(dict.fromkeys(networks, True))

    def include(self, access: Access) -> bool:
        """Say whether the client is one of them."""
        if self.everyone or access.user in self.users:
            return True
        return bool(self._prefixes.find(access.client))


class Targets:
    """A rule's ``to``; *all* is as it was written."""

    __slots__ = ("_inside", "_names", "_networks", "_outside", "_prefixes", "all")

    def __init__(self, targets: Iterable[Target]) -> None:
        self.all = tuple(targets)
        self._outside = self.named(Place.OUTSIDE)
        self._inside = self.named(Place.INSIDE)
        self._networks = self.named(Place.NETWORK)
        self._names = Names(by_name(self.all))
        self._prefixes = Prefixes(by_network(self.all))

    def named(self, place: Place) -> tuple[Target, ...]:
        """Return those that name such a place."""
        return tuple(target for target in self.all if target.place is place)

    def mismatch(self, access: Access, *, inside: bool) -> Condition | None:
        """Return why none of them is meant, or None; *inside* is what to assume."""
        if self._named(access):
            return None
        if _any_takes(self._inside if inside else self._outside, access):
            return None
        if access.address is None and _any_takes(self._networks, access):
            return Condition.ADDRESS
        return Condition.TO

    def reach_inside(self, access: Access) -> bool:
        """Say whether they name the inside, or where *access* leads."""
        return _any_takes(self._inside, access) or self._named(access)

    def _named(self, access: Access) -> bool:
        if len(self._outside) == len(self.all):
            return False
        found = self._names.find(access.host)
        if access.address is not None:
            found += self._prefixes.find(access.address)
        return any(_any_takes(targets, access) for targets in found)


def _any_takes(targets: Iterable[Target], access: Access) -> bool:
    for target in targets:  # noqa: SIM110 - any() takes twice the time of this
        if target.takes(access):
            return True
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule, ready to be asked. *number* counts from 1, *where* is ``FILE:LINE``.

    *do* holds ``*``, actions, protocols, and ``protocol:METHOD``. *when* None is
    always.
    """

    number: int
    name: str
    where: str
    who: Clients
    do: frozenset[str]
    to: Targets
    when: Schedule | None
    allows: bool
    because: str = ""
    _verdict: Verdict = field(init=False)
    _verdict_inside: Verdict = field(init=False)

    def __post_init__(self) -> None:
        verdict = Verdict(
            allowed=self.allows,
            rule=self.name,
            rule_at=self.where,
            reason=None if self.allows else Reason.RULE,
            because=self.because,
        )
        inside = replace(verdict, reaches_inside=True)
        object.__setattr__(self, "_verdict", verdict)
        object.__setattr__(self, "_verdict_inside", inside)

    def mismatch(
        self, access: Access, now: float, *, inside: bool | None = None
    ) -> Condition | None:
        """Return the first condition that *access* does not meet, or None.

        *inside* says whether the destination counts as inside; None: as its address
        does, and not without one.
        """
        if not self.who.include(access):
            return Condition.WHO
        if self.do.isdisjoint(deeds(access)):
            return Condition.DO
        if inside is None:
            inside = access.address is not None and is_inside(access.address)
        return self.mismatch_beyond(access, now, inside=inside)

    def mismatch_beyond(
        self, access: Access, now: float, *, inside: bool
    ) -> Condition | None:
        """Return the same, where `who` and `do` are known to be met."""
        if self.when is not None and not self.when.covers(now):
            return Condition.WHEN
        return self.to.mismatch(access, inside=inside)

    def verdict(self, access: Access) -> Verdict:
        """Return the answer to *access*, which the rule matches."""
        if self.allows and self.to.reach_inside(access):
            return self._verdict_inside
        return self._verdict


def deeds(access: Access) -> tuple[str, ...]:
    """Return the words in a rule's ``do`` that mean what *access* does."""
    protocol = access.protocol
    return "*", access.action, protocol, f"{protocol}:{access.method}"


class Ruleset:
    """All rules, in order. It never changes, and two threads may ask it at once."""

    __slots__ = ("_allowing", "_index", "_methods", "reads_paths", "rules", "zone")

    def __init__(self, rules: Iterable[Rule], zone: tzinfo | None = None) -> None:
        self.rules = tuple(rules)
        self.zone = zone
        self.reads_paths = any(t.path for rule in self.rules for t in rule.to.all)
        self._methods = frozenset[str]().union(*(rule.do for rule in self.rules))
        self._index = Index(self.rules)
        self._allowing = sum(1 << n for n, r in enumerate(self.rules) if r.allows)

    def names_method(self, protocol: str, method: str) -> bool:
        """Say whether a rule names this very method."""
        return f"{protocol}:{method}" in self._methods

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
        sure, _ = self._index.find(access, inside=inside)
        for rule in self._pick(sure):
            if rule.mismatch_beyond(access, now, inside=inside) is None:
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
        sure, unsure = self._index.find(access, inside=inside)
        certain = True
        bits = sure | unsure
        while bits:
            low = bits & -bits
            bits ^= low
            rule = self.rules[low.bit_length() - 1]
            failed = rule.mismatch_beyond(access, now, inside=inside)
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


class Index:
    """For all that an access may hold, the rules that ask for it.

    A set of rules is an integer: bit n stands for the rule at place n. Ten thousand
    rules are 1250 bytes, which are joined and cut in less time than one rule takes.
    """

    __slots__ = (
        "_clients",
        "_deeds",
        "_depth",
        "_everyone",
        "_folders",
        "_inside",
        "_names",
        "_networks",
        "_outside",
        "_ports",
        "_servers",
        "_users",
    )

    def __init__(self, rules: Sequence[Rule]) -> None:
        bits = [(1 << place, rule) for place, rule in enumerate(rules)]
        targets = [(bit, target) for bit, rule in bits for target in rule.to.all]
        places = _gather((target.place, bit) for bit, target in targets)
        self._outside = places.get(Place.OUTSIDE, 0)
        self._inside = places.get(Place.INSIDE, 0)
        self._networks = places.get(Place.NETWORK, 0)
        self._everyone = sum(bit for bit, rule in bits if rule.who.everyone)
        self._users = _gather((u, bit) for bit, rule in bits for u in rule.who.users)
        self._deeds = _gather((deed, bit) for bit, rule in bits for deed in rule.do)
        self._clients = Prefixes(
            _gather((net, bit) for bit, rule in bits for net in rule.who.networks)
        )
        self._names = Names(
            _gather((t.name, bit) for bit, t in targets if t.place is Place.NAME)
        )
        self._servers = Prefixes(
            _gather((net, bit) for bit, target in targets for net in target.networks)
        )
        self._ports = _gather((target.port, bit) for bit, target in targets)
        self._folders = _gather(
            (t.path.folder if t.path else "", bit) for bit, t in targets
        )
        self._depth = max((f.count("/") for f in self._folders), default=0)

    def find(self, access: Access, *, inside: bool) -> tuple[int, int]:
        """Return the rules that may match *access*.

        First those that do so by what is known and by *inside*, then those whose
        networks decide, if there is no address.
        """
        who = self._everyone | self._users.get(access.user, 0)
        for bits in self._clients.find(access.client):
            who |= bits
        do = 0
        for deed in deeds(access):
            do |= self._deeds.get(deed, 0)
        port = self._ports.get(0, 0) | self._ports.get(access.port, 0)
        asked = who & do & port & self._under(access.path)
        to = self._inside if inside else self._outside
        for bits in self._names.find(access.host):
            to |= bits
        if access.address is None:
            return asked & to, asked & self._networks
        for bits in self._servers.find(access.address):
            to |= bits
        return asked & to, 0

    def _under(self, path: str) -> int:
        """Return the rules with a pattern whose folder is *path* or above it."""
        found = self._folders.get("", 0)
        end = 0
        for _ in range(self._depth):
            end = path.find("/", end + 1)
            if end < 0:
                return found | self._folders.get(path, 0)
            found |= self._folders.get(path[:end], 0)
        return found


def _gather(pairs: Iterable[tuple[K, int]]) -> dict[K, int]:
    """Return, for each key, all the bits that stand beside it."""
    found: defaultdict[K, int] = defaultdict(int)
    for key, bits in pairs:
        found[key] |= bits
    return dict(found)
