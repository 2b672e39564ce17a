"""Room for a few at once, in the order of their coming."""

import asyncio

import pytest
from tests import virtual

from portway.users.directory import Overloaded
from portway.users.room import Room


class Hall:
    """A room, and who is in it."""

    def __init__(self, checked: int, waiting: int = 99) -> None:
        self.room = Room(checked, waiting)
        self.came: list[str] = []

    def visit(self, name: str, seconds: float = 1) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(self._visit(name, seconds))

    async def _visit(self, name: str, seconds: float) -> None:
        suspected = name.startswith("s")
        await self.room.enter(suspected=suspected)
        try:
            self.came.append(name)
            await asyncio.sleep(seconds)
        finally:
            self.room.leave(suspected=suspected)

    def is_empty(self) -> bool:
        kinds = (self.room._suspects, self.room._others)
        return not any(kind.inside or kind.waiting for kind in kinds)


def test_suspects_have_half_of_it_and_each_kind_its_order() -> None:
    async def main() -> None:
        hall = Hall(4)
        names = ["s1", "s2", "s3", "a", "b", "c", "d", "s4"]
        visits = [hall.visit(name) for name in names]
        await asyncio.sleep(0.5)
        assert hall.came == ["s1", "s2", "a", "b"]
        await asyncio.gather(*visits)
        assert hall.came[4:] == ["s3", "c", "s4", "d"]
        assert hall.is_empty()

    virtual.run(main())


def test_suspects_are_not_kept_out_by_others() -> None:
    async def main() -> None:
        hall = Hall(2)
        crowd = [hall.visit(f"{number}") for number in range(20)]
        suspect = hall.visit("s")
        await suspect
        assert len(hall.came) < 8
        await asyncio.gather(*crowd)
        assert hall.is_empty()

    virtual.run(main())


def test_who_stops_waiting_leaves_no_gap() -> None:
    async def main() -> None:
        hall = Hall(2)
        visits = [hall.visit(name) for name in "abcdef"]
        await asyncio.sleep(0.5)
        visits[2].cancel()
        await asyncio.sleep(0.5)  # c and d would be next; d has been let in just now
        visits[3].cancel()
        await asyncio.wait(visits)
        assert hall.came[:2] == ["a", "b"]
        assert {"e", "f"} <= set(hall.came)
        assert hall.is_empty()

    virtual.run(main())


def test_no_more_than_so_many_wait() -> None:
    async def main() -> None:
        hall = Hall(2, waiting=1)
        first = [hall.visit(name) for name in ("a", "b", "c", "s1")]
        await asyncio.sleep(0)
        for name in ("d", "s2"):
            with pytest.raises(Overloaded):
                await hall.visit(name)
        await asyncio.gather(*first)
        assert hall.is_empty()

    virtual.run(main())
