"""``portway ca``: the certificate by which clients trust what interception shows them.

Not here: making leaves (net.authority). Invariant: the key is never read here, nor
shown; what is written is the certificate alone.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portway.cli.common import config_option, fail, json_option, print_json
from portway.ledger.formats import shown as printable
from portway.prepare import configured

if TYPE_CHECKING:
    from portway.net.authority import Shown

NONE_YET = (
    "there is no certificate authority yet; a gateway whose rules intercept makes it "
    "when it starts, and --make does so now"
)


@click.command()
@config_option
@json_option
@click.option("--make", is_flag=True, help="Make the authority, if there is none yet.")
@click.option(
    "--export",
    "form",
    type=click.Choice(["pem", "der"]),
    help="Write the certificate to standard output, for clients to import.",
)
def ca(path: Path | None, *, as_json: bool, make: bool, form: str | None) -> int:
    """Show, or export, the certificate of the interception authority."""
    # a library that no other command needs, and that is slow to load
    from portway.net import authority  # noqa: PLC0415 - see above

    if as_json and form:
        raise click.UsageError("--json and --export exclude each other")
    configuration = configured(path)
    state = Path(configuration.gateway.state)
    if make and not (state / authority.FOLDER).exists():
        now = datetime.now(UTC).timestamp()
        permitted = configuration.ca.permitted
        authority.make_authority(state, configuration.gateway.name, permitted, now)
    try:
        if form:
            sys.stdout.buffer.write(authority.export(state, form))
            sys.stdout.buffer.flush()
            return 0
        found = authority.show(state)
    except FileNotFoundError:
        fail(NONE_YET)
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json(found)
    else:
        _print_words(found)
    return 0


def _print_words(found: "Shown") -> None:
    for word, text in (
        ("certificate", found.path),
        ("subject", found.subject),
        ("SHA-256", found.fingerprint),
        ("valid", f"{found.begins:%Y-%m-%d} to {found.ends:%Y-%m-%d}"),
        ("for", ", ".join(found.permitted) or "any host"),
    ):
        click.echo(printable(f"{word + ':':13}{text}"))
