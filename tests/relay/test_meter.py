import asyncio

import pytest
from tests import virtual

from portway.errors import Refused
from portway.model import Per, Period, Quota
from portway.relay.limiter import Forgetful
from portway.relay.meter import LimitedMeter, Meter
from portway.relay.quotas import Allowance, Calendar, Key
from portway.relay.rates import Rate


def level(rate: Rate) -> float:
    return rate._bucket.level(asyncio.get_running_loop().time())


def allowance(size: int, place: int = 0) -> Allowance:
    calendar = Calendar(lambda: 1_800_000_000.0, None)
    key = Key("r", place, "m")
    return Allowance(key, Per.RULE, Quota(size, Period.DAY), calendar, Forgetful())


async def test_a_plain_meter_only_counts() -> None:
    meter = Meter()
    assert await meter.leave(1 << 40) == 1 << 40
    meter.moved(5)
    meter.moved(6)
    meter.rest()
    assert (meter.bytes, meter.waited, meter.waiting) == (11, 0, False)


def test_what_a_tighter_rate_does_not_let_go_is_not_taken_from_the_others() -> None:
    async def main() -> None:
        wide, tight = Rate(1_000_000), Rate(1000)
        meter = LimitedMeter((wide, tight), (allowance(100),))
        assert await meter.leave(200_000) == 100
        assert level(wide) == 250_000 - 100
        assert level(tight) == 250 - 100

    virtual.run(main())


def test_what_did_not_go_is_given_back_to_all() -> None:
    async def main() -> None:
        rate, quota = Rate(1000), allowance(10_000)
        meter = LimitedMeter((rate,), (quota,))
        assert await meter.leave(200) == 200
        meter.moved(50)
        meter.rest()
        meter.rest()
        assert level(rate) == 200
        assert (quota.used, quota.free()) == (50, 9950)
        assert await meter.leave(200) == 200
        assert await meter.leave(100) == 100  # which lets go of those before
        assert (quota.used, quota.free()) == (50, 9850)

    virtual.run(main())


def test_whoever_is_cancelled_while_it_waits_holds_nothing() -> None:
    async def main() -> None:
        wide, tight = Rate(1_000_000), Rate(10)
        meter = LimitedMeter((wide, tight), ())
        await meter.leave(2)
        meter.moved(2)
        leaving = asyncio.ensure_future(meter.leave(100_000))
        await asyncio.sleep(0.05)
        assert meter.waiting
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert not meter.waiting
        assert meter.waited == pytest.approx(0.05, abs=0.002)
        await asyncio.sleep(0)
        assert wide.is_idle()

    virtual.run(main())


def test_of_several_quotas_the_first_that_is_used_up_ends_it() -> None:
    async def main() -> None:
        large, small = allowance(1000), allowance(100, 1)
        meter = LimitedMeter((), (large, small))
        assert await meter.leave(500) == 100
        assert (large.free(), small.free()) == (900, 0)
        meter.moved(100)
        with pytest.raises(Refused, match="100 B a day"):
            await meter.leave(1)
        assert (large.used, large.reserved) == (100, 0)

    virtual.run(main())
