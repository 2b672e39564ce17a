"""``portway log``: the request log, searched and followed.

Not here: the search itself (ledger.query) and the formats of log files
(ledger.formats). Invariant: a record is printed as one line, and the ledger is only
read.
"""

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from portway.cli.common import config_option, json_option
from portway.ledger.choice import source_of
from portway.ledger.filters import Source
from portway.ledger.formats import CSV_HEAD, FORMATS, csv_line, local, shown
from portway.ledger.query import Filters, follow
from portway.model import Outcome, Record
from portway.prepare import prepare
from portway.units import parse_seconds

POLL = 0.5  # seconds between two looks, following
CATCHING_UP = 500  # records that came with one look: there may be more
SHOWN_FIRST = 10  # records, before what follows
WIDTH = 100  # columns, where a terminal does not tell
NARROWEST = 20  # what is left to a URL at least
RULE_ROOM = 12  # what a rule may take from it

HEAD = (
    *("TIME", "CLIENT", "USER", "METHOD", "URL"),
    *("BYTES", "SECS", "RESULT", "RULE"),
)

_SCHEME = re.compile("^[A-Za-z]+://")

Line = Callable[[Record], str | None]


@click.command()
@config_option
@json_option
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--user", default="", help="Of this user.")
@click.option("--from", "client", default="", help="Of this address, or network.")
@click.option("--host", default="", help="To this host: a name, *.example.org.")
@click.option("--protocol", default="", help="Of this protocol: ftp.")
@click.option("--verdict", type=click.Choice(["allow", "deny"]), default=None)
@click.option("--method", default="", help="With this method: STOR.")
@click.option("--path", "resource", default="", help="Of this path: /in/*.")
@click.option("--since", default="", help='From then on: 1h, 7d, "2026-11-23 10:00".')
@click.option("--until", default="", help="Until then.")
@click.option("--limit", type=click.IntRange(min=0), help="That many, the newest.")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on as they come.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json", "csv", "xferlog", "squid", "combined"]),
    default="table",
)
def log(  # noqa: PLR0913 - one for each kind of option
    path: Path | None,
    *,
    as_json: bool,
    following: bool,
    style: str,
    limit: int | None,
    texts: tuple[str, ...],
    **asked: str,
) -> None:
    """Search the request log; the newest comes last.

    TEXT is any part of a host and path, or of a user. Of several, all must be there.
    """
    configuration = prepare(path).configuration
    gateway = configuration.gateway
    zone = ZoneInfo(gateway.timezone) if gateway.timezone else None
    filters = replace(understood(asked, zone), limit=limit, texts=plain(texts))
    head, line = form("json" if as_json else style, zone)
    reader = source_of(configuration.ledger, Path(gateway.state))
    with contextlib.closing(reader), quiet_end():
        out = sys.stdout.buffer
        if head:
            out.write(f"{head}\n".encode())
        for records in pages(reader, filters, following=following):
            for record in records:
                text = line(record)
                if text is not None:
                    out.write(f"{text}\n".encode(errors="replace"))
            out.flush()


def pages(
    reader: Source, filters: Filters, *, following: bool
) -> Iterator[Iterable[Record]]:
    """Yield what there is, and then, *following*, what comes, for ever."""
    if not following:
        yield reader.search(filters)
        return
    if filters.limit is None and filters.since is None:
        filters = replace(filters, limit=SHOWN_FIRST)
    newest = reader.newest()
    yield reader.search(filters, up_to=newest)
    for new in follow(reader, filters, newest):
        yield new
        if len(new) < CATCHING_UP:
            time.sleep(POLL)


@contextlib.contextmanager
def quiet_end() -> Iterator[None]:
    """Take Ctrl-C, and a reader that has seen enough, for the end."""
    try:
        yield
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # what is still buffered must not fail once more as the program ends
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def understood(asked: dict[str, str], zone: tzinfo | None) -> Filters:
    """Return the options as filters. Raises click.BadParameter."""
    now = datetime.now(UTC).timestamp()
    return Filters(
        user=asked["user"],
        client=network(asked["client"]),
        host=asked["host"],
        protocol=asked["protocol"],
        verdict=asked["verdict"] or "",
        method=asked["method"],
        path=asked["resource"],
        since=moment(asked["since"], now, zone, "since"),
        until=moment(asked["until"], now, zone, "until"),
    )


