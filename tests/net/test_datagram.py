"""UDP over a socket of ours."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest
from tests.fds import nothing_left_open
from tests.wires import until

from portway.errors import Refused
from portway.model import IPAddress, Reason
from portway.net import datagram
from portway.net.datagram import (
    AT_ONCE,
    Address,
    Datagrams,
    open_datagrams,
    source_towards,
)

HERE, HERE6 = ip_address("127.0.0.1"), ip_address("::1")
Taken = list[tuple[bytes, Address]]


@contextmanager
def opened(
    address: IPAddress | None, ports: range | None = None
) -> Iterator[tuple[Datagrams, Taken]]:
    taken: Taken = []
    with nothing_left_open():
        made = open_datagrams(address, ports, lambda *came: taken.append(came))
        try:
            yield made, taken
        finally:
            made.close()


@pytest.mark.parametrize("address", [HERE, HERE6])
async def test_it_sends_and_takes(address: IPAddress) -> None:
    with opened(address) as (one, _), opened(address) as (other, taken):
        assert one.reaches(address)
        assert one.send(b"hello", one.name(address, other.local.port))
        await until(lambda: bool(taken))
        assert taken == [(b"hello", (str(address), one.local.port))]


@pytest.mark.parametrize("address", [HERE, HERE6])
async def test_one_without_an_address_reaches_both_families(
    address: IPAddress,
) -> None:
    with opened(None) as (one, back), opened(address) as (other, taken):
        assert one.reaches(address)
        assert one.send(b"there", one.name(address, other.local.port))
        await until(lambda: bool(taken))
        _, name = taken[0]
        other.send(b"back", name)
        await until(lambda: bool(back))
        assert back == [(b"back", (str(address), other.local.port))]


async def test_what_cannot_go_is_lost() -> None:
    with opened(HERE) as (one, _):
        assert not one.reaches(HERE6)
        assert not one.send(bytes(70_000), one.name(HERE, 9))
        assert not one.send(b"x", ("255.255.255.255", 9))


async def test_a_flood_gives_others_their_turn() -> None:
    with opened(HERE) as (one, _), opened(HERE) as (other, taken):
        for _ in range(2 * AT_ONCE):
            one.send(b"x", one.name(HERE, other.local.port))
        other._readable()
        assert len(taken) == AT_ONCE
        await until(lambda: len(taken) == 2 * AT_ONCE)


async def test_it_may_be_closed_by_what_comes() -> None:
    with opened(HERE) as (one, _):
        taken: list[bytes] = []

        def take(data: bytes, name: Address) -> None:
            taken.append(data)
            other.close()

        other = open_datagrams(HERE, None, take)
        to = one.name(HERE, other.local.port)
        assert one.send(b"1", to)
        assert one.send(b"2", to)
        await until(lambda: bool(taken))
        await asyncio.sleep(0)
        assert taken == [b"1"]


async def test_the_port_is_one_of_those_given() -> None:
    with opened(HERE) as (free, _):
        port = free.local.port
    with opened(HERE, range(port, port + 1)) as (one, _):
        assert one.local.port == port
        with pytest.raises(Refused) as caught:
            open_datagrams(HERE, range(port, port + 1), lambda *_: None)
        assert caught.value.reason is Reason.BUSY
    with pytest.raises(Refused):
        open_datagrams(ip_address("192.0.2.1"), None, lambda *_: None)


async def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [
        (socket.AF_APPLETALK, "::"),
        (socket.AF_INET, "0.0.0.0"),
    ]
    monkeypatch.setattr(datagram, "_places", lambda _: iter(there))
    made = open_datagrams(None, None, lambda *_: None)
    assert made.reaches(HERE)
    assert not made.reaches(HERE6)
    made.close()


def test_the_source_towards_an_address() -> None:
    assert source_towards(HERE) == HERE
    assert source_towards(HERE6) == HERE6
