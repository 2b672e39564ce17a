"""Real clients through the gateway to real servers: each run lists, fetches and stores.

What arrived is compared by its digest, on both sides; the ledger must have exactly one
record for each thing done; and the gateway must hold no more than before.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration import doors, matrix
from tests.integration.clients import CLIENTS, NEVER_STORES, Call
from tests.integration.gateway import Gateway, Record
from tests.integration.matrix import Cell
from tests.integration.network import LAN, Network, wan_address, wan_name
from tests.integration.servers import SAMPLE_SIZE, Server, digest

UPLOAD_SIZE = 200_003
PASSIVE = ("PASV", "EPSV")

CELLS = {str(cell): cell for cell in matrix.cells()}


@pytest.mark.parametrize("name", CELLS)
def test_run(
    name: str,
    tmp_path: Path,
    network: Network,
    gateway: Gateway,
    server: Callable[[str], Server],
) -> None:
    cell = CELLS[name]
    there = server(cell.server)
    call = make_call(cell, there, tmp_path)
    call.up.write_bytes(os.urandom(UPLOAD_SIZE))
    gateway.fresh()
    before = gateway.held

    status, output = CLIENTS[cell.client](call, network.lan)
    shown = f"{output}\n--- gateway\n{gateway.output[-3000:]}"
    assert status == 0, shown
    assert digest(call.down) == there.sample, shown
    listing = call.folder / "listing"
    assert "sample.bin" in output + (listing.read_text() if listing.exists() else "")
    stores = cell.client not in NEVER_STORES
    if stores:
        stored = there.files / call.upload
        assert digest(stored) == digest(call.up), shown
        stored.unlink()

    check(gateway.wait_for(done(stores=stores)), cell, there, stores=stores)
    gateway.lets_go(before)


def make_call(cell: Cell, there: Server, folder: Path) -> Call:
    host = wan_name(there.name, cell.outside)
    if cell.form == "address":
        host = wan_address(there.name, cell.outside)
        if cell.outside == 6 and cell.client == "ftplib":
            host = f"[{host}]"  # the others send it bare
    proxied = not cell.dialect.endswith("-")
    return Call(
        dialect=cell.dialect.rstrip("-"),
        mode=cell.mode,
        family=cell.family,
        port=doors.port(cell.login, cell.data),
        host=host,
        user=there.user,
        password=there.password,
        upload=f"up-{folder.name}.bin",
        folder=folder,
        proxy_user=doors.PROXY_USER if proxied else "",
        proxy_password=doors.PROXY_PASSWORD if proxied else "",
    )


def goes_passive(cell: Cell) -> bool:
    """Say whether the server's side is to be passive: as asked, else as the client."""
    return cell.data == "passive" or (cell.data == "auto" and cell.mode in PASSIVE)


def done(*, stores: bool) -> Callable[[list[Record]], bool]:
    """Say when the records of a run are complete: as many ends as connects."""

    def complete(records: list[Record]) -> bool:
        actions = Counter(str(record["action"]) for record in records)
        return bool(
            actions["connect"]
            and actions["read"]
            and actions["list"]
            and actions["write"] >= stores
        )

    return complete


def check(records: list[Record], cell: Cell, there: Server, *, stores: bool) -> None:
    actions = Counter(record["action"] for record in records)
    shown = "\n".join(map(str, records))
    assert actions["read"] == 1, shown
    assert actions["write"] == stores, shown
    for record in records:
        assert record["protocol"] == "ftp"
        assert record["client"] == LAN[cell.family]
        assert record["listener"] == f"{cell.login}-{cell.data}"
        assert record["verdict"] == "allow"
        assert record["rule"] == "the LAN"
        assert record["address"] == wan_address(there.name, cell.outside)
        assert record["port"] == 21
        expected = "" if cell.dialect.endswith("-") else doors.PROXY_USER
        assert record.get("user", "") == expected, shown
        if record["action"] != "connect" and "client_data" in record:
            assert record["client_data"] == cell.mode, shown
            assert (record["server_data"] in PASSIVE) == goes_passive(cell), shown
        if record["action"] == "read":
            assert record["bytes_down"] == SAMPLE_SIZE
            assert record["path"] == "/files/sample.bin"
            assert record["outcome"] == "ok", shown
        if record["action"] == "write":
            assert record["bytes_up"] == UPLOAD_SIZE
            assert record["outcome"] == "ok", shown


def test_there_is_no_way_around(network: Network, server: Callable[[str], Server]) -> None:
    for address in server("pyftpdlib").addresses.values():
        with pytest.raises(OSError, match="unreachable"):
            network.lan.connect(address, 21)
        network.gateway.connect(address, 21).close()
