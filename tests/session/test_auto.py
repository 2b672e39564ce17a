"""A door that clients of HTTP and of SOCKS share."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.certificates import HOST, issue
from tests.session.peers import Peer
from tests.session.socks import HELLO, door, heard, to_port
from tests.wires import until

from portway.config.schema import Listener
from portway.errors import Refused
from portway.model import Endpoint, Reason
from portway.net.dial import dial
from portway.net.stream import SocketStream
from portway.net.tls import start_tls
from portway.protocols.auto.settings import AutoSettings
from portway.protocols.socks.settings import SocksSettings
from portway.recheck import end


async def test_socks() -> None:
    async with door(protocol="auto", settings=AutoSettings()) as scene:
        client = await scene.arrive(HELLO + to_port(scene.port.number))
        assert (await heard(client, 12))[:4] == b"\5\0\5\0"
        server = await scene.called()
        await server.say(b"hello")
        assert await client.hear() == b"hello"
        server.close()
        client.close()
        await scene.over()
        (record,) = scene.records
        assert (record.protocol, record.listener) == ("socks", "door")
        assert record.url == f"socks://127.0.0.1:{scene.port.number}"


@pytest.mark.parametrize("size", [1, 1000])
async def test_http(size: int) -> None:
    async with door(protocol="auto", settings=AutoSettings(ports=("*",))) as scene:
        at = f"127.0.0.1:{scene.port.number}"
        words = f"GET http://{at}/x HTTP/1.1\r\nHost: {at}\r\n\r\n".encode()
        client = await scene.arrive()
        for begin in range(0, len(words), size):
            await client.say(words[begin : begin + size])
        server = await scene.called()
        assert await server.line() == b"GET /x HTTP/1.1"
        await server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        assert await client.line() == b"HTTP/1.1 200 OK"
        client.close()
        server.close()
        await scene.over()
        (record,) = scene.records
        assert (record.protocol, record.method) == ("http", "GET")
        assert record.url == f"http://{at}/x"


async def exactly(stream: SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive(count - len(data))
    return data


@pytest.mark.parametrize("protocol", ["socks", "auto"])
async def test_inside_tls(protocol: str, tmp_path: Path) -> None:
    found = issue(tmp_path)
    files = {"certificate": found.certificate, "key": found.key}
    kind = SocksSettings if protocol == "socks" else AutoSettings
    settings = kind(tls="implicit", **files)  # type: ignore[arg-type]
    async with door(protocol=protocol, settings=settings) as scene:
        stream = await dial([ip_address(scene.door.host)], scene.door.port)
        client = await start_tls(stream, found.connecting(), server_hostname=HOST)
        await client.send(HELLO + to_port(scene.port.number) + b"early")
        assert (await exactly(client, 12))[:4] == b"\5\0\5\0"
        server = await scene.called()
        assert await heard(server, 5) == b"early"
        await server.say(b"hello")
        assert await exactly(client, 5) == b"hello"
        server.close()
        assert await client.receive() == b""
        await client.send_eof()
        client.close()
        await scene.over()
        assert [record.protocol for record in scene.records] == ["socks"]


async def test_who_says_nothing_in_time() -> None:
    async with door(protocol="auto", settings=AutoSettings(head_time=1.0)) as scene:  # type: ignore[arg-type]
        client = await scene.arrive()
        assert await client.the_rest() == (b"", "eof")
        await scene.over()
        assert scene.records == []


@pytest.mark.parametrize("words", [b"\x16\3\1\0\1\1", b"\0\0"])
async def test_who_speaks_neither(words: bytes) -> None:
    async with door(protocol="auto", settings=AutoSettings()) as scene:
        client = await scene.arrive(words)
        assert await client.the_rest() == (b"", "eof")
        client.close()
        await scene.over()
        assert [(r.method, r.reason) for r in scene.records] == [("-", "syntax")]


async def test_who_is_kicked_before_a_word() -> None:
    async with door(protocol="auto", settings=AutoSettings()) as scene:
        client = await scene.arrive()
        await until(lambda: len(scene.sessions) == 1)
        (gate,) = scene.sessions
        end(gate, [], "admin", Refused(Reason.ADMIN))
        rest: Peer = client
        assert (await rest.the_rest())[0] == b""
        await scene.over()


def test_keys_are_checked_once(tmp_path: Path) -> None:
    issue(tmp_path)
    settings = AutoSettings(tls="implicit", idle=0.0)  # type: ignore[arg-type]
    at = (Endpoint("127.0.0.1", 3128),)
    table = Listener(name="x", where="", protocol="auto", address=at, settings=settings)
    found = [wrong.key for wrong in settings.problems(table)]
    assert sorted(found) == ["certificate", "idle"]
    reverse = Listener(
        name="x",
        where="",
        protocol="auto",
        address=at,
        mode="reverse",
        settings=settings,
    )
    assert [wrong.key for wrong in settings.problems(reverse)] == ["mode"]
