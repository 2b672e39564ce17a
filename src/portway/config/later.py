"""What the design of Portway names and this version does not have.

A key that is planned is no misspelling: whoever writes it must learn that it does
nothing yet, rather than believe that it does. Delete a line when its work is done.

Not here: names that nobody has planned. Invariant: nothing listed here is accepted.
"""

import re

from portway.config.locate import Path

TEXT = "not available in this version"

ANY = "*"  # a table's free name, or a place in a list

# The tables and keys, whatever their value.
_KEYS: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"dashboard", "filter"}),
    ("gateway",): frozenset({"resolver"}),
    ("listen", ANY): frozenset(
        {
            "mode_z",
            "server",
        }
    ),
    ("rules", ANY): frozenset({"filter"}),
    ("limits",): frozenset({"accept_rate", "buffers", "min_free", "pipes", "spool"}),
}

# Values of keys that do exist.
_VALUES: dict[tuple[str, ...], str] = {
    ("listen", ANY, "protocol"): "smtp|pop3|dns|tcp|udp",
}


def is_later_key(path: Path) -> bool:
    """Tell whether *path* ends in a key, or names a table, that is still to come."""
    *table, key = _general(path)
    return key in _KEYS.get(tuple(table), ())


def is_later_value(path: Path, value: object) -> bool:
    """Tell whether *path* is a key of today, and *value* one of its values to come."""
    pattern = _VALUES.get(_general(path))
    if pattern is None or not isinstance(value, str):
        return False
    return re.fullmatch(pattern, value) is not None


def _general(path: Path) -> tuple[str, ...]:
    """Return *path* with what is free in it as ANY."""
    words = [ANY if isinstance(part, int) else part for part in path]
    if words[0] == "listen" and len(words) > 1:
        words[1] = ANY
    return tuple(words)
