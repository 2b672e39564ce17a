"""Rules as they are written, made into rules that can be asked.

Not here: TOML, keys that are empty or unknown (config), groups (groups.py), and what
the words mean once they were read (clients.py, match.py, schedule.py).
Invariant: a rule is never taken for less, or for more, than it says; a word that is
not understood is a problem, and all problems are found at once.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portway.config import schema
from portway.config.report import nearest
from portway.errors import Problem
from portway.model import Action, Handling, Headers, Limit, Per
from portway.policy.clients import LATER, By, Client, Clients, Group, read_client
from portway.policy.groups import compile_groups, problem_of, unknown_group
from portway.policy.lists import NamedList
from portway.policy.match import Place, Target, read_target
from portway.policy.rule import Rule, Targets
from portway.policy.rules import Ruleset
from portway.policy.schedule import Schedule, Span, read_spans

Protocols = Mapping[str, Mapping[str, Action]]
Unasked = Mapping[str, Mapping[str, str]]
Accounts = Callable[[], frozenset[str] | None]
Lists = Mapping[str, NamedList]

NONE_UNASKED: Unasked = MappingProxyType({})
NO_LISTS: Lists = MappingProxyType({})

ACTIONS = tuple(action.value for action in Action)
LATER_PROTOCOLS = ("http", "socks", "smtp", "pop3", "dns", "tcp", "udp")

T = TypeVar("T")


def compile_rules(  # noqa: PLR0913 - what the words of rules can name
    rules: tuple[schema.Rule, ...],
    *,
    timezone: str,
    protocols: Protocols,
    groups: tuple[schema.Group, ...] = (),
    unasked: Unasked = NONE_UNASKED,
    accounts: Accounts | None = None,
    lists: Lists = NO_LISTS,
) -> tuple[Ruleset, tuple[Problem, ...]]:
    """Make *rules* into a `Ruleset`; with problems, it must not be used.

    *timezone* is that of the rules' times; empty is the machine's. *protocols* gives
    for each its methods, and for each method its action; *unasked* the methods that no
    rule is ever asked about, each with the cure. *accounts* returns the names of all
    users there are, or None if that cannot be told; it is asked only where a user is
    named. *lists* are by their names.
    """
    problems: list[Problem] = []
    zone = _zone(timezone, problems)
    members = compile_groups(groups, problems)
    words = Words(protocols, unasked, members, lists)
    readers = [_Reader(number, rule, problems) for number, rule in enumerate(rules, 1)]
    compiled = [reader.read(zone, words) for reader in readers]
    _note_same_names(readers)
    if accounts is not None:
        _note_strangers(groups, readers, accounts, problems)
    return Ruleset(compiled, zone, members), tuple(problems)


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of rules can name; see `compile_rules`."""

    protocols: Protocols
    unasked: Unasked
    groups: Mapping[str, Group]
    lists: Lists


def _note_same_names(readers: Iterable["_Reader"]) -> None:
    """Report rules with the name of another: counters are kept by it."""
    known: dict[str, _Reader] = {}
    for reader in readers:
        first = known.setdefault(reader.name, reader)
        if first is not reader:
            text = f'"{reader.name}" is the name of the rule at {first.where} too'
            cure = "the log and the limits tell rules apart by it; choose another"
            reader.note("name", f"{text}; {cure}")


def _note_strangers(
    groups: Iterable[schema.Group],
    readers: Iterable["_Reader"],
    accounts: Accounts,
    problems: list[Problem],
) -> None:
    """Report users that there are not, where that can be told."""
    places = [
        (client.name, partial(problem_of, group, place))
        for group in groups
        for place, word in enumerate(group.members)
        if (client := _user(word))
    ]
    places += [
        (client.name, partial(reader.problem, "who", place))
        for reader in readers
        for place, word in enumerate(reader.who)
        if (client := _user(word))
    ]
    known = accounts() if places else None
    if known is None:
        return
    for name, problem in places:
        if name not in known:
            cure = nearest(name, known) or f'; make it with "portway user add {name}"'
            problems.append(problem(f'there is no account "{name}"{cure}'))


def _user(word: str) -> Client | None:
    """Return *word* as it is read, if it is a user."""
    try:
        client = read_client(word)
    except ValueError:
        return None  # it was told
    return client if client.by is By.USER else None


def _zone(name: str, problems: list[Problem]) -> tzinfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f'there is no time zone "{name}": write one like "Europe/Paris"'
        problems.append(Problem("", "gateway.timezone", text))
        return None


