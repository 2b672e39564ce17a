"""Rules, and why they match or do not, in words.

Not here: deciding. Invariant: what is explained is what `Ruleset.decide` answers; the
words are made from the same comparisons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from portway.model import Access, Handling, Reason, Verdict
from portway.net.guard import is_inside
from portway.policy.clients import By, Client
from portway.policy.limits import EACH, bounds, member
from portway.policy.match import Place, Target
from portway.policy.rule import Condition, Rule, reads_address
from portway.policy.rules import NO_RULE, NeedsAddress, Ruleset

LISTED = 4  # words of a rule's list that are repeated: enough to know it again


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A rule before the deciding one; *key* is what does not fit."""

    rule: str
    rule_at: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class LimitWords:
    """What a limit that would apply allows, and whom."""

    bounds: tuple[str, ...]
    per: str
    member: str

    def __str__(self) -> str:
        return f"{' and '.join(self.bounds)} for {self.member}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, and why no earlier rule gave it.

    Where nobody has resolved the host, *verdict* holds for a host outside that is in
    no network which a rule passed over names; *if_inside* holds for one inside.
    *certain* says that the gateway would not have to resolve it to say so.
    """

    verdict: Verdict
    passed_over: tuple[PassedOver, ...]
    if_inside: Verdict | None = None
    certain: bool = True


def explain(
    ruleset: Ruleset, access: Access, now: float, *, ours: bool = False
) -> Explanation:
    """Return the answer to *access* at *now*, in words for each earlier rule.

    *ours* says that the address is one of this machine's, which counts as inside.
    """
    if access.address is not None or not access.host:
        inside = access.address is not None and (ours or is_inside(access.address))
        return Explanation(*_ask(ruleset, access, now, inside=inside))
    verdict, passed_over = _ask(ruleset, access, now, inside=False)
    try:
        ruleset.decide(access, now)
        certain = True
    except NeedsAddress:
        certain = False
    if_inside, _ = _ask(ruleset, access, now, inside=True)
    return Explanation(verdict, passed_over, if_inside, certain)


def _ask(
    ruleset: Ruleset, access: Access, now: float, *, inside: bool
) -> tuple[Verdict, tuple[PassedOver, ...]]:
    passed: list[PassedOver] = []
    for rule in ruleset.rules:
        failed = rule.mismatch(access, now, inside=inside)
        if failed is None:
            return rule.verdict(access), tuple(passed)
        why = _why(rule, failed, access, now, inside=inside)
        key = Condition.TO if failed is Condition.ADDRESS else failed
        passed.append(PassedOver(rule.name, rule.where, key, why))
    if inside:
        return Verdict(allowed=False, reason=Reason.INSIDE), tuple(passed)
    return NO_RULE, tuple(passed)


def _why(
    rule: Rule, failed: Condition, access: Access, now: float, *, inside: bool
) -> str:
    match failed:
        case Condition.WHO:
            return _why_not_them(rule, access)
        case Condition.DO:
            also = f" and {access.also}" if access.also else ""
            what = f"{access.protocol}:{access.method}{also}, which is {access.action},"
            return f"{what} is not among {_list(sorted(rule.do))}"
        case Condition.WHEN if rule.when is not None:
            moment = datetime.fromtimestamp(now, rule.when.zone)
            return f"{time_words(moment)} is not in {_list(rule.when.text)}"
        case Condition.ADDRESS:
            return (
                f"{access.host} might lead to {_networks(rule)}, and was not resolved"
            )
        case _:
            return _why_not_there(rule, access, inside=inside)


def _why_not_them(rule: Rule, access: Access) -> str:
    others = [word.text for word in rule.who.words if word.by is not By.GROUP]
    groups = [f'"{word.name}"' for word in rule.who.words if word.by is By.GROUP]
    why = [f"is not among {_list(others)}"] if others else []
    why += [f"is not in group {_list(groups)}"] if groups else []
    unknown = "; its MAC address is not known"
    no_mac = unknown if rule.who.reads_macs and not access.mac else ""
    return f"{client_words(access)} {', and '.join(why)}{no_mac}"


def limits_of(verdict: Verdict, access: Access) -> tuple[LimitWords, ...]:
    """Return the limits that *verdict* sets to *access*, in words."""
    return tuple(
        LimitWords(
            tuple(bounds(limit)), limit.per, member(limit, access, verdict.group)
        )
        for limit in verdict.limits
    )


def handling_words(handling: Handling) -> Iterator[str]:
    """Yield what a rule makes of what it allows, but for the usual."""
    if handling.tunnel == "tls":
        yield "tunnels carry TLS alone"
    elif handling.tunnel == "blind":
        yield "nobody looks into tunnels"
    if handling.intercept:
        yield "TLS in tunnels is opened"
    if handling.headers is not None:
        if handling.headers.remove:
            yield f"takes out the fields {', '.join(handling.headers.remove)}"
        if handling.headers.set:
            names = ", ".join(name for name, _ in handling.headers.set)
            yield f"sets the fields {names}"


def _why_not_there(rule: Rule, access: Access, *, inside: bool) -> str:
    place = destination_words(access)
    outside = any(target.takes(access) for target in rule.to.named(Place.OUTSIDE))
    if inside and outside:
        return f'{place} is inside, and "*" is only what is outside'
    lists = [target.listed for target in rule.to.all if target.listed is not None]
    for listed in lists:
        if access.host in listed.domains:  # and it is inside, else it would match
            text = "a list of domains opens only what is outside"
            return f"{place} is inside, and {text}: {listed.words}"
    if len(lists) == len(rule.to.all):
        return f"{place} is not in {_targets(rule)}"
    if access.path or all(target.path is None for target in rule.to.all):
        return f"{place} is not among {_targets(rule)}"
    return f"{place}, without a path, is not among {_targets(rule)}"


def client_words(access: Access) -> str:
    """Return who asks: ``alice at 10.0.0.7``, and the groups that came along."""
    groups = ", ".join(f'"{name}"' for name in sorted(access.groups))
    among = f" (group {groups})" if groups else ""
    mac = f" ({access.mac})" if access.mac else ""
    if access.user:
        return f"{access.user}{among} at {access.client}{mac}"
    return f"{access.client}{mac}{among}, without a login,"


def destination_words(access: Access) -> str:
    """Return where *access* leads: host, port, path, and the address if it is known."""
    host = f"[{access.host}]" if ":" in access.host else access.host
    port = f":{access.port}" if access.port else ""
    known = access.address is not None and str(access.address) != access.host
    address = f" ({access.address})" if known else ""
    return f"{host}{port}{access.path}{address}"


def time_words(moment: datetime) -> str:
    """Return a moment with the day of its week: ``Mon 2026-11-23 10:00``."""
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    return f"{day} {moment:%Y-%m-%d %H:%M}"


def describe(ruleset: Ruleset) -> list[str]:
    """Return each rule in plain words, in order."""
    return [_describe(rule) for rule in ruleset.rules]


def _describe(rule: Rule) -> str:
    verb = "allow" if rule.allows else "deny"
    who = "everyone" if rule.who.everyone else _list([*map(_who, rule.who.words)])
    do = "everything" if "*" in rule.do else _list(sorted(rule.do))
    when = f", when it is {_list(rule.when.text)}" if rule.when else ""
    because = f'; because: "{rule.because}"' if rule.because else ""
    where = f" ({rule.where})" if rule.where else ""
    to = _targets(rule)
    limits = "".join(
        f"; {' and '.join(bounds(limit))} for {EACH[limit.per]}"
        for limit in rule.limits
    )
    text = f'"{rule.name}"{where}: {verb} {do} to {to}, for {who}{when}'
    handling = "".join(f"; {words}" for words in handling_words(rule.handling))
    return f"{text}{limits}{handling}{because}"


def _who(word: Client) -> str:
    return f'group "{word.name}"' if word.by is By.GROUP else word.text


def _targets(rule: Rule) -> str:
    return _list([target_words(target) for target in rule.to.all])


def _networks(rule: Rule) -> str:
    return _list([target_words(t) for t in rule.to.all if reads_address(t)])


def target_words(target: Target) -> str:
    """Return one word of ``to`` as it reads; of a list its size, too."""
    if target.listed is not None:
        return target.listed.words
    words = {"*": "anywhere outside", "inside": "the inside"}
    return words.get(target.text, target.text)


def _list(words: tuple[str, ...] | list[str]) -> str:
    """Return *words* as one reads them; of many, the first few and their number."""
    if len(words) <= LISTED + 1:
        return " or ".join(words)
    return f"{' or '.join(words[:LISTED])} or {len(words) - LISTED} more"
