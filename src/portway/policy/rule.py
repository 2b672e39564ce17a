"""One rule, ready to be asked: what it is about, and why it is not.

Not here: reading it (compile.py), and the order of rules (rules.py). Invariant: whether
it matches depends on the access and the time alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from portway.model import AS_IT_IS, Access, Handling, Limit, Per, Reason, Verdict
from portway.net.guard import is_inside
from portway.policy.clients import Clients
from portway.policy.match import (
    Names,
    Place,
    Prefixes,
    Target,
    by_name,
    by_network,
)
from portway.policy.schedule import Schedule


class Condition(StrEnum):
    """The key of a rule that does not fit an access."""

    WHO = "who"
    DO = "do"
    WHEN = "when"
    TO = "to"
    ADDRESS = "address"  # `to` names networks, and there is no address yet


class Targets:
    """A rule's ``to``; *all* is as it was written.

    A domain in a list opens nothing inside to a rule that *allows*: whoever owns one
    of many domains may let it lead where he likes.
    """

    __slots__ = (
        "_allows",
        "_inside",
        "_lists",
        "_names",
        "_networks",
        "_outside",
        "_prefixes",
        "all",
    )

    def __init__(self, targets: Iterable[Target], *, allows: bool = False) -> None:
        self.all = tuple(targets)
        self._allows = allows
        self._lists = tuple(t.listed for t in self.all if t.listed is not None)
        self._outside = self.named(Place.OUTSIDE)
        self._inside = self.named(Place.INSIDE)
        self._networks = tuple(t for t in self.all if reads_address(t))
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
        if self._lists and not (inside and self._allows):
            host = access.host
            if any(host in listed.domains for listed in self._lists):
                return None
        if access.address is None and _any_takes(self._networks, access):
            return Condition.ADDRESS
        return Condition.TO

    def reach_inside(self, access: Access) -> bool:
        """Say whether they name the inside, or where *access* leads."""
        return _any_takes(self._inside, access) or self._named(access)

    def name_port(self, access: Access) -> bool:
        """Say whether one that is meant names the port of *access*."""
        return any(
            target.port == access.port
            and target.takes(access)
            and Targets((target,)).mismatch(access, inside=inside) is None
            for target in self.all
            if target.port
            for inside in (False, True)
        )

    def _named(self, access: Access) -> bool:
        if len(self._outside) == len(self.all):
            return False
        found = self._names.find(access.host)
        address = access.address
        if address is not None:
            if self._lists and any(address in one.ranges for one in self._lists):
                return True
            found += self._prefixes.find(address)
        return any(_any_takes(targets, access) for targets in found)


def reads_address(target: Target) -> bool:
    """Say whether an address may show that *target* is meant."""
    if target.listed is not None:
        return target.listed.ranges.networks > 0
    return target.place is Place.NETWORK


def _any_takes(targets: Iterable[Target], access: Access) -> bool:
    for target in targets:  # noqa: SIM110 - any() takes twice the time of this
        if target.takes(access):
            return True
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule, ready to be asked. *number* counts from 1, *where* is ``FILE:LINE``.

    *do* holds ``*``, actions, protocols, and ``protocol:METHOD``. *when* None is
    always. *limits* are only with a yes, and one that is per group only where *who*
    is nothing but groups. *handling* is what a yes does beside.
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
    limits: tuple[Limit, ...] = ()
    handling: Handling = AS_IT_IS
    _outside: Verdict = field(init=False)
    _inside: Verdict = field(init=False)
    _per_group: bool = field(init=False)
    # by group, where a limit is per group: outside and inside
    _verdicts: dict[str, tuple[Verdict, Verdict]] = field(init=False)

    def __post_init__(self) -> None:
        verdict = Verdict(
            allowed=self.allows,
            rule=self.name,
            rule_at=self.where,
            reason=None if self.allows else Reason.RULE,
            because=self.because,
            limits=self.limits,
            handling=self.handling,
        )
        inside = replace(verdict, reaches_inside=True)
        verdicts = {
            group.name: (
                replace(verdict, group=group.name),
                replace(inside, group=group.name),
            )
            for group in self.who.groups
        }
        per_group = any(limit.per is Per.GROUP for limit in self.limits)
        object.__setattr__(self, "_outside", verdict)
        object.__setattr__(self, "_inside", inside)
        object.__setattr__(self, "_per_group", per_group)
        object.__setattr__(self, "_verdicts", verdicts if per_group else {})

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
        if self.when is not None and not self.when.covers(now):
            return Condition.WHEN
        return self.to.mismatch(access, inside=inside)

    def verdict(self, access: Access) -> Verdict:
        """Return the answer to *access*, which the rule matches."""
        inside = self.allows and self.to.reach_inside(access)
        if not self._per_group:
            return self._inside if inside else self._outside
        return self._verdicts[self.who.group_of(access)][inside]


def deeds(access: Access) -> tuple[str, ...]:
    """Return the words in a rule's ``do`` that mean what *access* does."""
    protocol, also = access.protocol, access.also
    words = "*", access.action, protocol, f"{protocol}:{access.method}"
    return (*words, also.partition(":")[0], also) if also else words
