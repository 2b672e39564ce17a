"""Tunnels whose TLS is opened: what is verified, shown, judged and recorded."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from tests.certificates import Certificates, issue
from tests.session.peers import Ended, Peer
from tests.session.secure import SecurePeer, inside
from tests.session.socks import Scene, door, heard, to_name
from tests.session.stage import Clock, rule

from portway.config.interception import Ca
from portway.config.schema import Rule
from portway.errors import Refused
from portway.model import Reason
from portway.net.authority import Authority, open_authority, show
from portway.net.contexts import accepting
from portway.protocols.http.settings import HttpSettings, Upstream
from portway.protocols.socks.settings import SocksSettings
from portway.protocols.socks.settings import Upstream as SocksUpstream

YES = b"HTTP/1.1 200 Connection established\r\n\r\n"
OPENS = rule(name="opens", intercept=True)
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class World:
    """The servers' authority, and that of the gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: Certificates = issue(folder / "servers", "here.test", "127.0.0.1")
        self.state = folder / "state"
        self.authority: Authority = open_authority(self.state, "edge", (), time.time())

    def settings(self, **keys: object) -> HttpSettings:
        upstream = Upstream(ca=self.servers.ca, **keys)  # type: ignore[arg-type]
        return HttpSettings(ports=("*",), upstream=upstream)

    @property
    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=show(self.state).path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def _a_clock_that_certificates_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "now", float(int(time.time())))


@asynccontextmanager
async def opening(
    world: World,
    ca: Ca | None = None,
    rules: tuple[Rule, ...] = (OPENS,),
    **keys: object,
) -> AsyncIterator[Scene]:
    """Open a door whose rules open TLS."""
    keys.setdefault("settings", world.settings())
    keys.setdefault("protocol", "http")
    async with door(rules=rules, **keys) as scene:  # type: ignore[arg-type]
        current = scene.sessions._current
        services = replace(current.services, authority=world.authority, ca=ca or Ca())
        current.services = scene.services = services
        yield scene


async def connected(scene: Scene, host: str = "here.test") -> Peer:
    at = f"{host}:{scene.port.number}".encode()
    client = await scene.arrive(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (at, at))
    assert await heard(client, len(YES)) == YES
    return client


async def secured(
    client: Peer, context: ssl.SSLContext, name: str = "here.test"
) -> SecurePeer:
    secure = SecurePeer(client, context, server_hostname=name)
    await secure.shake_hands()
    return secure


async def answered(scene: Scene, context: ssl.SSLContext) -> SecurePeer:
    """Be the server that is called: shake hands."""
    return await inside(await scene.called(), context)


async def head_of(peer: Peer) -> list[bytes]:
    lines = []
    while line := await peer.line():
        lines.append(line)
    return lines


def get(scene: Scene, path: str = "/", host: str = "here.test") -> bytes:
    at = f"{host}:{scene.port.number}"
    return f"GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n".encode()


async def both(
    scene: Scene, world: World, client: Peer, name: str = "here.test"
) -> tuple[SecurePeer, SecurePeer]:
    """Let the client and its server shake hands with the gateway."""
    async with asyncio.TaskGroup() as tasks:
        server = tasks.create_task(answered(scene, world.servers.accepting()))
        secure = tasks.create_task(secured(client, world.trusting, name))
    return secure.result(), server.result()


async def test_each_request_within_is_judged_and_recorded(world: World) -> None:
    no = rule("deny", to="here.test/secret", name="secret", because="No.")
    async with opening(world, rules=(no, OPENS)) as scene:
        client, server = await both(scene, world, await connected(scene))
        assert client.tls.selected_alpn_protocol() == "http/1.1"
        await client.say(get(scene, "/a"))
        lines = await head_of(server)
        assert lines[0] == b"GET /a HTTP/1.1"
        await server.say(REPLY)
        assert (await head_of(client))[0] == b"HTTP/1.1 200 OK"
        assert await heard(client, 2) == b"hi"
        await client.say(get(scene, "/secret"))
        assert (await head_of(client))[0] == b"HTTP/1.1 403 Forbidden"
        client.end()
        await scene.over()
        first, second, tunnel = scene.records
        at = f"here.test:{scene.port.number}"
        assert (first.method, first.url) == ("GET", f"https://{at}/a")
        assert (first.outcome, first.protocol, first.rule) == ("ok", "http", "opens")
        assert first.facts["intercepted"] == "true"
        assert (second.outcome, second.rule) == ("refused", "secret")
        assert second.facts["intercepted"] == "true"
        assert (tunnel.method, tunnel.outcome) == ("CONNECT", "ok")
        assert tunnel.facts["intercepted"] == "true"
        assert tunnel.facts["tls_name"] == "here.test"
        assert tunnel.facts["tls_client"].startswith("TLSv1.3 ")
        assert tunnel.facts["tls_server"].startswith("TLSv1.3 ")


