"""Payloads under limits, over real sockets: what goes, how, and when it stops."""

import asyncio
from collections.abc import Callable

import pytest
from tests.relay.test_pump import BLOCK, Way, carried, manner, way
from tests.wires import until

from portway.errors import Refused
from portway.model import Per, Period, Quota, Reason
from portway.net.stream import SocketStream
from portway.relay import pump as module
from portway.relay.limiter import Forgetful
from portway.relay.meter import LimitedMeter
from portway.relay.pipes import Pipe, Pipes
from portway.relay.pump import COPIED
from portway.relay.quotas import Allowance, Calendar, Key
from portway.relay.rates import Rate, burst_of
from portway.relay.splice import fill

__all__ = ["manner"]  # a fixture

FAST = 1e9


@pytest.fixture
def pipes(loop_pipes: Pipes) -> Pipes:
    return loop_pipes


def quota_of(size: int) -> Allowance:
    calendar = Calendar(lambda: 1_800_000_000.0, None)
    quota = Quota(size, Period.DAY)
    return Allowance(Key("r", 0, "m"), Per.RULE, quota, calendar, Forgetful())


def limit(way: Way, *rates: Rate, quota: Allowance | None = None) -> LimitedMeter:
    meter = LimitedMeter(rates, () if quota is None else (quota,))
    way.meter = meter
    return meter


@pytest.fixture
def spliced(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return what tells how many bytes went past us."""
    filled: list[int] = []

    def counted(source: SocketStream, pipe: Pipe, want: int) -> int | None:
        count = fill(source, pipe, want)
        filled.append(count or 0)
        return count

    monkeypatch.setattr(module, "fill", counted)
    return lambda: sum(filled)


@pytest.mark.parametrize("size", [0, 1, COPIED, COPIED + 1, 3_333_333])
async def test_a_limited_payload_arrives_as_it_was(
    pipes: Pipes, manner: str, size: int
) -> None:
    with way(pipes) as one:
        quota = quota_of(10_000_000)
        limit(one, Rate(FAST), quota=quota)
        assert await carried(one, BLOCK[:size], []) == BLOCK[:size]
        assert one.meter.bytes == quota.used == size
        assert quota.reserved == 0


@pytest.mark.parametrize("rate", [2e6, 1e8])
async def test_a_limited_payload_is_spliced_however_slow(
    pipes: Pipes, spliced: Callable[[], int], rate: float
) -> None:
    payload = BLOCK[: min(len(BLOCK), int(rate))]
    with way(pipes) as one:
        limit(one, Rate(rate))
        assert await carried(one, payload, []) == payload
    assert spliced() > len(payload) - 2 * COPIED


async def time_of(pipes: Pipes, rate: float, payload: bytes) -> tuple[float, float]:
    """Return the seconds that *payload* took, and how many of them it waited."""
    loop = asyncio.get_running_loop()
    with way(pipes) as one:
        meter = limit(one, Rate(rate))
        start = loop.time()
        await carried(one, payload, [])
        return loop.time() - start, meter.waited


async def test_a_rate_is_kept_to(pipes: Pipes, manner: str) -> None:
    rate = 2_000_000.0
    least = (1_500_000 - burst_of(rate)) / rate
    for _ in range(4):  # a busy machine gets another chance
        took, waited = await time_of(pipes, rate, BLOCK[:1_500_000])
        assert least <= took
        if took < 1.3 * least and waited == pytest.approx(least, rel=0.3):
            return
    raise AssertionError(f"{took} s, {waited} s of it waiting, for {least} s")


@pytest.mark.parametrize("size", [1, COPIED, COPIED + 1, 1_000_001])
@pytest.mark.parametrize("more", [0, 1, 500_000])
async def test_a_quota_cuts_to_the_byte_and_not_what_just_fits(
    pipes: Pipes, manner: str, size: int, more: int
) -> None:
    with way(pipes) as one:
        quota = quota_of(size)
        limit(one, quota=quota)
        async with asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(one.source.say(BLOCK[: size + more]))
            heard = tasks.create_task(one.sink.hear_all())
            if more:
                with pytest.raises(Refused) as caught:
                    await one.pump()
                assert caught.value.reason is Reason.QUOTA
                saying.cancel()
            else:
                saying.add_done_callback(lambda _: one.source.end())
                assert await one.pump() == size
            await one.sink.stream.send_eof()
        assert heard.result() == BLOCK[:size]
        assert one.meter.bytes == quota.used == size
        assert quota.reserved == 0


async def test_a_silent_source_holds_nothing_that_others_want(
    pipes: Pipes, manner: str
) -> None:
    rate, quota = Rate(1_000_000), quota_of(400_000)
    with way(pipes) as silent, way(pipes) as other:
        limit(silent, rate, quota=quota)
        limit(other, rate, quota=quota)
        async with asyncio.TaskGroup() as tasks:
            pumping = tasks.create_task(silent.pump())
            hearing = tasks.create_task(silent.sink.hear_all())
            await silent.source.say(BLOCK[:200_000])
            await until(lambda: silent.meter.bytes == 200_000)
            assert await carried(other, BLOCK[:200_000], []) == BLOCK[:200_000]
            silent.source.end()
            assert await pumping == 200_000
            await silent.sink.stream.send_eof()
        assert hearing.result() == BLOCK[:200_000]
        assert quota.left() == 0


async def test_two_payloads_share_a_rate(pipes: Pipes, manner: str) -> None:
    for _ in range(4):  # a busy machine may let one of them come late
        if await moved_beside(pipes) > 1_000_000:
            return
    raise AssertionError("one of them had it all")


async def moved_beside(pipes: Pipes) -> int:
    """Return how much of one payload had moved when another of 1.5 MB was through."""
    rate = Rate(4_000_000)
    rate.take(1 << 20, object())  # the burst, which the first to come would have
    with way(pipes) as one, way(pipes) as other:
        limit(one, rate)
        limit(other, rate)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(carried(one, BLOCK[:1_500_000], []))
            tasks.create_task(carried(other, BLOCK[:1_500_000], []))
            await first
            moved = other.meter.bytes
    return moved


async def test_a_wait_ends_at_once_when_it_is_cancelled(pipes: Pipes) -> None:
    rate = Rate(1)
    with way(pipes) as one:
        meter = limit(one, rate)
        pumping = asyncio.ensure_future(one.pump())
        await one.source.say(BLOCK[:100_000])
        await until(lambda: meter.waiting)
        pumping.cancel()
        async with asyncio.timeout(10):  # the rate would take a day
            with pytest.raises(asyncio.CancelledError):
                await pumping
        assert not meter.waiting
