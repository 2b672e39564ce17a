"""``portway reload``: let the running gateway take its configuration anew."""

from pathlib import Path

import click

from portway.cli.common import WRONG_USAGE, config_option
from portway.control import request
from portway.prepare import prepare


@click.command()
@config_option
def reload(path: Path | None) -> int:
    """Take the configuration anew, whole or not at all; open sessions go on."""
    state = Path(prepare(path).configuration.gateway.state)
    answer = request(state, "reload")
    for line in answer.lines:
        click.echo(line, err=not answer.done)
    return 0 if answer.done else WRONG_USAGE
