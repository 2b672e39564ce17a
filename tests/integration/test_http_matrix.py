"""Real HTTP clients through the gateway to real servers.

What arrives is compared with what arrives without the gateway: status, body by its
digest, and every field of the reply that belongs to both ends.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from tests.integration import http_servers, web_doors
from tests.integration.doors import PROXY_USER
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import Call, Reply, curl
from tests.integration.http_servers import SAMPLE_SIZE, Web
from tests.integration.network import LAN, Network, wan_address, wan_name
from tests.integration.process import eventually
from tests.integration.scene import Scene, went_well

UPLOAD_SIZE = 7 * 28_573
SCHEMES = ("http", "https")
FAMILIES = (4, 6)
DOORS = ("open", "required", "tls", "auto")
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
    clear: bool = False
    loose: bool = False  # the body tells of the run, so it is not compared

    @property
    def action(self) -> str:
        words = {"PUT": "write", "DELETE": "delete", "PROPFIND": "list"}
        for word in self.options:
            if word in words:
                return words[word]
        return "write" if {"-T", "-d", "--data-binary"} & {*self.options} else "read"


BIG = ("--data-binary", UPLOAD, "-H", PLAIN)
SAMPLE = "files/sample.bin"
FEATURES: Mapping[str, Feature] = {
    "get": Feature(SAMPLE, down=SAMPLE_SIZE),
    "get-1.0": Feature(SAMPLE, ("--http1.0",), clear=True, down=SAMPLE_SIZE),
    "head": Feature(SAMPLE, ("--head",), down=0),
    "range": Feature(SAMPLE, ("-r", "1000-2999"), "206", down=2000),
    "suffix": Feature(SAMPLE, ("-r", "-77"), "206", down=77),
    "past-the-end": Feature(SAMPLE, ("-r", "900000-"), "416"),
    "no-content": Feature("empty", code="204", down=0),
    "not-modified": Feature(
        SAMPLE, ("-H", "If-Modified-Since: Wed, 01 Jan 2020 00:00:00 GMT"), "304"
    ),
    "not-found": Feature("nope", code="404"),
    "moved": Feature("moved", ("-L",)),
    "gzip": Feature("files/text.txt", ("-H", "Accept-Encoding: gzip")),
    "login-asked": Feature("secret/word.txt", code="401"),
    "login": Feature("secret/word.txt", ("-u", "joe:s3cret")),
    "post": Feature("echo", ("-d", "a=b"), up=3, down=3),
    "post-big": Feature("echo", BIG, up=UPLOAD_SIZE, down=UPLOAD_SIZE),
    "post-1.0": Feature(
        "echo",
        ("--http1.0", *BIG),
        clear=True,  # apache knows no such name inside TLS
        up=UPLOAD_SIZE,
        down=UPLOAD_SIZE,
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
    """Each feature at each server by each scheme, and at each door at least once."""
    for number, (name, feature) in enumerate(FEATURES.items()):
        for turn, (server, scheme) in enumerate(product(http_servers.NAMES, SCHEMES)):
            if feature.clear and scheme == "https":
                continue
            if feature.only not in {"", server}:
                continue
            yield Cell(
                name,
                server,
                scheme,
                DOORS[(number + turn) % len(DOORS)],
                FAMILIES[(number // 2 + turn) % 2],
                FAMILIES[(number + turn // 2) % 2],
            )


CELLS = {str(cell): cell for cell in cells()}
Direct = Callable[[Cell, Path], Reply]


def ask(cell: Cell, network: Network, call: Call, *, direct: bool = False) -> Reply:
    """Run curl as *cell* says, from the LAN or, *direct*, from where the server is."""
    feature = FEATURES[cell.feature]
    (call.folder / "up.bin").write_bytes(b"upload!" * (UPLOAD_SIZE // 7))
    place = network.wan if direct else network.lan
    return curl(call, place, "-A", str(cell), *feature.options)


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


@pytest.fixture(scope="module")
def replies() -> dict[str, Reply]:
    """What came of each run, which its record has to agree with in the end."""
    return {}


@pytest.mark.parametrize("name", CELLS)
def test_run(
    name: str, direct: Direct, replies: dict[str, Reply], scene: Scene
) -> None:
    tmp_path, network, web, web_gateway = scene
    cell = CELLS[name]
    feature = FEATURES[cell.feature]
    expected = direct(cell, tmp_path)
    assert (expected.status, expected.code) == (0, feature.code), expected

    login = web_doors.LOGIN if cell.door == "required" else ""
    proxy = web_doors.proxy(cell.door, cell.inside, login)
    call = Call(url_of(cell, name), tmp_path, proxy, web.signed.ca)
    reply = ask(cell, network, call)
    shown = f"{reply}\n{expected}\n--- gateway\n{web_gateway.output[-1500:]}"
    if feature.loose:
        assert (reply.status, reply.code) == (0, feature.code), shown
    else:
        # A script's reply has a length or has none, as it happens.
        assert reply.alike(expected, framed="echo" not in feature.path), shown
    if cell.scheme == "http":
        assert "edge-" in reply.get("via"), shown
    replies[name] = reply


def test_each_run_has_its_record(
    web_gateway: Gateway, replies: dict[str, Reply]
) -> None:
    """One for each request, and nothing is wrong in it."""

    def there(found: list[Record]) -> bool:
        return replies.keys() <= {record.get("agent") for record in found}

    eventually(lambda: there(web_gateway.records()), "the records")
    records = web_gateway.records()
    wrong = []
    for name, reply in replies.items():
        cell = CELLS[name]
        found = [record for record in records if record.get("agent") == name]
        twice = cell.feature == "moved" and cell.scheme == "http"
        expected = expectation(cell, FEATURES[cell.feature], reply)
        right = expected.items() <= found[-1].items() and went_well(found[-1])
        if len(found) != 1 + twice or not right:
            wrong.append((name, expected, found))
    assert not wrong, "\n".join(map(str, wrong))


def expectation(cell: Cell, feature: Feature, reply: Reply) -> dict[str, object]:
    """Return what the record of a run must hold."""
    expected: dict[str, object] = {
        "protocol": "http",
        "listener": cell.door,
        "client": LAN[cell.inside],
        "host": wan_name(cell.server, cell.outside),
        "address": wan_address(cell.server, cell.outside),
        "port": 80 if cell.scheme == "http" else 443,
        "verdict": "allow",
        "rule": "the LAN",
    }
    if cell.door == "required":
        expected |= {"user": PROXY_USER, "by": "password"}
    if cell.scheme == "https":
        method = {"method": "CONNECT", "action": "connect", "status": "200"}
        return expected | method
    expected |= {"status": reply.code, "action": feature.action}
    if feature.up >= 0:
        expected["bytes_up"] = feature.up
    if feature.down is not None:
        expected["bytes_down"] = feature.down
    if "{" not in feature.path and cell.feature != "moved":
        expected["path"] = "/" + feature.path.rstrip("/")
    return expected
