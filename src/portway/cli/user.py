"""``portway user``: the gateway's own accounts.

Not here: how they are kept (users.accounts). Invariant: a password is never an
argument, never shown, and never empty.
"""

import re
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from portway.cli.common import WRONG_USAGE, config_option, fail, json_option, print_json
from portway.config.report import nearest
from portway.config.schema import Configuration
from portway.ledger.formats import local
from portway.prepare import prepare
from portway.units import parse_seconds
from portway.users import accounts as file
from portway.users.accounts import (
    Account,
    AccountExists,
    AccountFile,
    Change,
    NoSuchAccount,
    Role,
)
from portway.users.directory import fault, normal

NEVER = 0.0  # as `Change` has it
WHEN = '"2026-12-31", "2026-12-31 18:00", "30d" from now, or "never"'

_LENGTH = re.compile(r"[0-9.]+ *[a-z]+")

Command = Callable[..., None]


def group_option(name: str, words: str) -> Callable[[Command], Command]:
    """Return the option ``--group G`` or ``--no-group G``."""
    parameter = name.removeprefix("--").replace("-", "_") + "s"
    return click.option(
        name, parameter, metavar="G", multiple=True, help=f"{words}; repeatable."
    )


role_option = click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    help="What the account may do on the dashboard.",
)
expires_option = click.option(
    "--expires", metavar="WHEN", default="", help=f"{WHEN}; a date's day is the last."
)


@click.group()
def user() -> None:
    """Local accounts; a running gateway sees a change at once."""


@user.command()
@config_option
@group_option("--group", "A [group.G] that the account belongs to")
@role_option
@expires_option
@click.argument("name")
def add(
    path: Path | None,
    groups: tuple[str, ...],
    role: str | None,
    expires: str,
    name: str,
) -> None:
    """Make the account NAME; its password is asked for, or read from a pipe."""
    if wrong := fault(name):
        fail(f"{name!r}: {wrong}", WRONG_USAGE)
    configuration = prepare(path).configuration
    account = Account(
        name,
        role=Role(role or Role.USER),
        expires=read_end(expires, configuration) or None,
        groups=frozenset(declared(groups, configuration)),
    )
    accounts = opened(configuration)
    if accounts.knows(name):
        fail(exists(name))
    password = ask()
    try:
        accounts.add(account, password)
    except AccountExists:
        fail(exists(name))


@user.command()
@config_option
@click.argument("name")
def passwd(path: Path | None, name: str) -> None:
    """Give the account NAME another password; its sessions end."""
    accounts = opened(prepare(path).configuration)
    if not accounts.knows(name):
        fail(unknown(name))
    password = ask()
    known(name, lambda: accounts.set_password(name, password))


@user.command()
@config_option
@group_option("--group", "A [group.G] that the account is to belong to")
@group_option("--no-group", "One that it is to leave")
@role_option
@expires_option
@click.option(
    "--enable/--disable", "enabled", default=None, help="Let it log in again, or not."
)
@click.argument("name")
def change(  # noqa: PLR0913 - the command's own options, by name
    path: Path | None,
    *,
    groups: tuple[str, ...],
    no_groups: tuple[str, ...],
    role: str | None,
    expires: str,
    enabled: bool | None,
    name: str,
) -> None:
    """Change groups, role, expiry, or whether the account NAME may log in."""
    configuration = prepare(path).configuration
    if not (groups or no_groups or role or expires or enabled is not None):
        fail('nothing to change; "portway user change --help" shows what', WRONG_USAGE)
    if both := sorted({*groups} & {*no_groups}):
        text = f'group "{both[0]}" is to be joined and left; name it once'
        fail(text, WRONG_USAGE)
    wanted = Change(
        join=declared(groups, configuration),
        leave=no_groups,  # one that is declared no more can be left
        role=Role(role) if role else None,
        expires=read_end(expires, configuration),
        enabled=enabled,
    )
    accounts = opened(configuration)
    known(name, lambda: accounts.change(name, wanted))