async def test_the_verified_connection_serves_the_first_request(world: World) -> None:
    async with opening(world) as scene:
        client, server = await both(scene, world, await connected(scene))
        for _ in range(2):
            await client.say(get(scene))
            await head_of(server)
            await server.say(REPLY)
            await head_of(client)
            assert await heard(client, 2) == b"hi"
        assert await scene.port.nobody_comes(0.05)


async def test_a_hello_that_comes_with_the_request_in_pieces(world: World) -> None:
    async with opening(world) as scene:
        at = f"here.test:{scene.port.number}".encode()
        client = await scene.arrive()
        secure = SecurePeer(client, world.trusting, server_hostname="here.test")
        with pytest.raises(ssl.SSLWantReadError):
            secure.tls.do_handshake()
        first = secure._out.read()
        await client.say(b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % at + first[:70])
        assert await heard(client, len(YES)) == YES
        await client.say(first[70:])
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(answered(scene, world.servers.accepting()))
            await secure.shake_hands()
        await secure.say(get(scene))
        assert (await head_of(server.result()))[0] == b"GET / HTTP/1.1"


async def test_large_bodies_both_ways(world: World) -> None:
    async with opening(world) as scene:
        client, server = await both(scene, world, await connected(scene))
        body = bytes(range(256)) * 8192  # 2 MiB: more than all buffers hold
        at = f"here.test:{scene.port.number}".encode()
        head = b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n"
        async with asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(client.say(head % (at, len(body)) + body))
            await head_of(server)
            assert await heard(server, len(body)) == body
        await saying
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.say(reply + body))
            await head_of(client)
            assert await heard(client, len(body)) == body


async def test_a_host_that_tls_has_not_asked_for(world: World) -> None:
    async with opening(world) as scene:
        client, _ = await both(scene, world, await connected(scene))
        await client.say(get(scene, host="other.test"))
        assert (await head_of(client))[0] == b"HTTP/1.1 421 Misdirected Request"


async def test_rules_that_do_not_intercept_keep_tls_closed(world: World) -> None:
    closed = rule(name="banks", to=("here.test", "inside"))
    async with opening(world, rules=(closed, OPENS)) as scene:
        client = await connected(scene)
        trusted = world.servers.connecting()
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(answered(scene, world.servers.accepting()))
            secure = tasks.create_task(secured(client, trusted))
        await secure.result().say(b"x")
        assert await heard(server.result(), 1) == b"x"


async def test_a_tunnel_to_an_address_whose_tls_names_a_host(world: World) -> None:
    async with opening(world) as scene:
        client, first = await both(scene, world, await connected(scene, "127.0.0.1"))
        await client.say(get(scene))
        server = await answered(scene, world.servers.accepting())
        assert (await head_of(server))[0] == b"GET / HTTP/1.1"
        await server.say(REPLY)
        await head_of(client)
        assert await heard(client, 2) == b"hi"
        first.close()
        assert scene.records[0].url == f"https://here.test:{scene.port.number}/"
        assert scene.records[0].address == "127.0.0.1"
        await client.say(get(scene, host="127.0.0.1"))
        assert (await head_of(client))[0] == b"HTTP/1.1 421 Misdirected Request"


async def test_a_tunnel_to_an_address_whose_tls_names_nothing(world: World) -> None:
    async with opening(world) as scene:
        client = await connected(scene, "127.0.0.1")
        client, server = await both(scene, world, client, "127.0.0.1")
        await client.say(get(scene, host="127.0.0.1"))
        server = await answered(scene, world.servers.accepting())
        assert (await head_of(server))[0] == b"GET / HTTP/1.1"


