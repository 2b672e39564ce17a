"""``portway sessions``: who is in, what they do just now, and where there is room.

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
from portway.control import NO_ARGUMENTS, LiveServer, LiveSession, stream
from portway.ledger.formats import local, shown
from portway.model import Endpoint
from portway.prepare import configured

SHORTEST = 10  # digits of an id: those that tell the time
HEAD = (
    *("ID", "SINCE", "LISTENER", "CLIENT", "USER", "SERVER", "UP", "DOWN"),
    *("RULE", "NOW"),
)
SERVERS = ("LISTENER", "SERVER", "STATE", "SESSIONS")
RIGHT = {"UP", "DOWN", "SESSIONS"}


@click.command()
@config_option
@json_option
@click.option("--servers", is_flag=True, help="Show the servers of reverse doors.")
def sessions(path: Path | None, *, as_json: bool, servers: bool) -> None:
    """Show the sessions that go on; "portway kick ID" ends one."""
    gateway = configured(path).gateway
    if servers:
        show_servers(Path(gateway.state), as_json=as_json)
        return
    zone = ZoneInfo(gateway.timezone) if gateway.timezone else None
    asking = stream(Path(gateway.state), "sessions", NO_ARGUMENTS, LiveSession)
    if as_json:
        for session in asking:
            print_json(as_object(session, zone))
        return
    found = list(asking)
    digits = distinct([session.id for session in found])
    rows = [cells(session, digits, zone) for session in found]
    for line in table(HEAD, rows):
        click.echo(line)


def show_servers(state: Path, *, as_json: bool) -> None:
    """Show the servers of all reverse doors, and how each of them is."""
    asking = stream(state, "servers", NO_ARGUMENTS, LiveServer)
    if as_json:
        for server in asking:
            print_json(msgspec.to_builtins(server))
        return
    rows = [
        (one.listener, str(Endpoint(one.host, one.port)), one.state, str(one.sessions))
        for one in asking
    ]
    for line in table(SERVERS, rows):
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


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Return *head* and *rows* as lines with their columns one below the other."""
    clean = [[shown(text) for text in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        parts = (
            text.rjust(width) if name in RIGHT else text.ljust(width)
            for name, text, width in zip(head, row, widths, strict=True)
        )
        yield " ".join(parts).rstrip()
