"""``portway init``: a configuration to begin with, and what is to be done beside it.

Not here: its text, which is config/starter.toml, and the packet filter's rules
(capturing.py). Invariant: a file that exists is left as it is.
"""

import re
from pathlib import Path

import click

from portway.cli.capturing import filter_rules, transparent_doors
from portway.cli.common import WRONG_USAGE, config_option, fail
from portway.config.load import STARTER, embedded
from portway.prepare import configured

USUAL = Path("portway.toml")
INTERFACE = re.compile(r"[^\s\"/]{1,15}", re.ASCII)  # as long as the kernel has them


@click.command()
@click.argument(
    "file",
    type=click.Path(path_type=Path),
    required=False,
)
@config_option
@click.option(
    "--transparent",
    is_flag=True,
    help="Print, for the transparent listeners in FILE, the rules for nft -f.",
)
@click.option(
    "--interface",
    default="",
    metavar="NAME",
    help="With --transparent: the network card that clients are behind.",
)
def init(
    file: Path | None, path: Path | None, *, transparent: bool, interface: str
) -> None:
    """Write a commented starter configuration to FILE (portway.toml)."""
    if transparent:
        _print_rules(file or path or USUAL, interface)
        return
    file = file or USUAL
    if interface:
        fail("--interface goes with --transparent", WRONG_USAGE)
    text = embedded(STARTER).replace("-c portway.toml", f"-c {file.name}")
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        text = f"{file}: exists, and is left as it is; name another file"
        fail(text, WRONG_USAGE)
    click.echo(f"Wrote {file}. Read it, then: portway check -c {file}")


def _print_rules(file: Path, interface: str) -> None:
    if interface and not INTERFACE.fullmatch(interface):
        fail(f"{interface}: no name of a network card", WRONG_USAGE)
    configuration = configured(file)
    if not transparent_doors(configuration):
        text = 'has no listener with mode = "transparent"; write one first'
        fail(f"{file}: {text}", WRONG_USAGE)
    click.echo("\n".join(filter_rules(configuration, interface)))
