"""Clients known by their MAC address: of two machines of the LAN, one may.

The second machine is attached to the gateway by a link of its own, so that it has a
MAC address of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.gateway import Gateway
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import (
    INNER,
    LAN,
    Namespace,
    Network,
    Place,
    wan_address,
)
from tests.integration.speaker import Speaker

PORT = 2400
OTHER = {4: "192.168.2.10", 6: "fd00:3::10"}
OTHER_INNER = {4: "192.168.2.1", 6: "fd00:3::1"}

TEXT = f"""\
[gateway]
name = "edge"
state = "{{state}}"

[listen.ftp]
protocol = "ftp"
address = ["0.0.0.0:{PORT}", "[::]:{PORT}"]

[[rules]]
name = "the scanner"
who = "mac:MAC"
then = "allow"

[[ledger.file]]
path = "{{records}}"
"""


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return done.stdout


def mac_in(place: Namespace, link: str) -> str:
    [found] = json.loads(ip("-j", "-n", place.name, "link", "show", link))
    mac: str = found["address"]
    return mac


@pytest.fixture(scope="module")
def other(network: Network) -> Iterator[Namespace]:
    """Another machine, with a link of its own to the gateway."""
    made = Namespace(f"portway-other-{os.getpid()}")
    inner = network.gateway.name
    ip("netns", "add", made.name)
    try:
        link = f"link add lan1 netns {made.name} type veth peer lan1 netns {inner}"
        ip(*link.split())
        for name, addresses in ((made.name, OTHER), (inner, OTHER_INNER)):
            ip("-n", name, "link", "set", "lan1", "up")
            ip("-n", name, "addr", "add", f"{addresses[4]}/24", "dev", "lan1")
            ip("-n", name, "addr", "add", f"{addresses[6]}/64", "dev", "lan1", "nodad")
        yield made
    finally:
        ip("netns", "delete", made.name)


@pytest.fixture(scope="module")
def running(network: Network, folder: Path) -> Iterator[Gateway]:
    text = TEXT.replace("MAC", mac_in(network.lan, "lan0").upper())
    with Gateway(network.gateway, folder / "neighbours", text) as made:
        yield made


@pytest.fixture
def nano(network: Network) -> Iterator[NanoFtpd]:
    with NanoFtpd(network.wan, wan_address("nano", 4)) as made:
        made.files["sample.bin"] = b"for one of them"
        yield made
        assert not made.failures


@pytest.mark.parametrize("family", [4, 6])
def test_one_machine_may_and_another_may_not(
    network: Network, other: Namespace, running: Gateway, nano: NanoFtpd, family: int
) -> None:
    lan = Speaker(network.lan, INNER[family], PORT)
    with running.watched() as records, lan as client:
        client.login(f"joe@{nano.address}")
        assert client.fetch("RETR sample.bin", "EPSV") == b"for one of them"
        client.expect("QUIT", 221)
    assert {record["mac"] for record in records} == {mac_in(network.lan, "lan0")}
    assert {record["verdict"] for record in records} == {"allow"}
    assert {record["client"] for record in records} == {LAN[family]}
    stranger = Speaker(other, OTHER_INNER[family], PORT)
    with running.watched() as records, stranger as client:
        assert client.ask(f"USER joe@{nano.address}").code == 530
        client.expect("QUIT", 221)
    [record] = records
    assert record["mac"] == mac_in(other, "lan1")
    assert (record["verdict"], record["reason"]) == ("deny", "default")
    assert record["client"] == OTHER[family]


def test_explain_takes_the_mac(running: Gateway, network: Network) -> None:
    asked = ("explain", "--from", "10.0.0.7", "RETR", "ftp://203.0.113.20/x")
    assert "is not among mac:" in running.portway(*asked)
    mac = mac_in(network.lan, "lan0")
    assert 'allowed by "the scanner"' in running.portway(*asked, "--mac", mac)


ASK = """
import sys
from ipaddress import ip_address
from portway.net.neighbours import mac_of
print(*(mac_of(ip_address(word)) or "-" for word in sys.argv[1:]))
"""


def ask(place: Place, *addresses: str) -> list[str]:
    command = place.command(sys.executable, "-c", ASK, *addresses)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_what_the_kernel_knows(network: Network, other: Namespace) -> None:
    there = network.gateway.name
    mac, stranger = mac_in(network.lan, "lan0"), "02:00:00:00:00:09"
    ip(*f"-n {there} neigh replace 192.168.1.99 lladdr {stranger} dev lan0".split())
    ip(*f"-n {there} route replace 10.77.0.0/16 via {LAN[4]} dev lan0".split())
    try:
        for family in (4, 6):  # so that both have spoken
            listener = network.gateway.listen(INNER[family])
            port = listener.getsockname()[1]
            network.lan.connect(INNER[family], port).close()
            listener.close()
        found = ask(
            network.gateway,
            LAN[4],
            LAN[6],
            f"::ffff:{LAN[4]}",
            "192.168.1.99",
            "192.168.1.98",  # nobody is there
            "10.77.0.1",  # behind a router, whose MAC must not be taken for its own
            "198.51.100.1",  # no way leads there
            "127.0.0.1",
            "::1",
        )
    finally:
        ip(*f"-n {there} route delete 10.77.0.0/16".split())
        ip(*f"-n {there} neigh delete 192.168.1.99 dev lan0".split())
    assert found == [mac, mac, mac, stranger, "-", "-", "-", "-", "-"]
