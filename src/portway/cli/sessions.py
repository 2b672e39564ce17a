"""``portway sessions``: who is in, and what they do just now.

Not here: what the gateway tells (control.LiveSession). Invariant: a session is one
line, whatever its client sent.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import msgspec

from portway.cli.common import config_option, json_option, print_json
from portway.cli.log import amount
from portway.control import NO_ARGUMENTS, LiveSession, stream
from portway.ledger.formats import local, shown
from portway.model import Endpoint
from portway.prepare import configured

SHORTEST = 10  # digits of an id: those that tell the time
HEAD = (
    *("ID", "SINCE", "LISTENER", "CLIENT", "USER", "SERVER", "UP", "DOWN"),
    *("RULE", "NOW"),
)
RIGHT = {"UP", "DOWN"}


@click.command()
@config_option
@json_option
def sessions(path: Path | None, *, as_json: bool) -> None:
    """Show the sessions that go on; "portway kick ID" ends one."""
    gateway = configured(path).gateway
    zone = ZoneInfo(gateway.timezone) if gateway.timezone else None
    asking = stream(Path(gateway.state), "sessions", NO_ARGUMENTS, LiveSession)
    if as_json:
        for session in asking:
            print_json(as_object(session, zone))
        return
    found = list(asking)
    digits = distinct([session.id for session in found])
    rows = [cells(session, digits, zone) for session in found]
    for line in table([HEAD, *rows]):
        click.echo(line)


def as_object(session: LiveSession, zone: tzinfo | None) -> dict[str, object]:
    """Return *session* as JSON has it, the time as in the log."""
    given: dict[str, object] = msgspec.to_builtins(session)
    moment = local(session.since, zone).isoformat(timespec="milliseconds")
    return {**given, "since": moment}


def distinct(ids: Sequence[str]) -> int:
    """Return how many digits tell each of *ids* from all others."""
    longest = max(map(len, ids), default=SHORTEST)
    for digits in range(SHORTEST, longest):
        if max(Counter(one[:digits] for one in ids).values()) == 1:
            return digits
    return longest


def cells(session: LiveSession, digits: int, zone: tzinfo | None) -> tuple[str, ...]:
    """Return what the table shows of *session*."""
    server = Endpoint(session.host, session.port)
    return (
        session.id[:digits],
        f"{local(session.since, zone):%m-%d %H:%M:%S}",
        session.listener,
        str(Endpoint(session.client, session.client_port)),
        session.user or "-",
        str(server) if session.host else "-",
        amount(session.bytes_up),
        amount(session.bytes_down),
        session.rule or "-",
        f"{session.method} {session.path}".strip() or "-",
    )


def table(rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Return *rows* as lines with their columns one below the other."""
    clean = [[shown(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        parts = (
            text.rjust(width) if name in RIGHT else text.ljust(width)
            for name, text, width in zip(HEAD, row, widths, strict=True)
        )
        yield " ".join(parts).rstrip()
