"""Clients that know of no proxy, caught on their way by the rules that we print.

The LAN has a default route to the gateway, which forwards nothing: what arrives went
through a transparent door, by REDIRECT or by TPROXY.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration import direct, doors, servers
from tests.integration.conftest import STAMP
from tests.integration.gateway import PORTWAY, Gateway
from tests.integration.nanoftpd import NanoFtpd, NanoSession
from tests.integration.network import (
    INNER,
    LAN,
    OUTER,
    STRANGER,
    Network,
    wan_address,
)
from tests.integration.process import run
from tests.integration.servers import Server, digest
from tests.integration.speaker import Speaker, read_all
from tests.sequences.sequences import DOUBLE
from tests.sequences.walk import WORDS, walk

CONTENT = bytes(range(256)) * 1500
MODES = [("PASV", 4), ("EPSV", 4), ("PORT", 4), ("EPRT", 4), ("EPSV", 6), ("EPRT", 6)]
PORT = 2121
Servers = Callable[[str], Server]

DOORS = {
    "redirect": ('capture = "redirect"\ndata_ports = "50000-50099"', ""),
    "tproxy": ('capture = "tproxy"', ""),
    "as-client": ('capture = "tproxy"', "keep_client = true"),
}
RULES = f"""\
[[rules]]
name = "never the liar"
to = ["{wan_address("liar", 4)}", "{wan_address("liar", 6)}"]
then = "deny"
because = "It lies."
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A transparent door and what stands round it; *capture* is a key of DOORS."""

    capture: str
    network: Network
    gateway: Gateway

    def enter(self, nano: NanoFtpd) -> Speaker:
        return Speaker(self.network.lan, nano.address, 21)


def configuration(settings: str, upstream: str) -> str:
    return f"""{doors.HEAD}
[listen.caught]
protocol = "ftp"
mode = "transparent"
address = ["0.0.0.0:{PORT}", "[::]:{PORT}"]
{settings}

[listen.caught.upstream]
{upstream}

