"""``portway replay``: what a new configuration would make of what was recorded.

Not here: judging (replay.py). Invariant: the ledger is only read, nothing is resolved,
and what cannot be known is said, not guessed.
"""

import contextlib
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from portway.cli.common import config_option, json_option, print_json
from portway.cli.log import quiet_end, understood
from portway.ledger import store
from portway.ledger.choice import source_of
from portway.ledger.formats import local, shown
from portway.ledger.query import Reader
from portway.model import Verdict
from portway.prepare import prepare
from portway.protocols.registry import PROTOCOLS
from portway.recorded import COLUMNS, Row
from portway.replay import Change, Changed, Group, Replay, Unasked

COUNTED = {
    Change.SAME: "the same",
    Change.DENIED: "newly denied",
    Change.ALLOWED: "newly allowed",
    Change.ALLOWED_BY: "allowed by another rule",
    Change.DENIED_BY: "denied by another rule",
}
BEFORE = {
    Change.DENIED: "were allowed by",
    Change.ALLOWED: "were denied by",
    Change.ALLOWED_BY: "were by",
    Change.DENIED_BY: "were by",
}
LEFT_OUT = {
    Unasked.OTHER: "were refused by something else than a rule",
    Unasked.ADDRESS: "depend on an address that was never looked up",
    Unasked.UNRESOLVED: "were not decided: their host had no address",
    Unasked.ANONYMOUS: "are old enough to be anonymous",
    Unasked.GROUPS: "are of clients in more groups than a record holds",
    Unasked.UNKNOWN: "are of a protocol without rules",
}
CANNOT = """\
Not known: what limits, quotas and a content filter would have done; what clients would
have done instead. Addresses are those of then, as are the groups of accounts."""
MACS = "MAC addresses are known only where a rule of then had asked for one."


@click.command()
@config_option
@json_option
@click.option("--since", default="7d", show_default=True, help="From then on: 1h, 7d.")
@click.option("--until", default="", help="Until then.")
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OLD",
    help="The configuration whose state folder has the ledger.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The state folder that has the ledger.",
)
@click.option("--user", default="", help="Of this user.")
@click.option("--from", "client", default="", help="Of this address, or network.")
@click.option("--host", default="", help="To this host: a name, *.example.org.")
@click.option("--protocol", default="", help="Of this protocol: ftp.")
@click.option("--verdict", type=click.Choice(["allow", "deny"]), default=None)
@click.option("--method", default="", help="With this method: STOR.")
@click.option("--path", "resource", default="", help="Of this path: /in/*.")
def replay(
    path: Path | None,
    *,
    as_json: bool,
    against: Path | None,
    state: Path | None,
    **asked: str,
) -> None:
    """Say which recorded requests the rules of -c NEW would decide otherwise.

    The ledger is that of NEW's state folder, unless another one is named.
    """
    if against is not None and state is not None:
        raise click.UsageError("--against and --state both name a ledger: give one")
    prepared = prepare(path)
    gateway = prepared.configuration.gateway
    zone = ZoneInfo(gateway.timezone) if gateway.timezone else None
    if state is None:
        old = (prepared if against is None else prepare(against)).configuration
        reader = source_of(old.ledger, Path(old.gateway.state))
    else:
        reader = Reader(state / store.NAME)
    work = Replay(prepared.rules, PROTOCOLS)
    with contextlib.closing(reader), quiet_end():
        for changed in work.run(reader.rows(understood(asked, zone), COLUMNS)):
            if as_json:
                print_json(as_object(changed, zone))
        if as_json:
            print_json(summary(work, zone))
            return
        if not work.total:
            click.echo("no requests were recorded in that time; try a longer --since")
            return
        for line in lines(work, zone):
            click.echo(shown(line))


# For people.


