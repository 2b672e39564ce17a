"""A configuration with its rules compiled, or everything that is wrong with it.

Not here: acting on it. Invariant: what is prepared can be served; what cannot be is
refused as a whole, with all of its problems at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from portway.config.checks import is_loopback, key_path
from portway.config.load import load
from portway.config.locate import Path as KeyPath
from portway.config.locate import locate
from portway.config.report import Report
from portway.config.reverse import ReverseSettings
from portway.config.schema import Configuration, Listener, Wrong
from portway.errors import ConfigurationError, Problem
from portway.listfiles import ListFiles
from portway.net.contexts import TlsContexts
from portway.policy.compile import compile_rules
from portway.policy.groups import compile_groups
from portway.policy.lists import NamedList
from portway.policy.openness import open_rule
from portway.policy.routes import Farms, farms_of
from portway.policy.rules import Ruleset
from portway.privileges import account_of
from portway.protocols.ftp.unasked import UNASKED
from portway.protocols.registry import METHODS, PROTOCOLS, SETTINGS
from portway.users.inspection import inspect

Found = list[tuple[KeyPath, str]]  # keys, and what is wrong with them
Accounts = Callable[[Configuration], frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration, the rules that it makes, and the lists by their names.

    *files* remembers the files of the lists. *contexts* has what TLS demands at each
    listener, by its name, and *farms* the servers of each reverse one.
    """

    configuration: Configuration
    rules: Ruleset
    lists: Mapping[str, NamedList]
    files: ListFiles
    contexts: Mapping[str, TlsContexts] = field(default_factory=dict)
    farms: Mapping[str, Farms] = field(default_factory=dict)


def prepare(
    path: Path | None,
    *,
    accounts: Accounts | None = None,
    files: ListFiles | None = None,
) -> Prepared:
    """Read *path*, or the embedded default. Raises ConfigurationError.

    *accounts* tells which users there are, or None where it cannot: without it, a rule
    may name a user who does not exist. *files* knows the lists that were read before.
    """
    configuration, problems = load(path, SETTINGS)
    files = files or ListFiles()
    lists, unread = files.read(configuration.lists)
    rules, more = _compile(configuration, lists, accounts)
    contexts, bad = _contexts(configuration)
    farms, lost = _farms(configuration)
    unfit = (*inspect(configuration), *bad, *lost, *_no_such_user(configuration))
    if not (problems or unread or more):  # what is wrong might be what limits
        unfit = (*_open_doors(configuration, rules), *unfit)
    if problems or unread or more or unfit:
        raise ConfigurationError(by_line((*problems, *unread, *more, *unfit)))
    return Prepared(configuration, rules, lists, files, contexts, farms)


def by_line(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return *problems* in the order of their lines, file by file."""

    def place(problem: Problem) -> tuple[str, int]:
        file, _, line = problem.where.rpartition(":")
        return (file, int(line)) if line.isdecimal() else (problem.where, 0)

    files = list(dict.fromkeys(place(problem)[0] for problem in problems))
    return tuple(
        sorted(problems, key=lambda p: (files.index(place(p)[0]), place(p)[1]))
    )


def configured(path: Path | None) -> Configuration:
    """Read *path* as `prepare` does, for what needs no rules: lists are not read."""
    configuration, problems = load(path, SETTINGS)
    _, more = _compile(configuration, {})
    if problems or more:
        raise ConfigurationError(by_line((*problems, *more)))
    return configuration


def renew(prepared: Prepared) -> tuple[Prepared, tuple[Problem, ...]]:
    """Read the lists of *prepared* again; return it as it was if none could be taken.

    A list that is wrong now stays as it was. Beside it stands all that is wrong.
    """
    configuration = prepared.configuration
    found, problems = prepared.files.read(configuration.lists)
    lists = {**prepared.lists, **found}
    if all(lists[name] is known for name, known in prepared.lists.items()):
        return prepared, problems
    rules, more = _compile(configuration, lists)
    if more:
        return prepared, (*problems, *more)
    return replace(prepared, rules=rules, lists=lists), problems


def _contexts(
    configuration: Configuration,
) -> tuple[dict[str, TlsContexts], tuple[Problem, ...]]:
    """Read the certificates and keys of all listeners; what is wrong with them too."""
    made: dict[str, TlsContexts] = {}
    found: Found = []
    for listener in configuration.listeners:
        contexts, wrong = PROTOCOLS[listener.protocol].contexts(listener)
        made[listener.name] = contexts
        found += [(_at(listener, one), one.text) for one in wrong]
    return made, _located(configuration, found)


def _farms(
    configuration: Configuration,
) -> tuple[dict[str, Farms], tuple[Problem, ...]]:
    """Return the servers of all reverse doors, and what is wrong with their routes."""
    made: dict[str, Farms] = {}
    found: Found = []
    groups = compile_groups(configuration.groups, [])
    for listener in configuration.listeners:
        settings = listener.settings
        if listener.mode == "reverse" and isinstance(settings, ReverseSettings):
            farms, wrong = farms_of(settings, groups)
            found += [(_at(listener, one), one.text) for one in wrong]
            if farms is not None:
                made[listener.name] = farms
    return made, _located(configuration, found)


def _no_such_user(configuration: Configuration) -> tuple[Problem, ...]:
    """Return what is wrong with whom the gateway is to go on as."""
    if configuration.gateway.user:
        try:
            account_of(configuration.gateway.user)
        except ValueError as error:
            return _located(configuration, [(("gateway", "user"), str(error))])
    return ()


def _at(listener: Listener, wrong: Wrong) -> KeyPath:
    return "listen", listener.name, *key_path(wrong.key)


def _open_doors(configuration: Configuration, rules: Ruleset) -> tuple[Problem, ...]:
    """Return the listeners that would be an open proxy.

    They can be reached from another machine, nobody must log in, and a rule lets
    everyone go anywhere. Those that lead to our own servers alone are none.
    """
    rule = open_rule(rules.rules)
    if rule is None:
        return ()
    found: Found = []
    for listener in configuration.listeners:
        far = [one for one in listener.address if not is_loopback(one)]
        anywhere = listener.settings.leads_anywhere(listener)
        if not far or not anywhere or listener.login == "required":
            continue
        text = (
            f"an open proxy: {far[0]} can be reached from other machines, and "
            f'"{rule.name}" ({rule.where}) lets everyone in; limit its who, as in '
            'who = ["192.168.1.0/24"], or write login = "required"'
        )
        found.append((("listen", listener.name, "address"), text))
    return _located(configuration, found)


def _located(
    configuration: Configuration, found: Sequence[tuple[KeyPath, str]]
) -> tuple[Problem, ...]:
    """Return what was found at keys as problems with their lines."""
    if not found:
        return ()
    try:
        text = Path(configuration.path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        text = ""
    report = Report(configuration.path, locate(text))
    for key, words in found:
        report.wrong(key, words)
    return report.problems()


def _compile(
    configuration: Configuration,
    lists: Mapping[str, NamedList],
    accounts: Accounts | None = None,
) -> tuple[Ruleset, tuple[Problem, ...]]:
    unread = {file.name: NamedList(file.name) for file in configuration.lists}
    return compile_rules(
        configuration.rules,
        timezone=configuration.gateway.timezone,
        protocols=METHODS,
        groups=configuration.groups,
        unasked={"ftp": UNASKED},
        accounts=partial(accounts, configuration) if accounts else None,
        lists={**unread, **lists},
    )