def plain(texts: Iterable[str]) -> tuple[str, ...]:
    """Return *texts* without the scheme of an URL, which no host or path has."""
    return tuple(filter(None, (_SCHEME.sub("", text) for text in texts)))


def network(text: str) -> IPv4Network | IPv6Network | None:
    """Return the network, or the one address, that *text* is."""
    if not text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        wrong = f"{text!r} is neither an address nor a network such as 10.0.0.0/8"
        raise click.BadParameter(wrong, param_hint="--from") from None


def moment(text: str, now: float, zone: tzinfo | None, option: str) -> float | None:
    """Return when *text* is: so long ago, or a date in *zone*, in epoch seconds."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return now - parse_seconds(text)
    try:
        then = datetime.fromisoformat(text)
        if then.tzinfo is None:
            then = then.replace(tzinfo=zone)
        return then.timestamp()
    except (ValueError, OverflowError):
        wrong = f'{text!r} is neither so long ago (1h, 7d) nor a date ("2026-11-23")'
        raise click.BadParameter(wrong, param_hint=f"--{option}") from None


# The forms a record is printed in.


def form(style: str, zone: tzinfo | None) -> tuple[str, Line]:
    """Return the line that goes first, or nothing, and how the others are made."""
    if style == "csv":
        return CSV_HEAD, lambda record: csv_line(record, zone)
    if style != "table":
        write = FORMATS[style]
        return "", lambda record: write(record, zone)
    width = None
    if sys.stdout.isatty():
        width = shutil.get_terminal_size((WIDTH, 0)).columns
    return columns(HEAD, width), lambda record: columns(cells(record, zone), width)


def cells(record: Record, zone: tzinfo | None) -> list[str]:
    """Return what the table shows of *record*."""
    return [
        f"{local(record.time, zone):%m-%d %H:%M:%S}",
        record.client,
        record.user or "-",
        record.method or "-",
        record.url or "-",
        amount(record.bytes_up + record.bytes_down),
        f"{record.duration:.1f}",
        ending(record),
        ruling(record),
    ]


def ending(record: Record) -> str:
    """Return how it ended; where it failed, with the server's own code."""
    code = record.status if record.outcome is Outcome.FAILED else ""
    return f"{record.outcome.value} {code}".rstrip()


def ruling(record: Record) -> str:
    """Return the rule that decided, and why it did not end well."""
    reason = "" if record.reason in {"", "rule"} else f"({record.reason})"
    return " ".join(filter(None, (record.rule, reason))) or "-"


def amount(count: int) -> str:
    """Return so many bytes in at most five characters: ``1.5M`` is 1.5 MiB."""
    size = float(count)
    for unit in ("", "K", "M", "G"):
        if size < 999.5:
            return f"{size:.1f}{unit}" if unit and size < 99.95 else f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


# The least width of each column on either side of the URL, the last one's is its own.
_BEFORE = (14, 13, 6, 7)
_AFTER = (5, 5, 10)


def columns(texts: Sequence[str], width: int | None) -> str:
    """Return *texts* side by side, the URL cut where *width* is not enough."""
    *before, url, count, seconds, ending, rule = map(shown, texts)
    left = [text.ljust(size) for text, size in zip(before, _BEFORE, strict=True)]
    right = [count.rjust(_AFTER[0]), seconds.rjust(_AFTER[1]), ending.ljust(_AFTER[2])]
    room = NARROWEST
    if width is not None:
        taken = sum(len(text) + 1 for text in (*left, *right))
        room = max(room, width - taken - 1 - min(len(rule), RULE_ROOM))
        url = cut(url, room)
    line = " ".join([*left, url.ljust(room), *right, rule])
    return line if width is None else cut(line, width)


def cut(text: str, width: int) -> str:
    """Return *text* in at most *width* columns."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