{RULES}{doors.RULES}"""


def load_rules(network: Network, rules: str) -> None:
    """Do what `portway init --transparent` says is to be done."""
    for line in rules.splitlines():
        if line.startswith("#   ip "):  # which is there already, the second time
            command = network.gateway.command(*line[1:].split())
            subprocess.run(command, check=False, capture_output=True)
    load = network.gateway.command("nft", "-f", "-")
    subprocess.run(load, input=rules, text=True, check=True)


@pytest.fixture(scope="module")
def through(folder: Path) -> Iterator[Network]:
    """Namespaces of our own, in which the LAN has a way to go, and no way through."""
    made = Network(f"through-{os.getpid()}")
    made.sweep()
    try:
        made.open()
        made.lead_through()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module", params=DOORS)
def scene(
    through: Network, folder: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    place = folder / f"caught-{request.param}"
    text = configuration(*DOORS[request.param])
    users = {WORDS["fu"]: WORDS["fp"]}
    with Gateway(through.gateway, place, text, users=users) as gateway:
        command = ["init", "--transparent", "--interface", "lan0"]
        load_rules(through, gateway.portway(*command))
        yield Scene(request.param, through, gateway)


@pytest.fixture(scope="module")
def server(through: Network, folder: Path) -> Iterator[Servers]:
    """The real servers, in namespaces of ours."""
    if not STAMP.exists():
        pytest.fail("no servers and clients: run tests/peers/install", pytrace=False)
    running: dict[str, Server] = {}

    def get(name: str) -> Server:
        if name not in running:
            there = folder / f"behind-{name}"
            there.mkdir(exist_ok=True)
            running[name] = servers.start(name, through.wan, there)
        return running[name]

    yield get
    for one in running.values():
        one.stop()


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def nano(through: Network, request: pytest.FixtureRequest) -> Iterator[NanoFtpd]:
    with NanoFtpd(through.wan, wan_address("nano", request.param)) as made:
        made.files["sample.bin"] = CONTENT
        yield made
        assert not made.failures


@pytest.mark.parametrize(("mode", "family"), MODES)
def test_legs(mode: str, family: int, scene: Scene) -> None:
    with NanoFtpd(scene.network.wan, wan_address("nano", family)) as nano:
        nano.files["sample.bin"] = CONTENT
        with scene.gateway.watched() as records, scene.enter(nano) as client:
            assert client.greeting.code == 220
            client.login("joe")
            assert client.fetch("RETR sample.bin", mode) == CONTENT
            client.store("STOR up.bin", CONTENT[::-1], mode)
            assert b"up.bin" in client.fetch("LIST", mode)
            client.expect("QUIT", 221)
        assert nano.files["up.bin"] == CONTENT[::-1]
        assert not nano.failures
    assert len(records) == 4
    assert {record["outcome"] for record in records} == {"ok"}
    assert {record["mode"] for record in records} == {"transparent"}
    assert {record["host"] for record in records} == {nano.address}


RUNS = [(name, way) for name, (_, ways) in direct.CLIENTS.items() for way in ways]


@pytest.mark.parametrize(("name", "way"), RUNS)
def test_clients_that_know_of_no_proxy(
    name: str, way: str, scene: Scene, server: Servers, tmp_path: Path
) -> None:
    client, ways = direct.CLIENTS[name]
    number = list(direct.CLIENTS).index(name) + ways.index(way)
    there = server(servers.NAMES[number % len(servers.NAMES)])
    call = direct.Direct(
        dialect="0",
        mode=way[:4],
        family=int(way[4]),
        port=21,
        host=there.addresses[int(way[4])],
        user=there.user,
        password=there.password,
        upload=f"up-{tmp_path.name}.bin",
        folder=tmp_path,
    )
    call.up.write_bytes(os.urandom(200_003))
    sessions = {"ncftp": 3, "wget": 2}.get(name, 1)
    if (name, way, scene.capture) == ("ncftp", "PORT4", "redirect"):
        sessions = 1
    with scene.gateway.watched(sessions) as records:
        status, output = client(call, scene.network.lan)
        shown = f"{output}\n--- gateway\n{scene.gateway.output[-3000:]}"
        if (name, way, scene.capture) == ("ncftp", "PORT4", "redirect"):
            # it wants data from the server's address, which only TPROXY can give it
            assert "did not originate from remote server" in output
            return
        assert status == 0, shown
    assert digest(call.down) == there.sample, shown
    listing = tmp_path / "listing"
    assert "sample.bin" in output + (listing.read_text() if listing.exists() else "")
    if name != "wget":
        assert digest(there.files / call.upload) == digest(call.up), shown
        (there.files / call.upload).unlink()
    done = {record["action"]: record for record in records}
    assert done["read"]["client_data"] == way[:4]
    for record in done.values():
        assert record["client"] == LAN[call.family]
        assert record["host"] == record["address"] == call.host
        assert record["port"] == 21
        assert record["mode"] == "transparent"


def test_what_each_side_sees(scene: Scene, nano: NanoFtpd) -> None:
    """TPROXY: the server's address toward the client and, if asked, the reverse."""
    family = 6 if ":" in nano.address else 4
    peers: list[str] = []

    def syst(session: NanoSession, _: str) -> None:
        peers.append(session.peer)
        session.say("215 Mine")

    nano.scripts["SYST"] = syst
    as_server = scene.capture != "redirect"
    us = nano.address if as_server else INNER[family]
    with scene.gateway.watched() as records, scene.enter(nano) as client:
        client.login("joe")
        client.expect("SYST", 215)
        if family == 4:
            assert client.passive()[0] == nano.address
        with client.offer("EPRT") as listener:
            client.send("RETR sample.bin")
            stream, (host, port, *_) = listener.accept()
            assert host == us
            assert (port == 20) is as_server
            with stream:
                assert read_all(stream) == CONTENT
        assert [client.reply().code, client.reply().code] == [150, 226]
    seen = LAN[family] if scene.capture == "as-client" else OUTER[family]
    assert peers == [seen]
    told = [line.split("|")[2] for line in nano.lines if line.startswith("EPRT")]
    assert told == [seen]
    connect = next(record for record in records if record["action"] == "connect")
    assert connect["source"] == seen


def test_active_twice_to_the_same_port(scene: Scene, nano: NanoFtpd) -> None:
    """From server:20 to it there is a connection in TIME_WAIT: another port does."""
    with scene.gateway.watched(), scene.enter(nano) as client:
        client.login("joe")
        with client.offer("EPRT") as listener:
            for _ in range(3):
                client.send("RETR sample.bin")
                stream, _ = listener.accept()
                with stream:
                    assert read_all(stream) == CONTENT
                assert [client.reply().code, client.reply().code] == [150, 226]
                host, port = listener.getsockname()[:2]
                number = 2 if ":" in host else 1
                client.expect(f"EPRT |{number}|{host}|{port}|", 200)


