"""Behind a balancer, and in front of one: whom each side takes the client for."""

import asyncio
import logging
import ssl
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.certificates import issue
from tests.session.moving import LONG, Legs, Way, agree, move, server_way
from tests.session.peers import PATIENCE, Peer, Port
from tests.session.secure import SecurePeer
from tests.session.stage import EVERYTHING, Names, Stage, rule, stage
from tests.wires import until

from portway.config.reverse import Health
from portway.config.schema import Limits, Listener
from portway.model import Endpoint
from portway.net import introductions
from portway.net.contexts import TlsContexts
from portway.net.preface import FORMATS, NOBODY_ELSE, Preface, read_preface, wanted
from portway.protocols.ftp.probe import probe_of
from portway.protocols.ftp.settings import FtpSettings, Upstream

HERE = "127.0.0.1"
BALANCERS = (ip_network("127.0.0.1/32"),)
OTHERS = (ip_network("127.0.0.9/32"),)
CLIENT = Endpoint("127.0.0.5", 40_000)
CALLED = Endpoint("198.51.100.2", 21)
V1 = FORMATS["v1"](CLIENT, CALLED)
ONLY_CLIENT = (rule(name="the client", who=CLIENT.host),)
LOGIN = f"""
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
"""
IN = f"< 220 edge FTP proxy ready.{LOGIN}"


@pytest.mark.parametrize("version", FORMATS)
async def test_rules_and_records_see_the_client_that_is_named(version: str) -> None:
    async with stage(rules=ONLY_CLIENT, proxy_protocol=BALANCERS) as scene:
        await scene.client.say(FORMATS[version](CLIENT, CALLED))
        await scene.play(IN)
    [record] = scene.records
    assert (record.client, record.client_port) == (CLIENT.host, CLIENT.port)
    assert record.rule == "the client"


@pytest.mark.parametrize("version", FORMATS)
async def test_a_balancer_that_names_nobody_is_the_client(version: str) -> None:
    rules = (rule(name="the balancer", who=HERE),)
    async with stage(rules=rules, proxy_protocol=BALANCERS) as scene:
        await scene.client.say(NOBODY_ELSE[version])
        await scene.play(IN)
    assert scene.records[0].client == HERE


async def test_commands_may_follow_the_header_at_once() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await scene.client.say(V1 + b"NOOP\r\n")
        await scene.play("< 220 edge...\n< 200 ...")


async def test_a_balancer_is_not_greeted_before_its_header() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await scene.play("silent")
        await scene.client.say(V1)
        await scene.play("< 220 edge...")


