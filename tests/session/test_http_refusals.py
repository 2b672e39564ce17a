"""What an HTTP door refuses, how it says so, and the pages of its own."""

import asyncio
import json
from contextlib import closing, suppress
from pathlib import Path

import pytest
from msgspec import structs
from tests.certificates import Certificates, issue
from tests.session.peers import Peer, soon
from tests.session.socks import Scene
from tests.session.stage import rule
from tests.session.web import ANY, OK, ask, head, reply, web

from portway.errors import PeerError
from portway.model import Side
from portway.net.stream import SocketStream
from portway.net.tls import start_tls
from portway.protocols.http.settings import HttpSettings, Pac, Upstream

NO = rule("deny", name="no", because="It is <closed>.")


async def told(scene: Scene, *fields: str, **keys: str) -> tuple[int, str, bytes]:
    """Return the status, the media type and the body of what a request gets."""
    client = await scene.arrive(ask(scene, *fields, **keys))  # type: ignore[arg-type]
    found, body = await reply(client)
    return found.status, found[b"content-type"].decode(), body


async def test_the_page_has_the_form_that_is_asked_for() -> None:
    async with web(rules=(NO,)) as scene:
        status, media, page = await told(scene, "Accept: text/html,*/*;q=0.1")
        assert (status, media) == (403, "text/html; charset=utf-8")
        assert b"It is &lt;closed&gt;." in page
        _, media, page = await told(scene, "Accept: application/json")
        assert media == "application/problem+json"
        problem = json.loads(page)
        assert problem["because"] == "It is <closed>."
        assert (problem["host"], problem["action"]) == ("here.test", "read")
        _, media, text = await told(scene)
        assert media == "text/plain; charset=utf-8"
        assert b"because: It is <closed>." in text
        await asyncio.sleep(0)
        records = {record.id for record in scene.records}
        assert problem["record"] in records
        assert {r.status for r in scene.records} == {"403"}


async def test_the_record_tells_who_asked() -> None:
    """Of what was refused, too: that is what such records are looked through for."""
    async with web(rules=(NO,)) as scene:
        words = ("User-Agent: spy/1", "Referer: http://a.test/b?secret=1")
        assert (await told(scene, *words))[0] == 403
        await asyncio.sleep(0)
        (record,) = scene.records
        assert record.facts["agent"] == "spy/1"
        assert record.facts["referer"] == "http://a.test/b"


async def test_a_page_is_stored_nowhere_and_runs_nothing() -> None:
    async with web(rules=(NO,)) as scene:
        client = await scene.arrive(ask(scene, "Accept: text/html", path="/?secret=1"))
        found, page = await reply(client)
        assert found[b"cache-control"] == b"no-store"
        assert found[b"x-content-type-options"] == b"nosniff"
        assert found[b"content-security-policy"].startswith(b"default-src 'none'")
        assert found[b"proxy-status"] == b"edge; error=http_request_denied"
        assert b"secret" not in page


async def test_head_gets_the_fields_alone() -> None:
    async with web(rules=(NO, rule(name="x"))) as scene:
        client = await scene.arrive(ask(scene, method="HEAD"))
        found = await head(client)
        assert found.status == 403
        assert int(found[b"content-length"]) > 0
        await client.say(ask(scene))
        assert (await reply(client))[0].status == 403


async def test_ports_are_those_of_the_list_or_of_a_rule() -> None:
    async with web(settings=HttpSettings(ports=("80",))) as scene:
        assert (await told(scene))[0] == 403
        await asyncio.sleep(0)
        assert scene.records[0].reason == "port"
        number = scene.port.number
    named = rule(name="one", to=(f"here.test:{number}", "inside"))
    assert named.to  # the port is another one each time


async def test_a_name_that_leads_inside() -> None:
    outside = rule(name="outside", to="*")
    async with web(rules=(outside,)) as scene:
        client = await scene.arrive(ask(scene))
        found, _ = await reply(client)
        assert found.status == 403
        assert found[b"proxy-status"] == b"edge; error=destination_ip_prohibited"