@user.command()
@config_option
@click.argument("name")
def remove(path: Path | None, name: str) -> None:
    """Remove the account NAME; its sessions end."""
    accounts = opened(prepare(path).configuration)
    known(name, lambda: accounts.remove(name))


@user.command(name="list")
@config_option
@json_option
def list_(path: Path | None, *, as_json: bool) -> None:
    """Show the accounts, with what is not as usual."""
    configuration = prepare(path).configuration
    for account in opened(configuration).accounts():
        if as_json:
            print_json(as_object(account, configuration))
        else:
            click.echo("  ".join([account.name, *remarks(account, configuration)]))


def as_object(account: Account, configuration: Configuration) -> dict[str, object]:
    """Return *account* as its line of JSON."""
    ends = account.expires
    return {
        "name": account.name,
        "enabled": account.enabled,
        "role": account.role,
        "groups": sorted(account.groups),
        "expires": ends and local(ends, zone_of(configuration)).isoformat(),
    }


def remarks(account: Account, configuration: Configuration) -> Iterable[str]:
    """Yield what there is to say of *account*, beside its name."""
    if account.groups:
        yield "groups " + ", ".join(sorted(account.groups))
    if account.role is not Role.USER:
        yield f"role {account.role}"
    if account.expires is not None:
        ends = local(account.expires, zone_of(configuration))
        word = "expires" if ends > datetime.now(ends.tzinfo) else "expired"
        yield f"{word} {ends:%Y-%m-%d %H:%M}"
    if not account.enabled:
        yield "disabled"


def zone_of(configuration: Configuration) -> ZoneInfo | None:
    """Return the gateway's time zone, None for the system's."""
    zone = configuration.gateway.timezone
    return ZoneInfo(zone) if zone else None


def declared(groups: tuple[str, ...], configuration: Configuration) -> tuple[str, ...]:
    """Return *groups*, if there are tables for them; else say which there are."""
    known_groups = [group.name for group in configuration.groups]
    for group in groups:
        if group not in known_groups:
            shown = ", ".join(known_groups) or "none"
            cure = nearest(group, known_groups) or f"; those declared are {shown}"
            fail(f'there is no group "{group}"{cure}', WRONG_USAGE)
    return groups


def read_end(text: str, configuration: Configuration) -> float | None:
    """Read ``--expires``: seconds since the epoch, NEVER, or None if it is left out."""
    if not text:
        return None
    if text == "never":
        return NEVER
    now = datetime.now(zone_of(configuration))
    try:
        if _LENGTH.fullmatch(text):
            return now.timestamp() + parse_seconds(text)
        ends = datetime.fromisoformat(text)
        if len(text) == len("2026-12-31"):
            ends = datetime.combine(date.fromisoformat(text) + timedelta(1), time())
    except (ValueError, OverflowError):
        fail(f"--expires {text!r}: no time; write {WHEN}", WRONG_USAGE)
    if ends.tzinfo is None:
        ends = ends.replace(tzinfo=zone_of(configuration))
    return ends.timestamp()


def opened(configuration: Configuration) -> AccountFile:
    """Return the accounts of the gateway that is configured so."""
    return AccountFile(Path(configuration.gateway.state) / file.NAME)


def known(name: str, change: Callable[[], None]) -> None:
    """Make a change to the account *name*, or say that there is none."""
    try:
        change()
    except NoSuchAccount:
        fail(unknown(name))


def exists(name: str) -> str:
    """Say that there is an account *name*."""
    name = normal(name)
    return f'the account {name!r} exists; "portway user passwd" changes its password'


def unknown(name: str) -> str:
    """Say that there is no account *name*."""
    return f'there is no account {name!r}; "portway user list" shows them all'


def ask() -> str:
    """Return the password: asked for twice at a terminal, else the line that comes."""
    source = sys.stdin
    try:
        if source.isatty():
            password = click.prompt("Password", default="", hide_input=True)
            if password:
                again = click.prompt("The same again", default="", hide_input=True)
                if again != password:
                    fail("the two passwords differ; nothing was changed")
        else:
            password = source.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("the password is no UTF-8; nothing was changed")
    if not password:
        fail("an empty password is refused; nothing was changed")
    return str(password)
