"""Clients inside TLS, real servers in clear: three transfers in a row, each way.

The gateway speaks TLS in the servers' place. What arrived is compared by its digest,
and the records say what protected it.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Certificates, issue
from tests.integration import secure_clients
from tests.integration.clients import Call
from tests.integration.doors import HEAD, RULES, door
from tests.integration.gateway import Gateway, Record
from tests.integration.network import INNER, Network, wan_name
from tests.integration.secure_clients import CLIENTS, Secure
from tests.integration.servers import NAMES, Server, digest
from tests.integration.tls_clients import FORGETFUL

UPLOAD_SIZE = 200_003
FIRST = 2500
SETTINGS = {
    "explicit": 'tls = "explicit"',
    "required": 'tls = "required"',
    "implicit": 'tls = "implicit"',
    "reuse": 'tls = "required"\ntls_reuse = "session"',
    "ccc": 'tls = "explicit"\nccc = true',
    "old": 'tls = "explicit"\ntls_min = "1.0"',
    "known": 'tls = "required"',
    "clear": "",
}
DOORS = {name: FIRST + place for place, name in enumerate(SETTINGS)}


@dataclass(frozen=True, slots=True)
class World:
    """What the tests share."""

    network: Network
    gateway: Gateway
    gateways: Certificates
    clients: Certificates


@pytest.fixture(scope="module")
def world(network: Network, folder: Path) -> Iterator[World]:
    place = folder / "tls-client"
    addresses = (f"gateway{4}.test", f"gateway{6}.test", *INNER.values())
    gateways = issue(place / "gateway", *addresses)
    known = issue(place / "clients", "client.test")
    shown = f'certificate = "{gateways.certificate}"\nkey = "{gateways.key}"\n'
    tables = []
    for name, settings in SETTINGS.items():
        keys = settings and f"{settings}\n{shown}"
        if name == "known":
            keys += f'client_ca = "{known.ca}"\n'
        tables.append(door(name, DOORS[name], keys))
    text = HEAD + "".join(tables) + RULES
    with Gateway(network.gateway, place / "gateway", text) as made:
        yield World(network, made, gateways, known)


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one run of a client."""

    status: int
    shown: str
    records: list[Record]
    client: str


def run(  # one run has all of these
    world: World,
    there: Server,
    folder: Path,
    *,
    client: str = "curl",
    at: str = "explicit",
    mode: str = "PASV",
    family: int = 4,
    dialect: str = "A",
    sessions: int = 1,
    own: Certificates | None = None,
    more: tuple[str, ...] = (),
) -> Run:
    """Let a client store, fetch and list through the door called *at*."""
    (folder / "up.bin").write_bytes(os.urandom(UPLOAD_SIZE))
    call = Call(
        dialect=dialect,
        mode=mode,
        family=family,
        port=DOORS[at],
        host=wan_name(there.name, 4),
        user=there.user,
        password=there.password,
        upload=f"up-{folder.name}.bin",
        folder=folder,
    )
    how = Secure(call, world.gateways.ca, at == "implicit", own, more)
    if not sessions:
        status, output = CLIENTS[client](how, world.network.lan)
        said = [output, world.gateway.output[-3000:]]
        return Run(status, "\n---\n".join(said), [], client)
    with world.gateway.watched(sessions) as records:
        status, output = CLIENTS[client](how, world.network.lan)
    said = [output, world.gateway.output[-3000:], *map(str, records)]
    return Run(status, "\n---\n".join(said), records, client)


def check(there: Server, folder: Path, made: Run) -> None:
    """All three transfers went through, whole and inside TLS."""
    assert made.status == 0, made.shown
    assert digest(folder / "down.bin") == there.sample, made.shown
    stored = there.files / f"up-{folder.name}.bin"
    assert digest(stored) == digest(folder / "up.bin"), made.shown
    stored.unlink()
    for method in ("STOR", "RETR", "LIST", "CONNECT"):
        found = [one for one in made.records if one["method"] == method]
        assert found, made.shown
        for record in found:
            assert record["outcome"] == "ok", made.shown
            assert "tls_client" in record, made.shown
            if made.client not in FORGETFUL:
                assert "tls_client_end" not in record, made.shown


# What each can: curl 7.88 forgets TLS on the data connections that it accepts, and two
# know the modes of RFC 2428 on IPv6 alone.
MODES = {
    "curl": ("PASV", "EPSV"),
    "lftp": ("PASV", "PORT"),
    "Net::FTP": ("PASV", "PORT"),
    "ftplib": ("PASV", "PORT", "EPSV", "EPRT"),
}
CELLS = [
    f"{client} {at} {NAMES[(row + column) % len(NAMES)]} {mode}"
    for row, client in enumerate(secure_clients.CLIENTS)
    for at in ("explicit", "required", "implicit")
    for column, mode in enumerate(MODES[client])
]


