import asyncio
import gc
import weakref
from collections.abc import Callable

from tests import virtual

from portway.net.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.times = 0
        self.deadline = Deadline(self.call)

    def call(self) -> None:
        self.times += 1
        self.came.set()


async def test_it_comes_once_and_not_too_early() -> None:
    clock = Clock()
    loop = asyncio.get_running_loop()
    before = loop.time()
    clock.deadline.set(0.03)
    await clock.came.wait()
    assert loop.time() - before > 0.029
    await asyncio.sleep(0.05)
    assert clock.times == 1


def test_moving_it_on_keeps_it_from_coming() -> None:
    async def main() -> None:
        clock = Clock()
        clock.deadline.set(0.03)
        for _ in range(10):
            await asyncio.sleep(0.02)
            assert clock.times == 0
            clock.deadline.set(0.15)
        await clock.came.wait()
        assert clock.times == 1

    virtual.run(main())


async def test_one_timer_stands_for_many() -> None:
    loop = asyncio.get_running_loop()
    clocks = [Clock() for _ in range(50)]
    made: list[float] = []
    wheel = clocks[0].deadline._wheel
    call_at = loop.call_at

    class Counting:
        time = loop.time

        @staticmethod
        def call_at(when: float, call: Callable[[], None]) -> asyncio.TimerHandle:
            made.append(when)
            return call_at(when, call)

    wheel.loop = Counting  # type: ignore[assignment]
    for clock in clocks:
        clock.deadline.set(0.2)
    wheel.loop = loop
    assert len(made) <= 2
    await asyncio.gather(*(clock.came.wait() for clock in clocks))
    assert [clock.times for clock in clocks] == [1] * 50


async def test_one_that_closes_while_others_come_does_not_come() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: faults.append(it))
    first, second = Clock(), Clock()
    for clock, other in ((first, second), (second, first)):
        clock.deadline._call = other.deadline.close
        clock.deadline.set(0.01)
    await asyncio.sleep(0.3)
    closed = [clock.deadline._call is None for clock in (first, second)]
    assert sorted(closed) == [False, True]
    assert not faults


async def test_one_that_fails_does_not_keep_the_others_from_coming() -> None:
    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))

    def fail() -> None:
        raise ZeroDivisionError

    clocks = [Clock() for _ in range(4)]
    broken = [Deadline(fail) for _ in range(4)]
    for clock, other in zip(clocks, broken, strict=True):
        other.set(0.01)
        clock.deadline.set(0.01)
    later = Clock()
    later.deadline.set(0.15)
    for clock in (*clocks, later):
        await clock.came.wait()
    assert len(told) == 4


async def test_moving_it_nearer_counts() -> None:
    clock = Clock()
    loop = asyncio.get_running_loop()
    before = loop.time()
    clock.deadline.set(30)
    clock.deadline.set(0.01)
    await clock.came.wait()
    assert loop.time() - before < 5


async def test_a_cleared_one_does_not_come_and_can_be_set_again() -> None:
    clock = Clock()
    clock.deadline.set(0.01)
    clock.deadline.clear()
    await asyncio.sleep(0.03)
    assert clock.times == 0
    clock.deadline.set(0.01)
    await clock.came.wait()


async def test_it_may_set_itself_anew_when_it_comes() -> None:
    deadlines: list[Deadline] = []
    thrice = asyncio.Event()

    def again() -> None:
        count.append(1)
        if len(count) == 3:
            thrice.set()
        else:
            deadlines[0].set(0.001)

    count: list[int] = []
    deadlines.append(Deadline(again))
    deadlines[0].set(0.001)
    await thrice.wait()


async def test_a_closed_one_lets_go_of_whom_it_would_have_called() -> None:
    clock = Clock()
    clock.deadline.set(3600)
    clock.deadline.close()
    clock.deadline.close()
    gone = weakref.ref(clock)
    del clock
    await asyncio.sleep(0)
    gc.collect()
    assert gone() is None
