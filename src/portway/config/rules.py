"""The tables of the policy: ``[[rules]]`` with their limits, and ``[group.NAME]``.

Not here: what their words mean (policy.compile, policy.groups). Invariant: each rule
that was written yields one, so that they keep their numbers.
"""

import re
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

from msgspec import structs

from portway.config.decode import (
    decode_fields,
    decode_struct,
    read_table,
    refuse_others,
)
from portway.config.locate import Path
from portway.config.report import Report, quoted
from portway.config.schema import Group, Headers, Limit, Rule
from portway.config.values import kind_of, read_text

_RULE_FIELDS = [
    field for field in structs.fields(Rule) if field.name not in {"where", "lines"}
]
# No type of a field says what these may be: a table or a list of them, free names.
_PLAIN_FIELDS = [
    field for field in _RULE_FIELDS if field.name not in {"limit", "headers"}
]
_WITH_ALLOW = ("tunnel", "intercept", "headers")  # and nothing to a rule that denies
# The field names that the gateway answers for: RFC 9110, sections 7.2 and 7.6; framing.
_NOT_SETTABLE = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # a token: section 5.6.2
_GROUP_FIELDS = [field for field in structs.fields(Group) if field.name == "members"]
_BOUNDS = ("rate", "up", "down", "quota", "connections", "requests")


def decode_rules(document: dict[str, Any], report: Report) -> Iterator[Rule]:
    """Yield one rule for each that was written."""
    rules = document.get("rules", [])
    if not isinstance(rules, list):
        report.wrong(("rules",), "must be a list; each rule begins with [[rules]]")
        return
    for place, value in enumerate(rules):
        path: Path = ("rules", place)
        where = report.where(path)
        table = read_table(value, path, report)
        if table is None:
            yield Rule(where=where, lines={}, then="deny")
            continue
        refuse_others(table, [one.encode_name for one in _RULE_FIELDS], path, report)
        found = decode_fields(_PLAIN_FIELDS, table, path, report)
        if "limit" in table:
            here = (*path, "limit")
            found["limit"] = tuple(_decode_limits(table["limit"], here, report))
            if found.get("then") == "deny":
                text = 'a rule that denies limits nobody; it goes with then = "allow"'
                report.wrong(here, text)
        if "headers" in table:
            here = (*path, "headers")
            found["headers"] = _decode_headers(table["headers"], here, report)
        for key in _WITH_ALLOW:
            if key in table and found.get("then") == "deny":
                text = "a rule that denies has no use for it; take it out"
                report.wrong((*path, key), text)
        lines = dict(_lines(table, path, report))
        yield Rule(where=where, lines=lines, **({"then": "deny"} | found))


def _lines(
    table: dict[str, object], path: Path, report: Report
) -> Iterator[tuple[str, str]]:
    """Yield where each key stands, and the words of its list on other lines."""
    for key, value in table.items():
        line = report.where((*path, key))
        yield key, line
        for place in range(len(value) if isinstance(value, list) else 0):
            own = report.where((*path, key, place))
            if own != line:
                yield f"{key}[{place}]", own


def _decode_limits(value: object, path: Path, report: Report) -> Iterator[Limit]:
    if isinstance(value, dict):
        limits = [(path, value)]
    elif isinstance(value, list):
        limits = [((*path, place), one) for place, one in enumerate(value)]
        if not value:
            report.wrong(path, "is empty, and limits nothing; leave it out")
    else:
        text = f'a table, as in {{ rate = "5 Mbit/s" }}, not {kind_of(value)}'
        report.wrong(path, text)
        return
    for here, one in limits:
        limit = decode_struct(Limit, one, here, report)
        if limit is None:
            continue
        _check_limit(limit, here, report)
        yield limit


def _decode_headers(value: object, path: Path, report: Report) -> Headers | None:
    table = read_table(value, path, report)
    if table is None:
        return None
    refuse_others(table, ["remove", "set"], path, report)
    remove = table.get("remove", [])
    settings = read_table(table.get("set", {}), (*path, "set"), report) or {}
    if not isinstance(remove, list):
        report.wrong((*path, "remove"), f"must be a list, not {kind_of(remove)}")
        remove = []
    for name in (*remove, *settings):
        here = (*path, "set" if name in settings else "remove")
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            report.wrong(here, f"{quoted(str(name))} is no name of an HTTP field")
        elif name.lower().replace("_", "-") in _NOT_SETTABLE:
            report.wrong(here, f"{quoted(name)} is the gateway's own; take it out")
    for name, text in settings.items():
        try:
            read_text(text)
        except ValueError as error:
            report.wrong((*path, "set", name), str(error))
    if not report.touches(path) and not remove and not settings:
        report.wrong(path, "changes nothing; leave it out")
    pairs = tuple((str(name), str(text)) for name, text in settings.items())
    return Headers(remove=tuple(map(str, remove)), set=pairs)


def _check_limit(limit: Limit, path: Path, report: Report) -> None:
    if not report.touches(path) and not any(getattr(limit, key) for key in _BOUNDS):
        report.wrong(path, f"limits nothing; add one of: {' '.join(_BOUNDS)}")
    periods = [quota.period for quota in limit.quota]
    for place, period in enumerate(periods):
        if period in periods[:place]:
            text = f"has two amounts for a {period}; leave one of them"
            report.wrong((*path, "quota", place), text)


def decode_groups(document: dict[str, Any], report: Report) -> Iterator[Group]:
    """Yield the groups that *document* declares."""
    tables = read_table(document.get("group", {}), ("group",), report)
    for name, value in (tables or {}).items():
        path: Path = ("group", name)
        _check_name(name, path, report)
        table = read_table(value, path, report)
        if table is None:
            continue
        refuse_others(table, [one.encode_name for one in _GROUP_FIELDS], path, report)
        found = decode_fields(_GROUP_FIELDS, table, path, report)
        members = found.get("members", ())
        lines = [report.where((*path, "members", n)) for n in range(len(members))]
        yield Group(
            name=normalize("NFC", name),  # as accounts and the words of rules are
            where=report.where(path),
            members=members,
            lines=tuple(lines),
        )


def _check_name(name: str, path: Path, report: Report) -> None:
    try:
        read_text(name)
    except ValueError as error:
        report.wrong(path, str(error))
        return
    if not name or name != name.strip() or "," in name:
        text = f"{quoted(name)} is no name for a group; write one like [group.lab]"
        report.wrong(path, text)
