"""Limits in words: how much, and whose.

Not here: holding anybody to them (relay.limiter). Invariant: what is said is all that
the limit sets.
"""

from collections.abc import Iterator

from portway.members import Kind, member_of
from portway.model import Access, Limit, Per
from portway.units import Rate, Size, format_rate, format_size

BITS = {"Gbit": 10**9, "Mbit": 10**6, "kbit": 1000, "bit": 1}

EACH = {
    Per.USER: "each user",
    Per.CLIENT: "each client",
    Per.GROUP: "each group",
    Per.RULE: "all together",
}


def bounds(limit: Limit) -> list[str]:
    """Return how much: ``5 Mbit/s``, ``2 GB a day``, ``10 connections``."""
    return [*_bounds(limit)]


def _bounds(limit: Limit) -> Iterator[str]:
    if limit.rate is not None:
        yield speed(limit.rate)
    if limit.up is not None:
        yield f"{speed(limit.up)} up"
    if limit.down is not None:
        yield f"{speed(limit.down)} down"
    for quota in limit.quotas:
        yield f"{format_size(Size(quota.bytes))} a {quota.period}"
    if limit.connections is not None:
        yield counted(limit.connections, "connection")
    if limit.requests is not None:
        yield f"{counted(limit.requests, 'request')} a minute"


def counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def speed(rate: float) -> str:
    """Return bytes a second in the unit that needs the smaller number."""
    bits = round(rate * 8)
    unit = next(unit for unit, size in BITS.items() if bits % size == 0)
    in_bits = f"{bits // BITS[unit]} {unit}/s"
    if bits % 8:
        return in_bits
    in_bytes = format_rate(Rate(rate))
    return min(in_bits, in_bytes, key=lambda text: int(text.partition(" ")[0]))


def member(limit: Limit, access: Access, group: str) -> str:
    """Return whose the limit is for *access*: ``user "alice"``, ``client 10.0.0.7``.

    *group* is the verdict's.
    """
    found = member_of(limit.per, access, group)
    if found.kind is Kind.ALL:
        return "all whom the rule allows, together"
    if found.kind is Kind.CLIENT:
        return f"client {found.name}"
    return f'{found.kind} "{found.name}"'
