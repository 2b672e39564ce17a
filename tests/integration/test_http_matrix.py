"""Real HTTP clients through the gateway to real servers.

What arrives is compared with what arrives without the gateway: status, body by its
digest, and every field of the reply that belongs to both ends.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration import http_clients, http_servers, web_doors
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import CLIENTS, Call, Reply, curl
from tests.integration.http_servers import SAMPLE_SIZE, Web
from tests.integration.matrix import all_pairs
from tests.integration.network import LAN, Network, wan_address, wan_name

UPLOAD_SIZE = 200_003
SCHEMES = ("http", "https")
FAMILIES = (4, 6)
UPLOAD = "@up.bin"
PLAIN = "Content-Type: application/octet-stream"


@dataclass(frozen=True, slots=True)
class Feature:
    """What curl is asked to do: *path* may hold ``{own}``, a name of this run's own.

    *up* and *down* are what the records must have moved, where that can be said.
    """

    path: str
    options: tuple[str, ...] = ()
    code: str = "200"
    up: int = 0
    down: int | None = None
    only: str = ""
    loose: bool = False  # the body tells of the run, so it is not compared


BIG = ("--data-binary", UPLOAD, "-H", PLAIN)
SAMPLE = "files/sample.bin"
FEATURES: Mapping[str, Feature] = {
    "get": Feature(SAMPLE, down=SAMPLE_SIZE),
    "get-1.0": Feature(SAMPLE, ("--http1.0",), down=SAMPLE_SIZE),
    "head": Feature(SAMPLE, ("--head",), down=0),
    "range": Feature(SAMPLE, ("-r", "1000-2999"), "206", down=2000),
    "suffix": Feature(SAMPLE, ("-r", "-77"), "206", down=77),
    "past-the-end": Feature(SAMPLE, ("-r", "900000-"), "416"),
    "no-content": Feature("empty", code="204", down=0),
    "not-modified": Feature(
        SAMPLE, ("-H", "If-Modified-Since: Wed, 01 Jan 2200 00:00:00 GMT"), "304"
    ),
    "not-found": Feature("nope", code="404"),
    "moved": Feature("moved", ("-L",)),
    "gzip": Feature("files/text.txt", ("-H", "Accept-Encoding: gzip")),
    "login-asked": Feature("secret/word.txt", code="401"),
    "login": Feature("secret/word.txt", ("-u", "joe:s3cret")),
    "post": Feature("echo", ("-d", "a=b"), up=3, down=3),
    "post-big": Feature("echo", BIG, up=UPLOAD_SIZE, down=UPLOAD_SIZE),
    "post-1.0": Feature(
        "echo", ("--http1.0", *BIG), up=UPLOAD_SIZE, down=UPLOAD_SIZE
    ),
    "post-empty": Feature("echo", ("-d", ""), down=0),
    "post-chunked": Feature(
        "echo",
        (*BIG, "-H", "Transfer-Encoding: chunked"),
        up=UPLOAD_SIZE,
        down=UPLOAD_SIZE,
    ),
    "post-expect": Feature(
        "echo", (*BIG, "-H", "Expect: 100-continue"), up=UPLOAD_SIZE, down=UPLOAD_SIZE
    ),
    "too-large": Feature("small", (*BIG, "-H", "Expect:"), "413", up=-1),
    "too-large-expect": Feature(
        "small", (*BIG, "-H", "Expect: 100-continue"), "413", loose=True
    ),
    "put": Feature("up/{own}", ("-T", "up.bin"), "201", up=UPLOAD_SIZE, loose=True),
    "put-unread": Feature(SAMPLE, ("-X", "PUT", "-d", "x"), "405", up=-1),
    "delete-nothing": Feature("up/nothing-{own}", ("-X", "DELETE"), "404", loose=True),
    "options": Feature("up/", ("-X", "OPTIONS"), only="apache"),
    "propfind": Feature(
        "up/", ("-X", "PROPFIND", "-H", "Depth: 0"), "207", only="apache", loose=True
    ),
    "ended-by-closing": Feature("old/echo", BIG, only="apache", up=UPLOAD_SIZE),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run. *door* is one of web_doors.WEB; *inside*, *outside* are families."""

    feature: str
    server: str
    scheme: str
    door: str
    inside: int
    outside: int

    def __str__(self) -> str:
        ways = f"{self.scheme}-{self.door}{self.inside}-{self.server}{self.outside}"
        return f"{self.feature}-{ways}"


