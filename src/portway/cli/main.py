"""The ``portway`` program: its commands, and what becomes of their errors.

Not here: what a command does; each has a file of its name beside this one.
"""

import sys
from collections.abc import Sequence

import click

import portway
from portway.cli.ca import ca
from portway.cli.check import check
from portway.cli.common import WRONG_USAGE
from portway.cli.explain import explain
from portway.cli.init import init
from portway.cli.kick import kick
from portway.cli.log import log
from portway.cli.reload import reload
from portway.cli.replay import replay
from portway.cli.serve import serve
from portway.cli.sessions import sessions
from portway.cli.user import user
from portway.errors import ConfigurationError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    portway.__version__, prog_name="portway", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Portway, the door between a LAN and the outside."""


for command in (
    *(serve, init, check, explain, replay, log),
    *(sessions, kick, user, reload, ca),
):
    cli.add_command(command)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command that *words* name; return the exit code."""
    try:
        code = cli.main(words, standalone_mode=False)
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        return WRONG_USAGE
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        click.echo(f"portway: {error.format_message()}{hint}", err=True)
        return WRONG_USAGE
    except click.ClickException as error:
        click.echo(f"portway: {error.format_message()}", err=True)
        return error.exit_code
    except click.Abort:
        return 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"portway: {where}{error.strerror or error}", err=True)
        return 1
    return code if isinstance(code, int) else 0


def run() -> None:
    """Be the program."""
    sys.exit(main())
