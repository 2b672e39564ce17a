"""Whose limits an exchange is under, and whether it may begin under them.

Every limit of a rule has an account for each of its members, by the rule's name, the
limit's place in the rule, and the member; so accounts go on when the configuration is
taken anew. One that remembers nothing is dropped.

Not here: how a rate or a quota is kept to (rates.py, quotas.py). Invariant: what a
permit holds of an account it gives back when it is released, once.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol

from portway.errors import Refused
from portway.members import member_of
from portway.model import Access, Limit, Per, Period, Reason, Verdict
from portway.relay.bucket import Bucket
from portway.relay.meter import LimitedMeter, Meter
from portway.relay.quotas import Allowance, Calendar, Keeper, Key, Row
from portway.relay.rates import Rate

MINUTE = 60.0
LOOKED_AT = 2  # old accounts for each new exchange, whether they can be dropped


class Store(Keeper, Protocol):
    """Where the quotas' counters outlast the process."""

    def read(self) -> list[Row]:
        """Return what was kept. Blocks."""

    def late(self) -> list[Row]:
        """Return what was kept and could not be read at first; each row once."""

    def close(self) -> None:
        """Keep what changed last; may be called again. Blocks."""


class Forgetful:
    """A store that keeps nothing."""

    def read(self) -> list[Row]:
        """Return nothing."""
        return []

    def late(self) -> list[Row]:
        """Return nothing."""
        return []

    def changed(self, allowance: Allowance) -> None:
        """Let the change be kept in memory alone."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one member has used of one quota, and has *left*, in bytes.

    *place* is that of the limit in the rule; *renewal* is in seconds since the epoch.
    """

    rule: str
    place: int
    per: Per
    member: str
    period: Period
    used: int
    left: int
    renewal: float


class Account:
    """One member's share of one limit."""

    __slots__ = (
        "_limit",
        "_requests",
        "both",
        "down",
        "key",
        "quotas",
        "sessions",
        "up",
    )

    def __init__(self, key: Key) -> None:
        self.key = key
        self.both: Rate | None = None
        self.up: Rate | None = None
        self.down: Rate | None = None
        self.quotas: tuple[Allowance, ...] = ()
        self.sessions: dict[str, int] = {}  # how many exchanges each has open
        self._requests: Bucket | None = None
        self._limit: Limit | None = None

    @property
    def per(self) -> Per | None:
        """Of whom it is one."""
        return self._limit.per if self._limit is not None else None

    def apply(self, limit: Limit, quotas: tuple[Allowance, ...]) -> None:
        """Be what *limit* says from now on."""
        if limit == self._limit:
            return
        self._limit = limit
        self.quotas = quotas
        self.both = changed(self.both, limit.rate)
        self.up = changed(self.up, limit.up)
        self.down = changed(self.down, limit.down)
        if limit.requests is None:
            self._requests = None
        elif self._requests is None:
            self._requests = Bucket(
                limit.requests / MINUTE, limit.requests, loop_time()
            )
        else:
            most = limit.requests
            self._requests.change(most / MINUTE, most, loop_time())

    def may_enter(self, session: str) -> None:
        """Raise Refused if no more exchange of *session* may begin."""
        limit = self._limit
        if limit is None:
            return
        most = limit.connections
        another = session not in self.sessions
        if most is not None and another and len(self.sessions) >= most:
            text = f"too many connections: {most} at once are allowed"
            raise Refused(Reason.CONNECTIONS, text)
        for quota in self.quotas:
            if not quota.left():
                raise quota.refusal()
        if self._requests is not None and self._requests.level(loop_time()) < 1:
            text = f"too many requests: {limit.requests} a minute are allowed"
            raise Refused(Reason.RATE, text)

    def enter(self, session: str) -> None:
        """Count an exchange of *session* in."""
        self.sessions[session] = self.sessions.get(session, 0) + 1
        if self._requests is not None:
            self._requests.take(1, 1, loop_time())

    def leave(self, session: str) -> None:
        """Count it out again."""
        left = self.sessions[session] - 1
        if left:
            self.sessions[session] = left
        else:
            del self.sessions[session]

    def is_idle(self) -> bool:
        """Say whether it remembers nothing."""
        if self.sessions:
            return False
        if self._requests is not None and not self._requests.is_full(loop_time()):
            return False
        rates = (self.both, self.up, self.down)
        return all(rate is None or rate.is_idle() for rate in rates)


class Permit:
    """What one exchange holds of its accounts; *up* and *down* count its bytes."""

    __slots__ = ("_released", "_session", "accounts", "down", "up")

    def __init__(self, accounts: tuple[Account, ...], session: str) -> None:
        self.accounts = accounts
        self.up = meter(accounts, [account.up for account in accounts])
        self.down = meter(accounts, [account.down for account in accounts])
        self._session = session
        self._released = False

    @property
    def waited(self) -> float:
        """For how many seconds limits held bytes back."""
        return self.up.waited + self.down.waited

    def release(self) -> None:
        """Give all back; only the first call does."""
        if self._released:
            return
        self._released = True
        self.up.rest()
        self.down.rest()
        for account in self.accounts:
            account.leave(self._session)


