"""``portway reload``: let the running gateway take its configuration anew."""

from pathlib import Path

import click

from portway.cli.common import WRONG_USAGE, config_option
from portway.control import request
from portway.prepare import configured


@click.command()
@config_option
@click.option(
    "--recheck", is_flag=True, help="End the sessions that the new rules refuse."
)
def reload(path: Path | None, *, recheck: bool) -> int:
    """Take the configuration anew, whole or not at all; open sessions go on."""
    state = Path(configured(path).gateway.state)
    answer = request(state, "reload", {"recheck": recheck})
    for line in answer.lines:
        click.echo(line, err=not answer.done)
    return 0 if answer.done else WRONG_USAGE
