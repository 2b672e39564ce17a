"""A rate and those who share it, in a time that passes at once."""

import asyncio

import pytest
from tests import virtual

from portway.relay.rates import (
    BURST,
    LONGEST,
    PIECE,
    SHORTEST,
    Rate,
    burst_of,
    piece_of,
)

KBIT, MBIT = 125.0, 125_000.0


class Taker:
    """Takes as much as it can, *most* at a time, and counts."""

    def __init__(self, rate: Rate, most: int = 1 << 20) -> None:
        self.rate = rate
        self.most = most
        self.got = 0
        self.turns = 0
        self.longest = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            count = self.rate.take(self.most, self)
            if not count:
                count = await self.rate.wait(self.most, self)
            self.got += count
            self.turns += 1
            self.longest = max(self.longest, loop.time() - asked)


async def run_for(seconds: float, *takers: Taker) -> None:
    tasks = [asyncio.ensure_future(taker.run()) for taker in takers]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize(
    "rate", [8 * KBIT, 64 * KBIT, 5 * MBIT, 50 * MBIT, 800 * MBIT, 10_000 * MBIT]
)
def test_it_holds_within_five_percent_over_ten_seconds(rate: float) -> None:
    async def main() -> None:
        taker = Taker(Rate(rate))
        await run_for(10, taker)
        assert 0.95 <= taker.got / (10 * rate) <= 1.05
        assert taker.turns / 10 < 2 / SHORTEST + rate / (1 << 20)
        assert taker.longest < 2 * LONGEST

    virtual.run(main())


def test_a_slow_rate_trickles() -> None:
    async def main() -> None:
        taker = Taker(Rate(1 * KBIT))
        await run_for(60, taker)
        assert taker.longest < 2 * LONGEST
        assert 0.95 <= taker.got / (60 * KBIT) <= 1.05

    virtual.run(main())


@pytest.mark.parametrize("rate", [0.25, 1.0, 3.0])
def test_the_slowest_gives_a_byte_at_a_time(rate: float) -> None:
    async def main() -> None:
        taker = Taker(Rate(rate))
        await run_for(100, taker)
        assert 100 * rate <= taker.got <= 100 * rate + 2

    virtual.run(main())


@pytest.mark.parametrize("rate", [64 * KBIT, 5 * MBIT, 100 * MBIT, 800 * MBIT])
@pytest.mark.parametrize("number", [2, 3, 20])
def test_all_who_want_get_the_same(rate: float, number: int) -> None:
    async def main() -> None:
        shared = Rate(rate)
        sizes = (1 << 20, PIECE)  # a large pipe, and a small one
        takers = [Taker(shared, sizes[n % 2]) for n in range(number)]
        await run_for(30, *takers)
        got = [taker.got for taker in takers]
        assert 0.98 <= sum(got) / (30 * rate) <= 1.02
        got[0] -= int(burst_of(rate))  # which the first to come finds
        assert max(got) - min(got) <= 0.05 * sum(got) / number + 2 * PIECE

    virtual.run(main())


def test_who_waits_is_served_before_who_comes_later() -> None:
    async def main() -> None:
        rate = Rate(1000)
        rate.take(1000, "greedy")
        order: list[str] = []

        async def ask(name: str) -> None:
            assert not rate.take(50, name)
            await rate.wait(50, name)
            order.append(name)

        async with asyncio.TaskGroup() as tasks:
            for name in ("a", "b", "c"):
                tasks.create_task(ask(name))
                await asyncio.sleep(0)
        assert order == ["a", "b", "c"]

    virtual.run(main())


@pytest.mark.parametrize("granted", [False, True])
def test_who_is_cancelled_takes_nothing_and_stops_nobody(granted: bool) -> None:
    async def main() -> None:
        rate = Rate(1000)
        rate.take(1000, "greedy")
        first = asyncio.ensure_future(rate.wait(100, "first"))
        second = asyncio.ensure_future(rate.wait(100, "second"))
        await asyncio.sleep(0.05)
        if granted:  # and it has not had a chance to see that
            rate.give_back(100)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second
        if granted:
            left = rate._bucket.level(asyncio.get_running_loop().time())
            assert left == pytest.approx(100, abs=2)
        await asyncio.sleep(BURST + 0.1)
        assert rate.is_idle()

    virtual.run(main())


def test_what_is_given_back_wakes_those_who_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rate = Rate(10)
        held = rate.take(2, "silent")
        waiting = asyncio.ensure_future(rate.wait(2, "another"))
        await asyncio.sleep(0)
        before = loop.time()
        rate.give_back(held)
        assert await waiting
        assert loop.time() == before

    virtual.run(main())


def test_another_rate_is_felt_by_those_who_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rate = Rate(1)
        rate.take(1, "greedy")
        waiting = asyncio.ensure_future(rate.wait(1000, "another"))
        await asyncio.sleep(0)
        before = loop.time()
        rate.change(1e6)
        await waiting
        assert loop.time() - before < LONGEST

    virtual.run(main())


def test_pieces_are_neither_crumbs_nor_long_waits() -> None:
    for rate in (100.0, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9):
        assert SHORTEST <= piece_of(rate) / rate <= LONGEST
        assert piece_of(rate) < rate * BURST
