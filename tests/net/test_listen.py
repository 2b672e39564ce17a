import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

import pytest
from tests.fds import nothing_left_open
from tests.wires import port_of, some_turns, until

from portway.model import Endpoint, Side
from portway.net.listen import AT_ONCE, bind, serve
from portway.net.stream import SocketStream


@asynccontextmanager
async def serving(
    sock: socket.socket, on_accept: Callable[[SocketStream], None]
) -> AsyncIterator[None]:
    task = asyncio.ensure_future(serve(sock, on_accept))
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sock.fileno() == -1


def call(port: int) -> socket.socket:
    """Connect without waiting for anybody to accept."""
    return socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_clients_are_handed_on_with_their_address(host: str) -> None:
    with nothing_left_open():
        (sock,) = bind(Endpoint(host, 0))
        streams: list[SocketStream] = []
        port = port_of(sock)
        async with serving(sock, streams.append):
            with closing(socket.create_connection((host, port))) as caller:
                await until(lambda: bool(streams))
                (stream,) = streams
                assert stream.side is Side.CLIENT
                assert stream.peer == Endpoint(host, port_of(caller))
                caller.send(b"hi")
                assert await stream.receive() == b"hi"
                stream.close()


async def test_accepted_sockets_inherit_what_control_connections_need() -> None:
    (sock,) = bind(Endpoint("127.0.0.1", 0))
    streams: list[SocketStream] = []
    port = port_of(sock)
    async with serving(sock, streams.append):
        with closing(call(port)) as caller:
            await until(lambda: bool(streams))
            stream = streams[0]
            for level, option in (
                (socket.SOL_SOCKET, socket.SO_OOBINLINE),
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            ):
                assert stream._sock.getsockopt(level, option)
            caller.send(b"\xf2", socket.MSG_OOB)
            assert await stream.receive() == b"\xf2"
            stream.close()


async def test_a_crowd_is_taken_in_over_several_turns() -> None:
    many = 3 * AT_ONCE + 1
    (sock,) = bind(Endpoint("127.0.0.1", 0))
    streams: list[SocketStream] = []
    sizes: list[int] = []
    port = port_of(sock)
    callers = [call(port) for _ in range(many)]
    async with serving(sock, streams.append):

        async def look() -> None:
            await asyncio.sleep(0)
            sizes.append(len(streams))

        await until(lambda: len(streams) == many, look)
    steps = [b - a for a, b in zip([0, *sizes], sizes, strict=False)]
    assert max(steps) <= AT_ONCE
    for stream in streams:
        stream.close()
    for caller in callers:
        caller.close()


async def test_running_out_of_descriptors_pauses_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (sock,) = bind(Endpoint("127.0.0.1", 0))
    streams: list[SocketStream] = []
    port = port_of(sock)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(sock, streams.append):
        caller = call(port)
        await until(lambda: bool(streams))
        second = call(port)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with caplog.at_level(logging.WARNING):
                await until(lambda: bool(caplog.records))
                await asyncio.sleep(0.35)  # a second pause begins within
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [record.message for record in caplog.records] == ["listen.paused"]
        assert len(streams) == 1
        await until(lambda: len(streams) == 2)
        for stream in streams:
            stream.close()
        caller.close()
        second.close()


async def test_a_caller_who_left_again_does_no_harm() -> None:
    (sock,) = bind(Endpoint("127.0.0.1", 0))
    streams: list[SocketStream] = []
    port = port_of(sock)
    for _ in range(3):
        call(port).close()
    async with serving(sock, streams.append):
        with closing(call(port)):
            await until(lambda: len(streams) == 4)
    for stream in streams:
        stream.close()


async def test_an_accept_that_fails_oddly_does_not_end_the_loop() -> None:
    class Odd(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise ConnectionAbortedError
            return super().accept()

    (made,) = bind(Endpoint("127.0.0.1", 0))
    sock = Odd(fileno=made.detach())
    sock.setblocking(False)
    streams: list[SocketStream] = []
    port = port_of(sock)
    async with serving(sock, streams.append):
        with closing(call(port)):
            await until(lambda: bool(streams))
    assert sock.failures == 0
    streams[0].close()


async def test_a_name_may_have_several_addresses_and_v6_takes_no_v4() -> None:
    sockets = bind(Endpoint("::", 0))
    (six,) = sockets
    with pytest.raises(ConnectionRefusedError):
        call(port_of(six))
    six.close()
    with nothing_left_open():
        for sock in bind(Endpoint("localhost", 0)):
            sock.close()


async def test_a_door_that_cannot_be_opened_leaves_nothing_behind() -> None:
    (taken,) = bind(Endpoint("127.0.0.1", 0))
    with nothing_left_open():
        with pytest.raises(OSError, match="in use"):
            bind(Endpoint("127.0.0.1", port_of(taken)))
        with pytest.raises(OSError, match="assign"):
            bind(Endpoint("203.0.113.1", 0))
    taken.close()
    await some_turns(1)
