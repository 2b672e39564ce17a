"""Several addresses, and a proxy that reaches some of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from tests.session.peers import Port
from tests.unit.gating import Names, ground

from portway.errors import ParentError, Refused
from portway.model import Action, Endpoint, Reason
from portway.net.doors import Doors
from portway.net.parent import read_parent

FIRST, SECOND = "203.0.113.5", "203.0.113.6"
NAMES = {"two": (FIRST, SECOND)}
PLACE = Endpoint("two.test", 21)
REACHED, UNREACHABLE, FORBIDDEN = 0, 4, 2


@asynccontextmanager
async def proxy(port: Port, *codes: int) -> AsyncIterator[list[str]]:
    """A SOCKS 5 proxy that answers with *codes*; what it was asked for is listed."""
    asked: list[str] = []

    async def serve() -> None:
        for code in codes:
            peer = await port.accept()
            assert await peer.hear() == b"\5\1\0"
            await peer.say(b"\5\0")
            asked.append(str(ip_address((await peer.hear())[4:8])))
            await peer.say(bytes((5, code, 0, 1)) + bytes(6))
            if code:
                peer.close()
            else:
                kept.append(peer)

    kept: list[object] = []
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve())
        yield asked
        await task
    for peer in kept:
        peer.close()  # type: ignore[attr-defined]


async def test_the_next_address_is_asked_for() -> None:
    port = Port()
    with ground(names=Names(**NAMES)) as made:
        made.gate.parent = read_parent(f"socks5://127.0.0.1:{port.number}")
        async with proxy(port, UNREACHABLE, REACHED) as asked:
            async with made.gate.open(Action.CONNECT, PLACE) as exchange:
                stream = await exchange.connect()
                assert str(exchange.access.address) == SECOND
                stream.close()
            assert asked == [FIRST, SECOND]
    port.close()


async def test_the_last_refusal_is_told() -> None:
    port = Port()
    with ground(names=Names(**NAMES)) as made:
        made.gate.parent = read_parent(f"socks5://127.0.0.1:{port.number}")
        async with proxy(port, UNREACHABLE, FORBIDDEN) as asked:
            with pytest.raises(ParentError, match="it is not allowed") as caught:
                async with made.gate.open(Action.CONNECT, PLACE) as exchange:
                    await exchange.connect()
            assert asked == [FIRST, SECOND]
        assert (caught.value.fault, caught.value.reason) == ("target", Reason.VIA)
    port.close()


async def test_a_proxy_that_is_a_door_of_ours_is_no_way() -> None:
    port = Port()
    doors = Doors([(ip_address("127.0.0.1"), port.number)])
    with ground(names=Names(gateway=("127.0.0.1",), **NAMES), doors=doors) as made:
        for host in ("127.0.0.1", "gateway.test"):
            made.gate.parent = read_parent(f"http://{host}:{port.number}")
            with pytest.raises(Refused) as caught:
                async with made.gate.open(Action.CONNECT, PLACE) as exchange:
                    await exchange.connect()
            assert caught.value.reason is Reason.LOOP
    port.close()


async def test_a_proxy_without_a_name_or_anybody_there() -> None:
    port = Port()
    port.close()
    with ground(names=Names(**NAMES)) as made:
        for host, words in (
            ("nobody.test", "its name is unknown"),
            ("127.0.0.1", "connection refused"),
        ):
            made.gate.parent = read_parent(f"socks5h://{host}:{port.number}")
            with pytest.raises(ParentError, match=words) as caught:
                async with made.gate.open(Action.CONNECT, PLACE) as exchange:
                    await exchange.connect()
            assert (caught.value.fault, caught.value.reason) == ("parent", Reason.VIA)
