"""Real clients through the gateway to real servers: each run lists, fetches and stores.

What arrived is compared by its digest, on both sides; the ledger must have exactly one
record for each thing done; and the gateway must hold no more than before.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration import doors, matrix
from tests.integration.clients import CLIENTS, NEVER_STORES, SESSIONS, Call
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
    with gateway.watched(SESSIONS.get(cell.client, 1)) as records:
        status, output = CLIENTS[cell.client](call, network.lan)
        shown = f"{output}\n--- gateway\n{gateway.output[-3000:]}"
        assert status == 0, shown
    assert digest(call.down) == there.sample, shown
    listing = call.folder / "listing"
    assert "sample.bin" in output + (listing.read_text() if listing.exists() else "")
    if cell.client not in NEVER_STORES:
        stored = there.files / call.upload
        assert digest(stored) == digest(call.up), shown
        stored.unlink()

    check(records, cell, there)


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


def check(records: list[Record], cell: Cell, there: Server) -> None:
    actions = Counter(record["action"] for record in records)
    shown = "\n".join(map(str, records))
    assert actions["read"] == 1, shown
    assert actions["write"] == (cell.client not in NEVER_STORES), shown
    assert actions["list"] >= 1, shown
    assert len({record["id"] for record in records}) == len(records), shown
    sessions = {record["session"] for record in records}
    assert len(sessions) == actions["connect"], shown
    for record in records:
        check_record(record, cell, there, shown)


def check_record(record: Record, cell: Cell, there: Server, shown: str) -> None:
    expected = {
        "protocol": "ftp",
        "client": LAN[cell.family],
        "listener": f"{cell.login}-{cell.data}",
        "verdict": "allow",
        "rule": "the LAN",
        "address": wan_address(there.name, cell.outside),
        "port": 21,
        "server_login": there.user,
    }
    if not cell.dialect.endswith("-"):
        expected["user"] = doors.PROXY_USER
    action = record["action"]
    if action == "read":
        expected |= {"bytes_down": SAMPLE_SIZE, "path": "/files/sample.bin"}
    if action == "write":
        expected |= {"bytes_up": UPLOAD_SIZE}
    if action in ("read", "write"):
        expected |= {"outcome": "ok", "client_data": cell.mode}
    assert expected.items() <= record.items(), shown
    assert ("user" in record) == ("user" in expected), shown
    if "server_data" in record:
        passive = record["server_data"] in PASSIVE
        assert passive == goes_passive(cell), shown


def test_log_shows_every_record(
    tmp_path: Path,
    network: Network,
    gateway: Gateway,
    server: Callable[[str], Server],
) -> None:
    """``portway log --json`` and the file of records agree, to the letter."""
    cell = CELLS[next(iter(CELLS))]
    call = make_call(cell, server(cell.server), tmp_path)
    call.up.write_bytes(b"up")
    with gateway.watched(SESSIONS.get(cell.client, 1)):
        status, output = CLIENTS[cell.client](call, network.lan)
    assert status == 0, output
    known = {record["id"]: record for record in gateway.records()}
    lines = gateway.portway("log", "--json").splitlines()
    logged = {record["id"]: record for record in map(json.loads, lines)}
    assert logged == known
