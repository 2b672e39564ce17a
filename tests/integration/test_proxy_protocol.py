"""HAProxy before the gateway, and behind it: each is told who the client is."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.doors import HEAD, door
from tests.integration.gateway import Gateway, Record
from tests.integration.network import (
    INNER,
    LAN,
    STRANGER,
    Namespace,
    Network,
    wan_address,
)
from tests.integration.process import Process, eventually
from tests.integration.servers import PEERS, SAMPLE_SIZE, SERVERS
from tests.integration.speaker import Speaker

BALANCER = STRANGER[4]
AFTER = wan_address("nano", 4)  # where the second HAProxy is
BEHIND = wan_address("liar", 4)  # and the server past it
VERSIONS = ("v1", "v2")
SENDS = {"v1": "send-proxy", "v2": "send-proxy-v2"}
DOOR = {"v1": 2510, "v2": 2511}  # at the gateway, and at the first HAProxy
DATA = {"v1": range(52100, 52110), "v2": range(52110, 52120)}
PLAIN = 2530  # a door that tells nobody
SERVED = range(53000, 53010)
PROGRAM = str(PEERS / "haproxy/usr/sbin/haproxy")
MILD = """\
global
  log stdout format raw daemon
  maxconn 200
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 30s
  timeout server 30s
"""
RULES = f"""
[[rules]]
name = "the client alone"
who = ["{LAN[4]}"]
to = ["*"]
then = "allow"
"""


@dataclass(frozen=True, slots=True)
class World:
    """The gateway between the two, and the server past the last."""

    gateway: Gateway
    before: Process
    after: Process
    files: Path


def before() -> str:
    """Return the configuration of the HAProxy that clients come to."""
    parts = [MILD]
    for version in VERSIONS:
        port, data = DOOR[version], DATA[version]
        parts.append(f"""
listen control-{version}
  bind {BALANCER}:{port}
  source {BALANCER}
  server gateway {INNER[4]}:{port} {SENDS[version]} check inter 200ms
listen data-{version}
  bind {BALANCER}:{data[0]}-{data[-1]}
  source {BALANCER}
  server gateway {INNER[4]} {SENDS[version]}
""")
    return "".join(parts)


def after() -> str:
    """Return the configuration of the HAProxy that stands before the server.

    On its data ports a header would be data.
    """
    return f"""{MILD}
listen control
  bind {AFTER}:21 accept-proxy
  timeout client 4s
  log-format "for %ci:%cp to %fi:%fp"
  source {AFTER}
  server vsftpd {BEHIND}:21
listen data
  bind {AFTER}:{SERVED[0]}-{SERVED[-1]}
  source {AFTER}
  server vsftpd {BEHIND}
