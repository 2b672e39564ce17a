import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from tests import virtual

from portway.errors import Refused
from portway.model import (
    Access,
    Action,
    Limit,
    Per,
    Period,
    Quota,
    Reason,
    Verdict,
)
from portway.relay.limiter import Limiter, Permit
from portway.relay.meter import LimitedMeter, Meter

ACCESS = Access(
    protocol="ftp",
    client=ip_address("10.0.0.7"),
    user="alice",
    action=Action.READ,
    method="RETR",
    host="ftp.test",
    port=21,
)
BOB = replace(ACCESS, user="bob")
ELSEWHERE = replace(ACCESS, client=ip_address("10.0.0.8"))
NOBODY = replace(ACCESS, user="")
DAY = 86_400
NOON = 1_800_000_000.0 // DAY * DAY + DAY / 2


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def run(main: Coroutine[Any, Any, None]) -> None:
    virtual.run(main)


class Desk:
    """A limiter, asked under one rule of *limits*."""

    def __init__(self, *limits: Limit, rule: str = "r", group: str = "") -> None:
        self.clock = Clock()
        self.limiter = Limiter(self.clock)
        self.verdict = Verdict(allowed=True, rule=rule, limits=limits, group=group)

    def admit(self, session: str, access: Access = ACCESS) -> Permit:
        return self.limiter.admit(self.verdict, access, session)

    def refused(self, session: str, access: Access = ACCESS) -> Refused:
        with pytest.raises(Refused) as caught:
            self.admit(session, access)
        return caught.value


async def move(meter: Meter, count: int) -> None:
    while count:
        granted = await meter.leave(count)
        meter.moved(granted)
        count -= granted


def test_connections_are_sessions_and_one_counts_once() -> None:
    async def main() -> None:
        desk = Desk(Limit(connections=2))
        first = desk.admit("1"), desk.admit("1")
        desk.admit("2")
        refused = desk.refused("3")
        assert refused.reason is Reason.CONNECTIONS
        assert refused.because == "too many connections: 2 at once are allowed"
        desk.admit("1").release()
        desk.admit("3", BOB).release()  # each member for himself
        first[0].release()
        desk.refused("3")
        first[1].release()
        first[1].release()
        desk.admit("3")

    run(main())


def test_what_is_refused_by_one_limit_counts_in_none() -> None:
    async def main() -> None:
        desk = Desk(Limit(requests=2), Limit(connections=1))
        desk.admit("1")
        for _ in range(5):
            assert desk.refused("2").reason is Reason.CONNECTIONS
        desk.admit("1")
        assert desk.refused("1").reason is Reason.RATE

    run(main())


def test_requests_are_so_many_a_minute() -> None:
    async def main() -> None:
        desk = Desk(Limit(requests=6))
        for _ in range(6):
            desk.admit("1").release()
        refused = desk.refused("1")
        assert refused.reason is Reason.RATE
        assert refused.because == "too many requests: 6 a minute are allowed"
        await asyncio.sleep(10)
        desk.admit("1").release()
        desk.refused("1")
        await asyncio.sleep(60)
        for _ in range(6):
            desk.admit("1").release()
        desk.refused("1")

    run(main())


@pytest.mark.parametrize(
    ("per", "others", "member"),
    [
        (Per.USER, {"bob": True, "elsewhere": False, "nobody": True}, "user:alice"),
        (Per.CLIENT, {"bob": False, "elsewhere": True, "nobody": False}, "10.0.0.7"),
        (Per.GROUP, {"bob": False, "elsewhere": False, "nobody": False}, "group:lab"),
        (Per.RULE, {"bob": False, "elsewhere": False, "nobody": False}, "*"),
    ],
)
def test_each_member_has_the_limit_for_himself(
    per: Per, others: dict[str, bool], member: str
) -> None:
    async def main() -> None:
        quota = Quota(1000, Period.DAY)
        desk = Desk(Limit(per=per, quotas=(quota,)), group="lab")
        await move(desk.admit("1").up, 1000)
        for name, access in (
            ("bob", BOB),
            ("elsewhere", ELSEWHERE),
            ("nobody", NOBODY),
        ):
            if others[name]:
                desk.admit(name, access)
            else:
                desk.refused(name, access)
        used = [one.member for one in desk.limiter.usage()]
        assert used == [member]

    run(main())


def test_a_client_that_is_nobody_is_known_by_its_address() -> None:
    async def main() -> None:
        desk = Desk(Limit(connections=1))
        desk.admit("1", NOBODY)
        desk.refused("2", NOBODY)
        desk.admit("3", replace(NOBODY, client=ip_address("10.0.0.8")))
        desk.admit("4", replace(ACCESS, user="10.0.0.7"))  # a name is no address

    run(main())


def test_another_rule_is_another_account() -> None:
    async def main() -> None:
        desk = Desk(Limit(connections=1))
        desk.admit("1")
        desk.verdict = replace(desk.verdict, rule="another")
        desk.admit("2")

    run(main())