def lines(work: Replay, zone: tzinfo | None) -> Iterator[str]:
    """Yield what came of it, for a person."""
    first, last = (
        f"{local(at, zone):%Y-%m-%d %H:%M}" for at in (work.first, work.last)
    )
    yield f"{counted(work.total, 'request')} from {first} to {last}"
    for change, words in COUNTED.items():
        if work.counts[change] or change in {
            Change.SAME,
            Change.DENIED,
            Change.ALLOWED,
        }:
            yield f"{work.counts[change]:>10,}  {words}"
    if work.unasked:
        yield f"{work.unasked.total():>10,}  not compared"
    order = list(COUNTED)
    groups = sorted(
        work.groups.values(), key=lambda one: (order.index(one.change), -one.count)
    )
    for group in groups:
        yield ""
        yield from group_lines(group, zone)
    yield ""
    if work.beyond:
        yield (
            f"{counted(work.beyond, 'request')} would not have come: their session's "
            "server would have been denied before."
        )
    for why, words in LEFT_OUT.items():
        yield from left_out_lines(work, why, words)
    yield from CANNOT.splitlines()
    if work.reads_macs:
        yield MACS


def group_lines(group: Group, zone: tzinfo | None) -> Iterator[str]:
    """Yield a group's rules, and examples where the verdict changes."""
    now = ruling(group.verdict.rule, group.verdict.rule_at)
    then = ruling(group.rule, group.rule_at)
    yield f"{COUNTED[group.change]}: by {now}; {BEFORE[group.change]} {then}"
    yield (
        f"  {counted(group.count, 'request')}, {counted(len(group.users), 'client')}, "
        f"{counted(len(group.hosts), 'host')}"
    )
    if group.change in {Change.ALLOWED_BY, Change.DENIED_BY}:
        return
    for row in group.examples:
        who = row.user or row.client
        yield f"  {local(row.time, zone):%m-%d %H:%M:%S} {who} {row.method} {row.url}"
    if group.count > len(group.examples):
        yield "  …"


def left_out_lines(work: Replay, why: Unasked, words: str) -> Iterator[str]:
    """Yield how many were not compared because of *why*."""
    found = {word: n for (one, word), n in work.unasked.items() if one is why}
    if found:
        each = ", ".join(f"{word} {n:,}" for word, n in found.items() if word)
        yield f"{counted(sum(found.values()), 'request')} {words}" + (
            f": {each}" if each else ""
        )


def ruling(rule: str, rule_at: str) -> str:
    """Return a rule with its place, or that there is none."""
    return f'"{rule}" ({rule_at})' if rule else "no rule"


def counted(count: int, word: str) -> str:
    """Return *count* with *word*, which is a plural where it must be."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


# For programs.


def as_object(changed: Changed, zone: tzinfo | None) -> dict[str, object]:
    """Return one change as the ``--json`` object."""
    row = changed.row
    return {
        "kind": "change",
        "change": changed.change,
        "id": row.id,
        "time": local(row.time, zone).isoformat(timespec="milliseconds"),
        "session": row.session,
        "protocol": row.protocol,
        "client": row.client,
        "user": row.user,
        "method": row.method,
        "url": row.url,
        "host": row.host,
        "port": row.port,
        "path": row.path,
        "then": then_object(row),
        "now": now_object(changed.verdict),
    }


def then_object(row: Row) -> dict[str, object]:
    """Return the verdict that was recorded."""
    return {
        "verdict": row.verdict,
        "rule": row.rule,
        "rule_at": row.rule_at,
        "reason": row.reason if row.verdict == "deny" else "",
    }


def now_object(verdict: Verdict) -> dict[str, object]:
    """Return the verdict of the new rules."""
    return {
        "verdict": "allow" if verdict.allowed else "deny",
        "rule": verdict.rule,
        "rule_at": verdict.rule_at,
        "reason": verdict.reason or "",
        "because": verdict.because,
    }


def summary(work: Replay, zone: tzinfo | None) -> dict[str, object]:
    """Return the sums as the last ``--json`` object."""
    unasked: dict[str, dict[str, int]] = {}
    for (why, word), count in work.unasked.items():
        unasked.setdefault(why, {})[word or "all"] = count
    times = {}
    if work.total:
        times = {
            name: local(at, zone).isoformat(timespec="milliseconds")
            for name, at in (("first", work.first), ("last", work.last))
        }
    return {
        "kind": "summary",
        "requests": work.total,
        **times,
        **{change.value: count for change, count in work.counts.items()},
        "would_not_have_come": work.beyond,
        "not_compared": unasked,
        "not_known": ["limits", "quotas", "filter", "consequences"],
    }
