"""From a table of TOML to a frozen Struct, field by field.

`msgspec.convert` stops at the first thing that is wrong; people want all of them, each
with its line. So each field is read here by its type, and whatever is wrong goes to the
report while the rest is read on.

Not here: what is wrong between fields (checks.py). Invariant: no value that TOML can
give makes it raise; a field that is wrong is reported and keeps its default.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

from msgspec import Struct, UnsetType
from msgspec.structs import FieldInfo, fields

from portway.config import amounts, later, values
from portway.config.locate import Path
from portway.config.report import Report, nearest, quoted
from portway.config.secret import Secret, read_secret
from portway.config.stores import StoreAt, read_store
from portway.model import Endpoint, Quota
from portway.units import Rate, Seconds, Size

S = TypeVar("S", bound=Struct)


class _Wrong(Enum):
    """What stands for a value that was reported as wrong."""

    WRONG = "wrong"


WRONG: Final = _Wrong.WRONG

_READERS: Mapping[Any, Callable[[object], object]] = {
    str: values.read_text,
    bool: values.read_flag,
    int: values.read_number,
    Seconds: values.read_seconds,
    Size: values.read_size,
    Rate: values.read_rate,
    Endpoint: values.read_endpoint,
    range: values.read_ports,
    IPv4Address | IPv6Address: values.read_address,
    IPv4Network | IPv6Network: values.read_network,
    Secret: read_secret,
    StoreAt: read_store,
    amounts.Speed: amounts.read_speed,
    amounts.Count: amounts.read_count,
    amounts.Pace: amounts.read_pace,
    Quota: amounts.read_quota,
}


def decode_struct(kind: type[S], value: object, path: Path, report: Report) -> S | None:
    """Return *value*, a table of TOML at *path*, as a *kind*.

    None if it is no table, or lacks a key that must be there.
    """
    table = read_table(value, path, report)
    if table is None:
        return None
    known = fields(kind)
    refuse_others(table, [field.encode_name for field in known], path, report)
    found = decode_fields(known, table, path, report)
    if any(field.required and field.name not in found for field in known):
        return None
    return kind(**found)


def decode_fields(
    known: Iterable[FieldInfo], table: Mapping[str, object], path: Path, report: Report
) -> dict[str, Any]:
    """Return the values of those *known* fields that *table* has, and has right."""
    found: dict[str, Any] = {}
    for field in known:
        key = field.encode_name
        if key in table:
            value = _decode(field.type, table[key], (*path, key), report)
            if value is not WRONG:
                found[field.name] = value
        elif field.required:
            report.wrong((*path, key), f"is missing; {_wanted(field.type)}")
    return found


def read_table(value: object, path: Path, report: Report) -> dict[str, object] | None:
    """Return *value* if it is a table; else report it."""
    if isinstance(value, dict):
        return value
    report.wrong(path, f"must be a table, not {values.kind_of(value)}")
    return None


def refuse_others(
    table: Mapping[str, object], known: Iterable[str], path: Path, report: Report
) -> None:
    """Report the keys of *table* that are not *known*."""
    known = list(known)
    for key in table:
        here = (*path, key)
        if key in known:
            continue
        if later.is_later_key(here):
            report.wrong(here, later.TEXT)
        else:
            report.wrong(here, f"unknown key{nearest(key, known)}")


def _decode(kind: Any, value: object, path: Path, report: Report) -> Any:
    """Return *value* as a *kind*, or WRONG when the report has it."""
    if later.is_later_value(path, value):
        report.wrong(path, f"{quoted(str(value))} is {later.TEXT}")
        return WRONG
    kind = _without_none(kind)
    if get_origin(kind) is tuple:
        return _decode_list(get_args(kind)[0], value, path, report)
    if isinstance(kind, type) and issubclass(kind, Struct):
        found = decode_struct(kind, value, path, report)
        return WRONG if found is None else found
    try:
        if get_origin(kind) is Literal:
            return values.read_choice(value, get_args(kind))
        return _READERS[kind](value)
    except ValueError as error:
        report.wrong(path, str(error))
        return WRONG


def _decode_list(kind: Any, value: object, path: Path, report: Report) -> Any:
    """Return a tuple; a single text stands for a list of it alone."""
    if isinstance(value, str):
        one = _decode(kind, value, path, report)
        return WRONG if one is WRONG else (one,)
    if not isinstance(value, list):
        report.wrong(path, f"must be a list, not {values.kind_of(value)}")
        return WRONG
    found = [
        _decode(kind, element, (*path, place), report)
        for place, element in enumerate(value)
    ]
    return WRONG if WRONG in found else tuple(found)


def _without_none(kind: Any) -> Any:
    """Return *kind* without ``| None``: TOML says "none" by leaving a key out."""
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    members = [one for one in get_args(kind) if one not in {NoneType, UnsetType}]
    return Union[tuple(members)]  # noqa: UP007 - it is made of what was found


def _wanted(kind: Any) -> str:
    """Return what a missing key is to be, in words."""
    if get_origin(kind) is Literal:
        return "write " + " or ".join(map(quoted, get_args(kind)))
    return "it must be given"