@pytest.mark.parametrize("family", [4, 6])
def test_rules_read_the_address_that_was_called(scene: Scene, family: int) -> None:
    with NanoFtpd(scene.network.wan, wan_address("liar", family)) as liar:
        with scene.gateway.watched() as records, scene.enter(liar) as client:
            assert str(client.greeting) == "530 Denied: It lies."
            assert client.closed()
        assert liar.sessions == 0
    (record,) = records
    assert (record["verdict"], record["rule"]) == ("deny", "never the liar")
    assert record["host"] == liar.address


@pytest.mark.parametrize("family", [4, 6])
def test_who_calls_the_door_itself_is_a_loop(scene: Scene, family: int) -> None:
    with (
        scene.gateway.watched() as records,
        Speaker(scene.network.lan, INNER[family], PORT) as client,
    ):
        assert client.greeting.code == 421
        assert client.closed()
    (record,) = records
    assert (record["verdict"], record["reason"]) == ("deny", "loop")
    assert (record["host"], record["port"]) == (INNER[family], PORT)


def test_who_is_not_there(scene: Scene) -> None:
    nobody = wan_address("third", 4)
    with (
        scene.gateway.watched() as records,
        Speaker(scene.network.lan, nobody, 21) as client,
    ):
        assert str(client.greeting).startswith("421 Cannot reach host 203.0.113.66")
    (record,) = records
    assert record["reason"] == "refused"


def test_strangers_get_no_data(scene: Scene, nano: NanoFtpd) -> None:
    lan, family = scene.network.lan, 6 if ":" in nano.address else 4
    with scene.gateway.watched(), scene.enter(nano) as client:
        client.login("joe")
        address, port = client.passive("EPSV")
        with (
            pytest.raises(ConnectionError),
            lan.connect(address, port, STRANGER[family]) as stranger,
        ):
            stranger.recv(1)
        with lan.connect(address, port) as stream:
            client.expect("RETR sample.bin", 150)
            assert read_all(stream) == CONTENT
        assert client.reply().code == 226


def test_double_login(scene: Scene) -> None:
    """After a reload the door wants a login of its own, and dials behind it."""
    gateway, lan = scene.gateway, scene.network.lan
    settings, upstream = DOORS[scene.capture]
    gateway.write(configuration(f'login = "required"\n{settings}', upstream))
    gateway.portway("reload")
    try:
        with NanoFtpd(scene.network.wan, wan_address("nano", 4)) as nano:
            nano.files["sample.bin"] = CONTENT
            with gateway.watched(len(DOUBLE)) as records:
                for form in DOUBLE:
                    with Speaker(lan, nano.address, 21) as client:
                        assert str(client.greeting) == "220 edge FTP proxy ready."
                        outcome = walk(form, client, WORDS)
                        assert outcome.inside, outcome
                        assert client.fetch("RETR sample.bin") == CONTENT
            assert nano.lines[:2] == ["USER joe", "PASS s3cret"]
            assert not any("fu" in line for line in nano.lines)
        ours = [record for record in records if record["listener"] == "caught"]
        assert {record["user"] for record in ours} == {"fu"}
    finally:
        gateway.write(configuration(settings, upstream))
        gateway.portway("reload")


def test_a_reload_changes_how_clients_are_caught(scene: Scene, nano: NanoFtpd) -> None:
    """The socket that is listened on stays the same."""
    gateway, network = scene.gateway, scene.network
    other = "tproxy" if scene.capture == "redirect" else "redirect"
    for capture in (other, scene.capture):
        gateway.write(configuration(*DOORS[capture]))
        gateway.portway("reload")
        load_rules(network, gateway.portway("init", "--transparent"))
        with gateway.watched(), scene.enter(nano) as client:
            client.login("joe")
            assert client.fetch("RETR sample.bin", "EPSV") == CONTENT
            assert client.fetch("RETR sample.bin", "EPRT") == CONTENT


def test_tproxy_says_what_it_lacks(through: Network, folder: Path) -> None:
    place = folder / "lacking"
    place.mkdir()
    file = place / "portway.toml"
    text = configuration(*DOORS["tproxy"]).replace(f":{PORT}", ":2199")
    file.write_text(text.replace("{state}", str(place)).replace("{records}", "r"))
    drop = ["setpriv", "--bounding-set", "-net_admin,-net_raw"]
    command = through.gateway.command(*drop, PORTWAY, "serve", "-c", str(file))
    status, output = run(command)
    assert status == 2, output
    (line,) = [line for line in output.splitlines() if "capture" in line][:1]
    assert line.startswith(f"{file}:")
    assert "CAP_NET_ADMIN" in line
