"""Servers that say what none should: a proper reply or a close, and nothing is left.

Not here: what takes a minute by design, such as a greeting that never comes.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.integration.nanoftpd import Gone, NanoFtpd, NanoSession, Script, says
from tests.integration.process import eventually
from tests.integration.speaker import Closed
from tests.resilience.running import ADDRESS, MIB, Running, read_exactly

GARBAGE = random.Random(5).randbytes(MIB).replace(b"\n", b"n")


def sends(*pieces: bytes, then: str = "") -> Script:
    """Return a script that sends *pieces* and then closes, resets, or waits."""

    def script(session: NanoSession, _: str) -> None:
        for piece in pieces:
            session.send(piece)
        if then == "reset":
            session.reset()
        if then != "wait":
            raise Gone

    return script


def endlessly(piece: bytes) -> Script:
    """Return a script that sends *piece* until somebody stops it."""

    def script(session: NanoSession, _: str) -> None:
        while True:
            session.send(piece)

    return script


GREETINGS: dict[str, tuple[Script, int]] = {
    "an endless line": (endlessly(b"x" * 65536), 421),
    "an endless welcome": (endlessly(b"220-welcome\r\n" * 1000), 421),
    "garbage": (sends(GARBAGE), 421),
    "another protocol": (sends(b"<html>\r\n" * 40, then="wait"), 421),
    "half a line": (sends(b"220 hel"), 421),
    "half a reply": (sends(b"220-hello\r\n"), 421),
    "nothing": (sends(), 421),
    "a reset": (sends(then="reset"), 421),
    "a reset after half a reply": (sends(b"220-hello\r\n", then="reset"), 421),
    "its leave": (sends(b"421 Too busy\r\n"), 421),
}


@pytest.mark.parametrize("kind", GREETINGS)
def test_greetings(kind: str, impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    gateway.fresh()
    before, memory = gateway.held, gateway.memory
    nano.scripts[""], code = GREETINGS[kind]
    with gateway.client() as client:
        client.control.settimeout(3.5)
        reply = client.ask(f"USER joe@{ADDRESS}:{nano.port}")
        assert reply.code == code, reply
        assert client.closed()
    record = gateway.record_of("CONNECT", nano)
    assert (record["outcome"], record["side"]) == ("failed", "server")
    assert gateway.memory - memory < 8 * MIB
    gateway.nothing_left(before)
    still_serves(gateway, nano)


def still_serves(gateway: Running, nano: NanoFtpd) -> None:
    nano.scripts.clear()
    with gateway.enter(nano) as client:
        assert client.fetch("RETR small") == nano.files["small"]
        client.expect("QUIT", 221)


REPLIES: dict[str, Script] = {
    "an endless line": endlessly(b"x" * 65536),
    "junk": sends(b"what?\r\n" * 40, then="wait"),
    "garbage": sends(GARBAGE),
    "its leave": says("421 Timeout, good bye"),
    "its leave in many lines": sends(b"421-Timeout\r\n good\r\n421 bye\r\n"),
    "half a line": sends(b"200 he"),
    "half a reply": sends(b"200-hello\r\n"),
    "nothing": sends(),
    "a reset": sends(then="reset"),
    "silence": sends(then="wait"),
    "silence after half a reply": sends(b"200-hello\r\n", then="wait"),
}


@pytest.mark.parametrize("kind", REPLIES)
@pytest.mark.parametrize("verb", ["NOOP", "FEAT", "PASV"])  # passed on, kept, read
def test_replies(verb: str, kind: str, impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    before, memory = gateway.held, gateway.memory
    nano.scripts[verb] = REPLIES[kind]
    with gateway.enter(nano) as client:
        client.control.settimeout(3.5)
        client.send(verb)
        said = []
        with suppress(Closed):
            while True:
                said.append(client.line())
        assert sum(line.startswith("421 ") for line in said) == 1, said
        assert said[-1].startswith("421 ")
    assert gateway.memory - memory < 8 * MIB
    gateway.nothing_left(before)
    still_serves(gateway, nano)


def test_a_feature_list_without_end(impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    before, memory = gateway.held, gateway.memory

    def list_on(session: NanoSession, _: str) -> None:
        session.say("211-Features:")
        while True:
            session.send(b" FEATURE\r\n" * 1000)

    nano.scripts["FEAT"] = list_on
    with gateway.enter(nano) as client:
        assert client.ask("FEAT").code == 421
        assert client.closed()
    assert gateway.memory - memory < 8 * MIB
    gateway.nothing_left(before)
    still_serves(gateway, nano)


def test_a_reply_without_end_is_passed_on_no_faster_than_it_is_read(
    impatient: Running, nano: NanoFtpd
) -> None:
    gateway = impatient
    before, memory = gateway.held, gateway.memory
    sent = [0]

    def speak_on(session: NanoSession, _: str) -> None:
        session.say("214-Help:")
        while True:
            session.send(b" Send help.\r\n" * 1000)
            sent[0] += 13_000

    nano.scripts["HELP"] = speak_on
    with gateway.enter(nano) as client:
        client.send("HELP")
        read_exactly(client.control, 4 * MIB)
        eventually(lambda: stands(sent), "who does not read is not spoken to", 3)
        assert gateway.memory - memory < 8 * MIB
    assert nano.ended.wait(5)
    gateway.nothing_left(before)
    still_serves(gateway, nano)


def stands(sent: list[int]) -> bool:
    before = sent[0]
    time.sleep(0.2)
    return sent[0] == before


def in_transfer(last: Callable[[NanoSession], None]) -> Script:
    def script(session: NanoSession, _: str) -> None:
        session.say("150 Here it comes")
        with session.data() as stream:
            stream.sendall(bytes(MIB))
            last(session)
            with suppress(OSError):
                stream.recv(1)
        session.say("426 It broke")

    return script


IN_TRANSFER: dict[str, Callable[[NanoSession], None]] = {
    "its leave": lambda session: session.say("421 Out of order"),
    "a reset": lambda session: session.reset(),
    "junk": lambda session: session.send(b"what?\r\n" * 40),
    "a failure": lambda session: session.say("451 Disk trouble"),
}


@pytest.mark.parametrize("kind", IN_TRANSFER)
def test_in_a_transfer(kind: str, impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    gateway.fresh()
    before = gateway.held
    nano.scripts["RETR"] = in_transfer(IN_TRANSFER[kind])
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        with pytest.raises(ConnectionResetError):
            while stream.recv(65536):
                pass
        codes = []
        with suppress(Closed, TimeoutError):
            client.control.settimeout(1.0)
            while True:
                codes.append(client.reply().code)
        assert codes in ([426, 421], [421], [451], [451, 421]), codes
    record = gateway.record_of("RETR", nano)
    assert (record["outcome"], record["side"]) == ("cut", "server")
    gateway.nothing_left(before)
    still_serves(gateway, nano)


def test_a_transfer_that_stands_still(impatient: Running, nano: NanoFtpd) -> None:
    gateway = impatient
    gateway.fresh()
    before = gateway.held
    nano.scripts["RETR"] = in_transfer(lambda _: None)
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        with pytest.raises(ConnectionResetError):
            stream.recv(1)
        assert client.reply().code in {421, 426}
    record = gateway.record_of("RETR", nano)
    assert (record["outcome"], record["reason"]) == ("cut", "timeout")
    gateway.nothing_left(before)
    still_serves(gateway, nano)


def test_a_refusal_before_any_byte_ends_quietly(
    impatient: Running, nano: NanoFtpd
) -> None:
    def refuse(session: NanoSession, _: str) -> None:
        session.say("150 Here it comes")
        with session.data():
            time.sleep(0.2)
            session.say("550 Or not")
            time.sleep(0.2)

    gateway = impatient
    before = gateway.held
    nano.scripts["RETR"] = refuse
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        assert client.reply().code == 550
        assert stream.recv(1) == b""  # an end, no reset
        client.expect("NOOP", 200)
    gateway.nothing_left(before)
