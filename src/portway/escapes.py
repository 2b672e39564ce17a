"""Signs that act on who reads them: a terminal, a program, an eye.

Not here: how each format writes them instead. Invariant: a line without them is one
line to every program that reads it, and looks like what it is.
"""

import re

# C1 and DEL, line and paragraph separators, and the signs that change the direction
# of writing; for within a character class. C0 is treated apart: JSON escapes it.
STRANGE = "\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"

_STRANGE = re.compile(f"[{STRANGE}]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def percent(found: re.Match[str]) -> str:
    """Return a surrogate as the byte that it stands for, as ``%XX``."""
    return f"%{ord(found[0]) & 0xFF:02X}"


def decodable(text: str) -> str:
    """Return *text* with bytes that were no UTF-8 as ``%XX``."""
    return _SURROGATE.sub(percent, text)


def escaped(text: str) -> str:
    r"""Return *text*, which may be JSON, with strange signs as ``\uXXXX``."""
    return _STRANGE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