@pytest.mark.parametrize("named", [False, True])
async def test_socks(
    named: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Authorities of servers are the machine's, or those that the door names."""
    settings = None
    if named:
        settings = SocksSettings(upstream=SocksUpstream(ca=world.servers.ca))
    else:
        monkeypatch.setenv("SSL_CERT_FILE", world.servers.ca)
    async with opening(world, protocol="socks", settings=settings) as scene:
        client = await scene.arrive(b"\5\1\0")
        assert await heard(client, 2) == b"\5\0"
        await client.say(to_name("here.test", scene.port.number))
        assert (await heard(client, 10))[:2] == b"\5\0"
        secure, server = await both(scene, world, client)
        await secure.say(get(scene, "/a"))
        assert (await head_of(server))[0] == b"GET /a HTTP/1.1"
        await server.say(REPLY)
        await head_of(secure)
        secure.close()
        await scene.over()
        assert scene.records[0].url == f"https://here.test:{scene.port.number}/a"
        assert [r.protocol for r in scene.records] == ["http", "socks"]


async def test_tls_inside_tls(world: World, tmp_path: Path) -> None:
    edge = issue(tmp_path, "127.0.0.1")
    settings = HttpSettings(
        ports=("*",),
        tls="implicit",
        certificate=edge.certificate,
        key=edge.key,
        upstream=Upstream(ca=world.servers.ca),
    )
    async with opening(world, settings=settings) as scene:
        outer = await secured(await scene.arrive(), edge.connecting(), "127.0.0.1")
        at = f"here.test:{scene.port.number}".encode()
        await outer.say(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (at, at))
        assert await heard(outer, len(YES)) == YES
        inner = Within(outer, world.trusting)
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(answered(scene, world.servers.accepting()))
            await inner.shake_hands()
        await inner.say(get(scene, "/deep"))
        assert (await head_of(server.result()))[0] == b"GET /deep HTTP/1.1"
        body = b"x" * 500_000
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.result().say(head + body))
            await head_of(inner)
            assert await heard(inner, len(body)) == body


class Within(SecurePeer):
    """TLS over another one."""

    def __init__(self, outer: SecurePeer, context: ssl.SSLContext) -> None:
        super().__init__(outer, context, server_hostname="here.test")
        self._outer = outer

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._outer.say(data)

    async def _take(self) -> None:
        self._in.write(await self._outer.hear())


# Servers that cannot be trusted.


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("stranger"), "here.test")


@pytest.fixture(scope="module")
def misnamed(world: World) -> ssl.SSLContext:
    folder = world.folder / "misnamed"
    folder.mkdir()
    ca = trustme.CA()
    leaf = ca.issue_cert("elsewhere.test")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    ca.cert_pem.write_to_path(world.servers.ca, append=True)
    return accepting(str(folder / "both.pem"))


async def fails(scene: Scene, context: ssl.SSLContext) -> None:
    """Be a server that the gateway turns away."""
    with pytest.raises((ssl.SSLError, Ended)):
        secure = await answered(scene, context)
        await secure.hear()


async def test_a_server_that_is_not_trusted_gets_a_page(
    world: World, stranger: Certificates
) -> None:
    async with opening(world) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(scene, stranger.accepting()))
            making = tasks.create_task(secured(client, world.trusting))
        secure = making.result()
        for _ in range(2):  # there is no click-through, and nothing is tried again
            await secure.say(get(scene))
            lines = await head_of(secure)
            assert lines[0] == b"HTTP/1.1 502 Bad Gateway"
            assert b"Proxy-Status: edge; error=tls_certificate_error" in lines
            sizes = [
                int(one[16:]) for one in lines if one.startswith(b"Content-Length")
            ]
            await heard(secure, sizes[0])
        assert await scene.port.nobody_comes(0.05)
        secure.close()
        await scene.over()
        *requests, tunnel = scene.records
        assert [(r.status, r.reason) for r in requests] == [("502", "tls")] * 2
        assert len({r.id for r in requests}) == 2
        assert (tunnel.outcome, tunnel.reason) == ("failed", "tls")
        assert tunnel.error == (
            "its certificate comes from an authority that is not trusted"
        )
        assert tunnel.side == "server"


