"""Real SOCKS clients through the gateway: connections, and each way to be refused.

What is fetched is compared by its digest; each refusal by the code that the client
was told; and the ledger has the record of each.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.integration import web_doors
from tests.integration.doors import PROXY_PASSWORD, PROXY_USER
from tests.integration.gateway import Gateway, Record
from tests.integration.http_servers import digest
from tests.integration.network import (
    INNER,
    LAN,
    Network,
    wan_address,
    wan_name,
)
from tests.integration.process import Process, eventually, run
from tests.integration.scene import Scene
from tests.integration.socks_clients import CLIENTS, Call

SILENT = 7778  # a port of origin's that says nothing, not even that it is closed
_SILENT = """\
table inet silent {
  chain input { type filter hook input priority 0; tcp dport PORT drop; }
}
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: *door* is of web_doors.SOCKET, *inside* and *outside* are families."""

    client: str
    version: str
    door: str
    inside: int
    outside: int
    named: bool

    def __str__(self) -> str:
        form = "name" if self.named else "address"
        way = f"{self.door}{self.inside}-{form}{self.outside}"
        return f"{self.client}-{self.version}-{way}"


# These speak IPv4 alone, to the gateway or of servers.
INSIDE_4 = frozenset({"socksify", "socat", "torsocks", "PySocks"})
OUTSIDE_4 = frozenset({"socksify", "socat", "proxychains", "torsocks"})


NAMED = frozenset({"proxychains", "node"})  # addresses are names to them, in version 4
UNNAMED = frozenset({("torsocks", "5"), ("socksify", "4")})  # know no names


def cells() -> Iterator[Cell]:
    for client, (_, versions) in CLIENTS.items():
        for version in versions:
            yield from _cells(client, version)


def _cells(client: str, version: str) -> Iterator[Cell]:
    """Return runs by a name, by addresses, and where a login is asked for."""
    four, named = version.startswith("4"), (client, version) not in UNNAMED
    inside = 4 if client in INSIDE_4 else 6
    doors = ["socks", "auto"] if four else ["socks", "socks-optional", "socks-required"]
    for number, door in enumerate(doors):
        yield Cell(client, version, door, (4, inside)[number % 2], 4, named)
    if (four and client in NAMED) or not named:
        return
    yield Cell(client, version, "auto", 4, 4, named=False)
    if four or client in OUTSIDE_4:
        return
    yield Cell(client, version, "socks", 4, 6, named=True)
    yield Cell(client, version, "auto", inside, 6, named=False)


CELLS = {str(cell): cell for cell in cells()}


@pytest.fixture(scope="module")
def done() -> dict[str, Cell]:
    """The runs, by what their records are known by."""
    return {}


def call_of(cell: Cell, folder: Path, path: str) -> Call:
    name = wan_name("nginx", cell.outside)
    login = cell.door in {"socks-required", "socks-optional"}
    return Call(
        cell.version,
        INNER[cell.inside],
        web_doors.SOCKET[cell.door],
        name if cell.named else wan_address("nginx", cell.outside),
        folder,
        path=path,
        user=PROXY_USER if login else "",
        password=PROXY_PASSWORD if login else "",
    )


@pytest.mark.parametrize("name", CELLS)
def test_connect(name: str, done: dict[str, Cell], scene: Scene) -> None:
    tmp_path, network, web, web_gateway = scene
    cell = CELLS[name]
    own = f"/files/{name}.bin"
    (web.root / own[1:]).hardlink_to(web.sample)
    call = call_of(cell, tmp_path, own)
    status, said = CLIENTS[cell.client][0](call, network.lan)
    assert status == 0, f"{said}\n{web_gateway.output[-1500:]}"
    fetched = (tmp_path / "body").read_bytes()
    assert digest(fetched) == digest(web.sample.read_bytes()), said
    done[own] = cell


def test_each_has_its_records(web_gateway: Gateway, done: dict[str, Cell]) -> None:
    """The connection, and the request in clear that was judged within."""

    def known() -> dict[object, Record]:
        return {record.get("path"): record for record in web_gateway.records()}

    eventually(lambda: done.keys() <= known().keys(), "the records of requests")
    requests = known()
    sessions = {
        record["session"]: record
        for record in web_gateway.records()
        if record["method"] == "CONNECT" and record["protocol"] == "socks"
    }
    wrong = []
    for path, cell in done.items():
        request = requests[path]
        record = sessions.get(request["session"], {})
        expected = {
            "listener": cell.door,
            "client": LAN[cell.inside],
            "address": wan_address("nginx", cell.outside),
            "port": 80,
            "action": "connect",
            "outcome": "ok",
        }
        if cell.door in {"socks-required", "socks-optional"}:
            expected |= {"user": PROXY_USER, "by": "password"}
        inner = {"protocol": "http", "method": "GET", "status": "200", "outcome": "ok"}
        right = expected.items() <= record.items()
        if not right or not inner.items() <= request.items():
            wrong.append((cell, record, request))
    assert not wrong, "\n".join(map(str, wrong))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A destination, and the code of SOCKS 5, and the reason, that it has."""

    code: int
    reason: str
    host: str
    port: int = 80