@pytest.mark.parametrize("cell", CELLS)
def test_three_transfers(
    cell: str, tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    client, at, name, mode = cell.split()
    there = server(name)
    made = run(world, there, tmp_path, client=client, at=at, mode=mode)
    check(there, tmp_path, made)
    transfers = [one for one in made.records if one["method"] in {"STOR", "RETR"}]
    assert [one["client_data"] for one in transfers] == [mode] * 2, made.shown


@pytest.mark.parametrize(
    ("client", "mode"),
    [
        ("curl", "EPSV"),
        *(
            (one, mode)
            for one in ("lftp", "Net::FTP", "ftplib")
            for mode in ("EPSV", "EPRT")
        ),
    ],
)
def test_over_ipv6(
    client: str,
    mode: str,
    tmp_path: Path,
    world: World,
    server: Callable[[str], Server],
) -> None:
    there = server("proftpd")
    made = run(world, there, tmp_path, client=client, mode=mode, family=6)
    check(there, tmp_path, made)


@pytest.mark.parametrize("mode", ["PASV", "PORT"])
def test_lftp_sends_auth_behind_open(
    mode: str, tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    there = server("vsftpd")
    made = run(world, there, tmp_path, client="lftp", mode=mode, dialect="D")
    check(there, tmp_path, made)


@pytest.mark.parametrize(
    ("client", "mode"), [("ftplib", "PASV"), ("ftplib", "PORT"), ("curl", "PASV")]
)
def test_clients_that_resume_the_session_where_they_must(
    client: str,
    mode: str,
    tmp_path: Path,
    world: World,
    server: Callable[[str], Server],
) -> None:
    there = server("pure-ftpd")
    made = run(world, there, tmp_path, client=client, at="reuse", mode=mode)
    check(there, tmp_path, made)
    transfers = [one for one in made.records if one["method"] != "CONNECT"]
    assert all(one["tls_client_resumed"] == "true" for one in transfers), made.shown


@pytest.mark.parametrize("ends", ["active", "passive"])
def test_curl_leaves_tls_on_the_control_connection(
    ends: str, tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    there = server("vsftpd")
    more = ("--ftp-ssl-ccc", "--ftp-ssl-ccc-mode", ends)
    made = run(world, there, tmp_path, at="ccc", more=more)
    check(there, tmp_path, made)
    assert "200 CCC accepted." in made.shown


@pytest.mark.parametrize("at", ["old", "explicit"])
def test_a_client_of_tls_1_0(
    at: str, tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    there = server("proftpd")
    more = ("--tlsv1.0", "--tls-max", "1.0", "--ciphers", "DEFAULT@SECLEVEL=0")
    sessions = 1 if at == "old" else 0
    made = run(world, there, tmp_path, at=at, more=more, sessions=sessions)
    if at == "explicit":
        assert made.status == 35, made.shown  # curl: the handshake failed
        return
    check(there, tmp_path, made)
    used = {str(one["tls_client"]).split()[0] for one in made.records}
    assert used == {"TLSv1"}, made.shown


@pytest.mark.parametrize("shown", [True, False])
def test_clients_must_show_a_certificate(
    shown: bool, tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    there = server("vsftpd")
    own = world.clients if shown else None
    sessions = 1 if shown else 0
    made = run(world, there, tmp_path, at="known", own=own, sessions=sessions)
    if shown:
        check(there, tmp_path, made)
    else:
        assert made.status != 0, made.shown
        assert "331" not in made.shown


@pytest.mark.parametrize("client", CLIENTS)
def test_a_door_without_tls_is_not_spoken_to_in_clear(
    client: str, tmp_path: Path, world: World, server: Callable[[str], Server]
) -> None:
    made = run(world, server("vsftpd"), tmp_path, client=client, at="clear", sessions=0)
    assert made.status != 0, made.shown
    assert "502 AUTH is not available." in made.shown


def test_a_plain_client_at_doors_inside_tls(
    world: World, server: Callable[[str], Server]
) -> None:
    there = server("vsftpd")
    lan = world.network.lan
    required = lan.connect(INNER[4], DOORS["required"])
    implicit = lan.connect(INNER[4], DOORS["implicit"])
    with required, implicit:
        said = required.recv(100)
        required.sendall(f"USER {there.user}@{wan_name(there.name, 4)}\r\n".encode())
        said += required.recv(100)
        assert said.endswith(b"530 TLS is required: send AUTH TLS first.\r\n")
        implicit.sendall(b"USER x\r\n")
        try:
            rest = implicit.recv(100)
        except ConnectionResetError:
            rest = b""
        assert rest == b""
