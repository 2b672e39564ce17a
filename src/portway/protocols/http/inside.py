"""Where a session is that runs inside a tunnel.

Not here: how it came to run there (connect.py, within.py). Invariant: it never changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Inside:
    """A tunnel which was taken over, or opened.

    *scheme* is that of the URLs, ``http`` or ``https``, *host* and *port* those of the
    tunnel: a request's ``Host`` must be the same (else 421). *facts* are noted on each
    record.
    """

    scheme: str
    host: str
    port: int
    facts: Mapping[str, str] = field(default_factory=dict)