REFUSALS = {
    "rule": Refusal(2, "rule", web_doors.DENIED),
    "inside": Refusal(2, "inside", INNER[4], 9),
    "inside-name": Refusal(2, "inside", "gateway4.test", 9),
    "loopback": Refusal(2, "inside", "127.0.0.1", 22),
    "loop": Refusal(2, "loop", INNER[4], web_doors.OPEN),
    "no-network": Refusal(3, "unreachable", "198.51.100.7"),
    "no-answer": Refusal(1, "resolver", "nowhere.test"),
    "closed": Refusal(5, "refused", wan_name("origin", 4), 9),
    "closed-6": Refusal(5, "refused", wan_address("origin", 6), 9),
    "silent": Refusal(6, "connect-timeout", wan_name("origin", 4), SILENT),
}
# How each client shows the code that it was told.
SHOWN: dict[str, Callable[[int], str]] = {
    "curl": lambda code: f"({code})",
    "PySocks": lambda code: f"0x{code:02x}: ",
    "python-socks": lambda code: f"{code}: ",
}


@pytest.fixture(scope="module")
def silence(network: Network) -> Iterator[None]:
    """Whoever connects to SILENT waits."""
    table = _SILENT.replace("PORT", str(SILENT))
    status, said = run(network.wan.command("nft", "-f", "-"), given=table)
    assert status == 0, said
    yield
    run(network.wan.command("nft", "delete", "table", "inet", "silent"))


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("client", SHOWN)
def test_each_refusal_has_its_code(
    client: str, name: str, tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    refusal = REFUSALS[name]
    web_gateway.fresh()
    call = Call(
        "5h", INNER[4], web_doors.SOCKS, refusal.host, tmp_path, port=refusal.port
    )
    status, said = CLIENTS[client][0](call, network.lan)
    assert status != 0, said
    assert SHOWN[client](refusal.code) in said, said
    wanted = {
        "reason": refusal.reason,
        "status": f"{refusal.code:02}",
        "port": call.port,
    }
    if client == "curl":
        web_gateway.wait_for(
            lambda found: any(wanted.items() <= one.items() for one in found)
        )


_NO_NAME = """\
import socket
stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stream.bind(("127.0.0.1", 53))
while True:
    data, peer = stream.recvfrom(2048)
    stream.sendto(data[:2] + b"\\x81\\x83" + data[4:6] + bytes(6) + data[12:], peer)
"""


def test_a_name_that_does_not_exist(
    tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    """The gateway's resolver says so, for once: elsewhere there is none."""
    command = network.gateway.command(sys.executable, "-c", _NO_NAME)
    call = Call("5h", INNER[4], web_doors.SOCKS, "nobody.test", tmp_path)
    with Process(command, tmp_path / "resolver"):
        eventually(lambda: answers(network), "a resolver")
        status, said = CLIENTS["curl"][0](call, network.lan)
    assert status != 0
    assert "(4)" in said, said


def answers(network: Network) -> bool:
    ports = run(network.gateway.command("ss", "-Hlun", "sport = 53"))[1]
    return "127.0.0.1:53" in ports


@pytest.mark.parametrize("client", ["curl", "PySocks", "python-socks"])
def test_version_4_says_91(
    client: str, tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    call = Call("4", INNER[4], web_doors.SOCKS, wan_name("origin", 4), tmp_path, port=9)
    for host in (call.host, wan_address("liar", 4)):
        status, said = CLIENTS[client][0](replace(call, host=host), network.lan)
        assert status != 0, said
        assert "91" in said or "0x5b" in said.lower(), said
    web_gateway.fresh()


# With a wrong one but once: each has the next wait longer.
STRANGERS = [(client, "") for client in ("curl", "PySocks", "python-socks", "ncat")]
STRANGERS.append(("node", "wrong"))


@pytest.mark.parametrize(("client", "password"), STRANGERS)
def test_a_door_that_asks_for_a_login_keeps_strangers_out(
    client: str, password: str, tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    web_gateway.fresh()
    user = "nobody-known" if password else ""
    call = Call(
        "5h",
        INNER[4],
        web_doors.SOCKS_REQUIRED,
        wan_name("nginx", 4),
        tmp_path,
        user=user,
        password=password,
    )
    status, said = CLIENTS[client][0](call, network.lan)
    assert status != 0, said
    reason = "login-wrong" if password else "login"
    web_gateway.wait_for(lambda found: any(one["reason"] == reason for one in found))
