"""A table of descriptors that is full: clients wait or are told, and nobody spins."""

import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from tests.integration.nanoftpd import ANSWERS, NanoFtpd, NanoSession
from tests.integration.process import eventually
from tests.integration.speaker import Speaker
from tests.resilience.running import ADDRESS, HOME, Running

Start = Callable[..., Running]


def leave(gateway: Running, count: int) -> None:
    """Let the gateway open so many more descriptors, and not one more."""
    held = gateway.held
    most = held.sockets + held.pipes + held.others + count
    bound(gateway, most)


def free(gateway: Running) -> None:
    bound(gateway, 1024)


def bound(gateway: Running, most: int) -> None:
    """Leave the hard bound as it is: who lowered it could not raise it again."""
    pid, kind = gateway.process.pid, resource.RLIMIT_NOFILE
    resource.prlimit(pid, kind, (most, resource.prlimit(pid, kind)[1]))


def greeted(stream: socket.socket) -> bool:
    stream.settimeout(0.05)
    try:
        return stream.recv(100).startswith(b"220 ")
    except TimeoutError:
        return False


def test_clients_wait_and_nobody_spins(loop: str, start: Start, nano: NanoFtpd) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    leave(gateway, 10)
    with ExitStack() as stack:
        streams = [stack.enter_context(gateway.raw()) for _ in range(40)]
        gateway.says("listen.paused")
        assert 1 <= sum(map(greeted, streams)) <= 10
        spent = gateway.cpu
        time.sleep(1.5)  # of which nothing but its own waking is measured
        assert gateway.cpu - spent < 0.3
        assert gateway.output.count("listen.paused") == 1
    with gateway.enter(nano) as client:
        assert client.fetch("RETR small") == nano.files["small"]
    gateway.nothing_left(before)


def test_no_connection_to_a_server_can_be_made(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    with gateway.client() as client:
        leave(gateway, 0)
        client.send(f"USER joe@{ADDRESS}:{nano.port}")
        reply = client.reply()
        assert reply.code in {421, 425}, reply
        assert client.closed()
    free(gateway)
    assert gateway.record_of("CONNECT")["outcome"] in {"refused", "failed"}
    with gateway.enter(nano) as client:
        client.expect("NOOP", 200)
    gateway.nothing_left(before)


@pytest.mark.parametrize("left", range(5))
@pytest.mark.parametrize("verb", ["PASV", "PORT"])
def test_no_data_connection_can_be_made(
    verb: str, left: int, loop: str, start: Start, nano: NanoFtpd
) -> None:
    """Wherever it runs out: the client is told, the session goes on, nothing leaks."""
    gateway = start(loop=loop)
    nano.scripts["RETR"] = within_a_second
    with gateway.enter(nano) as client:
        assert client.fetch("RETR small", verb) == nano.files["small"]
        eventually(lambda: gateway.held.sockets <= 6, "the legs are closed", 8)
        before = gateway.held
        leave(gateway, left)
        said = transfer(client, verb)
        if left < 2:
            assert said in {421, 425, 426, 451}, said
        else:
            assert said in {226, 421, 425, 426, 451}, said
        free(gateway)
        client.expect("NOOP", 200)
        assert client.fetch("RETR small", verb) == nano.files["small"]
        gateway.nothing_left(before)


def within_a_second(session: NanoSession, argument: str) -> None:
    """Serve a file, unless nobody comes for it."""
    if session._listener is not None:
        session._listener.settimeout(1.0)
    try:
        ANSWERS["RETR"](session, argument)
    except OSError:
        session.say("425 Nobody came")


def transfer(client: Speaker, verb: str) -> int:
    """Try to fetch a file; return the code that this ends with."""
    with ExitStack() as stack:
        if verb == "PASV":
            reply = client.ask("PASV")
            if reply.code != 227:
                return reply.code
            words = reply.text[reply.text.index("(") + 1 : reply.text.index(")")]
            *_, high, low = map(int, words.split(","))
            with suppress(ConnectionError):
                stack.enter_context(HOME.connect(ADDRESS, high * 256 + low))
        else:
            listener = stack.enter_context(HOME.listen(ADDRESS))
            port = listener.getsockname()[1]
            reply = client.ask(f"PORT 127,0,0,1,{port >> 8},{port & 255}")
            if reply.code != 200:
                return reply.code
        reply = client.ask("RETR small")
        while reply.code < 200:
            reply = client.reply()
        return reply.code


def test_a_small_table_is_shared_out_from_the_start(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    """Without the right to a larger one, it takes fewer clients in."""
    gateway = start(loop=loop, wrap=("unshare", "-Ur"), first="ulimit -n 60")
    before = gateway.held
    with ExitStack() as stack:
        inside = [stack.enter_context(gateway.enter(nano)) for _ in range(4)]
        while True:
            stream = stack.enter_context(gateway.raw())
            stream.settimeout(5)
            if (words := stream.recv(100)).startswith(b"421 "):
                break
        assert words == b"421 edge: too many connections.\r\n"
        for client in inside:
            assert client.fetch("RETR small") == nano.files["small"]
    eventually(lambda: may_enter(gateway, nano), "there is room again")
    gateway.nothing_left(before)


def may_enter(gateway: Running, nano: NanoFtpd) -> bool:
    with gateway.client() as client:
        if client.greeting.code != 220:
            return False
        client.login(f"joe@{ADDRESS}:{nano.port}")
        client.expect("NOOP", 200)
    return True
