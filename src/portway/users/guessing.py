"""What guessing at passwords costs: waits that grow, and a rest for an address.

Failures are counted by the name that was tried and by the address that tried it. A
wrong answer waits for the longer of both counts. The next login from an address waits
for that address's own count alone, so that whoever guesses at a name from elsewhere
never keeps its owner waiting. Accounts are never locked. security.md, section 3.

Not here: waiting (turnstile.py), and what is a failure. Invariant: only failures from
an address itself keep its logins back, and no table grows beyond `MOST`.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from portway.members import place_of
from portway.model import IPAddress
from portway.users.directory import NAME_BYTES, normal

DELAYS: tuple[float, ...] = (
    1.0,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    30.0,
)  # seconds; the last one goes on
WINDOW = 600.0  # seconds in which failures of an address count together
BAN_AFTER = 20  # of them, and its logins are refused
BAN = 900.0  # for so many seconds
FORGOTTEN = 900.0  # seconds without a failure, and those of a name are forgotten
MOST = 10_000  # names, and as many addresses, are remembered

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Tries:
    """What came from one address: when it failed, and until when it is kept back."""

    failures: deque[float] = field(default_factory=lambda: deque(maxlen=BAN_AFTER))
    next_at: float = float("-inf")
    banned_until: float = float("-inf")


@dataclass(slots=True)
class _Count:
    """The failures of one name since it last came in, and when the last one was."""

    failures: int = 0
    last: float = float("-inf")


class Guesses:
    """The failures of late. *now* is in seconds that only go on, in every method."""

    def __init__(self) -> None:
        self._addresses: dict[IPAddress, _Tries] = {}  # the latest to fail is last
        self._names: dict[str, _Count] = {}

    def __len__(self) -> int:
        return max(len(self._addresses), len(self._names))

    def wait(self, address: IPAddress, now: float) -> float:
        """Return the seconds until *address* may try a login; 0: at once."""
        tries = self._addresses.get(place_of(address))
        return max(0.0, tries.next_at - now) if tries else 0.0

    def banned(self, address: IPAddress, now: float) -> float:
        """Return the seconds for which logins from *address* are refused; 0: none."""
        tries = self._addresses.get(place_of(address))
        return max(0.0, tries.banned_until - now) if tries else 0.0

    def suspected(self, address: IPAddress, now: float) -> bool:
        """Say whether a login from *address* was wrong of late."""
        tries = self._addresses.get(place_of(address))
        return tries is not None and tries.failures[-1] > now - WINDOW

    def failed(self, name: str, address: IPAddress, now: float) -> float:
        """Count a failure; return the seconds after which to answer it."""
        place = place_of(address)
        tries = self._addresses.pop(place, None) or _Tries()
        _put(self._addresses, place, tries)
        while tries.failures and tries.failures[0] <= now - WINDOW:
            tries.failures.popleft()
        tries.failures.append(now)
        own = delay(len(tries.failures))
        tries.next_at = now + own
        if len(tries.failures) >= BAN_AFTER:
            tries.banned_until = tries.next_at + BAN
        return max(own, delay(self._name_failed(name, now)))

    def succeeded(self, name: str) -> None:
        """Forget the failures of *name*; those of the address count on."""
        self._names.pop(_key(name), None)

    def _name_failed(self, name: str, now: float) -> int:
        key = _key(name)
        count = self._names.pop(key, None)
        if count is None or now - count.last > FORGOTTEN:
            count = _Count()
        count.failures, count.last = count.failures + 1, now
        _put(self._names, key, count)
        return count.failures


def delay(failures: int) -> float:
    """Return the seconds that the last of so many *failures*, 1 or more, costs."""
    return DELAYS[min(failures, len(DELAYS)) - 1]


def _key(name: str) -> str:
    return normal(name[:NAME_BYTES])


def _put(table: dict[K, V], key: K, value: V) -> None:
    """Make *key* the latest of *table*, and let the one that is oldest go."""
    table[key] = value
    if len(table) > MOST:
        del table[next(iter(table))]
