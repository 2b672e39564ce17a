"""Quantities as people write them: ``"64 KiB"``, ``"5 Mbit/s"``, ``"30s"``.

Not here: where they stand in a configuration. Invariant: whatever is read is a number
of seconds, of bytes, or of bytes a second, never negative and never endless, and what
is formatted reads back as the same number.
"""

import re
from fractions import Fraction
from typing import NewType

Seconds = NewType("Seconds", float)
Size = NewType("Size", int)  # bytes
Rate = NewType("Rate", float)  # bytes a second

# Largest first: a value is formatted in the first unit that divides it.
_MILLISECONDS = {
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_BYTES = {
    "PiB": 1 << 50,
    "PB": 10**15,
    "TiB": 1 << 40,
    "TB": 10**12,
    "GiB": 1 << 30,
    "GB": 10**9,
    "MiB": 1 << 20,
    "MB": 10**6,
    "KiB": 1 << 10,
    "kB": 1000,
    "B": 1,
}
_BITS = {"Gbit": 10**9, "Mbit": 10**6, "kbit": 1000, "bit": 1}
_BITS_A_SECOND = {f"{unit}/s": bits for unit, bits in _BITS.items()} | {
    f"{unit}/s": 8 * size for unit, size in _BYTES.items()
}

# Far beyond any use, and small enough for every clock and every database.
_LONGEST = 36_500 * _MILLISECONDS["d"]
_LARGEST = _BYTES["PiB"]

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) *([A-Za-z/]*)")

# What is written by mistake for a unit, in small letters, and what to write.
_MEANT = {
    "kb": '"kB" (1000 bytes) or "KiB" (1024 bytes)',
    "k": '"kB" (1000 bytes) or "KiB" (1024 bytes)',
    "m": '"MB" (a million bytes) or "MiB" (1024 times 1024)',
    "g": '"GB" (a billion bytes) or "GiB" (1024 MiB)',
    "kb/s": '"kB/s" for bytes or "kbit/s" for bits',
    "mb/s": '"MB/s" for bytes or "Mbit/s" for bits',
    "gb/s": '"GB/s" for bytes or "Gbit/s" for bits',
    "kbps": '"kbit/s" for bits or "kB/s" for bytes',
    "mbps": '"Mbit/s" for bits or "MB/s" for bytes',
    "gbps": '"Gbit/s" for bits or "GB/s" for bytes',
    "sec": '"s"',
    "second": '"s"',
    "seconds": '"s"',
    "min": '"m"',
    "minute": '"m"',
    "minutes": '"m"',
    "hour": '"h"',
    "hours": '"h"',
    "day": '"d"',
    "days": '"d"',
    "w": '"d"',
    "week": '"d"',
    "weeks": '"d"',
}


def parse_seconds(text: str) -> Seconds:
    """Read ``"30s"``, ``"1.5 h"``, ``"90d"``: whole milliseconds, 36500 days at most.

    Raises ValueError, whose text is what is wrong and the cure.
    """
    thousandths = _whole(text, _MILLISECONDS, "30s", "milliseconds")
    if thousandths > _LONGEST:
        raise ValueError(f'"{text}" is too long; 36500d is the most')
    return Seconds(thousandths / 1000)


def parse_size(text: str) -> Size:
    """Read ``"64 KiB"``, ``"2 GB"``: whole bytes, 1 PiB at most. Raises ValueError."""
    size = _whole(text, _BYTES, "64 KiB", "bytes")
    if size > _LARGEST:
        raise ValueError(f'"{text}" is too much; 1 PiB is the most')
    return Size(size)


def parse_rate(text: str) -> Rate:
    """Read ``"5 Mbit/s"``, ``"1 MB/s"``: whole bits, 1 PiB/s at most.

    Raises ValueError.
    """
    bits = _whole(text, _BITS_A_SECOND, "5 Mbit/s", "bits a second")
    if bits > 8 * _LARGEST:
        raise ValueError(f'"{text}" is too fast; 1 PiB/s is the most')
    return Rate(bits / 8)


def format_seconds(seconds: Seconds) -> str:
    """Write a duration in the largest unit that divides it: ``"90s"``, ``"2h"``."""
    thousandths = round(seconds * 1000)
    if not thousandths:
        return "0s"
    number, unit = _divided(thousandths, _MILLISECONDS)
    return f"{number}{unit}"


def format_size(size: Size) -> str:
    """Write a size in the largest unit that divides it: ``"64 KiB"``, ``"2 GB"``."""
    number, unit = _divided(size, _BYTES)
    return f"{number} {unit}"


def format_rate(rate: Rate) -> str:
    """Write a rate in the largest unit that divides it: ``"625 kB/s"``."""
    bits = round(rate * 8)
    size, rest = divmod(bits, 8)
    number, unit = _divided(bits, _BITS) if rest else _divided(size, _BYTES)
    return f"{number} {unit}/s"


def _whole(text: str, units: dict[str, int], example: str, what: str) -> int:
    """Return *text* as a whole number of the smallest unit. Raises ValueError."""
    quantity = _QUANTITY.fullmatch(text.strip(" "))
    if quantity is None:
        raise ValueError(f'a number and a unit are expected, as in "{example}"')
    number, unit = quantity.groups()
    if unit not in units:
        raise ValueError(_cure(text, unit, units))
    value = Fraction(number) * units[unit]
    if value.denominator != 1:
        raise ValueError(f'"{text}" is no whole number of {what}')
    return value.numerator


def _cure(text: str, unit: str, units: dict[str, int]) -> str:
    known = ", ".join(reversed(units))
    if not unit:
        return f'"{text}" needs a unit: one of {known}'
    meant = _MEANT.get(unit.lower(), "")
    if any(f'"{one}"' in meant for one in units):
        return f'"{unit}" is no unit here; write {meant}'
    near = next((one for one in units if one.lower() == unit.lower()), None)
    if near is not None:
        return f'"{unit}" is no unit; write "{near}"'
    return f'"{unit}" is no unit here; use one of {known}'


def _divided(value: int, units: dict[str, int]) -> tuple[int, str]:
    """Return *value* in the largest unit that divides it, or in the smallest."""
    for unit, size in units.items():
        if value and value % size == 0:
            return value // size, unit
    return value, next(reversed(units))
