"""What goes on, judged by the configuration of now: who may not, is ended.

Not here: taking that configuration (app.py), and who asked for it (administration.py).
Invariant: what nothing forbids is not touched, and a session is ended once, with all
that goes on in it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from portway.errors import PortwayError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.judging import judge
from portway.model import Access, Reason, Verdict
from portway.net.doors import is_local
from portway.policy.rules import NeedsAddress
from portway.services import Door, Services

AT_ONCE = 200  # sessions or exchanges looked at in one go: about 2 ms
BY = "reload"
REQUIRED = "required"


class Recheck:
    """One look at all that goes on. *doors* are those of now, *exchanges* by session.

    *judged* and *ended* count the exchanges judged anew, and the sessions ended.
    """

    def __init__(
        self,
        services: Services,
        doors: Iterable[Door],
        exchanges: Mapping[str, list[Exchange]],
    ) -> None:
        self.judged = 0
        self.ended = 0
        self._services = services
        self._doors = {(door.listener, door.at): door for door in doors}
        self._exchanges = exchanges
        self._is_ours = lru_cache(4096)(is_local)
        self._looked = 0

    async def of(self, gate: Gate) -> None:
        """End the session of *gate*, if anything in it may not go on."""
        exchanges = self._exchanges.get(gate.visitor.session, [])
        error = self._may_not_be(gate)
        if error is None and not await gate.renew():
            error = Refused(Reason.LOGIN)
        for exchange in exchanges:
            if error is not None:
                break
            await self._pause()
            error = self._refusal(gate, exchange)
        if error is not None:
            self.ended += 1
            end(gate, exchanges, BY, error)
        await self._pause()

    def _may_not_be(self, gate: Gate) -> Refused | None:
        """Return why nobody may be served any more as *gate*'s client is."""
        was = gate.visitor.door
        door = self._doors.get((was.listener, was.at))
        if door is None or (door.protocol, door.mode) != (was.protocol, was.mode):
            return Refused(Reason.ADMIN, "its listener is no more")
        demanded = door.login == REQUIRED and was.login != REQUIRED
        if demanded and not gate.identity.user:
            return Refused(Reason.LOGIN, "its listener demands a login now")
        return None

    def _refusal(self, gate: Gate, exchange: Exchange) -> Refused | None:
        if exchange.services is self._services or exchange.closed:
            return None
        self.judged += 1
        verdict = self._verdict(gate, exchange, exchange.access)
        if exchange.named and (verdict is None or verdict.allowed):
            other = replace(exchange.access, host=exchange.named)
            verdict = self._verdict(gate, exchange, other)
        if verdict is None or verdict.allowed:
            return None
        where = f" ({verdict.rule_at})" if verdict.rule else ""
        exchange.note(ended_rule=f"{verdict.rule or 'no rule'}{where}")
        reason = verdict.reason or Reason.DEFAULT
        return Refused(reason, verdict.because, verdict)

    def _verdict(
        self, gate: Gate, exchange: Exchange, access: Access
    ) -> Verdict | None:
        """Return what the rules say of *access* now; None: it cannot be told yet."""
        services, identity = self._services, gate.identity
        if access.user == identity.user:
            access = replace(access, groups=identity.groups)
        try:
            return judge(
                services.rules,
                services.doors,
                access,
                services.clock(),
                self._is_ours,
                by_name=exchange.way.by_name,
            )
        except (NeedsAddress, Refused):  # it is being looked up; no descriptor
            return None

    async def _pause(self) -> None:
        self._looked += 1
        if not self._looked % AT_ONCE:
            await asyncio.sleep(0)


async def judge_anew(
    gates: Iterable[Gate],
    services: Services,
    doors: Iterable[Door],
    exchanges: Callable[[], Mapping[str, list[Exchange]]],
) -> tuple[int, int]:
    """End the sessions of *gates* that may not go on by *services* and *doors*.

    Return how many exchanges were judged, and how many sessions ended.
    """
    look = Recheck(services, doors, exchanges())
    for gate in gates:
        await look.of(gate)
    return look.judged, look.ended


def end(
    gate: Gate, exchanges: Iterable[Exchange], by: str, error: PortwayError
) -> None:
    """End the session of *gate*, and those of its *exchanges* that go on."""
    for exchange in exchanges:
        if not exchange.closed:
            exchange.cut(by, error)
    gate.cut_off(by, error)
