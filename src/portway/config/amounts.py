"""The amounts in a rule's ``limit``: from what TOML gives to numbers.

Not here: what a limit holds back (relay.limiter). Invariant: an amount that was read is
more than nothing, so that a limit never is a denial in disguise.
"""

import re
from typing import NewType

from portway.config.report import nearest, quoted
from portway.config.values import (
    BadValueError,
    kind_of,
    read_number,
    read_rate,
    read_text,
)
from portway.model import Period, Quota
from portway.units import parse_size

Speed = NewType("Speed", float)  # bytes a second
Count = NewType("Count", int)
Pace = NewType("Pace", int)  # a minute

SLOWEST = 125.0  # bytes a second, 1 kbit/s: below, nothing arrives before it times out
FASTEST = 1_000_000  # requests a minute

NOTHING = 'allows nothing; to refuse it all, write then = "deny"'

_PERIODS = [period.value for period in Period]
_PACE = re.compile(r"([0-9]{1,15}) *(?:/ *([A-Za-z]*))?")
_MINUTES = {"min", "minute", "m"}


def read_speed(value: object) -> Speed:
    """Take ``"5 Mbit/s"``, 1 kbit/s at least."""
    rate = read_rate(value)
    if not rate:
        raise BadValueError(f"{quoted(str(value))} {NOTHING}")
    if rate < SLOWEST:
        raise BadValueError(f"{quoted(str(value))} is too slow; 1 kbit/s is the least")
    return Speed(rate)


def read_count(value: object) -> Count:
    """Take a whole number, 1 at least."""
    number = read_number(value)
    if not number:
        raise BadValueError(f"0 {NOTHING}")
    return Count(number)


def read_pace(value: object) -> Pace:
    """Take ``"60/min"``, or the number alone."""
    if isinstance(value, str):
        pace = _PACE.fullmatch(read_text(value).strip(" "))
        if pace is None:
            raise BadValueError(f'{quoted(value)} is no pace; write it like "60/min"')
        if pace[2] is not None and pace[2].lower() not in _MINUTES:
            text = f"{quoted(value)}: requests are counted a minute"
            raise BadValueError(f'{text}; write it like "60/min"')
        value = int(pace[1])
    number = read_count(value)
    if number > FASTEST:
        raise BadValueError(f"{number} is too much; {FASTEST} a minute are the most")
    return Pace(number)


def read_quota(value: object) -> Quota:
    """Take ``"2 GB/day"``: a size, and the period that it is for."""
    if not isinstance(value, str):
        raise BadValueError(f'text is expected, as in "2 GB/day", not {kind_of(value)}')
    size, slash, period = read_text(value).rpartition("/")
    if not slash:
        raise BadValueError(f'{quoted(value)} needs a period; write it like "2 GB/day"')
    period = period.strip(" ").lower()
    if period not in _PERIODS:
        known = ", ".join(map(quoted, _PERIODS))
        text = f"{quoted(period)} is no period; these are: {known}"
        raise BadValueError(text + nearest(period, _PERIODS))
    number = parse_size(size)
    if not number:
        raise BadValueError(f"{quoted(value)} {NOTHING}")
    return Quota(number, Period(period))
