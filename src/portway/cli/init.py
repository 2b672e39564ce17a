"""``portway init``: a configuration to begin with.

Not here: its text, which is config/starter.toml. Invariant: a file that exists is left
as it is.
"""

from pathlib import Path

import click

from portway.cli.common import WRONG_USAGE, fail
from portway.config.load import STARTER, embedded


@click.command()
@click.argument(
    "file",
    type=click.Path(path_type=Path),
    default=Path("portway.toml"),
    required=False,
)
def init(file: Path) -> None:
    """Write a commented starter configuration to FILE (portway.toml)."""
    text = embedded(STARTER).replace("-c portway.toml", f"-c {file.name}")
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        text = f"{file}: exists, and is left as it is; name another file"
        fail(text, WRONG_USAGE)
    click.echo(f"Wrote {file}. Read it, then: portway check -c {file}")
