"""A configuration with its rules compiled, or everything that is wrong with it.

Not here: acting on it. Invariant: what is prepared can be served; what cannot be is
refused as a whole, with all of its problems at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from portway.config.load import load
from portway.config.schema import Configuration
from portway.errors import ConfigurationError, Problem
from portway.listfiles import ListFiles
from portway.policy.compile import compile_rules
from portway.policy.lists import NamedList
from portway.policy.rules import Ruleset
from portway.protocols.ftp.unasked import UNASKED
from portway.protocols.registry import METHODS, SETTINGS
from portway.users.inspection import inspect

Accounts = Callable[[Configuration], frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration, the rules that it makes, and the lists by their names.

    *files* remembers the files of the lists.
    """

    configuration: Configuration
    rules: Ruleset
    lists: Mapping[str, NamedList]
    files: ListFiles


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
    unfit = inspect(configuration)
    if problems or unread or more or unfit:
        raise ConfigurationError((*problems, *unread, *more, *unfit))
    return Prepared(configuration, rules, lists, files)


def configured(path: Path | None) -> Configuration:
    """Read *path* as `prepare` does, for what needs no rules: lists are not read."""
    configuration, problems = load(path, SETTINGS)
    _, more = _compile(configuration, {})
    if problems or more:
        raise ConfigurationError((*problems, *more))
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
    return Prepared(configuration, rules, lists, prepared.files), problems


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
