"""TLS with a server through another proxy, and with an FTP proxy itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import parents, secure_servers
from tests.integration.doors import HEAD, RULES, door
from tests.integration.gateway import Gateway
from tests.integration.network import INNER, Network, wan_name
from tests.integration.parents import HOST
from tests.integration.secure_servers import PORTS
from tests.integration.servers import Server
from tests.integration.speaker import Speaker

FIRST = 2500
WAYS = {
    "socks5": f"socks5://{HOST}:{parents.SOCKS}",
    "socks5h": f"socks5h://{HOST}:{parents.SOCKS}",
    "socks4": f"socks4://{HOST}:{parents.SOCKS}",
    "http": f"http://{HOST}:{parents.HTTP}",
}
NAMES = tuple(WAYS)
# Both refuse data that resume no session.
SERVERS = ("vsftpd", "proftpd")


@pytest.fixture(scope="module")
def servers(network: Network, folder: Path) -> Iterator[dict[str, Server]]:
    place = folder / "via-tls"
    place.mkdir(mode=0o755)
    signed = secure_servers.certificates(place / "certificates")
    running: dict[str, Server] = {}
    try:
        for name in SERVERS:
            there = place / name
            running[name] = secure_servers.start(
                name, "1.3", network.wan, there, signed
            )
        yield running
    finally:
        for one in running.values():
            one.stop()


@pytest.fixture(scope="module")
def chained(
    network: Network, folder: Path, servers: dict[str, Server]
) -> Iterator[Gateway]:
    assert servers
    ca = folder / "via-tls/certificates/ca.pem"
    settings = f'tls = "required"\nca = "{ca}"\n'
    tables = [
        door(name, FIRST + place, "", f'{settings}via = "{WAYS[name]}"')
        for place, name in enumerate(NAMES)
    ]
    text = HEAD + "".join(tables) + RULES
    with (
        parents.parents(network.wan, folder / "parents-tls"),
        Gateway(network.gateway, folder / "chained-tls", text) as made,
    ):
        yield made


CELLS = [
    f"{server} {name} {mode}"
    for server in SERVERS
    for name in NAMES
    for mode in ("EPSV", "PORT")
]


@pytest.mark.parametrize("cell", CELLS)
def test_files_go_through_inside_tls(
    network: Network, chained: Gateway, servers: dict[str, Server], cell: str
) -> None:
    server, name, mode = cell.split()
    there, port = servers[server], FIRST + NAMES.index(name)
    content = f"{name} {mode}".encode() * 30_000
    new = f"files/{name}-{mode}.bin"
    with (
        chained.watched() as records,
        Speaker(network.lan, INNER[4], port) as client,
    ):
        at = f"{wan_name(server, 4)}:{PORTS['1.3']}"
        client.login(f"{there.user}@{at}", there.password)
        client.expect("TYPE I", 200)
        client.store(f"STOR {new}", content, mode)
        assert client.fetch(f"RETR {new}", mode) == content
        client.expect("QUIT", 221)
    assert (there.folder / new).read_bytes() == content
    assert all(record["outcome"] == "ok" for record in records), records
    assert all(record["via"] == WAYS[name] for record in records)
