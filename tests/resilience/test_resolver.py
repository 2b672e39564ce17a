"""Names that nobody answers for, and names that do not exist."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.resilience.running import Running

Start = Callable[..., Running]
TAG = os.getpid()
NAME_SERVER = f"127.53.{TAG >> 8 & 255}.{TAG & 255 | 1}"  # this test process's own
NO_SUCH_NAME = b"\x81\x83"  # RFC 1035, section 4.1.1: a response, recursion, RCODE 3


class NameServer:
    """Answers that no name exists that begins with ``no``; to others, nothing."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((NAME_SERVER, 53))
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                question, peer = self._socket.recvfrom(4096)
                if not question:
                    return
                if question[13:15] == b"no":
                    answer = question[:2] + NO_SUCH_NAME + question[4:]
                    self._socket.sendto(answer, peer)
                else:
                    self.asked.set()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
            stream.sendto(b"", (NAME_SERVER, 53))
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def gateway(loop: str, start: Start, names: NameServer, tmp_path: Path) -> Running:
    """A gateway whose names are resolved by *names* alone."""
    settings = tmp_path / "resolv.conf"
    settings.write_text(f"nameserver {NAME_SERVER}\noptions timeout:30 attempts:1\n")
    mount = f'mount --bind "{settings}" "$(readlink -f /etc/resolv.conf)"'
    return start(loop=loop, wrap=("unshare", "-Urm"), first=mount)


def test_a_resolver_that_hangs_is_given_up(
    gateway: Running, nano: NanoFtpd, names: NameServer
) -> None:
    before = gateway.held
    begun = time.monotonic()
    with gateway.client() as client, gateway.enter(nano) as another:
        client.send("USER joe@slow.example.org")
        assert names.asked.wait(3)
        slowest = 0.0
        while time.monotonic() - begun < 4:
            asked = time.monotonic()
            assert another.fetch("RETR small") == nano.files["small"]
            with gateway.enter(nano) as new:
                new.expect("NOOP", 200)
            slowest = max(slowest, time.monotonic() - asked)
        assert slowest < 4  # the resolver is waited for 5 s
        reply = client.reply()
        assert 4.5 < time.monotonic() - begun < 10
        assert reply.code == 421
        assert "slow.example.org" in reply.text
        assert client.closed()
    records = [one for one in gateway.fresh() if one["host"] == "slow.example.org"]
    if not records:
        records = gateway.wait_for(
            lambda found: any(one["host"] == "slow.example.org" for one in found)
        )
    [record] = [one for one in records if one["host"] == "slow.example.org"]
    assert (record["outcome"], record["reason"]) == ("failed", "resolver")
    assert gateway.held.sockets <= before.sockets + 1  # the resolver's own, still


def test_more_names_hang_than_there_are_threads(
    gateway: Running, nano: NanoFtpd, names: NameServer
) -> None:
    """Forty at once: each is told in time, and addresses need no resolver."""
    clients = [gateway.client() for _ in range(40)]
    begun = time.monotonic()
    for number, client in enumerate(clients):
        client.send(f"USER joe@slow{number}.example.org")
    with gateway.enter(nano) as another:
        another.expect("NOOP", 200)
        assert time.monotonic() - begun < 4
    for client in clients:
        with client:
            assert client.reply().code == 421
    assert time.monotonic() - begun < 12


def test_it_ends_while_a_resolver_hangs(gateway: Running, names: NameServer) -> None:
    with gateway.client() as client:
        client.send("USER joe@slow.example.org")
        assert names.asked.wait(3)
        begun = time.monotonic()
        gateway.process.signal(signal.SIGTERM)
        gateway.says("gateway.draining")
        gateway.process.signal(signal.SIGTERM)
        assert gateway.ends(5) == 0
        assert time.monotonic() - begun < 4.5  # less than the resolver's 5 s
        assert client.reply().code == 421
    assert "Traceback" not in gateway.output


def test_a_name_that_does_not_exist(gateway: Running, nano: NanoFtpd) -> None:
    with gateway.client() as client:
        reply = client.expect("USER joe@no.such.example.org", 530)
        assert reply.text == "Cannot resolve host no.such.example.org."
        client.login(f"joe@127.0.0.1:{nano.port}")  # the state is as before
        client.expect("QUIT", 221)
    records = gateway.wait_for(lambda found: len(found) == 2)
    assert {"name"} == {one["reason"] for one in records if one["outcome"] == "failed"}
