"""How long a busy machine kept a program from running, so that nobody is blamed for it.

Not here: waiting for something (wires.py, integration/process.py). Invariant: on a
machine that is not busy nothing is forgiven.
"""

from collections.abc import Sequence
from itertools import pairwise

USUAL = 0.05  # seconds between two moments of a program that is let run


def forgiven(moments: Sequence[float]) -> float:
    """Return the seconds by which a thread of a program may be late.

    *moments* are when its busiest thread was seen at work, in order. Another one that
    waits for a turn was kept from it as long, and for several turns in a row.
    """
    gaps = [after - before for before, after in pairwise(moments)]
    longest = max(gaps, default=0.0)
    return 3 * longest if longest > USUAL else 0.0