class Limiter:
    """All accounts of a gateway.

    *clock* gives seconds since the epoch; *zone* is where days begin, None the
    system's. *store* keeps the quotas' counters.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        zone: tzinfo | None = None,
        store: Store | None = None,
    ) -> None:
        self._calendar = Calendar(clock, zone)
        self._store = store or Forgetful()
        self._accounts: dict[Key, Account] = {}
        self._quotas: dict[tuple[Key, Period], Allowance] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def start(self) -> None:
        """Take up what the store has kept. Blocks."""
        self._take_up(self._store.read())

    def close(self) -> None:
        """Keep what changed last. Blocks; nothing may move any more."""
        self._store.close()
        self._take_up(self._store.late())
        self._store.close()

    def changed(self, allowance: Allowance) -> None:
        """Let its row be kept soon; see `Keeper`."""
        self._store.changed(allowance)
        self._take_up(self._store.late())

    def _take_up(self, rows: list[Row]) -> None:
        for row in rows:
            try:
                quota = Allowance.restored(row, self._calendar, self)
            except ValueError:  # not ours
                continue
            known = self._quotas.setdefault((quota.key, quota.period), quota)
            if known is not quota:
                known.add(row)

    def change(
        self, zone: tzinfo | None, rules: Mapping[str, tuple[Limit, ...]]
    ) -> None:
        """Take up the limits of *rules*, by their names, after a reload.

        What moves already goes on under the limits that it began under, with the
        rates and quotas that they have now; it comes under no limit that is new. Days
        that are still to begin do so in *zone*.
        """
        self._calendar.zone = zone
        for (key, period), quota in self._quotas.items():
            for one in (limit.quotas for limit in at(rules, key, quota.per)):
                for now in one:
                    if now.period is period:
                        quota.allow(now.bytes, quota.per)
        for key, account in self._accounts.items():
            for limit in at(rules, key, account.per):
                account.apply(limit, self._allowances(key, limit))

    def admit(
        self,
        verdict: Verdict,
        access: Access,
        session: str,
        beside: Permit | None = None,
    ) -> Permit:
        """Let an exchange of *session* begin under *verdict*'s limits.

        *beside* is a permit that it has, which the new one takes in. Raises Refused:
        CONNECTIONS, RATE, QUOTA, with words for the client.
        """
        self._take_up(self._store.late())
        accounts = tuple(
            self._account(verdict, access, place, limit)
            for place, limit in enumerate(verdict.limits)
        )
        for account in accounts:
            account.may_enter(session)
        for account in accounts:
            account.enter(session)
        self._tidy(len(accounts) * LOOKED_AT)
        if beside is not None:
            accounts = beside.accounts + accounts
        return Permit(accounts, session)

    def usage(self) -> tuple[Usage, ...]:
        """Return what was used of each quota in the period that goes on."""
        self._take_up(self._store.late())
        return tuple(
            Usage(
                quota.key.rule,
                quota.key.place,
                quota.per,
                quota.key.member,
                quota.period,
                used=quota.used,
                left=left,
                renewal=quota.ends,
            )
            for quota in self._quotas.values()
            for left in (quota.left(),)
            if quota.used
        )

    def _account(
        self, verdict: Verdict, access: Access, place: int, limit: Limit
    ) -> Account:
        key = Key(verdict.rule, place, str(member_of(limit.per, access, verdict.group)))
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(key)
        account.apply(limit, self._allowances(key, limit))
        return account

    def _allowances(self, key: Key, limit: Limit) -> tuple[Allowance, ...]:
        found = []
        for quota in limit.quotas:
            known = self._quotas.get((key, quota.period))
            if known is None:
                known = Allowance(key, limit.per, quota, self._calendar, self)
                self._quotas[key, quota.period] = known
            known.allow(quota.bytes, limit.per)
            found.append(known)
        return tuple(found)

    def _tidy(self, count: int) -> None:
        """Look at the oldest accounts and quotas: drop those that nobody needs."""
        for _ in range(min(count, len(self._accounts))):
            key = next(iter(self._accounts))
            account = self._accounts.pop(key)
            if not account.is_idle():
                self._accounts[key] = account
        for _ in range(min(count, len(self._quotas))):
            place = next(iter(self._quotas))
            quota = self._quotas.pop(place)
            if place[0] in self._accounts or not quota.is_idle():
                self._quotas[place] = quota


def at(
    rules: Mapping[str, tuple[Limit, ...]], key: Key, per: Per | None
) -> tuple[Limit, ...]:
    """Return the limit of *rules* that *key* is about, if it is *per* that still."""
    return tuple(
        limit
        for limit in rules.get(key.rule, ())[key.place : key.place + 1]
        if limit.per is per
    )


def meter(accounts: tuple[Account, ...], one_way: list[Rate | None]) -> Meter:
    """Return the meter for one way: all rates *one_way* and both ways together."""
    rates = [account.both for account in accounts] + one_way
    quotas = tuple(quota for account in accounts for quota in account.quotas)
    found = tuple(rate for rate in rates if rate is not None)
    return LimitedMeter(found, quotas) if found or quotas else Meter()


def changed(rate: Rate | None, to: float | None) -> Rate | None:
    """Return *rate* as it is to be from now on."""
    if to is None:
        return None
    if rate is None:
        return Rate(to)
    rate.change(to)
    return rate


def loop_time() -> float:
    """Return the time of the loop's clock."""
    return asyncio.get_running_loop().time()
