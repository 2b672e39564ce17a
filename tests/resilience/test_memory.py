"""Thousands of connections that end badly leave no memory behind."""

import random
import socket
import struct
from collections.abc import Callable

import pytest
from tests.integration.nanoftpd import NanoFtpd, NanoSession
from tests.integration.process import eventually
from tests.resilience.running import ADDRESS, MIB, Running

Start = Callable[..., Running]
RESET = struct.pack("ii", 1, 0)
WARM_UP, ROUND = 1000, 2000
NOISE = 2 * MIB  # besides 10 %; two thousand leaks of 4 KiB each are 8 MiB


def spoil(gateway: Running, nano: NanoFtpd, chance: random.Random) -> None:
    """Connect, do something foolish, and be gone."""
    stream = gateway.raw()
    user = f"USER joe@{ADDRESS}:{nano.port}\r\n".encode()
    words = chance.choice(
        [
            b"",
            b"\0\xff" * 500,
            b"x" * 70_000,
            b"NOOP\r\n" * 50,
            b"USER joe@\r\nSITE \r\nPASS\r\n",
            user,
            user + b"PASS x\r\nPASV\r\n",
            user + b"PASS x\r\nPASV\r\nRETR small\r\n",
            user + b"PASS x\r\nFEAT\r\nEPSV\r\nLIST\r\n",
        ]
    )
    try:
        stream.sendall(words)
        if chance.random() < 0.5:
            stream.recv(chance.choice([1, 100]))
    except OSError:
        pass
    if chance.random() < 0.5:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    stream.close()


def greet_badly(session: NanoSession, _: str) -> None:
    if session.number % 7 == 3:
        session.reset()
    session.say("220 ready")


@pytest.mark.timeout(90)
def test_what_ends_badly_leaves_nothing(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(loop=loop)
    nano.scripts[""] = greet_badly
    before = gateway.held
    chance = random.Random(11)

    def go(count: int) -> int:
        for _ in range(count):
            spoil(gateway, nano, chance)
        eventually(lambda: gateway.held.sockets <= before.sockets, "they are gone", 10)
        return gateway.memory

    warm = go(WARM_UP)
    after = go(ROUND)
    assert after < warm * 1.1 + NOISE
    gateway.nothing_left(before)
    nano.failures.clear()
