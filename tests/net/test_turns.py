import asyncio

import pytest

from portway.net.turns import Turns


async def test_they_come_one_after_another_in_order() -> None:
    turns = Turns()
    told: list[int] = []

    async def take(number: int) -> None:
        async with turns:
            told.append(number)
            await asyncio.sleep(0)
            told.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(take(number))
    assert told == [n for n in range(5) for _ in "in"]
    async with turns:
        pass


async def test_one_that_gives_up_waiting_keeps_nobody_waiting() -> None:
    turns = Turns()
    async with turns:
        waiting = [asyncio.ensure_future(hold(turns)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert waiting[0].cancelled()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5)


async def test_one_that_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    turns = Turns()
    await turns.__aenter__()
    first, second = (asyncio.ensure_future(hold(turns)) for _ in range(2))
    await asyncio.sleep(0)
    await turns.__aexit__(None, None, None)
    first.cancel()
    await asyncio.wait_for(second, 5)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_fault_inside_lets_the_next_in() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="inside"):
        async with turns:
            raise ValueError("inside")
    async with turns:
        pass


async def hold(turns: Turns) -> None:
    async with turns:
        await asyncio.sleep(0)
