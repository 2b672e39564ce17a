"""The first bytes of tunnels: what is not HTTP must not be held back, nor cut."""

from dataclasses import replace

import pytest
from tests.session.peers import Peer
from tests.session.socks import Scene, door, heard
from tests.session.stage import EVERYTHING, Clock, rule
from tests.session.test_http_tunnel import ANY, hello, joined

from portway.config.schema import Rule
from portway.exchange import Exchange
from portway.policy.compile import compile_rules
from portway.protocols.http import tunnel
from portway.protocols.registry import METHODS
from portway.recheck import judge_anew

XMPP = b"<?xml version='1.0'?><stream:stream to='here.test' version='1.0'>"


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "LOOK_TIME", 0.3)


@pytest.mark.parametrize("words", [XMPP, b'{"id": 1}', b"(1)", b"\x13BitTorrent"])
async def test_what_is_no_request_goes_on_at_once(words: bytes) -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await client.say(words)
        assert await heard(server, len(words)) == words
        await server.say(b"ok")
        assert await heard(client, 2) == b"ok"
        client.end()
        server.end()


@pytest.mark.parametrize("words", [b"GET", b"GET /secret HTTP/1.1", b"\x16\x03\x01"])
async def test_what_may_become_one_and_does_not_is_cut(words: bytes) -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await client.say(words)
        assert await server.the_rest() == (b"", "reset")
        assert await client.the_rest() == (b"", "reset")


async def test_a_server_that_speaks_meanwhile_ends_the_look() -> None:
    """A terminal, whose user types letter by letter."""
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await joined(scene)
        await client.say(b"L")
        assert await server.silent(0.05)
        await server.say(b"login: ")
        assert await heard(client, 7) == b"login: "
        assert await heard(server, 1) == b"L"
        await client.say(b"s\r\n")
        assert await heard(server, 3) == b"s\r\n"
        client.end()
        server.end()


async def in_time(scene: Scene, name: str) -> tuple[Peer, Peer]:
    client, server = await joined(scene)
    first = hello(name)
    await client.say(first)
    assert await heard(server, len(first)) == first
    return client, server


@pytest.mark.parametrize("name", ["here.test", "night.test"])
async def test_the_name_of_tls_is_judged_again_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "TICK", 0.2)
    timed = Rule(
        where="test:1",
        lines={},
        to=("night.test",),
        when=("12:00-13:00",),
        then="deny",
        name="closed",
    )
    start = Clock.now - Clock.now % 86400
    async with door(protocol="http", settings=ANY, rules=(timed, EVERYTHING)) as scene:
        clock = scene.services.clock
        clock.now = start + 11 * 3600  # type: ignore[attr-defined]
        client, server = await in_time(scene, name)
        clock.now = start + 12.5 * 3600  # type: ignore[attr-defined]
        if name == "here.test":
            assert await client.silent(0.5)
            client.end()
            server.end()
            return
        assert await client.the_rest() == (b"", "reset")
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.records[0].facts["ended_rule"] == "closed (test:1)"


@pytest.mark.parametrize(("name", "ended"), [("here.test", 0), ("evil.test", 1)])
async def test_new_rules_are_asked_about_the_name_of_tls_too(
    name: str, ended: int
) -> None:
    async with door(protocol="http", settings=ANY) as scene:
        client, server = await in_time(scene, name)
        no = rule("deny", to="evil.test", name="evil")
        compiled, problems = compile_rules(
            (no, EVERYTHING), timezone="UTC", protocols=METHODS
        )
        assert not problems
        (gate,) = scene.sessions
        fresh = replace(scene.services, rules=compiled)
        open_now = [one for one in scene.services.live if isinstance(one, Exchange)]
        here = {gate.visitor.session: open_now}
        doors = [gate.visitor.door]
        assert await judge_anew([gate], fresh, doors, lambda: here) == (1, ended)
        if ended:
            assert await client.the_rest() == (b"", "reset")
            assert await server.the_rest() == (b"", "reset")
            await scene.over()
            assert scene.records[0].facts["ended_rule"] == "evil (test:1)"
