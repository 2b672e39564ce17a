"""Hostile HTTP and SOCKS clients: floods, drips, silence, and doors not meant for them.

Not here: what is malformed (test_http_smuggling.py). Invariant: after each of them the
gateway serves the next client, and holds no more than before.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import web_doors
from tests.integration.doors import HEAD
from tests.integration.gateway import Gateway
from tests.integration.http_clients import Call, curl
from tests.integration.http_servers import Web, digest
from tests.integration.network import (
    INNER,
    LAN,
    STRANGER,
    Network,
    wan_address,
    wan_name,
)
from tests.integration.origin import Script, reset
from tests.integration.process import Process, eventually
from tests.integration.scene import Scene
from tests.integration.test_http_smuggling import send, until_closed

HASTY, BUSY, HASTY_SOCKS = 3140, 3141, 1090
CLIENTS = 2000
ENDLESS = 8082
PATIENCE = 45.0  # seconds; what is to be given up lasts for a few


@pytest.fixture(scope="module")
def hasty(network: Network, folder: Path, web: Web) -> Iterator[Gateway]:
    """A gateway of little patience."""
    short = 'head_time = "1s"\nkeepalive = "1s"\nports = ["*"]\nmin_rate = "2kB/s"\n'
    long = 'head_time = "30s"\nports = ["*"]\n'
    text = (
        HEAD
        + f"[limits]\nper_client = {2 * CLIENTS}\n"
        + web_doors.door("hasty", "http", HASTY, short + 'stall = "2s"')
        + web_doors.door("patient", "http", BUSY, long)
        + web_doors.door("socks", "socks", HASTY_SOCKS, 'head_time = "1s"')
        + web_doors.RULES
    )
    few = (
        "prlimit",
        "--nofile=1024:16384",
    )  # as shells have it; it has to ask for more
    with Gateway(network.gateway, folder / "hasty", text, before=few) as made:
        yield made


@pytest.fixture
def serves_the_next(
    tmp_path: Path, network: Network, web: Web, hasty: Gateway
) -> Iterator[None]:
    """Whatever was done to it, it serves a client, and lets go of all."""
    before = hasty.held
    yield
    call = Call(sample(), tmp_path, f"http://{INNER[4]}:{HASTY}")
    reply = curl(call, network.lan, "-H", "Connection: close")
    assert reply.digest == digest(web.sample.read_bytes()), hasty.output[-2000:]

    def gone() -> bool:  # but for what waits for the next request to nginx
        return hasty.held.sockets <= before.sockets + 2

    eventually(gone, f"its sockets are closed: {before}, {hasty.held}", 10)


def sample() -> str:
    return f"http://{wan_name('nginx', 4)}/files/sample.bin"


DRIP = b"GET http://nginx4.test/ HTTP/1.1\r\nHost: nginx4.test\r\nX: " + b"a" * 400


@pytest.mark.usefixtures("serves_the_next")
def test_a_head_that_drips_is_given_up(network: Network, hasty: Gateway) -> None:
    """Each byte in time, and never the end: what counts is the whole."""
    hasty.fresh()
    with network.lan.connect(INNER[4], HASTY) as stream:
        said = b""
        for byte in DRIP:
            try:
                stream.sendall(bytes((byte,)))
                stream.settimeout(0.05)
                said += stream.recv(65536)
                break
            except TimeoutError:
                continue
            except OSError:
                break
    assert said.startswith(b"HTTP/1.1 408 "), said
    records = hasty.wait_for(lambda found: any(r["reason"] == "idle" for r in found))
    assert records[-1]["outcome"] == "failed"


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("serves_the_next")
def test_a_body_that_drips_is_given_up(network: Network, hasty: Gateway) -> None:
    """Below the least rate; the server does not get it for whole."""
    head = (
        "POST http://apache4.test/echo HTTP/1.1\r\nHost: apache4.test\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with network.lan.connect(INNER[4], HASTY) as stream:
        stream.sendall(head.encode())
        began = time.monotonic()
        stream.settimeout(0.1)
        while time.monotonic() - began < PATIENCE:
            try:
                stream.sendall(b"1\r\na\r\n")
                if not stream.recv(65536):
                    break
                break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < PATIENCE


@pytest.mark.usefixtures("serves_the_next")
def test_a_client_that_says_nothing_is_let_go(network: Network) -> None:
    for door in (HASTY, HASTY_SOCKS):
        with network.lan.connect(INNER[4], door) as stream:
            stream.settimeout(5)
            assert until_closed(stream) == b""


@pytest.mark.usefixtures("serves_the_next")
def test_a_flood_of_fields_is_refused(network: Network) -> None:
    line = b"GET http://nginx4.test/ HTTP/1.1\r\nHost: nginx4.test\r\n"
    many = line + b"".join(b"X-%d: y\r\n" % number for number in range(100_000))
    long = line + b"X: " + b"y" * 5_000_000
    endless = b"GET http://nginx4.test/" + b"a" * 5_000_000
    for data, status in ((many, b"431"), (long, b"431"), (endless, b"414")):
        said = send(network, data, HASTY)
        assert said[9:12] == status, said[:200]


@pytest.mark.usefixtures("serves_the_next")
def test_chunks_without_end(network: Network, hasty: Gateway) -> None:
    """An extension that never ends is refused; a reply that does goes at its pace."""
    head = (
        b"POST http://apache4.test/echo HTTP/1.1\r\nHost: apache4.test\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    said = send(network, head + b"1;" + b"x" * 2_000_000, HASTY)
    assert b"200 OK" not in said
    said = send(network, head + b"0\r\n" + b"X: y\r\n" * 200_000, HASTY)
    assert b"200 OK" not in said

    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2000
    request = f"GET http://host4.test:{ENDLESS}/ HTTP/1.1\r\nHost: host4.test\r\n\r\n"
    with Script(network.wan, [wan_address("host", 4)], ENDLESS, {"/": answer}):
        with network.lan.connect(INNER[4], HASTY) as stream:
            stream.sendall(request.encode())
            assert stream.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
            memory = resident(hasty)
            reset(stream)
        hasty.wait_for(lambda found: any(r["outcome"] == "cut" for r in found))
        assert resident(hasty) - memory < 20_000_000


def resident(gateway: Gateway) -> int:
    """Return the bytes of memory that it uses."""
    pages = Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def test_ports_that_are_not_for_tunnels(
    tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    """By the list that is there where none is written."""
    proxy = f"http://{INNER[4]}:{web_doors.USUAL}"
    for url, code in (
        (f"https://{wan_name('nginx', 4)}:22/", "403"),
        (f"https://{wan_name('nginx', 4)}:25/", "403"),
        (f"http://{wan_name('nginx', 4)}:25/", "403"),
        (f"https://{wan_name('origin', 4)}:8443/", "502"),
        (f"ftp://{wan_name('origin', 4)}:80/", "403"),
    ):
        web_gateway.fresh()
        reply = curl(Call(url, tmp_path, proxy), network.lan, "-v")
        assert f"HTTP/1.1 {code}" in reply.said, reply
        if code == "403":
            web_gateway.wait_for(
                lambda found: any(one["reason"] == "port" for one in found)
            )


@pytest.mark.parametrize(
    ("host", "source", "reason"),
    [
        ("gateway4.test:9", LAN[4], "inside"),
        ("gateway6.test:9", LAN[4], "inside"),
        ("localhost:22", LAN[4], "inside"),
        ("127.0.0.1:22", LAN[4], "inside"),
        ("[::1]:22", LAN[4], "inside"),
        ("[::ffff:127.0.0.1]:22", LAN[4], "inside"),
        ("169.254.169.254", LAN[4], "inside"),
        ("0.0.0.0:22", LAN[4], "inside"),
        (f"gateway4.test:{web_doors.SOCKS}", STRANGER[4], "loop"),
        (f"{INNER[4]}:{web_doors.OPTIONAL}", STRANGER[4], "loop"),
        (f"localhost:{web_doors.OPEN}", STRANGER[4], "refused"),
    ],
)
def test_what_is_inside_is_not_reached(
    host: str, source: str, reason: str, scene: Scene
) -> None:
    """By names that resolve there, by addresses, by ours; by CONNECT and by GET."""
    tmp_path, network, web_gateway = scene.folder, scene.network, scene.gateway
    proxy = f"http://{INNER[4]}:{web_doors.OPEN}"
    codes = {"inside": "403", "loop": "502", "refused": "502"}
    for url in (f"http://{host}/", f"https://{host}/"):
        web_gateway.fresh()
        options = ["-v", "--interface", source, "--globoff"]
        reply = curl(Call(url, tmp_path, proxy), network.lan, *options)
        assert f"HTTP/1.1 {codes[reason]}" in reply.said, reply
        web_gateway.wait_for(
            lambda found: any(one["reason"] == reason for one in found)
        )


def test_the_gateway_itself_has_pages_of_its_own(
    tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    """Asked as a server, or by itself as a proxy: nothing is dialled."""
    own = f"http://{INNER[4]}:{web_doors.OPEN}"
    for proxy in ("", own):
        for path, code in (("/proxy.pac", "200"), ("/wpad.dat", "200"), ("/x", "404")):
            reply = curl(Call(own + path, tmp_path, proxy), network.lan)
            assert reply.code == code, reply
            assert (b"FindProxyForURL" in reply.body) == (code == "200")


_CROWD = """\
import socket, sys, time
address, count, *ports = sys.argv[1:]
streams = []
for number in range(int(count)):
    stream = socket.create_connection((address, int(ports[number % len(ports)])))
    if number % 3 == 1:
        stream.sendall(b"G")
    streams.append(stream)
