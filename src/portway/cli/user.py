"""``portway user``: the gateway's own accounts.

Not here: how they are kept (users.local). Invariant: a password is never an argument,
never shown, and never empty.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from portway.cli.common import WRONG_USAGE, config_option, fail, json_option, print_json
from portway.prepare import prepare
from portway.users import local
from portway.users.directory import fault, normal
from portway.users.local import AccountExists, AccountFile, NoSuchAccount


@click.group()
def user() -> None:
    """Local accounts; a running gateway sees a change at once."""


@user.command()
@config_option
@click.argument("name")
def add(path: Path | None, name: str) -> None:
    """Make the account NAME; its password is asked for, or read from a pipe."""
    if wrong := fault(name):
        fail(f"{name!r}: {wrong}", WRONG_USAGE)
    accounts = opened(path)
    if accounts.knows(name):
        fail(exists(name))
    password = ask()
    try:
        accounts.add(name, password)
    except AccountExists:
        fail(exists(name))


@user.command()
@config_option
@click.argument("name")
def passwd(path: Path | None, name: str) -> None:
    """Give the account NAME another password."""
    accounts = opened(path)
    if not accounts.knows(name):
        fail(unknown(name))
    password = ask()
    known(name, lambda: accounts.set_password(name, password))


@user.command()
@config_option
@click.argument("name")
def remove(path: Path | None, name: str) -> None:
    """Remove the account NAME."""
    accounts = opened(path)
    known(name, lambda: accounts.remove(name))


@user.command(name="list")
@config_option
@json_option
def list_(path: Path | None, *, as_json: bool) -> None:
    """Show the accounts."""
    for account in opened(path).accounts():
        if as_json:
            print_json({"name": account.name, "enabled": account.enabled})
        else:
            click.echo(account.name if account.enabled else f"{account.name}  disabled")


def opened(path: Path | None) -> AccountFile:
    """Return the accounts of the gateway that *path* configures."""
    state = prepare(path).configuration.gateway.state
    return AccountFile(Path(state) / local.NAME)


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
