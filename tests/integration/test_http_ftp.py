"""ftp:// through the HTTP proxy: real clients, real servers.

Not here: what only a scripted server does (tests/session/test_http_ftp.py). Invariant:
what arrives is compared with what is there, by its digest.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration import web_doors
from tests.integration.doors import HEAD
from tests.integration.gateway import Gateway
from tests.integration.http_clients import Call, Reply, curl, launch
from tests.integration.http_servers import digest as digest_of
from tests.integration.network import Network, wan_address
from tests.integration.servers import NAMES, PASSWORD, SAMPLE_SIZE, Server, digest

DOOR = 3180
PROXY = f"http://192.168.1.1:{DOOR}"
numbers = itertools.count()


@pytest.fixture(scope="module")
def ftp_door(network: Network, folder: Path) -> Iterator[Gateway]:
    table = web_doors.door("web", "http", DOOR, 'ports = ["*"]')
    table += '\n[listen.web.ftp]\nanonymous = "me@example.org"\n'
    text = HEAD + table + web_doors.RULES
    with Gateway(network.gateway, folder / "ftp-door", text) as made:
        yield made


class Client:
    """curl, wget and lftp in the LAN, told of the door."""

    def __init__(self, network: Network, folder: Path, server: Server) -> None:
        self.network = network
        self.folder = folder
        self.server = server
        self.at = server.addresses[4]
        login = "" if server.user == "anonymous" else f"{server.user}:{PASSWORD}@"
        self.base = f"ftp://{login}{self.at}"

    def curl(self, path: str, *options: str, base: str = "") -> Reply:
        call = Call((base or self.base) + path, self.folder, PROXY)
        return curl(call, self.network.lan, *options)

    def run(self, *command: str) -> tuple[int, str]:
        call = Call(self.base, self.folder, PROXY)
        return launch(call, self.network.lan, command)


@pytest.fixture(params=NAMES)
def client(
    request: pytest.FixtureRequest,
    network: Network,
    tmp_path: Path,
    server: Callable[[str], Server],
    ftp_door: Gateway,
) -> Client:
    assert ftp_door.process.status is None
    return Client(network, tmp_path, server(request.param))


def own() -> str:
    """Return a name that nobody else has used."""
    return f"web-{next(numbers)}.bin"


def test_files_are_fetched_whole_and_in_parts(client: Client) -> None:
    sample = (client.server.files / "sample.bin").read_bytes()
    reply = client.curl("/files/sample.bin")
    assert (reply.code, reply.digest) == ("200", client.server.sample)
    assert reply.get("content-length") == str(SAMPLE_SIZE)
    for asked, part in (
        ("1000-2999", sample[1000:3000]),
        ("300000-", sample[300000:]),
        ("-77", sample[-77:]),
    ):
        reply = client.curl("/files/sample.bin", "-r", asked)
        assert (reply.code, reply.digest) == ("206", digest_of(part))
    assert client.curl("/files/sample.bin", "-r", "900000-").code == "416"
    reply = client.curl("/files/sample.bin", "--head")
    assert (reply.code, reply.get("content-length")) == ("200", str(SAMPLE_SIZE))
    modified = reply.get("last-modified")
    since = f"If-Modified-Since: {modified}"
    assert client.curl("/files/sample.bin", "-H", since).code == "304"


def test_files_are_stored_and_gone_on_with(client: Client) -> None:
    name, payload = own(), bytes(range(256)) * 300
    up, there = client.folder / "up.bin", client.server.files / name
    up.write_bytes(payload)
    assert client.curl(f"/files/{name}", "-T", "up.bin").code == "201"
    assert there.read_bytes() == payload
    up.write_bytes(payload + b"more")
    resumed = client.curl(f"/files/{name}", "-T", "up.bin", "-C", str(len(payload)))
    assert (resumed.code, there.read_bytes()) == ("204", payload + b"more")
    assert client.curl(f"/none/such/{name}", "-T", "up.bin").code == "409"
    assert client.curl(f"/files/{name}", "-X", "DELETE").code == "204"
    assert not there.exists()


def test_folders(client: Client) -> None:
    listed = client.curl("/files/", "-H", "Accept: application/json")
    found = {entry["name"]: entry for entry in json.loads(listed.body)}
    assert found["sample.bin"]["size"] == SAMPLE_SIZE
    assert found["sample.bin"]["type"] == "file"
    page = client.curl("/files/", "-H", "Accept: text/html")
    assert b'href="./sample.bin"' in page.body
    assert client.curl("/files").code == "301"
    name = own()
    assert client.curl(f"/files/{name}/", "-X", "MKCOL").code == "201"
    assert client.curl(f"/files/{name}/", "-X", "MKCOL").code == "405"
    assert client.curl(f"/files/{name}/", "-X", "DELETE").code == "204"


def test_what_is_not_there_and_who_is_not_let_in(client: Client) -> None:
    assert client.curl("/files/none.bin").code == "404"
    assert client.curl("/none/").code == "404"
    assert client.curl("/files/none.bin", "--head").code == "404"
    assert client.curl("/files/none.bin", "-X", "DELETE").code == "404"
    reply = client.curl("/files/", base=f"ftp://joe:wrong@{client.at}")
    assert reply.code == "401"
    assert reply.get("www-authenticate") == f'Basic realm="ftp://{client.at}:21"'


def test_other_clients(client: Client) -> None:
    base = client.base
    status, said = client.run("wget", "-q", f"{base}/files/sample.bin", "-O", "got")
    assert (status, digest(client.folder / "got")) == (0, client.server.sample), said
    (client.folder / "got").write_bytes((client.folder / "got").read_bytes()[:99_999])
    status, said = client.run(
        "wget", "-q", "-c", f"{base}/files/sample.bin", "-O", "got"
    )
    assert digest(client.folder / "got") == client.server.sample, said
    name = own()
    (client.folder / "up.bin").write_bytes(b"from lftp")
    commands = (
        f"set ftp:proxy {PROXY}; set net:max-retries 1; set net:timeout 8;"
        f"open {base}; cls files; get files/sample.bin -o lftp.bin;"
        f"put up.bin -o files/{name}; rm files/{name}; exit"
    )
    status, said = client.run("lftp", "-f", "/dev/null", "-c", commands)
    assert "sample.bin" in said
    assert (status, digest(client.folder / "lftp.bin")) == (0, client.server.sample)


def test_a_server_that_is_not_there(
    network: Network, tmp_path: Path, ftp_door: Gateway
) -> None:
    at = f"ftp://{wan_address('third', 4)}/files/x"
    reply = curl(Call(at, tmp_path, PROXY), network.lan)
    assert reply.code == "502"
    assert "connection_refused" in reply.get("proxy-status")
    records = ftp_door.wait_for(lambda found: bool(found) and found[-1]["url"] == at)
    assert records[-1]["reason"] == "refused"
    assert PASSWORD not in ftp_door.output + ftp_door.file.read_text()
