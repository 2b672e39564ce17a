"""``portway explain``: the verdict for one request, and how it came about.

Not here: deciding, and its words (policy). Invariant: nothing is resolved, dialled or
recorded; what depends on an address is told as such, and what is this machine's is what
it is now, on the machine that explains.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import click

from portway.cli.common import config_option, json_option, print_json
from portway.config.report import nearest
from portway.config.schema import Configuration
from portway.ledger.formats import shown as printable
from portway.lines import shown
from portway.model import Access, Action, Identity, IPAddress, Reason, Verdict
from portway.net.doors import LOOPBACK, Doors, is_local
from portway.net.guard import fold, is_inside
from portway.policy.clients import read_mac
from portway.policy.compile import is_slip
from portway.policy.explain import (
    Explanation,
    client_words,
    destination_words,
    limits_of,
    time_words,
)
from portway.policy.explain import explain as explain_access
from portway.policy.rules import Ruleset
from portway.prepare import prepare
from portway.protocols.ftp.wire import resolve_path
from portway.protocols.registry import PROTOCOLS
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

NAMING = "CONNECT"  # the method that names a server; LOGIN is another word for it


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
    what = f"{access.method} {access.protocol}://{destination_words(access)}"
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


def read_access(
    method: str, url: str, client: IPAddress, identity: Identity, rules: Ruleset
) -> Access:
    """Return the question that METHOD and URL are. Raises UsageError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:
        # it is not repeated: what was meant for a port may be a password
        text = "URL is not a URL: write ftp://HOST/PATH, or ftp://HOST:PORT/PATH"
        raise click.UsageError(text) from error
    protocol = PROTOCOLS.get(parts.scheme)
    if protocol is None or not host:
        names = ", ".join(f"{name}://" for name in PROTOCOLS)
        text = f"URL must begin with a protocol of this version, {names} and a host"
        raise click.UsageError(text)
    method, action = _read_method(protocol.name, method, rules)
    raw = parts.path
    raw += f"?{parts.query}" if parts.query else ""
    raw += f"#{parts.fragment}" if parts.fragment else ""
    path = shown(resolve_path(b"/", unquote_to_bytes(raw))) if raw else ""
    address = _address_of(host)
    return Access(
        protocol=protocol.name,
        client=client,
        user=identity.user,
        groups=identity.groups,
        action=action,
        method=method,
        host=str(address or host.removesuffix(".")),
        port=port or protocol.port,
        address=address,
        path="" if method == NAMING else path,
    )


def _address_of(host: str) -> IPAddress | None:
    try:
        return fold(ip_address(host))
    except ValueError:
        return None


def _read_method(protocol: str, word: str, rules: Ruleset) -> tuple[str, Action]:
    known = PROTOCOLS[protocol].methods
    method = NAMING if word.upper() == "LOGIN" else word.upper()
    if method in known:
        return method, known[method]
    if method == NAMING or rules.names_method(protocol, method):
        return method, Action.CONNECT
    near = [name for name in known if is_slip(method, name)]
    near = near or get_close_matches(method, known, 1)
    cure = f'did you mean "{near[0]}"?' if near else f"those are {' '.join(known)}"
    text = f'{protocol} has no method "{word}" that rules are asked about'
    raise click.UsageError(f"{text}; {cure}")


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
    }
