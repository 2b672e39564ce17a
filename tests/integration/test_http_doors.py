"""HTTP doors that clients know nothing of: in front of servers, and on the way to them.

Not here: forward doors, which clients are told of (test_http_matrix.py).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import http_clients, http_servers, web_doors
from tests.integration.conftest import STAMP
from tests.integration.doors import HEAD, PROXY_PASSWORD, PROXY_USER
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import CLIENTS, Call, curl
from tests.integration.http_servers import Web, digest
from tests.integration.network import INNER, LAN, Network, wan_address, wan_name
from tests.integration.origin import Recorder
from tests.integration.process import eventually, run
from tests.integration.scene import Scene, went_well
from tests.integration.test_transparent import load_rules

SITE = "gateway4.test"  # as which the servers are published
CLEAR, SAFE, LOCKED, SHOWN = range(3170, 3174)
HTTP, HTTPS = 3128, 3129


# In front of servers.


@pytest.fixture(scope="module")
def published(network: Network, folder: Path, web: Web) -> Iterator[Gateway]:
    """Doors in clear, inside TLS on both sides, with a login, and to a recorder."""
    signed = web.signed
    inside = (
        f'tls = "implicit"\ncertificate = "{signed.certificate}"\n'
        f'key = "{signed.key}"\n'
    )
    tables = [
        reverse("clear", CLEAR, "nginx4.test:80"),
        reverse("locked", LOCKED, "apache4.test:80", 'login = "required"\n'),
        reverse("shown", SHOWN, "host4.test:80"),
        reverse("safe", SAFE, "apache4.test:443", inside),
        f'[listen.safe.upstream]\ntls = "implicit"\nca = "{signed.ca}"\n',
    ]
    text = HEAD + "".join(tables) + web_doors.RULES
    users = {PROXY_USER: PROXY_PASSWORD}
    with Gateway(network.gateway, folder / "web-published", text, users=users) as made:
        yield made


def reverse(name: str, port: int, server: str, more: str = "") -> str:
    return f"""
[listen.{name}]
protocol = "http"
mode = "reverse"
address = "{INNER[4]}:{port}"
hosts = ["{SITE}"]
servers = ["{server}"]
{more}
"""


@pytest.mark.parametrize("client", ["curl", "wget", "urllib"])
def test_a_site_behind_a_door(
    client: str, tmp_path: Path, network: Network, web: Web, published: Gateway
) -> None:
    """In clear and inside TLS, to clients that take it for the server."""
    for scheme, port in (("http", CLEAR), ("https", SAFE)):
        url = f"{scheme}://{SITE}:{port}/files/sample.bin"
        call = Call(url, tmp_path, ca=web.signed.ca)
        status, said = CLIENTS[client](call, network.lan)
        assert status == 0, f"{said}\n{published.output[-1500:]}"
        body = (tmp_path / "body").read_bytes()
        assert digest(body) == digest(web.sample.read_bytes())


def test_uploads_to_a_site(
    tmp_path: Path, network: Network, web: Web, published: Gateway
) -> None:
    data = os.urandom(200_003)
    (tmp_path / "up.bin").write_bytes(data)
    for scheme, port in (("http", CLEAR), ("https", SAFE)):
        call = Call(f"{scheme}://{SITE}:{port}/echo", tmp_path, ca=web.signed.ca)
        for options in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]):
            reply = curl(call, network.lan, "--data-binary", "@up.bin", *options)
            assert reply.body == data, reply


def test_a_site_that_is_not_published(
    tmp_path: Path, network: Network, published: Gateway
) -> None:
    """421 for other names, and for whoever takes it for a proxy."""
    call = Call(f"http://{SITE}:{CLEAR}/files/text.txt", tmp_path)
    assert curl(call, network.lan, "-H", "Host: nginx4.test").code == "421"
    proxy = f"http://{INNER[4]}:{CLEAR}"
    forward = Call(f"http://{wan_name('apache', 4)}/files/text.txt", tmp_path, proxy)
    assert curl(forward, network.lan).code in {"400", "421"}
    tunnel = Call(f"https://{wan_name('apache', 4)}/", tmp_path, proxy)
    assert curl(tunnel, network.lan).status != 0


def test_a_site_with_a_login(
    tmp_path: Path, network: Network, web: Web, published: Gateway
) -> None:
    """It is ours, and does not go on."""
    call = Call(f"http://{SITE}:{LOCKED}/files/text.txt", tmp_path)
    reply = curl(call, network.lan)
    assert reply.code == "401"
    assert reply.get("www-authenticate").startswith("Basic ")
    login = ["-u", f"{PROXY_USER}:{PROXY_PASSWORD}"]
    assert curl(call, network.lan, *login).code == "200"
    eventually(
        lambda: any(one.get("user") == PROXY_USER for one in published.records()),
        "the record",
    )


def test_what_a_server_is_told_of_the_client(
    tmp_path: Path, network: Network, published: Gateway
) -> None:
    """Afresh: what the client claims of the way it came is not passed on."""
    with Recorder(network.wan, [wan_address("host", 4)]) as recorder:
        call = Call(f"http://{SITE}:{SHOWN}/a?b", tmp_path)
        words = ["-H", "X-Forwarded-For: 10.9.8.7", "-H", "Forwarded: for=10.9.8.7"]
        assert curl(call, network.lan, *words).code == "200"
    raw = b"".join(recorder.raw).decode().lower()
    assert "10.9.8.7" not in raw
    assert f"x-forwarded-for: {LAN[4]}" in raw
    assert "x-forwarded-proto: http\r\n" in raw
    assert f"x-forwarded-host: {SITE}:{SHOWN}" in raw
    assert f"for={LAN[4]}" in raw
    assert recorder.requests == ["GET /a?b 0"]


# On the way to servers.

CAPTURES = ("redirect", "tproxy")


@pytest.fixture(scope="module")
def through(folder: Path) -> Iterator[Network]:
    """Namespaces of our own, in which the LAN has a way to go, and no way through."""
    made = Network(f"web-{os.getpid()}")
    made.sweep()
    try:
        made.open()
        made.lead_through()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def there(through: Network, folder: Path) -> Iterator[Web]:
    if not STAMP.exists():
        pytest.fail("no servers and clients: run tests/peers/install", pytrace=False)
    running = http_servers.start(through.wan, folder / "caught-web")
    yield running
    running.stop()


def configuration(capture: str) -> str:
    return f"""{HEAD}