print("all there", flush=True)
for stream in streams:
    stream.settimeout(60)
    try:
        while stream.recv(4096):
            pass
    except ConnectionResetError:
        pass
print("all gone", flush=True)
"""


@pytest.mark.usefixtures("serves_the_next")
@pytest.mark.timeout(90)
def test_a_crowd_that_connects_and_says_nothing(
    tmp_path: Path, network: Network, web: Web, hasty: Gateway
) -> None:
    """One works on among them; and none of them stays."""
    memory = resident(hasty)
    words = [INNER[4], str(CLIENTS), str(BUSY), str(BUSY), str(HASTY_SOCKS)]
    command = network.lan.command(sys.executable, "-c", _CROWD, *words)
    with Process(command, tmp_path / "crowd") as crowd:
        eventually(lambda: "all there" in crowd.output, "the crowd", 30)
        patient = CLIENTS * 2 // 3
        eventually(lambda: hasty.held.sockets >= patient, "all are taken", 10)
        assert resident(hasty) - memory < patient * 50_000
        call = Call(sample(), tmp_path, f"http://{INNER[4]}:{BUSY}")
        reply = curl(call, network.lan)
        assert reply.digest == digest(web.sample.read_bytes()), (
            reply,
            reply.body[:300],
        )
        crowd.kill()