def cells() -> Iterator[Cell]:
    names, doors = tuple(FEATURES), tuple(web_doors.WEB)
    servers = http_servers.NAMES
    columns = (names, servers, SCHEMES, doors, FAMILIES, FAMILIES)
    for name, server, scheme, door, one, other in all_pairs([len(c) for c in columns]):
        only = FEATURES[names[name]].only
        yield Cell(
            names[name],
            only or servers[server],
            SCHEMES[scheme],
            doors[door],
            FAMILIES[one],
            FAMILIES[other],
        )


CELLS = {str(cell): cell for cell in cells()}
Direct = Callable[[Cell, Path], Reply]


def ask(
    cell: Cell, network: Network, call: Call, *, direct: bool = False
) -> Reply:
    """Run curl as *cell* says, from the LAN or, *direct*, from where the server is."""
    feature = FEATURES[cell.feature]
    (call.folder / "up.bin").write_bytes(b"upload" * (UPLOAD_SIZE // 6) + b"end"[:5])
    place = network.wan if direct else network.lan
    return curl(call, place, *feature.options)


def url_of(cell: Cell, own: str) -> str:
    path = FEATURES[cell.feature].path.replace("{own}", own)
    return f"{cell.scheme}://{wan_name(cell.server, cell.outside)}/{path}"


@pytest.fixture(scope="module")
def direct(network: Network, web: Web) -> Direct:
    """Return what gives the reply that a cell has without a gateway."""
    known: dict[tuple[str, str, str], Reply] = {}

    def get(cell: Cell, folder: Path) -> Reply:
        key = (cell.feature, cell.server, cell.scheme)
        if key not in known:
            own = f"direct-{cell.scheme}-{cell.server}-{os.urandom(4).hex()}"
            call = Call(url_of(cell, own), folder, ca=web.signed.ca)
            known[key] = ask(cell, network, call, direct=True)
        return known[key]

    return get


@pytest.mark.parametrize("name", CELLS)
def test_run(
    name: str,
    tmp_path: Path,
    network: Network,
    web: Web,
    web_gateway: Gateway,
    direct: Direct,
) -> None:
    cell = CELLS[name]
    feature = FEATURES[cell.feature]
    expected = direct(cell, tmp_path)
    assert (expected.status, expected.code) == (0, feature.code), expected

    web_gateway.fresh()
    login = web_doors.LOGIN if cell.door == "required" else ""
    own = f"{cell.scheme}-{cell.door}-{cell.inside}-{cell.outside}-{cell.server}"
    proxy = web_doors.proxy(cell.door, cell.inside, login)
    call = Call(url_of(cell, own), tmp_path, proxy, web.signed.ca)
    reply = ask(cell, network, call)
    shown = f"{reply}\n{expected}\n--- gateway\n{web_gateway.output[-3000:]}"
    if feature.loose:
        assert (reply.status, reply.code) == (0, feature.code), shown
    else:
        assert reply.same == expected.same, shown
    if cell.scheme == "http":
        assert "edge-" in reply.get("via") or cell.feature == "moved", shown
    count = 2 if cell.feature == "moved" and cell.scheme == "http" else 1
    records = web_gateway.wait_for(lambda found: len(found) >= count)
    check(records[-1], cell, feature, reply)


def check(record: Record, cell: Cell, feature: Feature, reply: Reply) -> None:
    print(record)
