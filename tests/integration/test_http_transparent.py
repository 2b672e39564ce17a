"""A transparent HTTP door whose servers see the client itself: TPROXY both ways.

Not here: what real clients and servers make of transparent doors (test_http_doors.py).
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import web_doors
from tests.integration.doors import HEAD
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import Call, curl
from tests.integration.network import INNER, LAN, OUTER, Network, wan_address, wan_name
from tests.integration.origin import Listener
from tests.integration.process import eventually
from tests.integration.scene import Scene
from tests.integration.test_transparent import load_rules
from tests.session.test_http_tunnel import hello

DOOR = 3128
KEPT = "[listen.caught.upstream]\nkeep_client = true\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


class Seeing(Listener):
    """A server that notes who comes, and what the first words are."""

    def __init__(self, network: Network, name: str, port: int) -> None:
        self.peers: list[str] = []
        self.heard: list[bytes] = []
        at = [wan_address(name, family) for family in (4, 6)]
        super().__init__(network.wan, at, port)

    def serve(self, stream: socket.socket) -> None:
        self.heard.append(stream.recv(65536))
        self.peers.append(stream.getpeername()[0])
        stream.sendall(OK)


def configuration(upstream: str) -> str:
    return f"""{HEAD}
[listen.caught]
protocol = "http"
mode = "transparent"
capture = "tproxy"
address = ["0.0.0.0:{DOOR}", "[::]:{DOOR}"]

{upstream}
{web_doors.RULES}"""


@pytest.fixture(scope="module")
def caught(folder: Path) -> Iterator[Scene]:
    network = Network(f"seen-{os.getpid()}")
    network.sweep()
    try:
        network.open()
        network.lead_through()
        place = folder / "seen"
        with Gateway(network.gateway, place, configuration(KEPT)) as gateway:
            load_rules(network, gateway.portway("init", "--transparent"))
            yield Scene(folder, network, None, gateway)  # type: ignore[arg-type]
    finally:
        network.close()


def records_of(gateway: Gateway, **wanted: object) -> list[Record]:
    """Return the records that have all of *wanted*, once there is one."""

    def found() -> list[Record]:
        return [one for one in gateway.records() if wanted.items() <= one.items()]

    eventually(lambda: bool(found()), f"a record with {wanted}")
    return found()


@pytest.mark.parametrize("family", [4, 6])
def test_a_server_sees_the_client(caught: Scene, family: int, tmp_path: Path) -> None:
    network, gateway = caught.network, caught.gateway
    host = wan_name("host", family)
    with Seeing(network, "host", 80) as server:
        assert curl(Call(f"http://{host}/seen", tmp_path), network.lan).body == b"hi"
    assert server.peers == [LAN[family]]
    assert server.heard[0].startswith(b"GET /seen HTTP/1.1\r\n")
    record = records_of(gateway, url=f"http://{host}/seen")[-1]
    assert (record["client"], record["source"]) == (LAN[family], LAN[family])
    assert record["mode"] == "transparent"


@pytest.mark.parametrize("family", [4, 6])
def test_tls_is_a_tunnel_with_its_name(caught: Scene, family: int) -> None:
    network, gateway = caught.network, caught.gateway
    host, address = wan_name("host", family), wan_address("host", family)
    first = hello(host)
    with (
        Seeing(network, "host", 443) as server,
        network.lan.connect(address, 443) as client,
    ):
        client.sendall(first)
        assert client.recv(len(OK), socket.MSG_WAITALL) == OK
    assert (server.peers, server.heard) == ([LAN[family]], [first])
    record = records_of(gateway, method="CONNECT", address=address)[-1]
    assert record["url"] == f"http://{host}:443"


def test_a_name_of_tls_that_leads_elsewhere(caught: Scene) -> None:
    """The address is judged, and the name that nothing proves is judged too."""
    network, gateway = caught.network, caught.gateway
    with (
        Seeing(network, "third", 443) as server,
        network.lan.connect(wan_address("third", 4), 443) as client,
    ):
        client.sendall(hello(web_doors.DENIED))
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert not server.peers
    record = records_of(gateway, host=wan_address("third", 4))[-1]
    assert (record["verdict"], record["rule"]) == ("deny", "not there")
    assert record["sni"] == web_doors.DENIED


@pytest.mark.parametrize("family", [4, 6])
def test_who_calls_the_door_itself_is_a_loop(
    caught: Scene, family: int, tmp_path: Path
) -> None:
    host = f"[{INNER[6]}]" if family == 6 else INNER[4]
    call = Call(f"http://{host}:{DOOR}/", tmp_path)
    assert curl(call, caught.network.lan).code == "502"
    assert records_of(caught.gateway, host=INNER[family], reason="loop")


def test_after_a_reload_servers_see_the_gateway(caught: Scene, tmp_path: Path) -> None:
    network, gateway = caught.network, caught.gateway
    gateway.write(configuration(""))
    gateway.portway("reload")
    try:
        with Seeing(network, "host", 80) as server:
            call = Call(f"http://{wan_name('host', 4)}/", tmp_path)
            assert curl(call, network.lan).body == b"hi"
        assert server.peers == [OUTER[4]]
    finally:
        gateway.write(configuration(KEPT))
        gateway.portway("reload")
