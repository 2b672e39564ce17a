import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from ipaddress import ip_address

import pytest
from tests.fds import nothing_left_open
from tests.wires import port_of, some_turns, until

from portway.errors import PeerError, Refused
from portway.model import Endpoint, IPAddress, Reason, Side
from portway.net import dataport as module
from portway.net.dataport import STRANGERS, DataPort, open_data_port
from portway.net.preface import SHORTEST, format_1

HERE = ip_address("127.0.0.1")
FRIEND, STRANGER = "127.0.0.1", "127.0.0.9"


def only(host: str) -> Callable[[IPAddress], bool]:
    return lambda peer: str(peer) == host


def open_for(host: str = FRIEND, ports: range | None = None) -> DataPort:
    return open_data_port(HERE, ports, only(host), Side.CLIENT)


def call(port: DataPort, source: str = FRIEND) -> socket.socket:
    at = (port.endpoint.host, port.endpoint.port)
    return socket.create_connection(at, source_address=(source, 0))


def was_reset(caller: socket.socket) -> bool:
    caller.settimeout(5)
    try:
        return caller.recv(1) != b""
    except ConnectionResetError:
        return True


async def test_who_is_admitted_is_connected_and_the_port_closed() -> None:
    with nothing_left_open():
        port = open_for()
        with closing(call(port)) as caller:
            stream = await port.accept()
            assert stream.side is Side.CLIENT
            assert stream.peer.port == port_of(caller)
            with pytest.raises(ConnectionRefusedError):
                call(port)
            caller.send(b"x")
            assert await stream.receive() == b"x"
            stream.close()
            port.close()


async def test_a_connection_that_comes_before_anybody_waits_is_kept() -> None:
    with nothing_left_open():
        port = open_for()
        with closing(call(port)) as caller:
            await some_turns()
            with pytest.raises(ConnectionRefusedError):
                call(port)
            stream = await port.accept()
            assert stream.peer.port == port_of(caller)
            stream.close()


async def test_a_connection_is_given_out_once() -> None:
    port = open_for()
    with closing(call(port)):
        stream = await port.accept()
        with pytest.raises(PeerError, match="taken"):
            await port.accept()
        stream.close()


async def test_strangers_see_a_reset_and_the_friend_is_still_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with nothing_left_open():
        port = open_for()
        waiting = asyncio.ensure_future(port.accept())
        with caplog.at_level(logging.WARNING):
            for number in range(1, STRANGERS):
                with closing(call(port, STRANGER)) as stranger:
                    await some_turns(2)
                    assert port.strangers == number
                    assert was_reset(stranger)
        assert not waiting.done()
        assert {record.message for record in caplog.records} == {"dataport.stranger"}
        with closing(call(port)):
            (await waiting).close()


async def test_with_the_eighth_stranger_the_port_closes() -> None:
    with nothing_left_open(), ExitStack() as stack:
        port = open_for()
        waiting = asyncio.ensure_future(port.accept())
        for _ in range(STRANGERS):
            stack.enter_context(closing(call(port, STRANGER)))
            await some_turns(2)
        with pytest.raises(PeerError, match="strangers") as caught:
            await waiting
        assert caught.value.side is Side.CLIENT
        with pytest.raises(ConnectionRefusedError):
            call(port)
        with pytest.raises(PeerError, match="strangers"):
            await port.accept()


async def test_of_two_who_are_admitted_one_is_taken_and_the_other_reset() -> None:
    with nothing_left_open():
        port = open_for()
        first, second = call(port), call(port)
        stream = await port.accept()
        assert stream.peer.port == port_of(first)
        assert was_reset(second)
        for end in (first, second, stream):
            end.close()


async def test_closing_ends_the_wait_and_what_nobody_took() -> None:
    with nothing_left_open():
        port = open_for()
        waiting = asyncio.ensure_future(port.accept())
        await some_turns(1)
        port.close()
        with pytest.raises(PeerError, match="closed"):
            await waiting
        port.close()

        port = open_for()
        with closing(call(port)) as caller:
            await some_turns()
            port.close()
            assert caller.recv(1) == b""


async def test_a_cancelled_wait_leaves_the_port_open_for_the_next() -> None:
    port = open_for()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await port.accept()
    with closing(call(port)):
        (await port.accept()).close()


async def test_a_range_is_used_to_its_last_port_and_no_port_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = range(29_310, 29_320)
    with nothing_left_open():
        opened = [open_for(ports=ports) for _ in ports]
        assert {port.endpoint.port for port in opened} == set(ports)
        with pytest.raises(Refused) as caught, caplog.at_level(logging.ERROR):
            open_for(ports=ports)
        assert caught.value.reason is Reason.BUSY
        assert [record.message for record in caplog.records] == ["dataport.none"]
        opened.pop(3).close()
        opened.append(open_for(ports=ports))
        for port in opened:
            port.close()


