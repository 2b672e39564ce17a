"""Servers of reverse doors, asked again and again: what is found, and what is said."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Literal

import pytest
from tests.certificates import issue
from tests.fds import nothing_left_open
from tests.session.peers import Ended, Peer, Port

from portway.config.reverse import Health as Settings
from portway.config.schema import Configuration, Gateway, Ledger, Limits, Listener
from portway.errors import UpstreamError
from portway.health import Health
from portway.model import Endpoint, IPAddress, Reason, read_address
from portway.net.balance import Server
from portway.net.linger import close_lingering
from portway.policy.routes import farms_of
from portway.protocols.ftp.protocol import PROTOCOL
from portway.protocols.ftp.settings import FtpSettings, Upstream
from portway.units import Seconds

SOON = Seconds(0.01)


class Names:
    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        address = read_address(host)
        if address is None:
            raise UpstreamError(Reason.NAME, f"{host}: unknown")
        return (address,)


class Ward:
    """A farm of one server, and who asks it."""

    def __init__(self, health: Health, server: Server) -> None:
        self.health = health
        self.server = server

    async def becomes(self, *, up: bool) -> None:
        async with asyncio.timeout(6):
            while self.server.up is not up:
                await asyncio.sleep(0.005)


def door(
    server: str,
    probe: Literal["greeting", "connect"] = "greeting",
    upstream: Upstream | None = None,
    every: Seconds = SOON,
) -> Listener:
    health = Settings(every=every, timeout=Seconds(0.2), probe=probe)
    settings = FtpSettings(
        servers=(server,), health=health, upstream=upstream or Upstream()
    )
    return Listener(
        name="farm",
        where="p.toml:1",
        protocol="ftp",
        address=(Endpoint("127.0.0.1", 0),),
        mode="reverse",
        settings=settings,
    )


def mind(health: Health, listener: Listener) -> Server:
    """Let *health* ask the server of *listener*; return what it knows of it."""
    assert isinstance(listener.settings, FtpSettings)
    farms, _ = farms_of(listener.settings, {})
    assert farms is not None
    contexts, wrong = PROTOCOL.contexts(listener)
    assert not wrong
    configuration = Configuration(
        path="",
        gateway=Gateway(),
        listeners=(listener,),
        rules=(),
        ledger=Ledger(),
        limits=Limits(),
    )
    health.mind(configuration, {"farm": contexts}, {"farm": farms})
    return farms.whole.servers[0]


@asynccontextmanager
async def asked(listener: Listener) -> AsyncIterator[Ward]:
    health = Health(Names())
    server = mind(health, listener)
    task = asyncio.ensure_future(health.run())
    try:
        yield Ward(health, server)
    finally:
        task.cancel()
        await asyncio.wait({task})
        close_lingering()


@asynccontextmanager
async def serving(answer: Callable[[], bytes]) -> AsyncIterator[tuple[Port, list[str]]]:
    """Greet whoever comes with *answer*; give the port, and what they say."""
    heard = list[str]()

    async def serve() -> None:
        while True:
            peer = await port.accept()
            try:
                await peer.say(answer())
                heard.append((await peer.line()).decode())
                await peer.say(b"221 Bye\r\n")
            except Ended:
                heard.append("end")
            finally:
                peer.close()

    with nothing_left_open():
        port = Port("127.0.0.1")
        task = asyncio.ensure_future(serve())
        try:
            yield port, heard
        finally:
            task.cancel()
            await asyncio.wait({task})
            port.close()


def at(port: Port) -> str:
    return f"127.0.0.1:{port.number}"


async def until(heard: list[str], count: int) -> None:
    async with asyncio.timeout(6):
        while len(heard) < count:
            await asyncio.sleep(0.005)


async def test_a_server_that_greets_lives_and_is_told_goodbye() -> None:
    async with serving(lambda: b"220-Two\r\n220 lines\r\n") as (port, heard):
        async with asked(door(at(port))) as ward:
            await until(heard, 3)
            assert ward.server.up
        assert set(heard[:3]) == {"QUIT"}


async def test_it_goes_down_and_comes_back_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    greeting = b"421 Full up\r\n"
    with caplog.at_level(logging.INFO, "portway.health"):
        async with (
            serving(lambda: greeting) as (port, heard),
            asked(door(at(port))) as ward,
        ):
            await ward.becomes(up=False)
            assert ward.server.failures == 3
            greeting = b"220 Back\r\n"
            await ward.becomes(up=True)
            await until(heard, 8)
    said = [(one.msg, getattr(one, "server", "")) for one in caplog.records]
    assert said == [
        ("farm.server_down", at(port)),
        ("farm.server_up", at(port)),
    ]
    assert getattr(caplog.records[0], "error", "") == "greets with 421 Full up"


async def test_who_lets_nobody_in_is_down() -> None:
    port = Port("127.0.0.1")
    port.close()
    async with asked(door(at(port))) as ward:
        await ward.becomes(up=False)


async def test_a_name_that_is_not_known_is_down() -> None:
    async with asked(door("nobody.test")) as ward:
        await ward.becomes(up=False)


async def test_a_silent_server_is_down_unless_a_connection_is_enough() -> None:
    async with silent() as port, asked(door(at(port))) as ward:
        await ward.becomes(up=False)
    async with silent() as port, asked(door(at(port), "connect")) as ward:
        ward.server.up = False
        ward.server.successes = 0
        await ward.becomes(up=True)


@asynccontextmanager
async def silent() -> AsyncIterator[Port]:
    """Let everybody in, and say nothing."""
    peers = list[Peer]()

    async def serve() -> None:
        while True:
            peers.append(await port.accept())

    with nothing_left_open():
        port = Port("127.0.0.1")
        task = asyncio.ensure_future(serve())
        try:
            yield port
        finally:
            task.cancel()
            await asyncio.wait({task})
            for peer in peers:
                peer.close()
            port.close()


@pytest.mark.parametrize(
    ("greeting", "lives"), [(b"SSH-2.0-x\r\n", True), (b"220 FTP\r\n", False)]
)
async def test_an_sftp_server_says_so(greeting: bytes, *, lives: bool) -> None:
    async with serving(lambda: greeting) as (port, heard):
        listener = door(at(port), upstream=Upstream(protocol="sftp"))
        async with asked(listener) as ward:
            ward.server.up = not lives
            await ward.becomes(up=lives)
            await until(heard, 2)


async def test_implicit_tls_comes_before_the_greeting(tmp_path: Path) -> None:
    files = issue(tmp_path, "127.0.0.1")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 inside\r\n")
        with suppress(OSError):
            heard.append(await reader.readline())
            writer.write(b"221 Bye\r\n")
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    number = server.sockets[0].getsockname()[1]
    upstream = Upstream(tls="implicit", ca=str(files.ca))
    health = Health(Names())
    known = mind(health, door(f"127.0.0.1:{number}", upstream=upstream))
    known.up = False
    task = asyncio.ensure_future(health.run())
    try:
        await Ward(health, known).becomes(up=True)
    finally:
        task.cancel()
        await asyncio.wait({task})
        server.close()
        await server.wait_closed()
        close_lingering()
    assert heard[0] == b"QUIT\r\n"


async def test_after_a_reload_others_are_asked() -> None:
    hello = b"220 Hello\r\n"
    async with (
        serving(lambda: hello) as (old, old_heard),
        serving(lambda: hello) as (new, new_heard),
        asked(door(at(old))) as ward,
    ):
        await until(old_heard, 1)
        mind(ward.health, door(at(new)))
        await until(new_heard, 2)
        asked_by_then = len(old_heard)
        await until(new_heard, 6)
        assert len(old_heard) <= asked_by_then + 1


async def test_a_fault_of_ours_does_not_end_the_asking(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Names.resolve
    calls = 0

    async def resolve(self: Names, host: str) -> tuple[IPAddress, ...]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a fault")
        return await real(self, host)

    monkeypatch.setattr(Names, "resolve", resolve)
    async with (
        serving(lambda: b"220 Hello\r\n") as (port, heard),
        asked(door(at(port))),
    ):
        await until(heard, 1)
    assert [one.msg for one in caplog.records] == ["farm.probe_failed"]
