"""``portway check``: whether a configuration is right, and what it means.

Not here: what makes it right (config, policy.compile). Invariant: nothing is opened but
the configuration, and nothing is changed.
"""

from pathlib import Path

import click

from portway.cli.common import WRONG_USAGE, config_option, json_option, print_json
from portway.config.checks import is_loopback
from portway.config.schema import Configuration, Listener
from portway.errors import ConfigurationError
from portway.policy.explain import describe
from portway.prepare import Prepared, prepare

LOGIN = {
    "none": "no login to the proxy",
    "optional": "a login to the proxy if the client likes",
    "required": "only after a login to the proxy",
}


@click.command()
@config_option
@json_option
def check(path: Path | None, *, as_json: bool) -> int:
    """Validate the configuration; say what it means, or all that is wrong."""
    try:
        prepared = prepare(path)
    except ConfigurationError as error:
        if not as_json:
            raise
        for problem in error.problems:
            print_json(
                {"problem": problem.text, "key": problem.key, "where": problem.where}
            )
        return WRONG_USAGE
    rules = describe(prepared.rules)
    if as_json:
        _print_objects(prepared, rules)
    else:
        _print_words(prepared.configuration, rules)
    return 0


def _print_words(configuration: Configuration, rules: list[str]) -> None:
    click.echo(f"{configuration.path or 'The embedded default'}: no problems.")
    click.echo(f"State: {configuration.gateway.state}")
    click.echo("\nListeners:")
    for listener in configuration.listeners:
        click.echo(f"  {listener.name}: {_words(listener)}")
    if not rules:
        click.echo("\nNo rules: every request is denied.")
        return
    click.echo("\nRules; the first that matches decides, what none matches is denied:")
    for number, text in enumerate(rules, 1):
        click.echo(f"  {number}. {text}")


def _words(listener: Listener) -> str:
    at = " and ".join(map(str, listener.address))
    near = all(map(is_loopback, listener.address))
    reach = "for this machine alone" if near else "for other machines too"
    return f"{listener.protocol} on {at}, {reach}; {LOGIN[listener.login]}"


def _print_objects(prepared: Prepared, rules: list[str]) -> None:
    for listener in prepared.configuration.listeners:
        print_json(
            {
                "listener": listener.name,
                "where": listener.where,
                "protocol": listener.protocol,
                "address": list(map(str, listener.address)),
                "mode": listener.mode,
                "login": listener.login,
            }
        )
    for rule, text in zip(prepared.rules.rules, rules, strict=True):
        print_json({"rule": rule.name, "where": rule.where, "text": text})
