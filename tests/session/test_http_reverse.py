"""Reverse HTTP doors: which server answers, and what is heard of the others."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from msgspec import structs
from tests.certificates import issue
from tests.session.peers import Ended, Peer, Port
from tests.session.secure import inside
from tests.session.socks import Scene, door
from tests.session.stage import Names, rule
from tests.session.web import OK, Head, head, heard, reply

from portway.config.reverse import Health, Route
from portway.config.schema import Listener, Login
from portway.errors import PeerError, PortwayError
from portway.model import Endpoint, Reason
from portway.net.balance import Server
from portway.net.contexts import NO_TLS
from portway.policy.routes import Farms, farms_of
from portway.protocols.http.certificates import contexts_of
from portway.protocols.http.probe import host_of, probe_of
from portway.protocols.http.settings import HttpSettings, Upstream
from portway.protocols.http.upgrade import accept_of

HOSTS = ("www.test", "*.www.test")
KEY = b64encode(b"0123456789abcdef")
LOGIN = "Authorization: Basic " + b64encode(b"joe:s3cret").decode()


class Site:
    """A reverse door, and the ports of its servers."""

    def __init__(self, scene: Scene, count: int) -> None:
        self.scene = scene
        self.ports = [Port() for _ in range(count)]
        scene.open += self.ports

    @property
    def servers(self) -> Sequence[Server]:
        return self.scene.services.farms["door"].whole.servers

    async def called(self, number: int = 0) -> Peer:
        peer = await self.ports[number].accept()
        self.scene.open.append(peer)
        return peer

    async def ask(
        self,
        *fields: str,
        host: str = "www.test",
        line: str = "GET / HTTP/1.1",
        body: bytes = b"",
        source: str = "",
    ) -> Peer:
        lines = (line, f"Host: {host}", *fields, "", "")
        return await self.scene.arrive("\r\n".join(lines).encode() + body, source)


@asynccontextmanager
async def site(
    *,
    count: int = 1,
    living: int | None = None,
    settings: HttpSettings | None = None,
    route: tuple[tuple[str, int], ...] = (),
    **keys: object,
) -> AsyncIterator[Site]:
    """Open a door to *count* servers, of which those beyond *living* are dead.

    *route* has those that are not for everybody: for whom, and which it is.
    """
    usual = settings or HttpSettings(balance="round-robin")
    chosen = structs.replace(usual, hosts=HOSTS, servers=("127.0.0.1:1",))
    farms: dict[str, Farms] = {"": Farms(None, ())}
    async with door(
        protocol="http",
        mode="reverse",
        settings=chosen,
        farms=farms,
        **keys,  # type: ignore[arg-type]
    ) as scene:
        made = Site(scene, count)
        farms["door"] = farms_at(made, chosen, route)
        for port in made.ports[count if living is None else living :]:
            port.close()
        yield made


def farms_at(
    made: Site, settings: HttpSettings, route: tuple[tuple[str, int], ...]
) -> Farms:
    places = [f"127.0.0.1:{port.number}" for port in made.ports]
    routes = tuple(Route(who=(who,), servers=(places[at],)) for who, at in route)
    taken = {at for _, at in route}
    servers = tuple(one for at, one in enumerate(places) if at not in taken)
    chosen = structs.replace(settings, servers=servers, route=routes)
    farms, wrong = farms_of(chosen, {})
    assert farms is not None
    assert not wrong
    return farms


async def serves(peer: Peer, words: bytes = OK) -> Head:
    """Be a server: hear a request, answer it, and close."""
    asked = await head(peer)
    await peer.say(words)
    peer.end()
    return asked


# Which server.


async def test_hosts_may_be_patterns() -> None:
    async with site() as made:
        for host in ("www.test", "WWW.test", "a.www.test", "www.test."):
            client = await made.ask("Connection: close", host=host)
            asked = await serves(await made.called())
            assert asked[b"host"].decode() == host.lower().removesuffix(".")
            assert (await reply(client))[0].status == 200
        for host in ("evil.test", "awww.test", "127.0.0.1"):
            client = await made.ask(host=host)
            assert (await head(client)).status == 421


async def test_it_is_no_proxy() -> None:
    async with site() as made:
        for line, status in (
            ("GET http://evil.test/ HTTP/1.1", 421),
            ("CONNECT www.test:80 HTTP/1.1", 405),
            ("GET ftp://www.test/ HTTP/1.1", 421),
        ):
            client = await made.ask(line=line)
            assert (await head(client)).status == status, line
        assert await made.ports[0].nobody_comes()


async def test_two_requests_of_one_client_go_to_two_servers() -> None:
    async with site(count=2) as made:
        client = await made.ask()
        for place in (1, 0):
            server = await made.called(place)
            await head(server)
            await server.say(OK)
            assert (await reply(client))[0].status == 200
            if place:
                await client.say(b"GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")


async def test_a_server_keeps_its_connection_for_the_next_request() -> None:
    async with site() as made:
        client = await made.ask()
        server = await made.called()
        for _ in range(3):
            await head(server)
            await server.say(OK)
            assert (await reply(client))[0].status == 200
            await client.say(b"GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
        await head(server)


async def test_a_source_stays_with_its_server() -> None:
    settings = HttpSettings(balance="source")
    async with site(count=3, settings=settings) as made:
        (farm,) = made.scene.services.farms["door"]._farms()
        chosen = farm.order("127.0.0.1", 0)[0]
        for _ in range(3):
            client = await made.ask("Connection: close")
            await serves(await made.called(made.servers.index(chosen)))
            assert (await reply(client))[0].status == 200


async def test_routes_lead_some_clients_to_a_server_of_theirs() -> None:
    async with site(count=2, route=(("127.0.0.2", 1),)) as made:
        for source, place in (("127.0.0.1", 0), ("127.0.0.2", 1)):
            client = await made.ask("Connection: close", source=source)
            await serves(await made.called(place))
            assert (await reply(client))[0].status == 200


async def test_routes_by_user_follow_the_login() -> None:
    async with site(
        count=2,
        route=(("user:joe", 1),),
        accounts={"joe": "s3cret"},
        login="optional",
    ) as made:
        for fields, place in (((), 0), ((LOGIN,), 1)):
            client = await made.ask("Connection: close", *fields)
            asked = await serves(await made.called(place))
            assert b"authorization" not in asked.fields
            assert (await reply(client))[0].status == 200


async def test_who_is_on_no_route_is_refused() -> None:
    async with site(count=1, route=(("127.0.0.2", 0),)) as made:
        client = await made.ask()
        assert (await head(client)).status == 403
        client.close()
        await made.scene.over()
        assert [record.reason for record in made.scene.records] == [Reason.DEFAULT]


@pytest.mark.parametrize("login", ["none", "required"])
async def test_a_login_is_asked_for_as_a_server_does(login: Login) -> None:
    async with site(login=login, accounts={"joe": "s3cret"}) as made:
        client = await made.ask(LOGIN, "Connection: close")
        asked = await serves(await made.called())
        theirs = b"authorization" in asked.fields
        assert theirs is (login == "none")  # it is then the server's own
        assert (await reply(client))[0].status == 200
        if login == "required":
            stranger = await made.ask()
            answer = await head(stranger)
            assert answer.status == 401
            assert answer[b"www-authenticate"].startswith(b"Basic ")


# Those that do not answer.


async def test_who_is_out_gets_no_requests_and_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site(count=2, living=1) as made:
        with caplog.at_level(logging.INFO, "portway.protocols.http.reverse"):
            for _ in range(3):
                client = await made.ask("Connection: close")
                await serves(await made.called())
                assert (await reply(client))[0].status == 200
            dead = made.servers[1]
            now = asyncio.get_running_loop().time()
            assert 25 < dead.down_until - now <= 30
            dead.down_until = now
            for _ in range(2):
                client = await made.ask("Connection: close")
                await serves(await made.called())
                await reply(client)
        said = [one.msg for one in caplog.records]
        out = ["farm.server_out"]
        assert said == [*out, "farm.server_returns", *out]
        await made.scene.over()
        failed = [one for one in made.scene.records if one.outcome.value == "failed"]
        assert [one.reason for one in failed] == [Reason.REFUSED] * 2
        assert [one.sessions for one in made.servers] == [0, 0]


async def test_a_body_that_has_come_goes_to_the_next_server() -> None:
    async with site(count=2, living=1) as made:
        for _ in range(2):
            fields = ("Content-Length: 5", "Connection: close")
            client = await made.ask(*fields, line="POST / HTTP/1.1", body=b"hello")
            server = await made.called()
            asked = await head(server)
            assert asked[b"content-length"] == b"5"
            assert await heard(server, 5) == b"hello"
            await server.say(OK)
            server.end()
            assert (await reply(client))[0].status == 200


async def test_who_may_have_acted_on_a_request_is_not_followed_by_another() -> None:
    async with site(count=2) as made:
        made.servers[1].up = False
        client = await made.ask("Content-Length: 0", line="POST / HTTP/1.1")
        server = await made.called()
        await head(server)
        made.servers[1].up = True
        server.end()
        assert (await head(client)).status == 502
        assert made.servers[0].down_until == 0
        assert await made.ports[1].nobody_comes()


async def test_a_refusal_of_ours_is_the_answer() -> None:
    no = rule("deny", to=("inside",), name="no", because="Closed today.")
    async with site(count=2, rules=(no,)) as made:
        client = await made.ask()
        found, body = await reply(client)
        assert found.status == 403
        assert b"Closed today." in body
        client.close()
        await made.scene.over()
        assert len(made.scene.records) == 1
        assert all(one.down_until == 0 for one in made.servers)


async def test_a_websocket_goes_to_the_next_server_too() -> None:
    fields = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY.decode()}",
    )
    agreed = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept_of(KEY)
    )
    async with site(count=2, living=1) as made:
        for _ in range(2):  # one of the two begins with the one that is dead
            client = await made.ask(*fields)
            server = await made.called()
            await head(server)
            await server.say(agreed)
            assert (await head(client)).status == 101
            await client.say(b"\x81\x80abcd")
            assert await heard(server, 6) == b"\x81\x80abcd"
            assert made.servers[0].sessions == 1
            client.end()
            with pytest.raises(Ended, match="eof"):
                await server.hear()
            server.end()
        await made.scene.over()
        told = [(one.method, one.outcome.value) for one in made.scene.records]
        assert sorted(told) == [("UPGRADE", "failed"), *[("UPGRADE", "ok")] * 2]
        assert made.servers[0].sessions == 0


async def test_a_wrong_websocket_is_on_record() -> None:
    async with site() as made:
        words = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
        client = await made.ask(*words, "Sec-WebSocket-Version: 13")
        assert (await head(client)).status == 400
        await made.scene.over()
        assert [one.method for one in made.scene.records] == ["UPGRADE"]


async def test_servers_may_speak_tls(tmp_path: Path) -> None:
    files = issue(tmp_path, "inner.test")
    for name, status in (("inner.test", 200), ("other.test", 502)):
        upstream = Upstream(tls="implicit", ca=files.ca, tls_name=name)
        settings = HttpSettings(upstream=upstream)
        async with site(settings=settings) as made:
            client = await made.ask("Connection: close")
            server = await made.called()
            if status == 200:
                secure = await inside(server, files.accepting())
                assert (await head(secure)).line == b"GET / HTTP/1.1"
                await secure.say(OK)
            else:
                with pytest.raises(Exception):  # noqa: B017 - whichever alert
                    await head(await inside(server, files.accepting()))
            assert (await head(client)).status == status


# Whether they live.


Probe = Literal["greeting", "connect"]


async def asked(
    words: bytes, probe: Probe = "greeting", upstream: Upstream | None = None
) -> tuple[bytes, PortwayError | None]:
    """Ask a server that says *words* whether it lives; return what it heard."""
    settings = HttpSettings(
        hosts=("*.test", "www.test"),
        health=Health(probe=probe),
        upstream=upstream or Upstream(),
    )
    table = Listener(
        name="door", where="test:1", protocol="http", address=(), settings=settings
    )
    contexts, wrong = contexts_of(table)
    assert not wrong
    port = Port()
    try:
        ask = probe_of(table, contexts, Names({}))
        asking = asyncio.ensure_future(ask(Endpoint(port.host, port.number)))
        server = await port.accept()
        told = b""
        try:
            if probe == "greeting":
                while not told.endswith(b"\r\n\r\n"):
                    told += await server.hear()
                await server.say(words)
                server.end()
            await asyncio.wait({asking})
        finally:
            server.close()
        error = asking.exception()
        assert error is None or isinstance(error, PortwayError)
        return told, error
    finally:
        port.close()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", ""),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", ""),
        (b"HTTP/1.1 401 Who?\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 503 Full\r\n\r\n", "answers 503"),
        (b"220 FTP\r\n\r\n", "status line"),
        (b"", "before its reply"),
    ],
)
async def test_a_server_lives_that_answers(words: bytes, fault: str) -> None:
    told, error = await asked(words)
    assert told.startswith(b"HEAD / HTTP/1.1\r\nHost: www.test\r\n")
    assert error is None if not fault else fault in str(error), error


async def test_a_connection_may_be_enough() -> None:
    assert await asked(b"", "connect") == (b"", None)


async def test_who_looks_speaks_for_nobody() -> None:
    told, error = await asked(OK, upstream=Upstream(proxy_protocol="v1"))
    assert told.startswith(b"PROXY UNKNOWN\r\nHEAD / ")
    assert error is None


async def test_who_lets_nobody_in_is_down() -> None:
    port = Port()
    port.close()
    table = Listener(
        name="door",
        where="test:1",
        protocol="http",
        address=(),
        settings=HttpSettings(),
    )
    with pytest.raises((PeerError, PortwayError), match="refused"):
        await probe_of(table, NO_TLS, Names({}))(Endpoint(port.host, port.number))


def test_the_site_that_is_asked_for() -> None:
    at = Endpoint("fd00::1", 80)
    assert host_of(HttpSettings(hosts=("*.a.test", "b.test")), at) == "b.test"
    assert host_of(HttpSettings(hosts=("*",)), at) == "[fd00::1]"
