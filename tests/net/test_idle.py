"""Connections that wait to be used again."""

import asyncio
from ipaddress import ip_address

import pytest
from tests.wires import Wire

from portway.model import Side
from portway.net import idle
from portway.net.idle import Idle

HERE, THERE = ip_address("127.0.0.1"), ip_address("127.0.0.2")


async def closed(wire: Wire) -> bool:
    return await wire.hear() == b""


async def test_the_one_that_was_kept_last_is_taken_first() -> None:
    pool = Idle()
    with Wire(Side.SERVER) as one, Wire(Side.SERVER) as two:
        pool.keep("a", one.stream, HERE)
        pool.keep("a", two.stream, HERE)
        assert pool.take("b") is None
        found = [pool.take("a"), pool.take("a")]
        assert [kept.stream for kept in found if kept] == [two.stream, one.stream]
        assert pool.take("a") is None
        assert len(pool) == 0
        pool.close()


async def test_its_address_must_be_one_that_is_allowed() -> None:
    pool = Idle()
    with Wire(Side.SERVER) as wire:
        pool.keep("a", wire.stream, HERE)
        assert pool.take("a", (THERE,)) is None
        kept = pool.take("a", (THERE, HERE))
        assert kept is not None
        assert kept.address == HERE
        pool.close()


async def test_one_that_spoke_or_ended_is_not_handed_out() -> None:
    pool = Idle()
    with Wire(Side.SERVER) as spoke, Wire(Side.SERVER) as ended:
        pool.keep("a", spoke.stream, HERE)
        pool.keep("a", ended.stream, HERE)
        await spoke.say(b"unasked")
        ended.end()
        await asyncio.sleep(0.01)
        assert pool.take("a") is None
        assert spoke.stream.closed
        assert ended.stream.closed
        pool.close()


async def test_bytes_that_were_read_already_count_too() -> None:
    pool = Idle()
    with Wire(Side.SERVER) as wire:
        wire.stream.unread(b"more")
        pool.keep("a", wire.stream, HERE)
        assert pool.take("a") is None
        pool.close()


@pytest.mark.parametrize("bound", ["MOST", "MOST_A_KEY"])
async def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(idle, bound, 2)
    pool = Idle()
    with Wire() as one, Wire() as two, Wire() as three:
        keys = "aaa" if bound == "MOST_A_KEY" else "abc"
        for key, wire in zip(keys, (one, two, three), strict=True):
            pool.keep(key, wire.stream, HERE)
        assert len(pool) == 2
        assert await closed(one)  # the oldest
        pool.close()
        assert await closed(two)
        assert await closed(three)


async def test_none_waits_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "KEPT", 0.05)
    monkeypatch.setattr(idle, "SWEEP", 0.05)
    pool = Idle()
    with Wire() as wire:
        pool.keep("a", wire.stream, HERE)
        assert await closed(wire)
        assert len(pool) == 0
        pool.close()
