"""What a policy says that was hardly meant: warnings, not errors.

Not here: what is wrong with it (compile.py). Invariant: a warning is only given where
it is sure; that there is none proves nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from portway.errors import Problem
from portway.policy.clients import By, Clients
from portway.policy.match import IPNetwork, Place, Target
from portway.policy.rule import Rule
from portway.policy.rules import Ruleset
from portway.policy.schedule import MIDNIGHT

Words = tuple[str, ...]  # a rule's ``who``

BEFORE = 200  # rules of a kind that one is compared with: who take most come first
EVERYONE: Words = ("*",)
EVERYWHERE = ""  # the key of rules that take any target
BELOW = "/**"
RENAMING = frozenset({"*", "manage", "ftp", "ftp:RNFR"})
LISTING = frozenset({"*", "list", "ftp", "ftp:LIST", "ftp:MLSD", "ftp:NLST"})


def review(ruleset: Ruleset) -> tuple[Problem, ...]:
    """Return the warnings, in the order of the rules."""
    rules = ruleset.rules
    if rules and not any(rule.allows for rule in rules):
        text = "no rule allows anything, so every request is denied"
        return (Problem(rules[0].where, "rules", text),)
    found = [
        *_never_reached(rules),
        *_without_their_folder(rules),
        *_around_their_folder(rules),
        *_most_of_the_day(rules),
        *_counted_by_number(rules),
    ]
    return tuple(problem for _, problem in sorted(found, key=lambda one: one[0]))


def _problem(rule: Rule, key: str, text: str) -> tuple[int, Problem]:
    at = f"rules[{rule.number - 1}]"
    return rule.number, Problem(rule.where, f"{at}.{key}" if key else at, text)


# Rules that can never match.


def _never_reached(rules: Iterable[Rule]) -> Iterator[tuple[int, Problem]]:
    """Yield the rules all of which an earlier one takes.

    An earlier one is looked at if it is for everyone, or for the same words, and if a
    target of its own may take the first one of the rule's.
    """
    known: defaultdict[tuple[Words, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        who = EVERYONE if rule.who.everyone else rule.who.text
        keys = [_key(target) for target in rule.to.all] or [EVERYWHERE]
        taker = _taker(rule, known, who, keys[0])
        if taker is not None:
            text = f'"{rule.name}" never matches: "{taker.name}" ({taker.where}) comes'
            cure = "before it and takes all of it; put it first, or take it out"
            yield _problem(rule, "", f"{text} {cure}")
            continue
        for key in {*keys, *_broad(rule.to.all)}:
            if len(known[who, key]) < BEFORE:
                known[who, key].append(rule)


def _taker(
    rule: Rule, known: Mapping[tuple[Words, str], list[Rule]], who: Words, key: str
) -> Rule | None:
    places = [(by, of) for by in (EVERYONE, who) for of in (EVERYWHERE, key)]
    earlier = (one for place in places for one in known.get(place, ()))
    return next((one for one in earlier if takes_all(one, rule)), None)


def _key(target: Target) -> str:
    """Return what another target has in common with it, if one takes the other."""
    if target.place is Place.NAME:
        return target.name
    return target.text if target.place is Place.LIST else f"all {target.place.name}"


def _broad(targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the key of targets that together take whatever there is."""
    places = [target.place for target in targets if _is_whole(target)]
    both = Place.OUTSIDE in places and Place.INSIDE in places
    return (EVERYWHERE,) if both else ()


def takes_all(one: Rule, other: Rule) -> bool:
    """Say whether *one* surely matches whatever *other* does."""
    if one.when is not None and one.when != other.when:
        return False
    if not _takes_deeds(one.do, other.do) or not _takes_clients(one.who, other.who):
        return False
    return all(_takes_target(one.to.all, target) for target in other.to.all)


def _takes_deeds(one: frozenset[str], other: frozenset[str]) -> bool:
    if "*" in one:
        return True
    return all(deed in one or deed.partition(":")[0] in one for deed in other)


def _takes_clients(one: Clients, other: Clients) -> bool:
    if one.everyone:
        return True
    return all(
        word.text in one.text
        or (
            word.by is By.NETWORK
            and all(_within(network, one.networks) for network in word.networks)
        )
        for word in other.words
    )


