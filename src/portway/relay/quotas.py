"""Quotas: how many bytes a member may move in a day, a week or a month.

Not here: whose quota it is (limiter.py), and how it outlasts the process
(counters.py). Invariant: what was used and what is reserved is together never more than
the quota, and a clock that is set back renews nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, Protocol

from portway.errors import Refused
from portway.model import Per, Period, Quota, Reason
from portway.units import Size, format_size


class Row(NamedTuple):
    """A quota's state, to be kept; *start* and *ends* are seconds since the epoch."""

    rule: str
    place: int
    member: str
    period: str
    per: str
    used: int
    allowed: int
    start: int
    ends: int


class Key(NamedTuple):
    """Whose limit it is: the *place* in its rule counts from 0."""

    rule: str
    place: int
    member: str


class Calendar:
    """The gateway's *clock*, in seconds since the epoch, and its *zone*.

    None is the system's zone.
    """

    __slots__ = ("clock", "zone")

    def __init__(self, clock: Callable[[], float], zone: tzinfo | None) -> None:
        self.clock = clock
        self.zone = zone

    def around(self, now: float, period: Period) -> tuple[int, int]:
        """Return where the *period* that holds *now* starts, and where it ends."""
        day = datetime.fromtimestamp(now, self.zone).date()
        if period is Period.WEEK:
            day -= timedelta(days=day.weekday())
            following = day + timedelta(days=7)
        elif period is Period.MONTH:
            day = day.replace(day=1)
            following = (day + timedelta(days=31)).replace(day=1)
        else:
            following = day + timedelta(days=1)
        return self._midnight(day), self._midnight(following)

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self.zone).timestamp())

    def when(self, moment: float, period: Period) -> str:
        """Return the words for *moment*, at which a *period* ends."""
        local = datetime.fromtimestamp(moment, self.zone)
        clock = f"{local:%H:%M}"
        if period is Period.DAY:
            return f"at {clock}"
        if period is Period.WEEK:
            return f"on Monday at {clock}"
        return f"on {local:%Y-%m-%d} at {clock}"


class Keeper(Protocol):
    """Where what is used is kept."""

    def changed(self, allowance: "Allowance") -> None:
        """Keep its row soon; it has set its `dirty`."""


class Allowance:
    """What one member has of one quota.

    *dirty*: the keeper was told of a change that it has not kept yet.
    """

    __slots__ = (
        "_calendar",
        "_keeper",
        "_waiting",
        "allowed",
        "dirty",
        "ends",
        "key",
        "per",
        "period",
        "reserved",
        "start",
        "used",
    )

    def __init__(
        self, key: Key, per: Per, quota: Quota, calendar: Calendar, keeper: Keeper
    ) -> None:
        self.key = key
        self.per = per
        self.period = quota.period
        self.allowed = quota.bytes
        self.used = 0
        self.reserved = 0  # granted to those who have not moved it yet
        self.start, self.ends = calendar.around(calendar.clock(), quota.period)
        self.dirty = False
        self._calendar = calendar
        self._keeper = keeper
        self._waiting: list[asyncio.Future[None]] = []

    @classmethod
    def restored(cls, row: Row, calendar: Calendar, keeper: Keeper) -> "Allowance":
        """Return what *row* tells of. Raises ValueError."""
        quota = Quota(row.allowed, Period(row.period))
        key = Key(row.rule, row.place, row.member)
        allowance = cls(key, Per(row.per), quota, calendar, keeper)
        allowance.used, allowance.start, allowance.ends = row.used, row.start, row.ends
        return allowance

    def row(self) -> Row:
        """Return its state, to be kept."""
        return Row(
            *self.key,
            self.period.value,
            self.per.value,
            self.used,
            self.allowed,
            self.start,
            self.ends,
        )

    def add(self, row: Row) -> None:
        """Count in what *row* tells, which was used before and is found out late."""
        self._renew()
        if row.ends <= self.start:
            return  # of a period that is over
        self.used += row.used
        self.start, self.ends = row.start, row.ends
        self._renew()
        self._note()

    def allow(self, count: int, per: Per) -> None:
        """Be *count* bytes from now on, to each of those it is *per*."""
        self.per = per
        if count != self.allowed:
            self.allowed = count
            self._wake()

    def left(self) -> int:
        """Return how many bytes are not used up, 0 or more, at this moment."""
        self._renew()
        return max(self.allowed - self.used, 0)

    def free(self) -> int:
        """Return how many of them nobody has been granted yet."""
        return self.left() - self.reserved

    def reserve(self, count: int) -> None:
        """Grant *count* bytes, of those that are free."""
        self.reserved += count

    def give_back(self, count: int) -> None:
        """Take back *count* bytes that were granted and did not go."""
        self.reserved -= count
        self._wake()

    def charge(self, count: int) -> None:
        """Count *count* bytes as moved, of those that were granted."""
        self.reserved -= count
        self.used += count
        self._note()
        if self._waiting:
            self._wake()

    def _note(self) -> None:
        if not self.dirty:
            self.dirty = True
            self._keeper.changed(self)

    def changes(self) -> asyncio.Future[None]:
        """Return what to await until a grant of it is used, or given back."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def is_idle(self) -> bool:
        """Say whether nothing needs to be remembered of it.

        What ended is remembered for a day more: the clock may be set back.
        """
        over = self._calendar.clock() > self.ends + 86_400
        return not self.reserved and (over or not self.used)

    def refusal(self) -> Refused:
        """Return what is told to those for whom nothing is left."""
        amount = f"{format_size(Size(self.allowed))} a {self.period.value}"
        when = self._calendar.when(self.ends, self.period)
        text = f"quota used up: {amount}; it is renewed {when}"
        return Refused(Reason.QUOTA, text)

    def _renew(self) -> None:
        now = self._calendar.clock()
        if self.start <= now < self.ends:
            return
        start, ends = self._calendar.around(now, self.period)
        if now >= self.ends:
            self.used = 0
            self.start, self.ends = start, ends
        elif self.start > ends:  # the clock was far ahead: no renewal, but one to come
            self.start, self.ends = start, ends
