"""Named lists of domains and networks, as rules ask them.

Not here: how they are written (listreader.py) and where (listfiles.py). Invariant: a
list takes eight bytes a domain and eight an IPv4 network, whatever was written, and a
question costs about the same with ten entries as with a million.

A domain is kept as 64 bits of a keyed hash. Nobody who writes a list, or names a host,
knows the key; so among a million domains one host in ten million million is taken for
a listed one by mistake.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from portway.model import IPAddress
from portway.net.guard import fold

KEY_BYTES = 16


class BadLine(NamedTuple):
    """A line, counted from 1, and what is wrong with it."""

    line: int
    text: str


@lru_cache(8192)  # a session asks for the same few again and again
def fingerprint(key: bytes, name: bytes) -> int:
    """Return 64 bits that stand for *name*; *key* is `KEY_BYTES` that nobody knows."""
    return fingerprinter(key)(name)


def fingerprinter(key: bytes) -> Callable[[bytes], int]:
    """Return what gives the fingerprint of a name that will not be asked for again."""
    begin = blake2b(digest_size=8, key=key).copy

    def of(name: bytes) -> int:
        state = begin()
        state.update(name)
        return int.from_bytes(state.digest(), "big")

    return of


class Domains:
    """A set of domains; a name is in it if it, or a domain above it, was put there.

    *shallowest* and *deepest* bound the labels of what was put there, so that a name
    of a hundred labels costs no more than any other.
    """

    __slots__ = ("_deepest", "_key", "_shallowest", "marks")

    def __init__(
        self, key: bytes, marks: "array[int]", shallowest: int, deepest: int
    ) -> None:
        self._key = key
        self.marks = marks  # sorted
        self._shallowest = shallowest
        self._deepest = deepest

    def __len__(self) -> int:
        return len(self.marks)

    def __contains__(self, host: str) -> bool:
        if not self.marks or not host:
            return False
        name = host.encode("ascii", "replace")
        labels = name.count(b".") + 1
        while labels > self._deepest:
            name = name.partition(b".")[2]
            labels -= 1
        while labels >= self._shallowest:
            if self._has(fingerprint(self._key, name)):
                return True
            name = name.partition(b".")[2]
            labels -= 1
        return False

    def _has(self, mark: int) -> bool:
        place = bisect_right(self.marks, mark)
        return place > 0 and self.marks[place - 1] == mark


class Wide(Sequence[int]):
    """Numbers of 128 bits, sixteen bytes each."""

    __slots__ = ("_high", "_low")

    def __init__(self, numbers: Iterable[int]) -> None:
        self._high, self._low = array("Q"), array("Q")
        for number in numbers:
            self._high.append(number >> 64)
            self._low.append(number & 0xFFFF_FFFF_FFFF_FFFF)

    def __len__(self) -> int:
        return len(self._high)

    def __getitem__(self, place: int) -> int:  # type: ignore[override] # no slices
        return self._high[place] << 64 | self._low[place]


class Ranges:
    """Sets of addresses: the first and the last of each, in order, and apart."""

    __slots__ = ("_firsts", "_lasts", "networks")

    def __init__(
        self, ranges4: list[tuple[int, int]], ranges6: list[tuple[int, int]], count: int
    ) -> None:
        self.networks = count  # as they were written
        self._firsts: dict[int, Sequence[int]] = {
            4: array("I", (first for first, _ in ranges4)),
            6: Wide(first for first, _ in ranges6),
        }
        self._lasts: dict[int, Sequence[int]] = {
            4: array("I", (last for _, last in ranges4)),
            6: Wide(last for _, last in ranges6),
        }

    def __contains__(self, address: IPAddress) -> bool:
        if not self.networks:
            return False
        address = fold(address)
        number = int(address)
        place = bisect_right(self._firsts[address.version], number)
        return place > 0 and number <= self._lasts[address.version][place - 1]

    def spans(self, version: int) -> Iterator[tuple[int, int]]:
        """Yield the first and the last of each set, of IPv4 or of IPv6."""
        return zip(self._firsts[version], self._lasts[version], strict=True)


NO_DOMAINS = Domains(b"", array("Q"), 0, 0)
NO_RANGES = Ranges([], [], 0)


@dataclass(frozen=True, slots=True, eq=False)
class NamedList:
    """What ``@NAME`` means; *bad* are the first of the lines that were left out."""

    name: str
    domains: Domains = NO_DOMAINS
    ranges: Ranges = NO_RANGES
    bad: tuple[BadLine, ...] = ()
    bad_lines: int = 0

    def __len__(self) -> int:
        return len(self.domains) + self.ranges.networks

    def has(self, host: str, address: IPAddress | None) -> bool:
        """Say whether *host* is listed, or *address* if it is known."""
        if address is not None and address in self.ranges:
            return True
        return host in self.domains

    @property
    def words(self) -> str:
        """It and its size: ``list @games (1,000,000 entries)``."""
        entries = "entry" if len(self) == 1 else "entries"
        return f"list @{self.name} ({len(self):,} {entries})"
