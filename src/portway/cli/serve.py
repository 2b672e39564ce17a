"""``portway serve``: run the gateway in the foreground."""

from pathlib import Path

import click

from portway import app, log
from portway.cli.common import config_option


@click.command()
@config_option
@click.option(
    "--loop",
    type=click.Choice(["auto", "asyncio", "uvloop"]),
    default="auto",
    help="The event loop; auto takes uvloop if it is installed.",
)
def serve(path: Path | None, loop: str) -> int:
    """Run the gateway until it gets SIGTERM; SIGHUP reloads the configuration."""
    log.set_up()
    return app.serve(path, loop)