def _takes_target(targets: Iterable[Target], other: Target) -> bool:
    for target in targets:
        if _reaches(target, other) and _takes_place(target, other):
            return True
    return bool(_broad(targets))


def _is_whole(target: Target) -> bool:
    return not target.port and target.path is None


def _takes_place(one: Target, other: Target) -> bool:
    """Say whether *one* is for its port and path all that *other* is."""
    if one.port not in {0, other.port}:
        return False
    path, other_path = one.path, other.path
    if path is None:
        return True
    return other_path is not None and path.text == other_path.text


def _reaches(one: Target, other: Target) -> bool:
    if one.place is not other.place:
        return False
    if one.place is Place.NETWORK:
        return all(_within(network, one.networks) for network in other.networks)
    if one.place is Place.NAME:
        return one.name == other.name
    return one.place in {Place.OUTSIDE, Place.INSIDE} or one.text == other.text


def _within(network: IPNetwork, others: Iterable[IPNetwork]) -> bool:
    number, length = int(network.network_address), network.prefixlen
    return any(
        other.version == network.version
        and other.prefixlen <= length
        and number >> network.max_prefixlen - other.prefixlen
        == int(other.network_address) >> network.max_prefixlen - other.prefixlen
        for other in others
    )


# Folders of which only what is in them is open.


def _without_their_folder(rules: Iterable[Rule]) -> Iterator[tuple[int, Problem]]:
    """Yield the rules that open what is below a folder, and nobody the folder."""
    listing = [
        rule for rule in rules if rule.allows and not LISTING.isdisjoint(rule.do)
    ]
    anywhere: list[Target] = []  # what may be any host
    by_name: defaultdict[str, list[Target]] = defaultdict(list)
    for rule in listing:
        for target in rule.to.all:
            exact = target.place is Place.NAME and "*" not in target.name
            (by_name[target.name] if exact else anywhere).append(target)
    for rule in listing:
        for target in rule.to.all:
            folder = _folder(target)
            near = (*anywhere, *by_name[target.name]) if folder else ()
            if not near or len(near) > BEFORE:
                continue
            if not any(_opens(one, folder) for one in near):
                text = f'"{target.text}" is what lies below {folder}, and no rule'
                itself = target.text.removesuffix(BELOW)
                cure = f'allows to list {folder} itself; add "{itself}"'
                yield _problem(rule, "to", f"{text} {cure}")


def _around_their_folder(rules: Iterable[Rule]) -> Iterator[tuple[int, Problem]]:
    """Yield the rules that close what is below a folder, and not the folder."""
    for rule in rules:
        if rule.allows or RENAMING.isdisjoint(rule.do):
            continue
        for target in rule.to.all:
            folder = _folder(target)
            if folder and not any(_opens(one, folder) for one in rule.to.all):
                itself = target.text.removesuffix(BELOW)
                text = f'"{target.text}" is what lies below {folder}, and not {folder}'
                cure = f'itself: who renames it goes round the rule; add "{itself}"'
                yield _problem(rule, "to", f"{text} {cure}")


# Slips.


def _most_of_the_day(rules: Iterable[Rule]) -> Iterator[tuple[int, Problem]]:
    """Yield the rules with a time over midnight that is most of a day long."""
    for rule in rules:
        spans = rule.when.spans if rule.when is not None else ()
        for first, end in {time for span in spans for time in span.times}:
            if first > end and end + MIDNIGHT - first > MIDNIGHT // 2:
                begins, ends = _clock(first), _clock(end)
                text = f'"{begins}-{ends}" lasts until {ends} on the next day; write'
                yield _problem(
                    rule, "when", f'{text} "{ends}-{begins}" if not meant so'
                )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _counted_by_number(rules: Iterable[Rule]) -> Iterator[tuple[int, Problem]]:
    """Yield the rules that set limits and have no name."""
    for rule in rules:
        if rule.limits and rule.name == f"rule {rule.number}":
            text = "has limits and no name, so that what is used up is counted by its"
            yield _problem(rule, "limit", f"{text} place among the rules; give it one")


def _folder(target: Target) -> str:
    """Return the folder of which the target is all that lies below; or nothing."""
    path = target.path
    if path is None or not path.text.endswith(BELOW):
        return ""
    return path.folder if path.text == path.folder + BELOW else ""


def _opens(target: Target, folder: str) -> bool:
    return target.path is None or bool(target.path.regex.fullmatch(folder))
