"""Old clients in clear, real servers inside TLS: three transfers in a row, each way.

The gateway speaks TLS in the clients' place. What arrived is compared by its digest,
and the records say what protected it.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import issue
from tests.integration import secure_servers
from tests.integration.clients import Call, ftplib
from tests.integration.doors import HEAD, RULES, door
from tests.integration.gateway import Gateway, Record
from tests.integration.network import Network, wan_name
from tests.integration.secure_servers import PORTS, VERSIONS
from tests.integration.servers import NAMES, Server, digest

UPLOAD_SIZE = 200_003
DOORS = {"required": 2400, "implicit": 2401, "strict": 2402, "stranger": 2403}
# pure-ftpd 1.0.50 gives no tickets in TLS 1.3, so there is nothing to resume.
NO_TICKETS = {("pure-ftpd", "1.3")}
MODES = ("PASV", "EPSV", "PORT", "EPRT")


@dataclass(frozen=True, slots=True)
class World:
    """The gateway, and what gives the server of a name and a kind."""

    network: Network
    gateway: Gateway
    server: Callable[[str, str], Server]


@dataclass(frozen=True, slots=True)
class Run:
    """What a client came to: its status, all that was said, and the records."""

    status: int
    shown: str
    records: list[Record]


@pytest.fixture(scope="module")
def world(network: Network, folder: Path) -> Iterator[World]:
    """Servers, each started when it is asked for, and doors that want TLS of them."""
    place = folder / "tls-server"
    place.mkdir(mode=0o755)
    signed = secure_servers.certificates(place / "certificates")
    running: dict[tuple[str, str], Server] = {}

    def server(name: str, kind: str) -> Server:
        if (name, kind) not in running:
            there = place / f"{name}-{kind}"
            running[name, kind] = secure_servers.start(
                name, kind, network.wan, there, signed
            )
        return running[name, kind]

    other = issue(place / "other", "other.test").ca
    text = configuration(signed.ca, other)
    with Gateway(network.gateway, place / "gateway", text) as gateway:
        yield World(network, gateway, server)
    for one in running.values():
        one.stop()


def configuration(ca: str, other: str) -> str:
    """Doors that differ in what they want of servers."""
    trusted = f'ca = "{ca}"'
    settings = {
        "required": f'tls = "required"\n{trusted}',
        "implicit": f'tls = "implicit"\n{trusted}',
        "strict": f'tls = "required"\ntls_eof = "strict"\n{trusted}',
        "stranger": f'tls = "try"\nca = "{other}"',
    }
    doors = [door(name, DOORS[name], "", text) for name, text in settings.items()]
    return HEAD + "".join(doors) + RULES


def run(
    world: World, there: Server, folder: Path, name: str, *, mode: str, at: str = ""
) -> Run:
    """Let a client store, fetch and list through the door called *name*.

    *at* stands behind the server's name.
    """
    (folder / "up.bin").write_bytes(os.urandom(UPLOAD_SIZE))
    call = Call(
        dialect="A",
        mode=mode,
        family=4,
        port=DOORS[name],
        host=f"{wan_name(there.name, 4)}{at}",
        user=there.user,
        password=there.password,
        upload=f"up-{folder.name}.bin",
        folder=folder,
    )
    gateway = world.gateway
    with gateway.watched() as records:
        status, output = ftplib(call, world.network.lan)
    said = [output, gateway.output[-3000:], there.output, *map(str, records)]
    return Run(status, "\n---\n".join(said), records)


def check(there: Server, folder: Path, made: Run) -> None:
    """All three transfers went through, whole and protected."""
    assert made.status == 0, made.shown
    assert digest(folder / "down.bin") == there.sample, made.shown
    stored = there.files / f"up-{folder.name}.bin"
    assert digest(stored) == digest(folder / "up.bin"), made.shown
    stored.unlink()
    methods = [(record["method"], record["outcome"]) for record in made.records]
    assert methods == [
        ("STOR", "ok"),
        ("RETR", "ok"),
        ("LIST", "ok"),
        ("CONNECT", "ok"),
    ], made.shown


CELLS = [
    f"{name} {mode} {version}"
    for name in NAMES
    for mode in MODES
    for version in VERSIONS
]


@pytest.mark.parametrize("cell", CELLS)
def test_three_transfers(cell: str, tmp_path: Path, world: World) -> None:
    name, mode, version = cell.split()
    there = world.server(name, version)
    which = "strict" if mode in {"PASV", "EPRT"} else "required"
    made = run(world, there, tmp_path, which, mode=mode, at=f":{PORTS[version]}")
    check(there, tmp_path, made)
    for record in made.records:
        assert str(record["tls_server"]).startswith(f"TLSv{version} "), made.shown
    resumed = [record["tls_server_resumed"] for record in made.records[:3]]
    told = "false" if (name, version) in NO_TICKETS else "true"
    assert resumed == [told] * 3, made.shown


@pytest.mark.parametrize("mode", ["PASV", "PORT"])
def test_tls_at_once(mode: str, tmp_path: Path, world: World) -> None:
    """Port 990, which nobody has to name."""
    there = world.server("vsftpd", "implicit")
    made = run(world, there, tmp_path, "implicit", mode=mode)
    check(there, tmp_path, made)
    assert made.records[-1]["port"] == 990


def test_a_server_in_clear_where_tls_is_to_come_at_once(
    tmp_path: Path, world: World
) -> None:
    there = world.server("proftpd", "1.3")
    at = f":{PORTS['1.3']}"
    made = run(world, there, tmp_path, "implicit", mode="PASV", at=at)
    refused(made, "530 Host proftpd4.test: TLS: wrong version number.")


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_is_not_trusted(name: str, tmp_path: Path, world: World) -> None:
    """The door only tries TLS, and yet nothing is said in clear."""
    there = world.server(name, "1.3")
    made = run(world, there, tmp_path, "stranger", mode="PASV", at=f":{PORTS['1.3']}")
    words = "its certificate comes from an authority that is not trusted"
    refused(made, f"530 Host {name}4.test: {words}.")


def test_a_server_that_has_no_tls(
    tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    """It is spoken to in clear where the door only tries, and that is recorded."""
    there = server("vsftpd")
    made = run(world, there, tmp_path, "stranger", mode="PASV")
    check(there, tmp_path, made)
    assert made.records[-1]["tls_server"] == "clear"
    made = run(world, there, tmp_path, "required", mode="PASV")
    refused(made, "530 Host vsftpd4.test offers no TLS.")


def refused(made: Run, words: str) -> None:
    assert made.status != 0, made.shown
    assert words in made.shown
    (record,) = made.records
    assert (record["outcome"], record["reason"]) == ("failed", "tls"), made.shown
