"""Logins in line, in a time that passes at once."""

import asyncio
from ipaddress import ip_address

import pytest
from tests import virtual

from portway.errors import Refused
from portway.model import IPAddress, Reason
from portway.users.directory import Overloaded
from portway.users.guessing import BAN_AFTER
from portway.users.room import CHECKED, WAITING
from portway.users.turnstile import Turnstile

HERE, THERE = ip_address("192.0.2.7"), ip_address("198.51.100.9")


def now() -> float:
    return asyncio.get_running_loop().time()


async def attempt(
    turnstile: Turnstile, address: object = HERE, *, ok: bool = False
) -> float:
    """Log in, which takes 0.1 s; return when the password was checked."""
    async with turnstile.turn(address):  # type: ignore[arg-type]
        begun = now()
        await asyncio.sleep(0.1)
        if not ok:
            turnstile.failed("alice", address)  # type: ignore[arg-type]
    return begun


def test_attempts_of_one_address_are_checked_one_after_another() -> None:
    async def main() -> None:
        turnstile, start = Turnstile(), now()
        begun = await asyncio.gather(*(attempt(turnstile) for _ in range(6)))
        waits = [round(at - start, 3) for at in begun]
        assert waits == [0, 1.1, 2.2, 4.3, 8.4, 16.5]
        assert not turnstile._lines

    virtual.run(main())


def test_others_do_not_wait_for_them() -> None:
    async def main() -> None:
        turnstile, start = Turnstile(), now()
        theirs = [asyncio.ensure_future(attempt(turnstile)) for _ in range(9)]
        await asyncio.sleep(0.05)
        assert await attempt(turnstile, THERE, ok=True) - start == pytest.approx(0.05)
        await asyncio.sleep(40)
        before = now()
        assert await attempt(turnstile, THERE, ok=True) == before
        await asyncio.gather(*theirs)

    virtual.run(main())


def test_who_hangs_up_does_not_get_ahead_by_it() -> None:
    async def main() -> None:
        turnstile, start = Turnstile(), now()
        for _ in range(5):
            await attempt(turnstile)
        for _ in range(3):  # these leave the line
            gone = asyncio.ensure_future(attempt(turnstile))
            await asyncio.sleep(0.01)
            gone.cancel()
            await asyncio.wait({gone})
        assert await attempt(turnstile) - start == pytest.approx(16.5)
        assert not turnstile._lines

    virtual.run(main())


def test_too_many_wrong_ones_are_refused_unchecked_until_it_is_over() -> None:
    async def main() -> None:
        turnstile = Turnstile()
        waiting = [
            asyncio.ensure_future(attempt(turnstile)) for _ in range(BAN_AFTER + 2)
        ]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        refusals = [each for each in found if isinstance(each, Refused)]
        assert [each.reason for each in refusals] == [Reason.RATE] * 2
        before = now()
        with pytest.raises(Refused):
            await attempt(turnstile)
        assert now() == before
        await attempt(turnstile, THERE, ok=True)
        await asyncio.sleep(931)
        await attempt(turnstile, ok=True)

    virtual.run(main())


# Many addresses at once.


def many(count: int, first: str = "10.0.0.1") -> list[IPAddress]:
    return [ip_address(first) + number for number in range(count)]


async def wrong_once(turnstile: Turnstile, addresses: list[IPAddress]) -> None:
    await asyncio.gather(*(attempt(turnstile, one) for one in addresses))


def test_addresses_that_guess_leave_room_for_others() -> None:
    async def main() -> None:
        turnstile, guessers = Turnstile(), many(200)
        await wrong_once(turnstile, guessers)
        await asyncio.sleep(1)  # they may try again, and do so at once
        guessing = [asyncio.ensure_future(attempt(turnstile, one)) for one in guessers]
        await asyncio.sleep(0.01)
        inside = turnstile._room._suspects.inside
        assert inside == CHECKED // 2
        before = now()
        assert await attempt(turnstile, HERE, ok=True) == before
        await asyncio.gather(*guessing)
        assert now() - before < 0.1 * 200 / inside + 0.2

    virtual.run(main())


def test_addresses_that_have_not_guessed_yet_keep_nobody_out() -> None:
    async def main() -> None:
        turnstile, start = Turnstile(), now()
        first = [asyncio.ensure_future(attempt(turnstile, one)) for one in many(100)]
        await asyncio.sleep(0)
        assert await attempt(turnstile, HERE, ok=True) - start < 0.5
        await asyncio.gather(*first)

    virtual.run(main())


def test_more_than_may_wait_are_refused_with_a_line_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        turnstile = Turnstile()
        asked = [
            asyncio.ensure_future(attempt(turnstile, one, ok=True))
            for one in many(CHECKED + WAITING + 9)
        ]
        found = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in found if isinstance(one, Overloaded)]
        assert len(refused) == 9
        assert {one.reason for one in refused} == {Reason.LOGIN_UNAVAILABLE}
        assert caplog.messages == ["login.overload"]
        assert not turnstile._lines

    virtual.run(main())