def test_without_rate_or_quota_the_meters_are_plain() -> None:
    async def main() -> None:
        permit = Desk(Limit(connections=1, requests=5)).admit("1")
        assert type(permit.up) is type(permit.down) is Meter

    run(main())


def test_the_tightest_rate_wins() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        desk = Desk(Limit(rate=10_000, down=1000), Limit(per=Per.RULE, rate=5000))
        for meter, rate in (("down", 1000), ("up", 5000)):
            permit, start = desk.admit("1"), loop.time()
            await move(getattr(permit, meter), 20_000)
            assert 0.9 * 20_000 / rate < loop.time() - start < 1.02 * 20_000 / rate
            assert permit.waited == pytest.approx(loop.time() - start, abs=0.01)
            permit.release()
            await asyncio.sleep(10)

    run(main())


def test_both_ways_share_a_rate_and_all_transfers_of_a_member_do() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        desk = Desk(Limit(rate=1000))
        start = loop.time()
        permits = desk.admit("1"), desk.admit("2")
        async with asyncio.TaskGroup() as tasks:
            for permit in permits:
                tasks.create_task(move(permit.up, 2500))
                tasks.create_task(move(permit.down, 2500))
            other = desk.admit("3", BOB)
            await move(other.up, 1000)
            assert loop.time() - start < 1.1
        assert 9.5 < loop.time() - start < 10.1

    run(main())


def test_a_quota_holds_to_the_byte_among_many() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(100_001, Period.DAY),)))
        permits = [desk.admit(str(n)) for n in range(7)]
        ends = await asyncio.gather(
            *(move(permit.down, 33_333) for permit in permits), return_exceptions=True
        )
        assert sum(permit.down.bytes for permit in permits) == 100_001
        refused = [end for end in ends if isinstance(end, Refused)]
        assert len(refused) == 4
        assert {one.reason for one in refused} == {Reason.QUOTA}
        assert desk.refused("9").reason is Reason.QUOTA

    run(main())


def test_the_last_bytes_wait_for_one_who_may_not_need_them() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(100, Period.DAY),)))
        holding, waiting = desk.admit("1"), desk.admit("2")
        assert await holding.up.leave(100) == 100
        task = asyncio.ensure_future(waiting.up.leave(100))
        await asyncio.sleep(1)
        assert not task.done()
        assert waiting.up.waiting
        holding.up.moved(60)
        holding.up.rest()
        assert await task == 40
        waiting.up.moved(40)
        with pytest.raises(Refused):
            await holding.up.leave(1)

    run(main())


def test_what_a_released_permit_was_granted_is_free_again() -> None:
    async def main() -> None:
        desk = Desk(Limit(rate=1000, quotas=(Quota(100, Period.DAY),)))
        permit = desk.admit("1")
        await permit.up.leave(100)
        permit.release()
        assert desk.limiter.usage() == ()
        assert await desk.admit("2").up.leave(100) == 100

    run(main())


def test_several_quotas_all_hold() -> None:
    async def main() -> None:
        quotas = (Quota(100, Period.DAY), Quota(150, Period.MONTH))
        desk = Desk(Limit(quotas=quotas))
        desk.clock.now = NOON - 14 * DAY  # in the middle of a month
        await move(desk.admit("1").up, 100)
        assert "100 B a day" in desk.refused("1").because
        desk.clock.now += DAY
        with pytest.raises(Refused, match="150 B a month"):
            await move(desk.admit("1").up, 100)
        left = {one.period: (one.used, one.left) for one in desk.limiter.usage()}
        assert left == {Period.DAY: (50, 50), Period.MONTH: (150, 0)}

    run(main())


def test_a_quota_is_renewed_while_a_transfer_runs() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(100, Period.DAY),)))
        permit = desk.admit("1")
        await move(permit.down, 100)
        desk.clock.now += DAY
        await move(permit.down, 100)
        assert permit.down.bytes == 200

    run(main())


def test_other_limits_of_a_rule_keep_what_was_counted() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        desk = Desk(Limit(rate=1000, requests=4, quotas=(Quota(5000, Period.DAY),)))
        running = desk.admit("1")
        await move(running.up, 3000)
        more = Limit(rate=100_000, requests=8, quotas=(Quota(4000, Period.DAY),))
        desk.verdict = replace(desk.verdict, limits=(more,))
        permit = desk.admit("2")
        start = loop.time()
        await move(running.up, 500)  # the running one is faster too
        assert loop.time() - start < 0.1
        with pytest.raises(Refused):
            await move(permit.up, 501)
        assert permit.up.bytes == 500

    run(main())


def test_a_limit_that_is_lifted_holds_for_those_that_run() -> None:
    async def main() -> None:
        desk = Desk(Limit(rate=1000))
        running = desk.admit("1")
        desk.verdict = replace(desk.verdict, limits=(Limit(connections=5),))
        assert type(desk.admit("2").up) is Meter
        assert isinstance(running.up, LimitedMeter)
        assert await running.up.leave(10_000) <= 250

    run(main())