"""


def doors() -> str:
    tables = [
        door(
            version,
            DOOR[version],
            f'proxy_protocol = ["{BALANCER}"]\ndata_address = "{BALANCER}"\n'
            f'data_ports = "{DATA[version][0]}-{DATA[version][-1]}"',
            f'proxy_protocol = "{version}"',
        )
        for version in VERSIONS
    ]
    tables.append(door("plain", PLAIN))
    return HEAD + "".join(tables) + RULES


def haproxy(place: Namespace, folder: Path, text: str, at: tuple[str, int]) -> Process:
    folder.mkdir()
    settings = folder / "haproxy.cfg"
    settings.write_text(text)
    command = place.command(PROGRAM, "-db", "-f", str(settings))
    process = Process(command, folder / "output")

    def up() -> bool:
        assert process.status is None, process.output
        try:
            place.connect(*at).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(up, f"haproxy at {at}")
    return process


def vsftpd(place: Namespace, folder: Path) -> Process:
    """Start the server; its folder ``root/files`` has a sample."""
    files = folder / "root/files"
    files.mkdir(parents=True)
    for path in (folder, folder / "root"):
        path.chmod(0o755)
    files.chmod(0o777)
    (files / "sample.bin").write_bytes(os.urandom(SAMPLE_SIZE))
    prepare, _ = SERVERS["vsftpd"]
    *command, log = prepare(folder / "settings", folder / "root", BEHIND)
    with (folder / "settings/vsftpd.conf").open("a") as settings:
        settings.write(f"pasv_min_port={SERVED[0]}\npasv_max_port={SERVED[-1]}\n")
    return Process(place.command(*command), Path(log))


@pytest.fixture(scope="module")
def world(network: Network, folder: Path) -> Iterator[World]:
    here = folder / "haproxy"
    here.mkdir()
    here.chmod(0o755)
    with (
        vsftpd(network.wan, here / "vsftpd"),
        haproxy(network.wan, here / "after", after(), (AFTER, 21)) as last,
        Gateway(network.gateway, here / "gateway", doors()) as gateway,
        haproxy(
            network.lan, here / "before", before(), (BALANCER, DOOR["v1"])
        ) as first,
    ):
        yield World(gateway, first, last, here / "vsftpd/root/files")


def visit(records: list[Record]) -> Record:
    return next(record for record in records if record["method"] == "CONNECT")


def login(client: Speaker) -> None:
    client.login(f"anonymous@{AFTER}", "me@example.org")
    client.expect("TYPE I", 200)


@pytest.mark.parametrize("version", VERSIONS)
def test_files_go_through_both(network: Network, world: World, version: str) -> None:
    """Only the client is let in, and only with a header is there an answer."""
    content = os.urandom(SAMPLE_SIZE)
    with (
        world.gateway.watched() as records,
        Speaker(network.lan, BALANCER, DOOR[version], source=LAN[4]) as client,
    ):
        login(client)
        sample = (world.files / "sample.bin").read_bytes()
        assert client.fetch("RETR files/sample.bin", "PASV") == sample
        for mode in ("PASV", "EPSV", "PORT", "EPRT"):
            client.store(f"STOR files/{version}-{mode}.bin", content, mode)
            assert (world.files / f"{version}-{mode}.bin").read_bytes() == content
        number = client.control.getsockname()[1]
        client.expect("QUIT", 221)
    connect = visit(records)
    assert (connect["client"], connect["client_port"]) == (LAN[4], number)
    assert connect["rule"] == "the client alone"
    assert {record["client"] for record in records} == {LAN[4]}
    assert {record["outcome"] for record in records} == {"ok"}
    told = f"for {LAN[4]}:{number} to {BALANCER}:{DOOR[version]}"
    eventually(lambda: told in world.after.output, told)


@pytest.mark.parametrize("version", VERSIONS)
def test_others_come_in_as_themselves(
    network: Network, world: World, version: str
) -> None:
    with (
        world.gateway.watched() as records,
        Speaker(network.lan, INNER[4], DOOR[version], source=LAN[4]) as client,
    ):
        login(client)
        content = client.fetch("RETR files/sample.bin", "EPSV")
        assert content == (world.files / "sample.bin").read_bytes()
        client.expect("QUIT", 221)
    assert visit(records)["client"] == LAN[4]


def test_whoever_is_named_is_asked_about(network: Network, world: World) -> None:
    """The balancer's own machine is nobody whom a rule lets in."""
    with Speaker(network.lan, BALANCER, DOOR["v1"], source=BALANCER) as client:
        world.gateway.fresh()
        assert client.ask(f"USER anonymous@{AFTER}").code == 530
        [record] = world.gateway.wait_for(bool)
    assert (record["client"], record["reason"]) == (BALANCER, "default")


def test_a_server_that_waits_for_a_header_says_nothing_without(
    network: Network, world: World
) -> None:
    with Speaker(network.lan, INNER[4], PLAIN, source=LAN[4]) as client:
        world.gateway.fresh()
        assert client.ask(f"USER anonymous@{AFTER}").code == 421
        record = visit(world.gateway.wait_for(bool))
    assert (record["outcome"], record["side"]) == ("failed", "server")


def test_looking_whether_we_are_alive_is_no_news(world: World) -> None:
    """The first HAProxy has done so all the time."""
    assert "not_introduced" not in world.gateway.output
    assert "DOWN" not in world.before.output


def test_a_reload_says_who_is_a_balancer(network: Network, folder: Path) -> None:
    keys = 'proxy_protocol = ["192.168.1.0/24"]'
    before, after = (HEAD + door("door", 2540, key) + RULES for key in ("", keys))
    with Gateway(network.gateway, folder / "reloaded", before) as gateway:
        with Speaker(network.lan, INNER[4], 2540) as client:
            client.expect("NOOP", 200)
            gateway.write(after)
            gateway.portway("reload")
            client.expect("NOOP", 200)
        with network.lan.connect(INNER[4], 2540) as caller:
            caller.sendall(b"PROXY TCP4 192.168.1.10 192.168.1.1 4000 2540\r\n")
            assert caller.recv(4) == b"220 "
        with network.lan.connect(INNER[4], 2540) as caller:
            caller.sendall(b"NOOP\r\n")
            assert was_reset(caller)
        assert "not_introduced" in gateway.output
        gateway.write(before)
        gateway.portway("reload")
        with Speaker(network.lan, INNER[4], 2540) as client:
            client.expect("NOOP", 200)


def was_reset(caller: socket.socket) -> bool:
    try:
        return caller.recv(1) != b""
    except ConnectionResetError:
        return True
