"""Who does not take our certificates, and which servers want one of the client's.

Not here: what is done about it (protocols.http.intercept). Invariant: no more than a
bound is remembered, and nothing for longer than its time.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from portway.model import IPAddress

HOUR = 3600.0
DAY = 86400.0
TIMES = 3  # in an hour: then it is no chance, and no single mistake
MOST = 4096  # pairs of a client and a host; and servers


@dataclass(slots=True)
class Rejections:
    """One client's of one host: *recent* are their times, the last few."""

    recent: list[float] = field(default_factory=list)
    until: float = 0.0  # the pair counts as pinned

    @property
    def last(self) -> float:
        """When it was last."""
        return self.recent[-1] if self.recent else 0.0


class Pinned:
    """What was learned of clients and servers; times are seconds since the epoch."""

    __slots__ = ("_asking", "_pairs")

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[IPAddress, str], Rejections] = OrderedDict()
        self._asking: OrderedDict[tuple[str, int], float] = OrderedDict()

    def rejected(self, client: IPAddress, host: str, now: float) -> bool:
        """Take note that *client* took no certificate of ours for *host*.

        Returns whether the pair counts as pinned now.
        """
        pair = client, host
        found = self._pairs.setdefault(pair, Rejections())
        self._pairs.move_to_end(pair)
        found.recent = [*(at for at in found.recent if at > now - HOUR), now][-TIMES:]
        if len(found.recent) == TIMES:
            found.until = now + DAY
        if len(self._pairs) > MOST:
            self._pairs.popitem(last=False)
        return found.until > now

    def is_pinned(self, client: IPAddress, host: str, now: float) -> bool:
        """Say whether *client* took none for *host*, several times in an hour."""
        found = self._pairs.get((client, host))
        return found is not None and found.until > now

    def asks(self, host: str, port: int, now: float) -> None:
        """Take note that a server asks for a certificate of the client's."""
        self._asking[host, port] = now + DAY
        self._asking.move_to_end((host, port))
        if len(self._asking) > MOST:
            self._asking.popitem(last=False)

    def is_asking(self, host: str, port: int, now: float) -> bool:
        """Say whether a server was seen to ask for one, not long ago."""
        return self._asking.get((host, port), 0.0) > now

    def listed(self, now: float) -> list[tuple[IPAddress, str, float]]:
        """Return the pairs that count as pinned: client, host, when it was last."""
        return [
            (client, host, found.last)
            for (client, host), found in self._pairs.items()
            if found.until > now
        ]
