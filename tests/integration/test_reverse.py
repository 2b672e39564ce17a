"""Real servers published by reverse doors, behind NAT, to clients that know of nothing.

A packet filter hands one address on to the gateway, as a router does: clients know that
one alone, and are told it for their data.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration import direct, doors, servers
from tests.integration.gateway import Gateway
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import INNER, LAN, Network, wan_address
from tests.integration.servers import Server, digest
from tests.integration.speaker import Speaker, read_all

PORT = 21
ROUTER = "198.51.100.7"  # which is no address of any machine here
DATA = "50100-50199"
CONTENT = bytes(range(256)) * 1500
NANOS = ("nano", "liar", "third")

NAT = f"""\
table ip router {{
  chain pre {{
    type nat hook prerouting priority dstnat;
    ip daddr {ROUTER} tcp dport {{ {PORT}, {DATA} }} dnat to {INNER[4]}
  }}
}}
"""


def configuration(*places: str) -> str:
    """Return a door that leads to servers at *places*, by turns."""
    words = ", ".join(f'"{place}"' for place in places)
    settings = f"""mode = "reverse"
servers = [{words}]
balance = "round-robin"
data_address = "{ROUTER}"
data_ports = "{DATA}"
"""
    return doors.HEAD + doors.door("farm", PORT, settings) + doors.RULES


class Published:
    """A gateway whose farm is another one after each reload."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._places: tuple[str, ...] = ()

    def leads_to(self, *places: str) -> None:
        if places != self._places:
            self.gateway.write(configuration(*places))
            self.gateway.portway("reload")
        self._places = places


@pytest.fixture(scope="module")
def published(network: Network, folder: Path) -> Iterator[Published]:
    nft = network.gateway.command("nft")
    route = [*network.lan.command("ip", "route"), "{}", ROUTER, "via", INNER[4]]
    subprocess.run([*nft, "-f", "-"], input=NAT, text=True, check=True)
    subprocess.run([word.format("add") for word in route], check=True)
    text = configuration(at("nano", 4))
    try:
        with Gateway(network.gateway, folder / "published", text) as gateway:
            yield Published(gateway)
    finally:
        subprocess.run([word.format("del") for word in route], check=True)
        subprocess.run([*nft, "delete", "table", "ip", "router"], check=True)


def at(name: str, family: int) -> str:
    address = wan_address(name, family)
    return f"[{address}]:21" if family == 6 else f"{address}:21"


RUNS = [
    (name, way)
    for name, (_, ways) in direct.CLIENTS.items()
    for way in ways
    if (name, way) != ("ncftp", "PORT4")  # it wants data from the router's address
]


@pytest.mark.parametrize(("name", "way"), RUNS)
def test_clients_from_outside(
    name: str,
    way: str,
    *,
    network: Network,
    published: Published,
    server: Callable[[str], Server],
    tmp_path: Path,
) -> None:
    client, _ = direct.CLIENTS[name]
    there = server(servers.NAMES[RUNS.index((name, way)) % len(servers.NAMES)])
    family = int(way[4])
    published.leads_to(at(there.name, family))
    call = direct.Direct(
        dialect="0",
        mode=way[:4],
        family=family,
        port=PORT,
        host={4: ROUTER, 6: INNER[6]}[family],
        user=there.user,
        password=there.password,
        upload=f"up-{tmp_path.name}.bin",
        folder=tmp_path,
    )
    call.up.write_bytes(os.urandom(200_003))
    sessions = {"ncftp": 3, "wget": 2}.get(name, 1)
    with published.gateway.watched(sessions) as records:
        status, output = client(call, network.lan)
    shown = f"{output}\n--- gateway\n{published.gateway.output[-3000:]}"
    assert status == 0, shown
    assert digest(call.down) == there.sample, shown
    ours = [record for record in records if record["method"] != "ADMIN"]
    done = {record["action"]: record for record in ours}
    assert done["read"]["client_data"] == way[:4]
    for record in done.values():
        assert record["client"] == LAN[family]
        assert record["host"] == there.addresses[family]
        assert record["mode"] == "reverse"
        if record["action"] != "manage":  # a time that is set, which not all know
            assert record["outcome"] == "ok", record["method"]


def test_the_farm_takes_turns_and_tells_the_outer_address(
    network: Network, published: Published
) -> None:
    published.leads_to(*(at(name, 4) for name in NANOS))
    made = [NanoFtpd(network.wan, wan_address(name, 4)) for name in NANOS]
    try:
        for nano in made:
            nano.files["sample.bin"] = CONTENT
        for _ in range(2 * len(made)):
            with Speaker(network.lan, ROUTER, PORT) as client:
                client.login("joe")
                address, port = client.passive()
                assert address == ROUTER
                with network.lan.connect(address, port) as stream:
                    client.expect("RETR sample.bin", 150)
                    assert read_all(stream) == CONTENT
                assert client.reply().code == 226
                client.expect("QUIT", 221)
        assert [nano.sessions for nano in made] == [2, 2, 2]
        assert not any(nano.failures for nano in made)
    finally:
        for nano in made:
            nano.close()
