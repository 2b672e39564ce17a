"""Transfers that share a rate and a quota, in a time that passes at once."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import virtual

from portway.errors import Refused
from portway.model import Per, Period, Quota
from portway.relay.limiter import Forgetful
from portway.relay.meter import LimitedMeter
from portway.relay.quotas import Allowance, Calendar, Key
from portway.relay.rates import Rate, burst_of

TURN = st.tuples(
    st.integers(1, 300_000),  # bytes wanted
    st.floats(0, 1),  # what part of the grant goes
    st.sampled_from([0.0, 0.0, 0.001, 0.1, 1.0]),  # seconds until then
    st.sampled_from([True, True, True, False]),  # whether it lets go then
)
TRANSFERS = st.lists(st.lists(TURN, min_size=1, max_size=12), min_size=1, max_size=6)
RATES = st.lists(st.floats(1000, 1e7), max_size=3)


class Log:
    """What went, and when; and the seconds after which each was cut."""

    def __init__(self) -> None:
        self.moved: list[tuple[float, int]] = []
        self.refused = 0


async def transfer(
    meter: LimitedMeter, turns: list[tuple[int, float, float, bool]], log: Log
) -> None:
    loop = asyncio.get_running_loop()
    try:
        for want, part, seconds, rests in turns:
            granted = await meter.leave(want)
            assert 1 <= granted <= want
            asked = loop.time()
            if seconds:
                await asyncio.sleep(seconds)
            count = math.ceil(granted * part)
            if count:
                meter.moved(count)
                log.moved.append((asked, count))
            if rests:
                meter.rest()
    except Refused:
        log.refused += 1
    finally:
        meter.rest()


@pytest.mark.timeout(60)
@settings(deadline=None, max_examples=40)
@given(
    rates=RATES,
    size=st.integers(1, 2_000_000) | st.just(1 << 40),
    transfers=TRANSFERS,
    cancel=st.data(),
)
def test_no_rate_and_no_quota_is_ever_exceeded_and_no_grant_is_lost(
    rates: list[float],
    size: int,
    transfers: list[list[tuple[int, float, float, bool]]],
    cancel: st.DataObject,
) -> None:
    cut_after = cancel.draw(st.none() | st.floats(0, 5))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        calendar = Calendar(lambda: 1_800_000_000.0, None)
        quota = Allowance(
            Key("r", 0, "m"),
            Per.RULE,
            Quota(size, Period.DAY),
            calendar,
            Forgetful(),
        )
        shared = tuple(map(Rate, rates))
        log = Log()
        meters = [LimitedMeter(shared, (quota,)) for _ in transfers]
        tasks = [
            loop.create_task(transfer(meter, turns, log))
            for meter, turns in zip(meters, transfers, strict=True)
        ]
        if cut_after is not None:
            await asyncio.sleep(cut_after)
            tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        moved = sum(count for _, count in log.moved)
        assert sum(meter.bytes for meter in meters) == moved == quota.used <= size
        assert quota.reserved == 0
        if log.refused:
            assert quota.used == size
        wanted = sum(turn[0] for turns in transfers for turn in turns)
        kept = any(not turn[3] and turn[1] < 1 for turns in transfers for turn in turns)
        if size >= wanted and not kept:
            # else some of what its rate gave to one is moved later: it waited for the
            # quota, or kept what it had not used
            for rate in rates:
                for start in range(len(log.moved)):
                    within_bounds(rate, log.moved[start:])
        await asyncio.sleep(1)  # by then every bucket is full, or something was lost
        assert all(rate.is_idle() for rate in shared)

    virtual.run(main())


def within_bounds(rate: float, moved: list[tuple[float, int]]) -> None:
    """What was asked for from one moment on is no more than the rate and a burst.

    A grant is counted where it was given.
    """
    ordered = sorted(moved)
    start, total = ordered[0][0], 0
    for at, count in ordered:
        total += count
        assert total <= (at - start) * rate + burst_of(rate) + 0.01
