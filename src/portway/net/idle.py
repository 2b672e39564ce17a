"""Connections with servers that wait to be used again.

Not here: what is spoken on them, and whether their server may be reached. Invariant:
what is handed out is alive and silent: a byte that nobody asked for ends it; and there
are never more than a bound of them, nor do they wait longer than their time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass

from portway.model import IPAddress
from portway.net.deadline import Deadline
from portway.net.stream import SocketStream

KEPT = 30.0  # seconds: security.md, section 3
MOST = 256  # in all
MOST_A_KEY = 8
SWEEP = 5.0  # seconds between two looks at who is too old


@dataclass(slots=True, eq=False)
class Kept:
    """A connection that waits. *address* is the server's, if we know it."""

    key: Hashable
    stream: SocketStream
    address: IPAddress | None
    until: float


class Idle:
    """All connections that wait, of all doors; the key says what they are good for."""

    __slots__ = ("_by_key", "_clock", "_order")

    def __init__(self) -> None:
        self._by_key: dict[Hashable, list[Kept]] = {}
        self._order: OrderedDict[Kept, None] = OrderedDict()  # the oldest first
        self._clock: Deadline | None = None

    def __len__(self) -> int:
        return len(self._order)

    def take(
        self, key: Hashable, addresses: Collection[IPAddress] | None = None
    ) -> Kept | None:
        """Return the connection for *key* that was kept last; it is the caller's.

        *addresses*: its server's address has to be one of them; None: any is right.
        """
        waiting = self._by_key.get(key)
        while waiting:
            kept = self._fitting(waiting, addresses)
            if kept is None:
                return None
            self._forget(kept)
            if kept.stream.is_quiet():
                return kept
            kept.stream.close()
        return None

    def keep(
        self, key: Hashable, stream: SocketStream, address: IPAddress | None
    ) -> None:
        """Let *stream*, on which nothing is due, wait for the next to `take` it."""
        now = asyncio.get_running_loop().time()
        kept = Kept(key, stream, address, now + KEPT)
        waiting = self._by_key.setdefault(key, [])
        if len(waiting) >= MOST_A_KEY:
            self._drop(waiting[0])
        elif len(self._order) >= MOST:
            self._drop(next(iter(self._order)))
            waiting = self._by_key.setdefault(key, [])
        waiting.append(kept)
        self._order[kept] = None
        if self._clock is None:
            self._clock = Deadline(self._sweep)
            self._clock.set(SWEEP)

    def close(self) -> None:
        """Close all of them."""
        for kept in tuple(self._order):
            self._drop(kept)
        self._stop()

    @staticmethod
    def _fitting(
        waiting: list[Kept], addresses: Collection[IPAddress] | None
    ) -> Kept | None:
        for kept in reversed(waiting):
            if addresses is None or kept.address in addresses:
                return kept
        return None

    def _forget(self, kept: Kept) -> None:
        waiting = self._by_key[kept.key]
        waiting.remove(kept)
        if not waiting:
            del self._by_key[kept.key]
        del self._order[kept]

    def _drop(self, kept: Kept) -> None:
        self._forget(kept)
        kept.stream.close()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for kept in tuple(self._order):
            if kept.until > now:
                break
            self._drop(kept)
        if self._order and self._clock is not None:
            self._clock.set(SWEEP)
        else:
            self._stop()

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.close()
            self._clock = None