async def test_a_port_is_exclusive_to_whoever_listens() -> None:
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", 0))
        thief.listen(1)
        number = port_of(thief)
        with pytest.raises(Refused):
            open_for(ports=range(number, number + 1))
    port = open_for()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", port.endpoint.port))
    port.close()


async def test_the_ports_order_cannot_be_foretold() -> None:
    ports = range(29_400, 29_900)
    seen = []
    for _ in range(20):
        port = open_for(ports=ports)
        seen.append(port.endpoint.port)
        port.close()
    assert seen != sorted(seen)
    assert len(set(seen)) > 10


async def test_a_port_is_used_again_at_once_after_a_connection() -> None:
    ports = range(29_350, 29_351)
    for _ in range(3):
        port = open_for(ports=ports)
        with closing(call(port)) as caller:
            stream = await port.accept()
            stream.close()  # ours first: the port is in TIME_WAIT
            assert caller.recv(1) == b""


async def test_an_address_that_is_not_ours_is_given_up_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = 0
    listen = module._listen

    def counted(address: IPAddress, port: int, *, foreign: bool) -> socket.socket:
        nonlocal tries
        tries += 1
        return listen(address, port, foreign=foreign)

    monkeypatch.setattr(module, "_listen", counted)
    with nothing_left_open(), pytest.raises(Refused):
        open_data_port(
            ip_address("203.0.113.1"), range(30_000, 31_000), only(FRIEND), Side.CLIENT
        )
    assert tries == 1
    with pytest.raises(Refused):
        open_for(ports=range(1, 1))


async def test_without_descriptors_the_gateway_is_busy() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with nothing_left_open():
        port = open_for()
        waiting = asyncio.ensure_future(port.accept())
        caller = call(port)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(Refused):
                open_for(ports=range(30_000, 30_010))
            with pytest.raises(Refused) as caught:
                await waiting
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.reason is Reason.BUSY
        caller.close()


async def test_mapped_callers_are_folded_before_they_are_judged() -> None:
    asked: list[IPAddress] = []

    def admits(peer: IPAddress) -> bool:
        asked.append(peer)
        return True

    port = open_data_port(ip_address("::"), None, admits, Side.SERVER)
    with closing(socket.create_connection(("127.0.0.1", port.endpoint.port))):
        stream = await port.accept()
        assert asked == [HERE]
        stream.close()


# Behind a balancer.

BALANCER, CLIENT = "127.0.0.3", "192.0.2.7"


def behind(balancer: str = BALANCER) -> DataPort:
    return open_data_port(
        HERE, None, only(CLIENT), Side.CLIENT, introduces=only(balancer)
    )


def header(host: str = CLIENT) -> bytes:
    return format_1(Endpoint(host, 4000), Endpoint("198.51.100.2", 5000))


async def test_a_balancers_connection_is_of_the_client_that_it_names() -> None:
    with nothing_left_open():
        port = behind()
        with closing(call(port, BALANCER)) as caller:
            caller.send(header() + b"x")
            stream = await port.accept()
            assert stream.peer == Endpoint(CLIENT, 4000)
            assert await stream.receive() == b"x"
            stream.close()


async def test_a_balancer_alone_is_believed() -> None:
    with nothing_left_open():
        port = behind()
        with closing(call(port, FRIEND)) as liar:
            liar.send(header())
            await until(lambda: port.strangers == 1)
            assert was_reset(liar)
        port.close()


@pytest.mark.parametrize("words", [header("192.0.2.8"), b"STOR me", SHORTEST])
async def test_a_balancer_that_names_another_is_a_stranger(words: bytes) -> None:
    with nothing_left_open():
        port = behind()
        with closing(call(port, BALANCER)) as other:
            other.send(words)
            await until(lambda: port.strangers == 1)
            assert was_reset(other)
        with closing(call(port, BALANCER)) as caller:
            caller.send(header())
            (await port.accept()).close()


async def test_one_that_says_nothing_keeps_nobody_out() -> None:
    with nothing_left_open(), ExitStack() as stack:
        port = behind()
        silent = stack.enter_context(closing(call(port, BALANCER)))
        await some_turns()
        caller = stack.enter_context(closing(call(port, BALANCER)))
        caller.send(header())
        (await port.accept()).close()
        assert was_reset(silent)


async def test_only_so_many_may_say_nothing() -> None:
    with nothing_left_open(), ExitStack() as stack:
        port = behind()
        for _ in range(STRANGERS):
            stack.enter_context(closing(call(port, BALANCER)))
            await some_turns(2)
        assert port.strangers == 0
        crowd = stack.enter_context(closing(call(port, BALANCER)))
        await some_turns()
        assert port.strangers == 1
        assert was_reset(crowd)
        port.close()
        await some_turns(1)
