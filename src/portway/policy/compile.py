"""Rules as they are written, made into rules that can be asked.

Not here: TOML, keys that are empty or unknown (config), and what the words mean once
they were read (match.py, schedule.py).
Invariant: a rule is never taken for less, or for more, than it says; a word that is
not understood is a problem, and all problems are found at once.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from difflib import get_close_matches
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portway.config import schema
from portway.errors import Problem
from portway.model import Action
from portway.policy.match import IPNetwork, Target, read_networks, read_target
from portway.policy.rules import Clients, Rule, Ruleset, Targets
from portway.policy.schedule import Schedule, Span, read_spans

Protocols = Mapping[str, Mapping[str, Action]]

ACTIONS = tuple(action.value for action in Action)
LATER_PROTOCOLS = ("http", "socks", "smtp", "pop3", "dns", "tcp", "udp")
LATER_CLIENTS = ("group:", "mac:", "@")
LATER = "is not available in this version"

T = TypeVar("T")


def compile_rules(
    rules: tuple[schema.Rule, ...], *, timezone: str, protocols: Protocols
) -> tuple[Ruleset, tuple[Problem, ...]]:
    """Make *rules* into a `Ruleset`; with problems, it must not be used.

    *timezone* is that of the rules' times; empty is the machine's. *protocols* gives
    for each its methods, and for each method its action.
    """
    problems: list[Problem] = []
    zone = _zone(timezone, problems)
    compiled = [
        _Reader(number, rule, problems).read(zone, protocols)
        for number, rule in enumerate(rules, 1)
    ]
    return Ruleset(compiled, zone), tuple(problems)


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
        self._number = number
        self._rule = rule
        self._problems = problems

    def read(self, zone: tzinfo | None, protocols: Protocols) -> Rule:
        rule = self._rule
        return Rule(
            number=self._number,
            name=rule.name or f"rule {self._number}",
            where=rule.where,
            who=self._who(),
            do=frozenset(self._each("do", rule.do, lambda w: read_deed(w, protocols))),
            to=Targets(self._each("to", rule.to, _read_target)),
            when=self._when(zone),
            allows=rule.then == "allow",
            because=rule.because,
        )

    def _who(self) -> Clients:
        users: set[str] = set()
        networks: list[IPNetwork] = []
        for client in self._each("who", self._rule.who, read_client):
            if isinstance(client, str):
                users.add(client)
            else:
                networks.extend(client)
        return Clients(
            self._rule.who,
            everyone="*" in self._rule.who,
            users=users,
            networks=tuple(networks),
        )

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
        for word in words:
            try:
                found.append(read(word))
            except ValueError as error:
                self._note(key, str(error))
        return found

    def _note(self, key: str, text: str) -> None:
        where = self._rule.lines.get(key, self._rule.where)
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        self._problems.append(Problem(where, f"rules[{self._number - 1}].{key}", line))


def read_client(word: str) -> str | tuple[IPNetwork, ...]:
    """Read one word of ``who``: a user's name, or networks; ``*`` gives none.

    Raises ValueError, which names the cure.
    """
    if word == "*":
        return ()
    if word.startswith(LATER_CLIENTS):
        raise ValueError(f'"{word}" {LATER}')
    kind, colon, name = word.partition(":")
    if kind == "user" and colon:
        if not name:
            raise ValueError('"user:" has no name: write "user:alice"')
        return name
    try:
        return read_networks(word)
    except ValueError as error:
        if "." in word or ":" in word or "/" in word:
            raise
        raise ValueError(
            f'"{word}" is neither "*" nor an address: a user is written "user:{word}"'
        ) from error


def read_deed(word: str, protocols: Protocols) -> str:
    """Read one word of ``do`` as `rules.deeds` writes it.

    A method that has no action is taken as it stands, unless it looks like a slip.
    Raises ValueError, which names the cure.
    """
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
    if upper not in known:
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


def _read_target(word: str) -> Target:
    if word.startswith("@"):
        raise ValueError(f'"{word}" {LATER}')
    return read_target(word)