def test_two_rules_limits_hold_together() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(500, Period.DAY),)))
        first = desk.admit("1")
        other = Verdict(allowed=True, rule="o", limits=(Limit(connections=1),))
        both = desk.limiter.admit(other, ACCESS, "1", first)
        await move(both.down, 500)
        with pytest.raises(Refused):
            await move(both.down, 1)
        with pytest.raises(Refused):
            desk.limiter.admit(other, ACCESS, "2")
        both.release()
        desk.limiter.admit(other, ACCESS, "2")

    run(main())


def test_accounts_that_remember_nothing_are_dropped() -> None:
    async def main() -> None:
        desk = Desk(Limit(rate=1000, requests=10, per=Per.CLIENT))
        for number in range(1000):
            access = replace(ACCESS, client=ip_address(0x0A000000 + number))
            permit = desk.admit(str(number), access)
            await permit.up.leave(10)
            permit.up.moved(10)
            permit.release()
            await asyncio.sleep(1)
        assert len(desk.limiter) < 50

    run(main())


def test_a_quota_outlives_its_account_and_goes_when_it_is_over() -> None:
    async def main() -> None:
        desk = Desk(Limit(per=Per.CLIENT, quotas=(Quota(100, Period.DAY),)))
        for number in range(100):
            access = replace(ACCESS, client=ip_address(0x0A000000 + number))
            permit = desk.admit(str(number), access)
            await move(permit.up, 100)
            permit.release()
        assert len(desk.limiter) < 10
        assert len(desk.limiter.usage()) == 100
        for number in range(100):
            access = replace(ACCESS, client=ip_address(0x0A000000 + number))
            desk.refused(str(number), access)
        desk.clock.now += 3 * DAY
        for number in range(1000, 1300):
            access = replace(ACCESS, client=ip_address(0x0A000000 + number))
            desk.admit(str(number), access).release()
        assert len(desk.limiter._quotas) < 10

    run(main())


def test_usage_tells_who_used_what() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(100, Period.DAY),)))
        permit = desk.admit("1")
        await permit.up.leave(100)
        permit.up.moved(30)
        (usage,) = desk.limiter.usage()
        assert (usage.rule, usage.per, usage.member) == ("r", Per.USER, "user:alice")
        assert (usage.used, usage.left, usage.period) == (30, 70, Period.DAY)
        assert desk.clock.now < usage.renewal <= desk.clock.now + DAY

    run(main())


def test_a_network_of_ipv6_is_one_client() -> None:
    async def main() -> None:
        one, other, far = (
            replace(NOBODY, client=ip_address(text))
            for text in ("2001:db8::1", "2001:db8::f:2", "2001:db8:0:1::1")
        )
        for per in (Per.CLIENT, Per.USER):
            desk = Desk(Limit(per=per, quotas=(Quota(100, Period.DAY),)))
            await move(desk.admit("1", one).up, 100)
            assert desk.refused("2", other).reason is Reason.QUOTA
            desk.admit("3", far)
            (usage,) = desk.limiter.usage()
            assert usage.member == "2001:db8::/64"

    run(main())


# A reload.


def limits(**amounts: object) -> dict[str, tuple[Limit, ...]]:
    return {"r": (Limit(**amounts),)}  # type: ignore[arg-type]


def test_a_lower_quota_reaches_what_moves() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(1000, Period.DAY),)))
        permit = desk.admit("1")
        await move(permit.up, 400)
        desk.limiter.change(None, limits(quotas=(Quota(500, Period.DAY),)))
        assert await permit.up.leave(1000) == 100
        permit.up.moved(100)
        with pytest.raises(Refused, match="500 B a day"):
            await permit.up.leave(1)
        (usage,) = desk.limiter.usage()
        assert (usage.used, usage.left) == (500, 0)

    run(main())


def test_a_higher_quota_lets_who_waits_go_on() -> None:
    async def main() -> None:
        desk = Desk(Limit(quotas=(Quota(100, Period.DAY),)))
        holding, waiting = desk.admit("1"), desk.admit("2")
        await holding.up.leave(100)
        task = asyncio.ensure_future(waiting.up.leave(100))
        await asyncio.sleep(1)
        desk.limiter.change(None, limits(quotas=(Quota(150, Period.DAY),)))
        assert await task == 50

    run(main())


def test_another_rate_reaches_what_moves() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        desk = Desk(Limit(rate=1_000_000))
        permit = desk.admit("1")
        desk.limiter.change(None, limits(rate=1000))
        start = loop.time()
        await move(permit.up, 20_000)
        assert loop.time() - start > 15

    run(main())


def test_what_moves_comes_under_no_limit_that_is_another_s() -> None:
    async def main() -> None:
        for rules in (
            {},
            {"another": (Limit(quotas=(Quota(1, Period.DAY),)),)},
            limits(quotas=(Quota(1, Period.MONTH),)),
            limits(per=Per.RULE, quotas=(Quota(1, Period.DAY),)),
        ):
            desk = Desk(Limit(quotas=(Quota(1000, Period.DAY),)))
            permit = desk.admit("1")
            desk.limiter.change(None, rules)
            await move(permit.up, 1000)

    run(main())
