"""What the commands share: their options, how they print, and how they fail.

Not here: any command. Invariant: what goes wrong is said in one line for each thing
that is wrong, and ends with 1 if it went wrong while running, with 2 if it was asked
for wrongly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

WRONG_USAGE = 2

Command = Callable[..., Any]


def config_option(command: Command) -> Command:
    """Add ``-c FILE``; the command gets *path*, None for the embedded default."""
    return click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="PORTWAY_CONFIG",
        metavar="FILE",
        help="The configuration; without it, the embedded default.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``; the command gets *as_json*."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object a line."
    )(command)


def print_json(value: object) -> None:
    """Print *value*, of which msgspec knows how to make JSON, as one line."""
    click.echo(msgspec.json.encode(value))


def fail(text: str, code: int = 1) -> NoReturn:
    """Say what is wrong in one line on standard error, and end."""
    click.echo(f"portway: {text}", err=True)
    raise SystemExit(code)
