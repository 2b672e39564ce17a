"""``portway kick``: end a session of the running gateway."""

from pathlib import Path

import click

from portway.cli.common import config_option, fail
from portway.control import request
from portway.ledger.formats import shown
from portway.prepare import configured


@click.command()
@config_option
@click.argument("session", metavar="ID")
def kick(path: Path | None, session: str) -> None:
    """End the session ID, or the one whose id begins so; its client is told."""
    state = Path(configured(path).gateway.state)
    answer = request(state, "kick", {"id": session})
    lines = [shown(line) for line in answer.lines]
    if not answer.done:
        fail("\n".join(lines))
    for line in lines:
        click.echo(line)
