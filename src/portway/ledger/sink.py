"""Where records go.

Not here: what becomes of them there. Invariant: a sink makes who asks wait before a
request is decided, never while it is recorded.
"""

from typing import Protocol

from portway.model import Record


class Sink(Protocol):
    """Takes the records of a gateway."""

    async def ready(self) -> None:
        """Wait for as long as there is no room for the record of a new request."""

    def take(self, record: Record) -> None:
        """Keep *record*; one of the same id takes its place.

        Never waits and never raises. A record that is `Outcome.OPEN` may be passed
        over where there is much to do: another one of its id will come.
        """