[listen.caught]
protocol = "http"
mode = "transparent"
capture = "{capture}"
address = ["0.0.0.0:{HTTP}", "[::]:{HTTP}"]

{web_doors.RULES}"""


@pytest.fixture(scope="module", params=CAPTURES)
def caught(
    through: Network, there: Web, folder: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    """By the rules that `portway init` prints, for port 80 and for 443."""
    place = folder / f"caught-{request.param}"
    with Gateway(through.gateway, place, configuration(request.param)) as gateway:
        rules = gateway.portway("init", "--transparent", "--interface", "lan0")
        load_rules(through, rules)
        yield Scene(folder, through, there, gateway)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_clients_on_their_way_to_servers(
    scheme: str, family: int, caught: Scene, tmp_path: Path
) -> None:
    """The record has the URL that they asked for, though they asked another."""
    _, network, web, gateway = caught
    path = f"/files/caught-{scheme}{family}-{gateway.process.pid}.bin"
    (web.root / path[1:]).hardlink_to(web.sample)
    host = wan_name("nginx", family)
    call = Call(f"{scheme}://{host}{path}", tmp_path, ca=web.signed.ca)
    status, said = CLIENTS["curl"](call, network.lan)
    assert status == 0, f"{said}\n{gateway.output[-1500:]}"
    body = (tmp_path / "body").read_bytes()
    assert digest(body) == digest(web.sample.read_bytes())
    address, port = wan_address("nginx", family), 80 if scheme == "http" else 443

    def found() -> list[Record]:
        records = gateway.records()
        wanted = {"address": address, "port": port}
        return [one for one in records if wanted.items() <= one.items()]

    eventually(lambda: bool(found()), "the record")
    record = found()[-1]
    assert went_well(record), record
    assert record["client"] == LAN[family], record
    if scheme == "http":
        assert record["url"] == f"http://{host}{path}", record


def test_other_programs_on_their_way(caught: Scene, tmp_path: Path) -> None:
    """wget, urllib and git: none was told anything."""
    _, network, web, gateway = caught
    for client in ("wget", "urllib"):
        url = f"http://{wan_name('apache', 4)}/files/sample.bin"
        status, said = CLIENTS[client](Call(url, tmp_path), network.lan)
        assert status == 0, f"{said}\n{gateway.output[-1500:]}"
    url = f"http://{wan_name('apache', 4)}/git/tree.git"
    status, said = http_clients.git(Call(url, tmp_path), network.lan)
    assert status == 0, said
    cloned = (tmp_path / "clone/large.bin").read_bytes()
    assert cloned == (web.root / "work/large.bin").read_bytes()


def test_a_host_that_is_elsewhere_is_not_believed(
    caught: Scene, tmp_path: Path
) -> None:
    """A name that rules allow does not open the way to an address that they deny."""
    _, network, _, gateway = caught
    address = wan_address("nginx", 4)
    call = Call(f"http://{address}/files/text.txt", tmp_path)
    reply = curl(call, network.lan, "-H", f"Host: {wan_name('apache', 4)}")
    assert reply.code in {"200", "421"}, reply

    def found() -> list[Record]:
        return [one for one in gateway.records() if one.get("host") == address]

    eventually(lambda: bool(found()), "a record of the address, not of the name")
    denied = Call(f"http://{wan_address('liar', 4)}/", tmp_path)
    reply = curl(denied, network.lan, "-H", f"Host: {wan_name('nginx', 4)}")
    assert reply.code in {"403", "502"}, reply


def test_what_is_refused_on_its_way(caught: Scene, tmp_path: Path) -> None:
    _, network, _, _ = caught
    call = Call(f"http://{wan_name('nginx', 4)}/forbidden", tmp_path)
    reply = curl(call, network.lan)
    assert reply.code == "403"
    assert b"It is not for you." in reply.body


def test_the_rules_of_the_packet_filter_can_be_read_again(caught: Scene) -> None:
    _, network, _, _ = caught
    status, said = run(
        network.gateway.command("nft", "list", "table", "inet", "portway")
    )
    assert status == 0, said
    assert "443" in said
