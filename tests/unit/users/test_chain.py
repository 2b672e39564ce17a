"""Sources one after another: who decides, and what a source that is down means."""

import asyncio
import logging
from typing import Literal

import pytest

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users.chain import Chain
from portway.users.directory import UNKNOWN, Overloaded, Verification, Verified

SECRET = "hunter2"
ALICE = Credentials("alice", SECRET)


class Source:
    """A source with one account, or one that is down, or one that never answers."""

    def __init__(self, name: str, user: str = "", password: str = SECRET) -> None:
        self.name = name
        self.state: Literal["up", "down", "silent", "overloaded"] = "up"
        self.asked = 0
        self.blind = False  # cannot look a name up
        self.closed = False
        self._user = user
        self._password = password

    async def verify(self, credentials: Credentials) -> Verified:
        await self._answer()
        if credentials.user != self._user:
            return UNKNOWN
        right = credentials.password == self._password
        kind = Verification.OK if right else Verification.WRONG
        return Verified(kind, self._user, source=self.name)

    async def knows(self, user: str) -> bool | None:
        await self._answer()
        return None if self.blind else user == self._user

    async def renewed(self, verified: Verified) -> Verified | None:
        return verified if self.state == "up" else None

    def close(self) -> None:
        self.closed = True

    async def _answer(self) -> None:
        self.asked += 1
        if self.state == "down":
            raise Refused(Reason.LOGIN_UNAVAILABLE, "connection refused")
        if self.state == "overloaded":
            raise Overloaded
        if self.state == "silent":
            await asyncio.Event().wait()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def refused(chain: Chain, credentials: Credentials = ALICE) -> None:
    with pytest.raises(Refused) as caught:
        await chain.verify(credentials)
    assert caught.value.reason is Reason.LOGIN_UNAVAILABLE
    assert caught.value.because == ""  # what is wrong inside is not the client's matter


async def test_the_first_that_knows_the_name_decides() -> None:
    one, two, three = Source("one"), Source("two", "alice", "x"), Source("3", "alice")
    chain = Chain([one, two, three])
    found = await chain.verify(ALICE)
    assert (found.verification, found.source) == (Verification.WRONG, "two")
    assert (one.asked, two.asked, three.asked) == (1, 1, 0)
    assert await chain.verify(Credentials("bob", "x")) == UNKNOWN
    assert await chain.knows("alice")
    assert not await chain.knows("bob")


async def test_while_a_source_is_down_only_those_before_it_decide() -> None:
    one, two, three = Source("one", "bob"), Source("two"), Source("three", "alice")
    chain = Chain([one, two, three])
    two.state = "down"
    await refused(chain)
    assert three.asked == 0
    with pytest.raises(Refused):
        await chain.knows("alice")
    found = await chain.verify(Credentials("bob", SECRET))
    assert (found.verification, found.source) == (Verification.OK, "one")


async def test_it_may_be_passed_over_but_never_taken_for_a_no() -> None:
    one, two = Source("one"), Source("two", "alice")
    chain = Chain([one, two], "next")
    one.state = "down"
    assert (await chain.verify(ALICE)).source == "two"
    assert await chain.knows("alice")
    await refused(chain, Credentials("carol", "x"))
    with pytest.raises(Refused):
        await chain.knows("carol")


@pytest.mark.parametrize("on_failure", ["closed", "next"])
async def test_too_many_logins_are_no_matter_of_a_source_and_go_to_no_other(
    on_failure: Literal["closed", "next"], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Source("one", "alice"), Source("two", "alice")
    chain = Chain([one, two], on_failure)
    one.state = "overloaded"
    with pytest.raises(Overloaded):
        await chain.verify(ALICE)
    assert two.asked == 0
    assert not caplog.records


async def test_a_source_that_is_silent_is_down() -> None:
    one, two = Source("one"), Source("two", "alice")
    one.state = "silent"
    await refused(Chain([one, two], seconds=0.01))
    assert (await Chain([one, two], "next", seconds=0.01).verify(ALICE)).user == "alice"


async def test_who_goes_away_while_a_source_is_asked_is_no_fault_of_the_source(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source("one")
    source.state = "silent"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Chain([source]).verify(ALICE), 0.01)
    assert not caplog.records


async def test_a_source_that_cannot_look_up_is_no_yes() -> None:
    blind = Source("one", "alice")
    blind.blind = True
    assert not await Chain([blind]).knows("alice")


async def test_a_login_that_was_taken_is_its_own_source_s_matter() -> None:
    one, two = Source("one", "alice"), Source("two", "alice")
    chain = Chain([one, two])
    taken = Verified(Verification.OK, "alice", source="two")
    assert await chain.renewed(taken) is taken
    two.state = "down"
    assert await chain.renewed(taken) is None
    gone = Verified(Verification.OK, "alice", source="three")
    assert await chain.renewed(gone) is None  # it is not configured any more


def test_closing_closes_all() -> None:
    sources = [Source("one"), Source("two")]
    Chain(sources).close()
    assert all(source.closed for source in sources)


async def test_one_line_when_it_goes_down_and_one_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    source, clock = Source("ldap", "alice"), Clock()
    chain = Chain([source], clock=clock)
    source.state = "down"
    for _ in range(20):
        await refused(chain)
        clock.now += 10
    source.state = "up"
    await chain.verify(ALICE)
    await chain.verify(ALICE)
    assert [record.message for record in caplog.records] == [
        "login.source.down",
        "login.source.back",
    ]
    down = caplog.records[0].__dict__
    assert (down["source"], down["why"]) == ("ldap", "connection refused")
    assert SECRET not in repr([record.__dict__ for record in caplog.records])


async def test_one_that_comes_and_goes_does_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    source, clock = Source("ldap", "alice"), Clock()
    chain = Chain([source], clock=clock)
    for _ in range(60):  # two minutes
        source.state = "down"
        await refused(chain)
        clock.now += 1
        source.state = "up"
        await chain.verify(ALICE)
        clock.now += 1
    assert len(caplog.records) == 4