class _Reader:
    """Reads one rule, and notes what is wrong with it."""

    def __init__(self, number: int, rule: schema.Rule, problems: list[Problem]) -> None:
        self.name = rule.name or f"rule {number}"
        self.where = rule.where
        self.who = rule.who
        self._number = number
        self._rule = rule
        self._problems = problems

    def read(self, zone: tzinfo | None, words: Words) -> Rule:
        rule = self._rule
        return Rule(
            number=self._number,
            name=self.name,
            where=rule.where,
            who=self._who(words),
            do=frozenset(self._each("do", rule.do, lambda w: read_deed(w, words))),
            to=Targets(
                self._each("to", rule.to, lambda w: _read_target(w, words.lists)),
                allows=rule.then == "allow",
            ),
            when=self._when(zone),
            allows=rule.then == "allow",
            because=rule.because,
            limits=tuple(map(read_limit, rule.limit)),
            handling=Handling(rule.tunnel, rule.intercept, read_headers(rule.headers)),
        )

    def _who(self, words: Words) -> Clients:
        groups = words.groups

        def read(word: str) -> Client:
            if word.startswith("@"):
                return _read_listed_client(word, words.lists)
            client = read_client(word)
            if client.by is By.GROUP and client.name not in groups:
                raise ValueError(unknown_group(client.name, groups))
            return client

        return Clients(self._each("who", self._rule.who, read), groups)

    def _when(self, zone: tzinfo | None) -> Schedule | None:
        written = self._rule.when
        if not written:
            return None
        spans: list[Span] = []
        for found in self._each("when", written, read_spans):
            spans.extend(found)
        return Schedule(written, tuple(spans), zone)

    def _each(
        self, key: str, words: tuple[str, ...], read: Callable[[str], T]
    ) -> Iterable[T]:
        found: list[T] = []
        for place, word in enumerate(words):
            try:
                found.append(read(word))
            except ValueError as error:
                self._problems.append(self.problem(key, place, str(error)))
        return found

    def note(self, key: str, text: str) -> None:
        """Add a problem with *key*."""
        self._problems.append(self.problem(key, 0, text))

    def problem(self, key: str, place: int, text: str) -> Problem:
        """Return what is wrong with the word at *place* of *key*."""
        lines = self._rule.lines
        line = lines.get(key, self._rule.where)
        where = lines.get(f"{key}[{place}]", line)  # where it is another line
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return Problem(where, f"rules[{self._number - 1}].{key}", shown)


def read_headers(headers: schema.Headers | None) -> Headers | None:
    """Return *headers* as a verdict has them."""
    return None if headers is None else Headers(headers.remove, headers.set)


def read_limit(limit: schema.Limit) -> Limit:
    """Return *limit* as a verdict has it."""
    return Limit(
        per=Per(limit.per),
        rate=limit.rate,
        up=limit.up,
        down=limit.down,
        quotas=limit.quota,
        connections=limit.connections,
        requests=limit.requests,
    )


def read_deed(word: str, words: Words) -> str:
    """Read one word of ``do`` as `rule.deeds` writes it.

    A method that has no action is taken as it stands, unless it looks like a slip.
    Raises ValueError, which names the cure.
    """
    protocols = words.protocols
    name, colon, method = word.partition(":")
    if not colon and (word == "*" or word in ACTIONS or word in protocols):
        return word
    if name in LATER_PROTOCOLS and name not in protocols:
        raise ValueError(f'"{word}": {name} {LATER}')
    if not colon or name not in protocols:
        raise ValueError(_unknown_deed(name, colon, protocols))
    known = protocols[name]
    upper = method.upper()
    if method in ACTIONS or (method.lower() in ACTIONS and upper not in known):
        cure = f'write "{method.lower()}"'
        if upper in known:
            cure += f', or "{name}:{upper}" for this one method of {name}'
        raise ValueError(f'"{word}": {method} is an action: {cure}')
    if not method.isascii() or not method.isalnum():
        raise ValueError(f'"{word}" has no method: write "{name}", or "{name}:METHOD"')
    if upper in known:
        return f"{name}:{upper}"
    if cure := words.unasked.get(name, {}).get(upper, ""):
        raise ValueError(f'"{word}": no rule is asked about {upper}; {cure}')
    for meant in known:
        if is_slip(upper, meant):
            raise ValueError(f'"{word}": did you mean "{name}:{meant}"?')
    return f"{name}:{upper}"


def _unknown_deed(name: str, colon: str, protocols: Protocols) -> str:
    choices = list(protocols) if colon else [*ACTIONS, *protocols]
    methods = [
        f"{protocol}:{name.upper()}"
        for protocol, known in protocols.items()
        if name.upper() in known
    ]
    near = methods or get_close_matches(name.lower(), choices, 1)
    if near:
        return f'"{name}" is unknown: did you mean "{near[0]}"?'
    kind = "a protocol" if colon else "an action or a protocol"
    return f'"{name}" is not {kind}; these are: {" ".join(choices)}'


def is_slip(word: str, meant: str) -> bool:
    """Say whether *word* is *meant* with two letters swapped, or one more or less."""
    if len(word) == len(meant):
        pairs = range(len(word) - 1)
        return any(word == swap(meant, n) for n in pairs)
    longer, shorter = (word, meant) if len(word) > len(meant) else (meant, word)
    return any(longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer)))


def swap(word: str, place: int) -> str:
    """Return *word* with the letters at *place* and after it swapped."""
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _read_target(word: str, lists: Lists) -> Target:
    if word.startswith("@"):
        return Target(word, Place.LIST, listed=find_list(word, lists))
    return read_target(word)


def _read_listed_client(word: str, lists: Lists) -> Client:
    listed = find_list(word, lists)
    if len(listed.domains):
        raise ValueError(f'"{word}" holds domains: a client is known by networks')
    return Client(word, By.LIST, listed.name, listed=listed)


def find_list(word: str, lists: Lists) -> NamedList:
    """Return the list that ``@NAME`` means. Raises ValueError, which names the cure."""
    name = word[1:]
    if name in lists:
        return lists[name]
    cure = nearest(name, lists).replace('"', '"@', 1)
    cure = cure or "; name its file in a table [list.NAME]"
    raise ValueError(f'there is no list "{word}"{cure}')