async def test_a_page_is_for_those_alone_who_may_ask(
    world: World, stranger: Certificates
) -> None:
    no = rule("deny", to="here.test/secret", name="secret")
    async with opening(world, rules=(no, OPENS)) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(scene, stranger.accepting()))
            making = tasks.create_task(secured(client, world.trusting))
        await making.result().say(get(scene, "/secret"))
        assert (await head_of(making.result()))[0] == b"HTTP/1.1 403 Forbidden"


async def test_a_wrong_name_is_no_better(
    world: World, misnamed: ssl.SSLContext
) -> None:
    async with opening(world) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(scene, misnamed))
            making = tasks.create_task(secured(client, world.trusting))
        await making.result().say(get(scene))
        assert (await head_of(making.result()))[0] == b"HTTP/1.1 502 Bad Gateway"
        making.result().close()
        await scene.over()
        assert scene.records[-1].error == "its certificate is for another name"


async def test_a_server_without_tls(world: World) -> None:
    async with opening(world) as scene:
        client = await connected(scene)
        server = await scene.called()
        async with asyncio.TaskGroup() as tasks:
            making = tasks.create_task(secured(client, world.trusting))
            await server.hear()
            await server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await making.result().say(get(scene))
        assert (await head_of(making.result()))[0] == b"HTTP/1.1 502 Bad Gateway"


async def test_cut_where_that_is_wanted(world: World, stranger: Certificates) -> None:
    async with opening(world, Ca(bad_certificate="cut")) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(scene, stranger.accepting()))
            with pytest.raises(Ended, match="reset"):
                await secured(client, world.trusting)
        await scene.over()
        assert [(r.method, r.outcome.value, r.reason) for r in scene.records] == [
            ("CONNECT", "failed", "tls")
        ]


async def test_verify_false_is_told(world: World, stranger: Certificates) -> None:
    settings = HttpSettings(ports=("*",), upstream=Upstream(verify=False))
    async with opening(world, settings=settings) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answered(scene, stranger.accepting()))
            making = tasks.create_task(secured(client, world.trusting))
        making.result().close()
        await scene.over()
        assert scene.records[0].facts["verified"] == "false"


# Servers that ask for the client's certificate.


def asking(
    world: World, version: ssl.TLSVersion, mode: ssl.VerifyMode
) -> ssl.SSLContext:
    context = world.servers.accepting()
    context.maximum_version = version
    context.load_verify_locations(world.servers.ca)
    context.verify_mode = mode
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
MODES = [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_asks_is_denied(
    world: World, version: ssl.TLSVersion, mode: ssl.VerifyMode
) -> None:
    async with opening(world) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(scene, asking(world, version, mode)))
            making = tasks.create_task(secured(client, world.trusting))
        await making.result().say(get(scene))
        assert (await head_of(making.result()))[0] == b"HTTP/1.1 502 Bad Gateway"
        making.result().close()
        await scene.over()
        assert scene.records[-1].error.startswith("it asks for a certificate of the")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_asks_stays_closed_where_that_is_wanted(
    world: World, version: ssl.TLSVersion
) -> None:
    context = asking(world, version, ssl.CERT_OPTIONAL)
    async with opening(world, Ca(client_certificate="tunnel")) as scene:
        for turn in range(2):
            client = await connected(scene)
            trusted = world.servers.connecting()
            async with asyncio.TaskGroup() as tasks:
                making = tasks.create_task(secured(client, trusted))
                if not turn:
                    await fails(scene, context)  # it is reached once more
                server = await answered(scene, context)
            await making.result().say(b"x")
            assert await heard(server, 1) == b"x"
            making.result().end()
            server.end()
            await scene.over()
        for record in scene.records:
            assert record.facts["unopened"] == "client certificate"
            assert (record.outcome, record.bytes_up > 0) == ("ok", True)


async def test_our_own_certificate_is_shown_to_who_asks(world: World) -> None:
    servers = world.servers
    settings = world.settings(certificate=servers.certificate, key=servers.key)
    async with opening(world, settings=settings) as scene:
        context = asking(world, ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED)
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(answered(scene, context))
            making = tasks.create_task(secured(client, world.trusting))
        await making.result().say(get(scene))
        assert (await head_of(server.result()))[0] == b"GET / HTTP/1.1"


# Clients that do not trust us.


