"""Clients that send garbage, too much, too slowly, or nothing at all."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.process import eventually
from tests.resilience.running import (
    MIB,
    Running,
    configuration,
    read_to_the_end,
)

Start = Callable[..., Running]
GARBAGE = random.Random(7).randbytes(MIB)
RESET = struct.pack("ii", 1, 0)


def say(stream: socket.socket, data: bytes) -> bytes:
    """Send *data*, whether or not it is wanted; return all that is answered."""

    def send() -> None:
        with suppress(OSError):
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        return read_to_the_end(stream)
    finally:
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)
        sender.join(5)


@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("clean", [False, True])
def test_a_mebibyte_of_garbage(
    login: bool, clean: bool, impatient: Running, nano: NanoFtpd
) -> None:
    gateway = impatient
    before, memory = gateway.held, gateway.memory
    garbage = GARBAGE if not clean else bytes(33 + byte % 90 for byte in GARBAGE)
    with gateway.enter(nano) if login else gateway.client() as client:
        answer = say(client.control, garbage)
    codes = {line[:3] for line in answer.split(b"\r\n") if line[:3].isdigit()}
    assert codes <= {b"421", b"500", b"501", b"502", b"503", b"530"}, codes
    assert gateway.memory - memory < 8 * MIB
    assert all("\0" not in line and "\r" not in line for line in nano.lines)
    gateway.nothing_left(before)


def test_a_line_without_end(impatient: Running) -> None:
    before = impatient.held
    with impatient.client() as client:
        answer = say(client.control, b"x" * 70_000)
    assert answer == b"421 Line too long.\r\n"
    impatient.nothing_left(before)


def test_a_line_that_is_too_long(impatient: Running) -> None:
    with impatient.client() as client:
        client.send("x" * 9000)
        assert str(client.reply()) == "500 Line too long."
        client.expect("NOOP", 200)


@pytest.mark.parametrize("line", [b"NOOP \0", b"\0", b"NO\rOP", b"USER a\0@h"])
def test_control_characters(line: bytes, impatient: Running) -> None:
    with impatient.client() as client:
        client.control.sendall(line + b"\r\n")
        assert str(client.reply()) == "501 Control characters refused."
        client.expect("NOOP", 200)


def test_one_that_never_speaks(impatient: Running) -> None:
    before = impatient.held
    with impatient.client() as client:
        begun = time.monotonic()
        assert str(client.reply()) == "421 Login took too long."
        assert 1.0 < time.monotonic() - begun < 10
        assert client.closed()
    impatient.nothing_left(before)


def test_one_that_speaks_byte_by_byte(impatient: Running) -> None:
    """A byte now and then does not buy time."""
    before = impatient.held
    with impatient.client() as client:
        begun = time.monotonic()
        client.control.settimeout(0.1)
        answer = b""
        for byte in b"NOOP\r\n" * 100:
            with suppress(ConnectionError):
                client.control.sendall(bytes([byte]))
            with suppress(TimeoutError, ConnectionError):
                answer += client.control.recv(1000)
            if b"421" in answer:
                break
        assert b"421 Login took too long.\r\n" in answer
        assert time.monotonic() - begun < 10  # 600 bytes would take a minute
    impatient.nothing_left(before)


def test_one_that_stays_idle_when_logged_in(impatient: Running, nano: NanoFtpd) -> None:
    before = impatient.held
    with impatient.enter(nano) as client:
        begun = time.monotonic()
        assert str(client.reply()) == "421 Idle too long, closing."
        assert 2.0 < time.monotonic() - begun < 10
        assert client.closed()
    assert nano.ended.wait(5)
    impatient.nothing_left(before)


def test_one_that_reads_none_of_its_download(
    impatient: Running, nano: NanoFtpd
) -> None:
    gateway = impatient
    gateway.fresh()
    before = gateway.held
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        assert client.reply().code in {421, 426}
        with pytest.raises(ConnectionResetError):
            while stream.recv(65536):
                pass
    record = gateway.record_of("RETR", nano)
    assert (record["outcome"], record["reason"]) == ("cut", "timeout")
    gateway.nothing_left(before)


def test_one_that_sends_none_of_its_upload(impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    before = gateway.held
    with gateway.enter(nano) as client, client.data("STOR up.bin"):
        assert client.reply().code in {421, 426}
    assert nano.ended.wait(5)
    assert "up.bin" not in nano.files
    gateway.nothing_left(before)


def test_one_that_reads_no_replies(impatient: Running) -> None:
    """Ten thousand commands ahead: what is not read is not computed either."""
    gateway = impatient
    before, memory = gateway.held, gateway.memory
    with gateway.client() as client:
        client.control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        done = threading.Event()

        def send() -> None:
            client.control.sendall(b"HELP\r\n" * 10_000)
            done.set()

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(0.7)
        assert gateway.memory - memory < 8 * MIB
        for _ in range(10_000):
            assert client.reply().code == 214
        sender.join(5)
        assert done.is_set()
        client.expect("QUIT", 221)
    gateway.nothing_left(before)


def test_one_that_asks_a_server_and_reads_nothing(
    impatient: Running, nano: NanoFtpd
) -> None:
    gateway = impatient
    before, memory = gateway.held, gateway.memory
    with gateway.enter(nano) as client:
        client.control.sendall(b"NOOP\r\n" * 10_000)
        time.sleep(0.5)
        assert gateway.memory - memory < 8 * MIB
        for _ in range(10_000):
            assert client.reply().code == 200
        client.expect("QUIT", 221)
    assert nano.verbs.count("NOOP") == 10_000
    gateway.nothing_left(before)


def test_five_hundred_that_are_gone_at_once(impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    before = gateway.held
    for _ in range(500):
        stream = gateway.raw()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        stream.close()
    with gateway.enter(nano) as client:
        client.expect("NOOP", 200)
        client.expect("QUIT", 221)
    gateway.nothing_left(before)


def test_more_than_there_may_be(loop: str, start: Start, nano: NanoFtpd) -> None:
    text = configuration(more="[limits]\nconnections = 100")
    gateway = start(text, loop=loop)
    before = gateway.held
    with ExitStack() as stack:
        streams = [stack.enter_context(gateway.raw()) for _ in range(300)]
        heads = [stream.recv(100) for stream in streams]
        assert sum(head.startswith(b"220 ") for head in heads) == 100
        refusal = b"421 edge: too many connections.\r\n"
        refused = [
            stream
            for stream, head in zip(streams, heads, strict=True)
            if head == refusal
        ]
        assert len(refused) == 200
        for stream in refused:
            assert stream.recv(1) == b""
    eventually(lambda: gateway.held.sockets <= before.sockets, "all are gone", 8)
    with gateway.enter(nano) as client:
        assert client.fetch("RETR small") == nano.files["small"]
    gateway.nothing_left(before)


def test_the_end_of_what_a_client_sends_is_no_end_of_what_it_hears(
    impatient: Running, nano: NanoFtpd
) -> None:
    with impatient.client() as client:
        client.control.sendall(b"NOOP\r\nQUIT\r\n")
        client.control.shutdown(socket.SHUT_WR)
        answer = read_to_the_end(client.control)
    assert answer.endswith(b"221 Goodbye.\r\n")