async def test_a_name_that_is_none_and_one_that_nobody_answers() -> None:
    async with web() as scene:
        client = await scene.arrive(ask(scene, host="none.test"))
        found, _ = await reply(client)
        assert found.status == 502
        assert found[b"proxy-status"] == b'edge; error=dns_error; rcode="NXDOMAIN"'
        await client.say(ask(scene, host="down.test"))
        found, _ = await reply(client)
        assert (found.status, found[b"proxy-status"]) == (
            504,
            b"edge; error=dns_timeout",
        )


async def test_a_server_that_refuses() -> None:
    async with web() as scene:
        scene.port.close()
        client = await scene.arrive(ask(scene))
        found, body = await reply(client)
        assert found[b"proxy-status"] == b"edge; error=connection_refused"
        assert b"127.0.0.1" not in body  # where it is concerns nobody


async def test_the_door_itself_is_never_dialled() -> None:
    async with web() as scene:
        at = f"here.test:{scene.door.port}"
        request = f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n\r\n"
        client = await scene.arrive(request.encode())
        found, _ = await reply(client)
        assert found[b"proxy-status"] == b"edge; error=proxy_loop_detected"


BAD = {
    "no request": (b"\r\n\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "no host": (b"GET http://a.test/ HTTP/1.1\r\n\r\n", 400),
    "TRACE": (b"TRACE http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    "a scheme": (b"GET gopher://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 501),
    "a number": (b"GET http://127.1/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "expectation": (
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nExpect: more\r\n\r\n",
        417,
    ),
    "both framings": (
        b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n%b%b\r\n"
        % (b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"),
        400,
    ),
    "a long line": (b"GET http://a.test/" + b"x" * 17000, 414),
    "many fields": (
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
        + b"A: b\r\n" * 200
        + b"\r\n",
        431,
    ),
}


@pytest.mark.parametrize(("sent", "status"), BAD.values(), ids=BAD)
async def test_what_is_no_request_is_answered_and_closed(
    sent: bytes, status: int
) -> None:
    async with web() as scene:
        client = await scene.arrive(sent)
        found, _ = await reply(client)
        assert (found.status, found[b"connection"]) == (status, b"close")
        assert await client.the_rest() == (b"", "eof")
        await scene.over()
        (record,) = scene.records
        assert (record.method, record.status) == ("-", str(status))


async def test_what_is_recorded_of_it_holds_no_login() -> None:
    async with web() as scene:
        line = b"GET http://bob:secret@a.test/ HTTP/1.1"
        client = await scene.arrive(line + b"\r\nHost: a.test\r\n\r\n")
        assert (await reply(client))[0].status == 400
        client.close()
        await scene.over()
        assert "a.test/" in scene.records[0].error
        assert "secret" not in repr(scene.records)


async def test_an_answer_survives_what_was_on_its_way() -> None:
    """The client still sends when it is refused: a reset would eat its answer."""
    async with web() as scene:
        client = await scene.arrive(
            b"GET / HTTP/3.0\r\nHost: x\r\n\r\n" + b"x" * 50_000
        )
        assert (await reply(client))[0].status == 505
        await client.say(b"x" * 1000)
        assert await client.the_rest() == (b"", "eof")


# Pages of our own.


async def own(scene: Scene, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    at = f"127.0.0.1:{scene.door.port}"
    line = f"{method} {path} HTTP/1.1\r\nHost: {at}\r\n\r\n"
    client = await scene.arrive(line.encode())
    found, body = await reply(client)
    return found.status, body


async def test_the_configuration_of_browsers_needs_no_login() -> None:
    async with web(login="required") as scene:
        at = f"127.0.0.1:{scene.door.port}"
        for path in (
            "/proxy.pac",
            "/wpad.dat",
            "/proxy.pac?x",
            f"http://{at}/wpad.dat",
        ):
            status, body = await own(scene, path)
            assert status == 200
            assert f'return "PROXY {at}";'.encode() in body
        assert (await own(scene, "/other"))[0] == 404
        assert (await own(scene, "/proxy.pac", method="POST"))[0] == 405
        assert (await own(scene, "/ca.crt"))[0] == 404


async def test_a_file_of_the_administrators(tmp_path: Path) -> None:
    file = tmp_path / "x.pac"
    file.write_text("function FindProxyForURL() {}", encoding="utf-8")
    settings = structs.replace(ANY, pac=Pac(file=str(file)))
    async with web(settings=settings) as scene:
        assert (await own(scene, "/proxy.pac"))[1] == file.read_bytes()
        file.unlink()
        assert (await own(scene, "/proxy.pac"))[0] == 503


# TLS on either side.


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("tls"), "here.test", "127.0.0.1")


def stream_of(peer: Peer, side: Side) -> SocketStream:
    """Return a stream of ours in the place of *peer*."""
    return SocketStream(peer.sock.dup(), side)


async def read_to(stream: SocketStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = await soon(stream.receive())
        assert more, data
        data += more
    return data


async def test_a_door_inside_tls(pems: Certificates) -> None:
    settings = structs.replace(
        ANY, tls="implicit", certificate=pems.certificate, key=pems.key
    )
    async with web(settings=settings) as scene:
        bare = stream_of(await scene.arrive(), Side.SERVER)
        client = await start_tls(bare, pems.connecting(), server_hostname="here.test")
        with closing(client):
            await client.send(ask(scene))
            server = await scene.called()
            await head(server)
            await server.say(OK)
            assert (await read_to(client, b"hi")).startswith(b"HTTP/1.1 200 OK")
            at = f"p.test:{scene.door.port}"
            line = f"GET /proxy.pac HTTP/1.1\r\nHost: {at}\r\n\r\n"
            await client.send(line.encode())
            assert f'"HTTPS {at}"'.encode() in await read_to(client, b"}\n")


async def fetch(scene: Scene, host: str = "here.test") -> Peer:
    at = f"{host}:{scene.port.number}"
    line = f"GET https://{at}/a HTTP/1.1\r\nHost: {at}\r\n\r\n"
    return await scene.arrive(line.encode())


async def inside(scene: Scene, pems: Certificates) -> SocketStream:
    """Return the server's stream, inside TLS. Raises PeerError."""
    bare = stream_of(await scene.called(), Side.CLIENT)
    return await start_tls(bare, pems.accepting(), server_side=True)


async def test_an_https_url_is_fetched_inside_tls(pems: Certificates) -> None:
    settings = structs.replace(ANY, upstream=Upstream(ca=pems.ca))
    async with web(settings=settings) as scene:
        client = await fetch(scene)
        with closing(await inside(scene, pems)) as server:
            assert (await read_to(server, b"\r\n\r\n")).startswith(b"GET /a HTTP/1.1")
            await server.send(OK)
            assert (await reply(client))[1] == b"hi"
            again = await fetch(scene)  # on the connection that waits
            await read_to(server, b"\r\n\r\n")
            await server.send(OK)
            assert (await reply(again))[1] == b"hi"
        await asyncio.sleep(0)
        first, second = scene.records
        assert first.url == f"https://here.test:{scene.port.number}/a"
        assert first.facts["tls_server"].startswith("TLSv1.3")
        assert "tls_server" not in second.facts


@pytest.mark.parametrize("host", ["here.test", "other.test"])
async def test_a_certificate_that_proves_nothing(pems: Certificates, host: str) -> None:
    """Nobody has signed it whom we know; or it is another host's."""
    ca = "" if host == "here.test" else pems.ca
    settings = structs.replace(ANY, upstream=Upstream(ca=ca))
    async with web(settings=settings, names={"other.test": "127.0.0.1"}) as scene:
        client = await fetch(scene, host)
        with suppress(PeerError):
            (await inside(scene, pems)).close()
        found, _ = await reply(client)
        said = found[b"proxy-status"]
        assert (found.status, said) == (502, b"edge; error=tls_certificate_error")
        client.close()
        await scene.over()
        assert [record.reason for record in scene.records] == ["tls"]


async def test_a_server_that_speaks_no_tls() -> None:
    async with web() as scene:
        at = f"here.test:{scene.port.number}"
        line = f"GET https://{at}/ HTTP/1.1\r\nHost: {at}\r\n\r\n"
        client = await scene.arrive(line.encode())
        server = await scene.called()
        await server.hear()
        await server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        found, _ = await reply(client)
        assert found[b"proxy-status"] == b"edge; error=tls_protocol_error"
