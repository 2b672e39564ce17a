"""``portway explain``: the verdict for one request, and how it came about.

Not here: deciding, and its words (policy). Invariant: nothing is resolved, dialled or
recorded; what depends on an address is told as such, and what is this machine's is what
it is now, on the machine that explains.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from ipaddress import ip_address
from pathlib import Path

import click

from portway.cli.asking import read_access
from portway.cli.common import config_option, json_option, print_json
from portway.config.report import nearest
from portway.config.schema import Configuration
from portway.ledger.formats import shown as printable
from portway.model import Access, Identity, IPAddress, Reason, Verdict
from portway.net.doors import LOOPBACK, Doors, is_local
from portway.net.guard import fold, is_inside
from portway.policy.clients import read_mac
from portway.policy.explain import (
    Explanation,
    client_words,
    destination_words,
    handling_words,
    limits_of,
    time_words,
)
from portway.policy.explain import explain as explain_access
from portway.prepare import prepare
from portway.users.directory import normal
from portway.users.roster import account_groups, unreadable

GUARD = {
    "outside": "outside",
    "inside": "inside: reached only where a rule names the inside, or it",
    "ours": "an address of this machine, which counts as inside",
    "loop": "a listener of the gateway itself, which it never reaches",
    "unresolved": "judged by the address that the name leads to; see --address",
    "": "none is named",
}


def read_address(text: str) -> IPAddress:
    """Read an IPv4 or IPv6 address. Raises BadParameter."""
    try:
        return fold(ip_address(text))
    except ValueError as error:
        raise click.BadParameter(f'"{text}" is not an IPv4 or IPv6 address') from error


def read_hardware(context: object, option: object, text: str) -> str:
    """Read a MAC address, or nothing. Raises BadParameter."""
    del context, option
    try:
        return read_mac(text) if text else ""
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@config_option
@json_option
@click.option("--user", default="", metavar="U", help="Who asks; else nobody known.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="G",
    help="A group of the user's, beside those of the local account; repeatable.",
)
@click.option(
    "--from",
    "client",
    type=read_address,
    default="127.0.0.1",
    show_default=True,
    metavar="IP",
    help="The client's address.",
)
@click.option(
    "--at", default="", metavar="TIME", help='As in "2026-11-23 10:00"; else now.'
)
@click.option(
    "--address", type=read_address, metavar="IP", help="What the host's name leads to."
)
@click.option(
    "--mac",
    default="",
    callback=read_hardware,
    metavar="MAC",
    help="The client's MAC address.",
)
@click.argument("method")
@click.argument("url")
def explain(  # noqa: PLR0913 - one for each word of the command line
    path: Path | None,
    *,
    as_json: bool,
    user: str,
    groups: tuple[str, ...],
    client: IPAddress,
    at: str,
    address: IPAddress | None,
    mac: str,
    method: str,
    url: str,
) -> int:
    """Say what the rules decide for METHOD URL, and which rule does.

    Names are not resolved: --address asks about an address of one.
    """
    prepared = prepare(path)
    rules, configuration = prepared.rules, prepared.configuration
    now = read_time(at, rules.zone)
    identity = read_identity(user, groups, configuration)
    access = replace(read_access(method, url, client, identity, rules), mac=mac)
    if address is not None:
        if access.address not in (None, address):
            raise click.UsageError("--address is for hosts that are named, not given")
        access = replace(access, address=address)
    guard = guard_of(access, configuration)
    explanation = explain_access(rules, access, now, ours=guard == "ours")
    if guard == "loop":
        loop = replace(explanation.verdict, allowed=False, reason=Reason.LOOP)
        explanation = replace(explanation, verdict=loop)
    if as_json:
        print_json(_object(explanation, access, now, guard))
        return 0
    moment = time_words(datetime.fromtimestamp(now, rules.zone))
    scheme = access.scheme or access.protocol
    what = f"{access.method} {scheme}://{destination_words(access)}"
    click.echo(printable(f"{client_words(access)} asks for {what} on {moment}"))
    for line in _lines(explanation, access, guard):
        click.echo(printable(line))
    return 0


def read_identity(
    user: str, groups: tuple[str, ...], configuration: Configuration
) -> Identity:
    """Return who *user* is, with the groups of the local account. Raises UsageError."""
    known = [group.name for group in configuration.groups]
    for name in map(normal, groups):
        if name not in known:
            cure = nearest(name, known) or f"; add [group.{name}]"
            raise click.UsageError(f'--group: there is no group "{name}"{cure}')
    own = account_groups(configuration, user) if user else None
    if user and own is None and (broken := unreadable(configuration)):
        text = f"--user: {broken} cannot be read, so no group of the account is known"
        click.echo(f"portway: {text}", err=True)
    belongs = frozenset(map(normal, groups)) | (own or frozenset())
    return Identity(normal(user), "password" if user else "", belongs)


def guard_of(access: Access, configuration: Configuration) -> str:
    """Return what the destination guard says of *access*, a word of GUARD; or nothing.

    It speaks for the gateway on this machine.
    """
    address = access.address
    if address is None:
        return "unresolved" if access.host else ""
    doors = Doors(
        (address, endpoint.port)
        for listener in configuration.listeners
        for endpoint in listener.address
        for address in ([endpoint.address] if endpoint.address else LOOPBACK.values())
    )
    if doors.is_ours(address, access.port):
        return "loop"
    if is_inside(address):
        return "inside"
    return "ours" if is_local(address) else "outside"


def read_time(text: str, zone: tzinfo | None) -> float:
    """Return *text* in seconds since the epoch; empty is now. Raises UsageError.

    Without an offset it is a time of *zone*, None being the machine's.
    """
    if not text:
        return datetime.now(UTC).timestamp()
    try:
        moment = datetime.fromisoformat(text)
        local = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        then = datetime.fromtimestamp(local.timestamp(), zone)  # not so at the ends
    except (ValueError, OverflowError) as error:
        cure = 'write "2026-11-23 10:00"'
        raise click.UsageError(f'--at: "{text}" is not a time: {cure}') from error
    if moment.tzinfo is None and then.replace(tzinfo=None) != moment:
        why = "the clocks are put forward over it"
        raise click.UsageError(f'--at: "{text}" never comes: {why}')
    return local.timestamp()


def _lines(explanation: Explanation, access: Access, guard: str) -> Iterator[str]:
    verdict, other, host = explanation.verdict, explanation.if_inside, access.host
    if not explanation.certain:
        yield f"It depends on the address of {host}, which --address gives:"
    everywhere = not verdict.allowed or other is None or _same(verdict, other)
    if other is None or (explanation.certain and everywhere):
        yield from _verdict_lines("", verdict, access)
    else:
        yield from _verdict_lines(f"if {host} is outside: ", verdict, access)
        yield from _verdict_lines(f"if {host} is inside: ", other, access)
    if guard != "unresolved" or verdict.allowed or (other and other.allowed):
        yield f"destination: {GUARD[guard]}"
    if explanation.passed_over:
        yield "passed over:"
    for rule in explanation.passed_over:
        yield f'  "{rule.rule}" ({rule.rule_at}): {rule.key}: {rule.why}'


def _same(one: Verdict, other: Verdict) -> bool:
    return (one.rule, one.rule_at) == (other.rule, other.rule_at)


def _verdict_lines(lead: str, verdict: Verdict, access: Access) -> Iterator[str]:
    word = "allowed" if verdict.allowed else "denied"
    if verdict.reason is Reason.LOOP:
        yield f"{lead}{word}: it leads back to the gateway, whatever the rules say"
    elif verdict.rule:
        yield f'{lead}{word} by "{verdict.rule}" ({verdict.rule_at})'
    elif verdict.reason is Reason.INSIDE:
        yield f"{lead}{word}: it is inside, and no rule matches that names it"
    else:
        yield f"{lead}{word}: no rule matches"
    if verdict.because:
        yield f"  because: {verdict.because}"
    if verdict.allowed:
        for limit in limits_of(verdict, access):
            yield f"  limit: {limit}"
        for words in handling_words(verdict.handling):
            yield f"  handling: {words}"


def _object(
    explanation: Explanation, access: Access, now: float, guard: str
) -> dict[str, object]:
    """Return *explanation* as the ``--json`` object."""
    other = explanation.if_inside
    return {
        **_verdict_object(explanation.verdict, access),
        "certain": explanation.certain,
        "if_inside": None if other is None else _verdict_object(other, access),
        "destination": guard,
        "passed_over": explanation.passed_over,
        "request": {
            "time": now,
            "protocol": access.protocol,
            "client": str(access.client),
            "mac": access.mac,
            "user": access.user,
            "groups": sorted(access.groups),
            "method": access.method,
            "action": access.action,
            "host": access.host,
            "port": access.port,
            "address": "" if access.address is None else str(access.address),
            "path": access.path,
        },
    }


def _verdict_object(verdict: Verdict, access: Access) -> dict[str, object]:
    return {
        "verdict": "allow" if verdict.allowed else "deny",
        "rule": verdict.rule,
        "rule_at": verdict.rule_at,
        "reason": verdict.reason or "",
        "because": verdict.because,
        "reaches_inside": verdict.reaches_inside,
        "group": verdict.group,
        "limits": limits_of(verdict, access) if verdict.allowed else (),
        "handling": verdict.handling._asdict() if verdict.allowed else {},
    }
