"""Interception with real clients: what is opened, and what stays closed."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import issue
from tests.integration import http_clients, web_doors
from tests.integration.doors import HEAD
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import CLIENTS, Call, curl
from tests.integration.http_servers import Web, digest
from tests.integration.network import INNER, Network, wan_address, wan_name
from tests.integration.origin import Listener
from tests.integration.process import eventually
from tests.integration.scene import Scene

HTTP, SOCKS = 3160, 1095
BANK = wan_name("apache", 4)  # a rule above keeps it closed
OPENED = wan_name("nginx", 4)
RULES = f"""
[[rules]]
name = "the bank stays closed"
who = ["192.168.1.0/24"]
to = ["{BANK}"]
then = "allow"

[[rules]]
name = "nothing secret"
to = ["*.test/secret/**"]
then = "deny"
because = "Secrets stay there."

[[rules]]
name = "all else is opened"
who = ["192.168.1.0/24"]
to = ["*"]
then = "allow"
intercept = true
"""


@pytest.fixture(scope="module")
def gateway(network: Network, folder: Path, web: Web) -> Iterator[Gateway]:
    upstream = f'ca = "{web.signed.ca}"'
    text = (
        HEAD
        + web_doors.door("web", "http", HTTP, 'ports = ["*"]', upstream)
        + web_doors.door("socks", "socks", SOCKS)
        + RULES
    )
    place = folder / "intercept-gateway"
    # where a door names no authority, that of the system counts
    system = ("env", f"SSL_CERT_FILE={web.signed.ca}")
    with Gateway(network.gateway, place, text, before=system) as made:
        yield made


@pytest.fixture(scope="module")
def authority(gateway: Gateway, folder: Path) -> str:
    """The file that clients are given, as an administrator writes it."""
    path = folder / "interception.pem"
    path.write_text(gateway.portway("ca", "--export", "pem"))
    return str(path)


@pytest.fixture
def scene(tmp_path: Path, network: Network, web: Web, gateway: Gateway) -> Scene:
    return Scene(tmp_path, network, web, gateway)


def call_of(url: str, folder: Path, ca: str) -> Call:
    return Call(url, folder, f"http://{INNER[4]}:{HTTP}", ca)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_trusts_us_is_served(
    client: str, authority: str, scene: Scene
) -> None:
    """Its request is known by method, path and status, though it was inside TLS."""
    tmp_path, network, web, gateway = scene
    path = f"/files/opened-{client.replace(':', '')}.bin"
    (web.root / path[1:]).hardlink_to(web.sample)
    call = call_of(f"https://{OPENED}{path}", tmp_path, authority)
    status, said = CLIENTS[client](call, network.lan)
    assert status == 0, f"{said}\n{gateway.output[-2000:]}"
    assert digest((tmp_path / "body").read_bytes()) == digest(web.sample.read_bytes())

    def found() -> list[Record]:
        return [one for one in gateway.records() if one.get("path") == path]

    eventually(lambda: bool(found()), "the record of what was inside")
    (record,) = found()
    wanted = {
        "url": f"https://{OPENED}{path}",
        "method": "GET",
        "status": "200",
        "outcome": "ok",
    }
    assert wanted.items() <= record.items(), record
    assert str(record["intercepted"]).lower() == "true", record


def test_requests_inside_are_judged(
    authority: str, tmp_path: Path, network: Network, gateway: Gateway
) -> None:
    """One of many on the same connection is refused, with a page, inside TLS."""
    base = f"https://{OPENED}"
    call = call_of(f"{base}/files/text.txt", tmp_path, authority)
    words = [f"{base}/secret/word.txt", "-o", "two"]
    reply = curl(call, network.lan, *words)
    assert (reply.status, reply.code) == (0, "200"), reply
    assert reply.said.startswith("403 "), reply
    connections = [int(line.split()[2]) for line in reply.said.splitlines()]
    assert sum(connections) == 1, reply


def test_the_bank_is_not_opened(
    authority: str, tmp_path: Path, network: Network, web: Web, gateway: Gateway
) -> None:
    """Its own certificate arrives, and nothing is known of what goes on inside."""
    url = f"https://{BANK}/files/sample.bin"
    reply = curl(call_of(url, tmp_path, web.signed.ca), network.lan)
    assert reply.digest == digest(web.sample.read_bytes()), reply
    assert curl(call_of(url, tmp_path, authority), network.lan).status == 60

    def found() -> list[Record]:
        return [one for one in gateway.records() if one.get("host") == BANK]

    eventually(lambda: len(found()) == 2, "the records")
    assert {one["method"] for one in found()} == {"CONNECT"}
    assert not any("intercepted" in one for one in found())


def test_a_client_that_does_not_trust_us_is_noticed(
    tmp_path: Path, network: Network, web: Web, gateway: Gateway
) -> None:
    gateway.fresh()
    call = call_of(f"https://{OPENED}/files/text.txt", tmp_path, web.signed.ca)
    assert curl(call, network.lan).status == 60
    gateway.wait_for(lambda found: any("pinned" in one for one in found))


def test_through_socks(
    authority: str, tmp_path: Path, network: Network, gateway: Gateway
) -> None:
    url = f"https://{OPENED}/files/text.txt?socks"
    call = Call(url, tmp_path, f"socks5h://{INNER[4]}:{SOCKS}", authority)
    reply = curl(call, network.lan)
    assert reply.code == "200", reply

    def found() -> list[Record]:
        return [one for one in gateway.records() if one.get("listener") == "socks"]

    eventually(lambda: "GET" in {one["method"] for one in found()}, "the request")
    (record,) = [one for one in found() if one["method"] == "GET"]
    assert str(record["url"]).startswith(f"https://{OPENED}/files/text.txt"), record


@pytest.fixture(scope="module")
def index(web: Web) -> None:
    folder = web.root / "simple/opened"
    folder.mkdir(parents=True)
    (folder / "opened-1.0.tar.gz").write_bytes(b"not looked into" * 1000)


@pytest.mark.usefixtures("index")
def test_pip_inside(
    authority: str, tmp_path: Path, network: Network, web: Web, gateway: Gateway
) -> None:
    """With requests, which it brings along: the index is read, and the file found."""
    call = call_of(f"https://{OPENED}/simple/", tmp_path, authority)
    _, said = http_clients.pip(call, network.lan, "opened")
    assert "opened-1.0.tar.gz" in said, said

    def paths() -> set[object]:
        return {one.get("path") for one in gateway.records()}

    eventually(lambda: "/simple/opened/opened-1.0.tar.gz" in paths(), "the record")


class Stranger(Listener):
    """A server whose certificate nobody vouches for."""

    def __init__(self, network: Network, folder: Path) -> None:
        signed = issue(folder / "stranger", wan_name("origin", 4))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(signed.certificate, signed.key)
        super().__init__(network.wan, [wan_address("origin", 4)], 443)

    def serve(self, stream: object) -> None:
        with self._context.wrap_socket(stream, server_side=True) as secured:  # type: ignore[arg-type]
            secured.recv(4096)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def test_a_server_that_cannot_be_trusted(
    authority: str, tmp_path: Path, network: Network, gateway: Gateway
) -> None:
    """A page says so, under a certificate of ours; what it serves never arrives."""
    url = f"https://{wan_name('origin', 4)}/"
    with Stranger(network, tmp_path):
        reply = curl(call_of(url, tmp_path, authority), network.lan)
    assert (reply.status, reply.code) == (0, "502"), reply
    assert reply.body != b"hi"


def test_the_certificate_is_on_the_proxys_port(
    authority: str, tmp_path: Path, network: Network, gateway: Gateway
) -> None:
    url = f"http://{INNER[4]}:{HTTP}/ca.crt"
    reply = curl(Call(url, tmp_path), network.lan)
    assert reply.get("content-type") == "application/x-x509-ca-cert"
    pem = Path(authority).read_text()
    body = reply.body
    der = ssl.PEM_cert_to_DER_cert(body.decode()) if body[:5] == b"-----" else body
    assert der == ssl.PEM_cert_to_DER_cert(pem)
