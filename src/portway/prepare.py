"""A configuration with its rules compiled, or everything that is wrong with it.

Not here: acting on it. Invariant: what is prepared can be served; what cannot be is
refused as a whole, with all of its problems at once.
"""

from dataclasses import dataclass
from pathlib import Path

from portway.config.load import load
from portway.config.schema import Configuration
from portway.errors import ConfigurationError
from portway.policy.compile import compile_rules
from portway.policy.rules import Ruleset
from portway.protocols.registry import METHODS, SETTINGS


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration, and the rules that it makes."""

    configuration: Configuration
    rules: Ruleset


def prepare(path: Path | None) -> Prepared:
    """Read *path*, or the embedded default. Raises ConfigurationError."""
    configuration, problems = load(path, SETTINGS)
    rules, more = compile_rules(
        configuration.rules,
        timezone=configuration.gateway.timezone,
        protocols=METHODS,
    )
    if problems or more:
        raise ConfigurationError((*problems, *more))
    return Prepared(configuration, rules)
