"""Either side in clear or inside TLS, with real clients and real servers.

Each run is one session of a client that stores, fetches and lists: three transfers in
a row. What arrived is compared by its digest, and the records say what protected it on
either side.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from tests.certificates import Certificates, issue
from tests.integration import secure_servers, tls_cells
from tests.integration.clients import Call
from tests.integration.doors import HEAD, RULES, door
from tests.integration.gateway import Gateway, Record
from tests.integration.network import Network, wan_name
from tests.integration.secure_servers import PORTS
from tests.integration.secure_servers import VERSIONS as VERSIONED
from tests.integration.servers import SAMPLE_SIZE, Server, digest
from tests.integration.tls_cells import DIRECTIONS, MODES, SERVER_TLS, Cell
from tests.integration.tls_clients import (
    CLIENTS,
    FORGETFUL,
    TLS,
    SecureCall,
    family_of,
)

UPLOAD_SIZE = 200_003
FIRST = 2600
PASSIVE = ("PASV", "EPSV")
INSIDE = "TLSv1.3"  # what clients and gateway agree on, as they are
VERSIONS = {"off": "", "1.2": "TLSv1.2", "1.3": "TLSv1.3", "990": "TLSv1.3"}
CLIENT_TLS = {
    "off": "off",
    "private": "explicit",
    "clear": "explicit",
    "implicit": "implicit",
}
KINDS = ("off", "explicit", "implicit")
DOORS = {pair: FIRST + n for n, pair in enumerate(product(KINDS, KINDS))}
UPSTREAM = {"off": "off", "explicit": "required", "implicit": "implicit"}
# pure-ftpd 1.0.50 gives no tickets in TLS 1.3, so there is nothing to resume.
NO_TICKETS = {("pure-ftpd", "1.3")}

CELLS = {str(cell): cell for cell in tls_cells.cells()}


@dataclass(frozen=True, slots=True)
class World:
    """The gateway, its certificate, and what gives the server of a cell."""

    network: Network
    gateway: Gateway
    shown: Certificates
    server: Callable[[Cell], Server]


@pytest.fixture(scope="module")
def world(
    network: Network, folder: Path, server: Callable[[str], Server]
) -> Iterator[World]:
    """Servers, each started when it is asked for, and a door for each pair of sides."""
    place = folder / "tls-matrix"
    place.mkdir(mode=0o755)
    shown = issue(place / "gateway", "gateway4.test", "gateway6.test")
    signed = secure_servers.certificates(place / "certificates")
    running: dict[tuple[str, str], Server] = {}

    def get(cell: Cell) -> Server:
        if cell.wants == "off":
            return server(cell.server)
        kind = "implicit" if cell.wants == "990" else cell.wants
        name = cell.server
        if (name, kind) not in running:
            there = place / f"{name}-{kind}"
            running[name, kind] = secure_servers.start(
                name, kind, network.wan, there, signed
            )
        return running[name, kind]

    text = configuration(shown, signed.ca)
    with Gateway(network.gateway, place / "gateway", text) as gateway:
        yield World(network, gateway, shown, get)
    for one in running.values():
        one.stop()


def configuration(shown: Certificates, ca: str) -> str:
    """A door for each pair; data of servers that end without a close_notify are cut."""
    tables = []
    for (inner, outer), number in DOORS.items():
        settings, upstream = f'tls = "{inner}"', f'tls = "{UPSTREAM[outer]}"'
        if inner != "off":
            settings += f"""
certificate = "{shown.certificate}"
key = "{shown.key}\""""
        if outer != "off":
            upstream += f'\ntls_eof = "strict"\nca = "{ca}"'
        tables.append(door(f"{inner}-{outer}", number, settings, upstream))
    return HEAD + "".join(tables) + RULES


def test_every_cell_is_run() -> None:
    """Client TLS x server TLS x data mode x direction: 144 of 144."""
    run = {
        (*cell.place, direction) for cell in CELLS.values() for direction in DIRECTIONS
    }
    wanted = set(product(TLS, KINDS, MODES, DIRECTIONS))
    assert run == wanted
    assert len(wanted) == 144


@pytest.mark.parametrize("name", CELLS)
def test_three_transfers(name: str, tmp_path: Path, world: World) -> None:
    cell = CELLS[name]
    there = world.server(cell)
    at = f":{PORTS[cell.wants]}" if cell.wants in VERSIONED else ""
    call = Call(
        dialect="A",
        mode=cell.mode,
        family=family_of(cell.client, cell.mode),
        port=DOORS[CLIENT_TLS[cell.tls], SERVER_TLS[cell.wants]],
        host=f"{wan_name(there.name, 4)}{at}",
        user=there.user,
        password=there.password,
        upload=f"up-{tmp_path.name}.bin",
        folder=tmp_path,
    )
    call.up.write_bytes(os.urandom(UPLOAD_SIZE))
    made = SecureCall(call, cell.tls, world.shown.ca)
    with world.gateway.watched() as records:
        status, output = CLIENTS[cell.client](made, world.network.lan)
        said = [output, world.gateway.output[-3000:], there.output]
        assert status == 0, "\n---\n".join(said)
    shown = "\n---\n".join([*said, *map(str, records)])
    assert digest(call.down) == there.sample, shown
    listing = tmp_path / "listing"
    assert "sample.bin" in output + (listing.read_text() if listing.exists() else "")
    stored = there.files / call.upload
    assert digest(stored) == digest(call.up), shown
    stored.unlink()
    check(records, cell, shown)


def check(records: list[Record], cell: Cell, shown: str) -> None:
    """One session, its three transfers in a row; and what protected each side."""
    *transfers, visit = records
    done = [record["method"] for record in transfers]
    assert (done, visit["method"]) == ([*DIRECTIONS], "CONNECT"), shown
    assert {record["outcome"] for record in records} == {"ok"}, shown
    store, fetch, _ = transfers
    assert store["bytes_up"] == UPLOAD_SIZE, shown
    assert fetch["bytes_down"] == SAMPLE_SIZE, shown
    assert version(visit, "tls_client") == (INSIDE if cell.tls != "off" else ""), shown
    for record in transfers:
        check_transfer(record, cell, shown)
        assert version(record, "tls_server") == version(visit, "tls_server"), shown


def check_transfer(record: Record, cell: Cell, shown: str) -> None:
    assert record["client_data"] == cell.mode, shown
    passive = record["server_data"] in PASSIVE
    assert passive == (cell.mode in PASSIVE), shown
    private = cell.tls in {"private", "implicit"}
    assert version(record, "tls_client") == (INSIDE if private else ""), shown
    assert version(record, "tls_server") == VERSIONS[cell.wants], shown
    resumes = (cell.server, cell.wants) not in NO_TICKETS
    told = str(resumes).lower() if VERSIONS[cell.wants] else None
    assert record.get("tls_server_resumed") == told, shown
    assert "tls_server_end" not in record, shown
    if cell.client not in FORGETFUL:
        assert "tls_client_end" not in record, shown


def version(record: Record, side: str) -> str:
    """Return the version of TLS on one side of *record*; empty: it was in clear."""
    return str(record.get(side, "")).partition(" ")[0]
