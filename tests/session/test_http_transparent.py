"""Transparent HTTP doors: what is believed of what a client says of its server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.session.peers import Peer
from tests.session.socks import Scene, door
from tests.session.stage import EVERYTHING, Names, rule
from tests.session.test_http_tunnel import ANY, hello
from tests.session.web import OK, head, reply, web

from portway.config.schema import Rule
from portway.model import Endpoint, IPAddress, Reason
from portway.protocols.http import captured, errands
from portway.protocols.http.settings import HttpSettings

Patch = pytest.MonkeyPatch


@asynccontextmanager
async def caught(
    patch: Patch,
    *rules: Rule,
    settings: HttpSettings = ANY,
    names: dict[str, str] | None = None,
    at: Endpoint | None = None,
) -> AsyncIterator[Scene]:
    """Open a door whose clients were on their way to *at*, or else `Scene.port`."""
    async with door(
        protocol="http",
        mode="transparent",
        settings=settings,
        rules=rules or (EVERYTHING,),
        names=names,
    ) as scene:
        there = at or Endpoint("127.0.0.1", scene.port.number)
        for module in (captured, errands):
            patch.setattr(module, "original_destination", lambda _: there)
        yield scene


def get(host: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def answered(scene: Scene, client: Peer, server: Peer | None = None) -> Peer:
    """Be the server of one request."""
    server = server or await scene.called()
    await head(server)
    await server.say(OK)
    assert (await reply(client))[0].status == 200
    return server


async def test_each_request_names_its_own_host(monkeypatch: Patch) -> None:
    names = {"also.test": "127.0.0.1", "other.test": "127.0.0.9"}
    async with caught(monkeypatch, names=names) as scene:
        port = scene.port.number
        client = await scene.arrive(get(f"here.test:{port}", "/1"))
        server = await answered(scene, client)
        await client.say(get(f"also.test:{port}", "/2"))
        server = await answered(scene, client)  # another site, so not the same one
        await client.say(get(f"127.0.0.1:{port}", "/3"))
        await answered(scene, client)
        await client.say(get(f"other.test:{port}", "/4"))
        await answered(scene, client)
        client.close()
        await scene.over()
        del server
        told = [(one.url, one.facts.get("host_unproven")) for one in scene.records]
        assert told == [
            (f"http://here.test:{port}/1", None),
            (f"http://also.test:{port}/2", None),
            (f"http://127.0.0.1:{port}/3", None),
            (f"http://127.0.0.1:{port}/4", "other.test"),
        ]
        assert {one.address for one in scene.records} == {"127.0.0.1"}


async def test_a_name_does_not_open_the_way_to_another_address(
    monkeypatch: Patch,
) -> None:
    """Rules allow the name; where it leads is not where the client is going."""
    only = rule(to="good.test", name="only")
    names = {"good.test": "127.0.0.9"}
    async with caught(monkeypatch, only, names=names) as scene:
        client = await scene.arrive(get(f"good.test:{scene.port.number}"))
        assert (await head(client)).status == 403
        assert await scene.port.nobody_comes()
        client.close()
        await scene.over()
        assert scene.records[0].host == "127.0.0.1"


async def test_sni_does_not_open_the_way_either(monkeypatch: Patch) -> None:
    only = rule(to="good.test", name="only")
    names = {"good.test": "127.0.0.9"}
    async with caught(monkeypatch, only, names=names) as scene:
        client = await scene.arrive(hello("good.test"))
        assert (await client.the_rest())[0] == b""
        assert await scene.port.nobody_comes()
        await scene.over()
        (record,) = scene.records
        assert (record.method, record.verdict) == ("CONNECT", "deny")
        assert record.host == "127.0.0.1"


async def test_a_port_that_is_on_no_list_is_the_packet_filter_s_to_choose(
    monkeypatch: Patch,
) -> None:
    async with caught(monkeypatch, settings=HttpSettings(ports=("1",))) as scene:
        client = await scene.arrive(get(f"here.test:{scene.port.number}"))
        await answered(scene, client)


async def test_who_was_on_the_way_to_the_door_itself(monkeypatch: Patch) -> None:
    async with caught(monkeypatch) as scene:
        for module in (captured, errands):
            monkeypatch.setattr(module, "original_destination", lambda _: scene.door)
        client = await scene.arrive(get("here.test"))
        assert (await head(client)).status == 502
        tls = await scene.arrive(hello("here.test"))
        await tls.the_rest()
        client.close()
        await scene.over()
        assert {one.reason for one in scene.records} == {Reason.LOOP}


async def test_a_name_of_tls_is_judged_before_anybody_is_called(
    monkeypatch: Patch,
) -> None:
    no = rule("deny", to="evil.test", name="no")
    async with caught(monkeypatch, no, rule(tunnel="blind")) as scene:
        client = await scene.arrive(hello("evil.test"))
        assert await client.the_rest() == (b"", "reset")
        assert await scene.port.nobody_comes()
        await scene.over()
        (record,) = scene.records
        assert (record.rule, record.facts["sni"]) == ("no", "evil.test")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("CONNECT here.test:443 HTTP/1.1\r\nHost: here.test", 405),
        ("GET https://here.test/ HTTP/1.1\r\nHost: here.test", 421),
        ("GET ftp://here.test/ HTTP/1.1\r\nHost: here.test", 421),
        ("GET / HTTP/1.1", 400),
    ],
)
async def test_it_is_no_proxy(monkeypatch: Patch, words: str, status: int) -> None:
    async with caught(monkeypatch) as scene:
        client = await scene.arrive(f"{words}\r\n\r\n".encode())
        assert (await head(client)).status == status
        assert await scene.port.nobody_comes()


async def nobody_knows(self: Names, host: str) -> tuple[IPAddress, ...]:
    raise AssertionError(f"{self} was asked for {host}")


async def refused_by_name(scene: Scene, client: Peer) -> None:
    await client.say(get(f"secrets.evil.test:{scene.port.number}"))
    assert (await reply(client))[0].status == 403
    client.close()
    await scene.over()
    (record,) = (one for one in scene.records if one.method == "GET")
    assert record.rule == "no"
    assert record.facts["host_unproven"] == "secrets.evil.test"


NO = rule("deny", to="secrets.evil.test", name="no")


async def test_a_name_that_is_refused_is_not_looked_up(monkeypatch: Patch) -> None:
    """What is asked of a name server leaves the house, too."""
    monkeypatch.setattr(Names, "resolve", nobody_knows)
    async with caught(monkeypatch, NO, rule()) as scene:
        await refused_by_name(scene, await scene.arrive(b""))


async def test_nor_is_one_in_a_tunnel_to_an_address(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Names, "resolve", nobody_knows)
    async with web(rules=(NO, rule())) as scene:
        at = f"127.0.0.1:{scene.port.number}"
        tunnel = f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n"
        client = await scene.arrive(tunnel.encode())
        assert (await head(client)).status == 200
        await refused_by_name(scene, client)
