"""Names for sessions and records that sort by the moment they were given.

Not here: secrets; an id can be guessed. Invariant: an id is a ULID in its text form,
26 digits of Crockford's base 32, whose first ten tell the milliseconds since the epoch;
of one process' ids in the same millisecond, the later one is the greater.
"""

import itertools
import random

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _DIGITS for second in _DIGITS)

# Only parts what one millisecond brought, so it says nothing to another process.
_turns = itertools.count()


def new_id(now: float) -> str:
    """Return an id for a thing that began at *now*, in seconds since the epoch."""
    time = int(now * 1000)
    rest = (next(_turns) & 0xFFFFFF) << 56 | random.getrandbits(56)
    pairs = _PAIRS
    return (
        f"{pairs[time >> 40 & 1023]}{pairs[time >> 30 & 1023]}"
        f"{pairs[time >> 20 & 1023]}{pairs[time >> 10 & 1023]}{pairs[time & 1023]}"
        f"{pairs[rest >> 70]}{pairs[rest >> 60 & 1023]}"
        f"{pairs[rest >> 50 & 1023]}{pairs[rest >> 40 & 1023]}"
        f"{pairs[rest >> 30 & 1023]}{pairs[rest >> 20 & 1023]}"
        f"{pairs[rest >> 10 & 1023]}{pairs[rest & 1023]}"
    )


def first_id(now: float) -> str:
    """Return what sorts before every id given at *now* or later, after all others."""
    time = max(int(now * 1000), 0)
    digits = (_PAIRS[time >> shift & 1023] for shift in (40, 30, 20, 10, 0))
    return "".join(digits)