@pytest.mark.parametrize("said", [b"USER joe\r\n", b"PROXY TCP4 here there 1 2\r\n"])
async def test_a_balancer_without_a_header_is_not_let_in(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        with caplog.at_level(logging.WARNING):
            await scene.client.say(said)
            await scene.play("reset")
    assert [record.message for record in caplog.records] == ["listen.not_introduced"]
    assert not scene.records


async def test_a_slow_header_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert introductions.PATIENCE < PATIENCE
    async with stage(proxy_protocol=BALANCERS) as scene:
        await scene.client.say(V1[:-1])
        await scene.play("reset")
    assert "no PROXY header in time" in str(vars(caplog.records[0]))


async def test_a_balancer_that_only_looks_in_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        with caplog.at_level(logging.INFO):
            scene.client.end()
            await scene.play("reset")
    assert not caplog.records


async def test_from_a_stranger_a_header_is_no_command() -> None:
    rules = rule("deny", who=CLIENT.host), EVERYTHING
    async with stage(rules=rules, proxy_protocol=OTHERS) as scene:
        await scene.client.say(V1)
        await scene.play("< 220 edge...\n< 5...")
        await scene.play(LOGIN)
    assert scene.records[0].client == HERE


async def test_from_a_stranger_version_2_says_quit() -> None:
    """It is made so, that those who do not know it close."""
    async with stage(proxy_protocol=OTHERS) as scene:
        await scene.client.say(FORMATS["v2"](CLIENT, CALLED))
        heard, how = await scene.client.the_rest()
    assert heard.endswith(b"\r\n221 Goodbye.\r\n")
    assert how == "eof"
    assert not scene.records


async def test_the_limit_of_clients_counts_those_who_are_named() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        scene.sessions._admission.limits = limits(per_client=1)
        far = Endpoint("192.0.2.7", 1)
        await scene.client.say(FORMATS["v1"](far, CALLED))
        await scene.play("< 220 edge...")
        await scene.arrive()
        await scene.client.say(FORMATS["v1"](far, CALLED))
        await scene.play("< 421 ...")
        await scene.arrive()
        await scene.client.say(FORMATS["v1"](Endpoint("192.0.2.8", 1), CALLED))
        await scene.play("< 220 edge...")


def limits(per_client: int) -> Limits:
    return Limits(per_client=per_client)


# Data.


async def within(scene: Stage) -> None:
    await scene.client.say(V1)
    await scene.play(IN)


async def fetch(scene: Stage, legs: Legs, client: Peer | None = None) -> None:
    await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi")
    server = await legs.at_server()
    client = client or await legs.at_client()
    await scene.play("< 150 Hi")
    await move(server, client, b"data")
    await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_data_come_through_the_balancer_with_a_header() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await within(scene)
        legs = await agree(scene, "PASV")
        client = await scene.call(HERE, legs.client.number)
        await client.say(FORMATS["v2"](CLIENT, CALLED))
        await fetch(scene, legs, client)


async def test_data_may_come_from_the_client_itself() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await within(scene)
        legs = await agree(scene, "PASV")
        client = await scene.call(HERE, legs.client.number, CLIENT.host)
        await fetch(scene, legs, client)


async def test_the_balancer_brings_no_data_of_others() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await within(scene)
        legs = await agree(scene, "PASV")
        other = await scene.call(HERE, legs.client.number)
        await other.say(FORMATS["v1"](Endpoint("127.0.0.6", 1), CALLED))
        assert await other.the_rest() == (b"", "reset")
        client = await scene.call(HERE, legs.client.number)
        await client.say(V1)
        await fetch(scene, legs, client)


async def test_active_data_are_dialled_to_the_client_itself() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await within(scene)
        mine = scene.listen(CLIENT.host)
        await scene.client.say(b"PORT " + mine.as_port.encode() + b"\r\n")
        server = await server_way(scene)
        await scene.play("< 200 PORT command successful.")
        legs = Legs(scene, Way("PORT", CLIENT.host, mine.number, mine), server)
        await fetch(scene, legs)


async def test_a_client_of_another_family_is_called_back() -> None:
    far = Endpoint("::1", 40_000)
    async with stage(proxy_protocol=BALANCERS) as scene:
        await scene.client.say(FORMATS["v2"](far, CALLED))
        await scene.play(IN)
        mine = scene.listen(far.host)
        await scene.client.say(b"EPRT " + mine.as_eprt.encode() + b"\r\n")
        server = await server_way(scene)
        await scene.play("< 200 EPRT command successful.")
        await fetch(
            scene, Legs(scene, Way("EPRT", far.host, mine.number, mine), server)
        )


async def test_the_door_may_close_while_a_header_is_due() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await scene.client.say(V1[:5])
        await until(lambda: len(scene.sessions._introductions) == 1)
        await scene.sessions.cut()
        assert len(scene.sessions._introductions) == 0
        await scene.play("reset")


async def test_no_header_is_waited_for_while_we_drain() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        await scene.client.say(V1)
        await scene.play("< 220 edge...")
        await scene.arrive()
        await until(lambda: len(scene.sessions._introductions) == 1)
        draining = asyncio.ensure_future(scene.sessions.drain(1))
        await asyncio.sleep(0)
        assert len(scene.sessions._introductions) == 0
        assert len(scene.sessions) == 1
        await draining


async def test_only_so_many_headers_are_waited_for() -> None:
    async with stage(proxy_protocol=BALANCERS) as scene:
        scene.sessions._admission.limits = Limits(connections=2)
        for _ in range(2):
            await scene.client.say(V1[:5])
            await scene.arrive()
        await scene.play("reset")
        assert len(scene.sessions._introductions) == 2


# TLS.


@pytest.mark.parametrize("tls", ["implicit", "required"])
async def test_the_header_comes_before_tls_on_either_connection(
    tls: str, tmp_path: Path
) -> None:
    signed = issue(tmp_path)
    trusting = ssl.create_default_context(cafile=signed.ca)
    trusting.check_hostname = False
    async with stage(
        tls=tls,
        certificate=signed.certificate,
        key=signed.key,
        proxy_protocol=BALANCERS,
    ) as scene:
        plain = scene.client
        await plain.say(V1)
        if tls == "required":
            await scene.play("< 220 edge...\n> AUTH TLS\n< 234 ...")
        scene.client = SecurePeer(plain, trusting)
        await scene.client.shake_hands()
        if tls == "implicit":
            await scene.play("< 220 edge...")
        await scene.play(LOGIN)
        await scene.play("> PBSZ 0\n< 200 ...\n> PROT P\n< 200 ...")
        legs = await agree(scene, "PASV")
        data = await scene.call(HERE, legs.client.number)
        await data.say(FORMATS["v2"](CLIENT, CALLED))
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi")
        server = await legs.at_server()
        client = SecurePeer(data, trusting)
        await client.shake_hands()
        await scene.play("< 150 Hi")
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        scene.client.close()
    assert {record.client for record in scene.records} == {CLIENT.host}


# Out.


async def header(server: Peer) -> Preface:
    data = b""
    while count := wanted(data):
        data += await server.hear(count)
    return read_preface(data)


@pytest.mark.parametrize("version", FORMATS)
async def test_the_server_is_told_of_the_client_first(version: str) -> None:
    upstream = Upstream(proxy_protocol=version)  # type: ignore[arg-type]
    async with stage(upstream=upstream) as scene:
        await scene.play("< 220 edge...\n> USER u@{at}")
        told = await header(await scene.called())
        assert told.client == Endpoint(*scene.client.sock.getsockname())
        assert told.server == scene.door
        await scene.play(f"{LONG}< 220 Hi\n{LONG}> USER u\n{LONG}< 230 In")
        await scene.play("< 230-Hi\n< 230 In")
        legs = await agree(scene, "PASV")
        await fetch(scene, legs)


@pytest.mark.parametrize("version", FORMATS)
async def test_what_a_balancer_says_is_passed_on(version: str) -> None:
    upstream = Upstream(proxy_protocol=version)  # type: ignore[arg-type]
    async with stage(upstream=upstream, proxy_protocol=BALANCERS) as scene:
        await scene.client.say(V1)
        await scene.play("< 220 edge...\n> USER u@{at}")
        assert await header(await scene.called()) == Preface(CLIENT, CALLED)


@pytest.mark.parametrize("version", FORMATS)
async def test_who_looks_whether_a_server_lives_speaks_for_nobody(version: str) -> None:
    settings = FtpSettings(
        upstream=Upstream(proxy_protocol=version),  # type: ignore[arg-type]
        health=Health(),
    )
    table = Listener(
        name="door", where="test:1", protocol="ftp", address=(), settings=settings
    )
    with closing(Port()) as port:
        ask = probe_of(table, TlsContexts(), Names({}))
        asking = asyncio.ensure_future(ask(Endpoint(port.host, port.number)))
        with closing(await port.accept()) as server:
            assert await header(server) == Preface()
            await server.say(b"220 Hi\r\n")
            assert await server.line() == b"QUIT"
            await server.say(b"221 Bye\r\n")
            await asking
