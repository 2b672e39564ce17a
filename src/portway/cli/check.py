"""``portway check``: whether a configuration is right, and what it means.

Not here: what makes it right (config, policy.compile). Invariant: nothing is opened but
the configuration, and nothing is changed.
"""

from pathlib import Path

import click

from portway.cli.capturing import filter_rules, transparent_doors
from portway.cli.common import WRONG_USAGE, config_option, json_option, print_json
from portway.config.checks import is_loopback
from portway.config.reverse import ReverseSettings
from portway.config.schema import Configuration, Group, Listener
from portway.errors import ConfigurationError, Problem
from portway.policy.clients import By
from portway.policy.explain import describe
from portway.policy.lists import NamedList
from portway.policy.review import review
from portway.prepare import Prepared, prepare
from portway.users.roster import account_names, unreadable

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
        prepared = prepare(path, accounts=names_here)
    except ConfigurationError as error:
        if not as_json:
            raise
        for problem in error.problems:
            print_json(
                {"problem": problem.text, "key": problem.key, "where": problem.where}
            )
        return WRONG_USAGE
    warnings = (
        *strangers(path, prepared),
        *unknown_accounts(prepared.configuration),
        *nobody_logs_in(prepared),
        *risky(prepared.configuration),
        *review(prepared.rules),
    )
    rules = describe(prepared.rules)
    if as_json:
        _print_objects(prepared, rules)
        for one in warnings:
            print_json({"warning": one.text, "key": one.key, "where": one.where})
    else:
        _print_words(prepared, rules)
        _print_warnings(warnings)
    return 0


def names_here(configuration: Configuration) -> frozenset[str] | None:
    """Return the names of all accounts, if the gateway has ever run here."""
    there = Path(configuration.gateway.state).exists()
    return account_names(configuration) if there else None


def strangers(path: Path | None, prepared: Prepared) -> tuple[Problem, ...]:
    """Return the users that rules name and that are no accounts, as warnings.

    They are so where the gateway has never run, as there can be no account there.
    """
    if Path(prepared.configuration.gateway.state).exists():
        return ()
    try:
        prepare(path, accounts=account_names, files=prepared.files)
    except ConfigurationError as error:
        return error.problems
    return ()


def unknown_accounts(configuration: Configuration) -> tuple[Problem, ...]:
    """Return the warning that users could not be checked, where they could not be."""
    path = unreadable(configuration)
    if not path:
        return ()
    text = "cannot be read, so whether the users in rules exist was not checked"
    return (Problem(path, "", text),)


def nobody_logs_in(prepared: Prepared) -> tuple[Problem, ...]:
    """Return a warning for each rule that names users where nobody can log in."""
    if any(one.login != "none" for one in prepared.configuration.listeners):
        return ()
    text = 'knows its clients by their login, and every listener has login = "none"'
    return tuple(
        Problem(
            rule.where, f"rules[{rule.number - 1}].who", f"{text}: it never matches"
        )
        for rule in prepared.rules.rules
        if rule.who.words and all(word.by is By.USER for word in rule.who.words)
    )


def risky(configuration: Configuration) -> tuple[Problem, ...]:
    """Return warnings of what a listener allows and hardly wants."""
    return tuple(
        Problem(listener.where, f"listen.{listener.name}.{risk.key}", risk.text)
        for listener in configuration.listeners
        for risk in listener.settings.risks
    )


def _print_warnings(warnings: tuple[Problem, ...]) -> None:
    if warnings:
        click.echo("\nWarnings:")
    for problem in warnings:
        click.echo(f"  {problem}")


def _print_words(prepared: Prepared, rules: list[str]) -> None:
    configuration = prepared.configuration
    click.echo(f"{configuration.path or 'The embedded default'}: no problems.")
    click.echo(f"State: {configuration.gateway.state}")
    for name, listed in prepared.lists.items():
        click.echo(f"List @{name}: {list_words(listed)}")
    click.echo("\nListeners:")
    for listener in configuration.listeners:
        click.echo(f"  {listener.name}: {_words(listener)}")
    if configuration.groups:
        click.echo("\nGroups:")
    for group in configuration.groups:
        click.echo(f"  {group.name}: {_members(group)} ({group.where})")
    _print_rules(rules)
    if transparent_doors(configuration):
        click.echo("\nThe packet filter has to bring clients in, as nft -f reads it:")
        for line in filter_rules(configuration):
            click.echo(f"  {line}")


def _print_rules(rules: list[str]) -> None:
    if not rules:
        click.echo("\nNo rules: every request is denied.")
        return
    click.echo("\nRules; the first that matches decides, what none matches is denied:")
    for number, text in enumerate(rules, 1):
        click.echo(f"  {number}. {text}")


def _members(group: Group) -> str:
    if not group.members:
        return "whose account belongs to it"
    return f"{counted(len(group.members), 'member')}, and whose account belongs to it"


def list_words(listed: NamedList) -> str:
    """Return what a list holds, and the first of the lines that were left out."""
    counts = []
    if len(listed.domains):
        counts.append(counted(len(listed.domains), "domain"))
    if listed.ranges.networks:
        counts.append(counted(listed.ranges.networks, "network"))
    words = " and ".join(counts) or "nothing"
    if listed.bad:
        first = listed.bad[0]
        left_out = counted(listed.bad_lines, "line")
        words += f"; {left_out} left out, the first is {first.line}: {first.text}"
    return words


def counted(number: int, word: str) -> str:
    """Return *number* of what *word* names one of."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _words(listener: Listener) -> str:
    at = " and ".join(map(str, listener.address))
    near = all(map(is_loopback, listener.address))
    reach = "for this machine alone" if near else "for other machines too"
    mode = "" if listener.mode == "forward" else f", {listener.mode}"
    servers = servers_of(listener)
    leads = f" to {' or '.join(servers)}" if servers else ""
    words = f"{listener.protocol} on {at}{mode}{leads}, {reach}"
    own = "".join(f"; {more}" for more in listener.settings.in_words)
    return f"{words}; {LOGIN[listener.login]}{own}"


def servers_of(listener: Listener) -> list[str]:
    """Return the servers that a reverse door leads to, each of them once."""
    settings = listener.settings
    if listener.mode != "reverse" or not isinstance(settings, ReverseSettings):
        return []
    routed = [server for route in settings.route for server in route.servers]
    found = map(settings.read_server, (*settings.servers, *routed))
    return list(dict.fromkeys(map(str, found)))


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
                "servers": servers_of(listener),
            }
        )
    for group in prepared.configuration.groups:
        print_json(
            {"group": group.name, "where": group.where, "members": group.members}
        )
    if transparent_doors(prepared.configuration):
        print_json({"nft": filter_rules(prepared.configuration)})
    for file in prepared.configuration.lists:
        listed = prepared.lists[file.name]
        print_json(
            {
                "list": file.name,
                "where": file.where,
                "path": file.path,
                "domains": len(listed.domains),
                "networks": listed.ranges.networks,
                "left_out": listed.bad_lines,
            }
        )
    for rule, text in zip(prepared.rules.rules, rules, strict=True):
        print_json({"rule": rule.name, "where": rule.where, "text": text})