async def rejects(scene: Scene, world: World, client: Peer) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answered(scene, world.servers.accepting()))
        with pytest.raises(ssl.SSLCertVerificationError):
            await secured(client, world.servers.connecting())


async def test_clients_that_reject_us_are_reported(world: World) -> None:
    async with opening(world) as scene:
        for _ in range(4):
            client = await connected(scene)
            await rejects(scene, world, client)
            await scene.over()
        assert [r.facts["pinned"] for r in scene.records] == ["unknown_ca"] * 4
        for record in scene.records:
            assert (record.outcome, record.reason) == ("failed", "tls")
            assert record.side == "client"
            assert record.error == "the client takes no certificate of ours: unknown_ca"
        listed = scene.services.pinned.listed(Clock.now)
        assert [(str(client), host) for client, host, _ in listed] == [
            ("127.0.0.1", "here.test")
        ]


async def test_pinned_hosts_stay_closed_where_that_is_wanted(world: World) -> None:
    async with opening(world, Ca(pinned="tunnel")) as scene:
        for _ in range(3):
            client = await connected(scene)
            await rejects(scene, world, client)
        client = await connected(scene)
        trusted = world.servers.connecting()
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(answered(scene, world.servers.accepting()))
            making = tasks.create_task(secured(client, trusted))
        await making.result().say(b"x")
        assert await heard(server.result(), 1) == b"x"
        making.result().close()
        await scene.over()
        assert scene.records[-1].facts["unopened"] == "pinned"


async def test_hosts_that_are_not_permitted_stay_closed(
    world: World, tmp_path: Path
) -> None:
    other = copy(world)
    other.authority = open_authority(tmp_path, "edge", ("example.org",), Clock.now)
    async with opening(other) as scene:
        client = await connected(scene)
        async with asyncio.TaskGroup() as tasks:
            server = tasks.create_task(answered(scene, world.servers.accepting()))
            making = tasks.create_task(secured(client, world.servers.connecting()))
        making.result().close()
        server.result().close()
        await scene.over()
        assert scene.records[0].facts["unopened"] == "not permitted"


async def test_other_protocols_within_tls_are_not_let_by(world: World) -> None:
    async with opening(world) as scene:
        client = await connected(scene)
        server = await scene.called()
        context = world.trusting
        context.set_alpn_protocols(["h2"])
        with pytest.raises(Ended, match="reset"):
            await secured(client, context)
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
        assert scene.records[0].error == "its ALPN offers other protocols only"


async def test_a_client_that_goes_away_without_a_word(world: World) -> None:
    async with opening(world) as scene:
        client, server = await both(scene, world, await connected(scene))
        client.end()
        with pytest.raises(Ended):
            await server.hear()
        await scene.over()
        assert [(r.method, r.outcome.value) for r in scene.records] == [
            ("CONNECT", "ok")
        ]


async def test_a_client_that_breaks_off_while_hands_are_shaken(world: World) -> None:
    for who in ("client", "server"):
        async with opening(world) as scene:
            client = await connected(scene)
            server = await scene.called()
            secure = SecurePeer(client, world.trusting, server_hostname="here.test")
            with pytest.raises(ssl.SSLWantReadError):
                secure.tls.do_handshake()
            await secure._flush()
            await server.hear()
            if who == "client":
                client.reset()
                server.close()
            else:
                server.reset()
                await secure.shake_hands()
                await secure.say(get(scene))
                assert (await head_of(secure))[0] == b"HTTP/1.1 502 Bad Gateway"
            secure.close()
            await scene.over()
            assert scene.records[-1].outcome in {"failed", "cut"}


async def test_the_end_of_everything_reaches_an_opened_tunnel(world: World) -> None:
    async with opening(world) as scene:
        client, server = await both(scene, world, await connected(scene))
        (gate,) = scene.sessions
        gate.cut_off("admin", Refused(Reason.ADMIN))
        await client.the_rest()
        with pytest.raises(Ended):
            await server.hear()


async def test_our_certificate_is_a_page_of_ours(world: World) -> None:
    async with opening(world) as scene:
        client = await scene.arrive(b"GET /ca.crt HTTP/1.1\r\nHost: x\r\n\r\n")
        lines = await head_of(client)
        assert b"Content-Type: application/x-x509-ca-cert" in lines
        assert await heard(client, len(world.authority.der)) == world.authority.der
