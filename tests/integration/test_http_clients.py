"""Other HTTP clients than curl, and what is made of them: git, pip, apt; and logins."""

import gzip
import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.integration import http_clients, web_doors
from tests.integration.doors import PROXY_USER
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import CLIENTS, Call, curl
from tests.integration.http_servers import Web, digest
from tests.integration.network import INNER, Network, wan_name
from tests.integration.process import eventually
from tests.integration.scene import Scene
from tests.integration.servers import Server

WRONG = f"{PROXY_USER}:wrong"
REFUSED = {"407": "login", "403": "rule"}
CELLS = [
    (client, scheme, door)
    for client in CLIENTS
    for scheme in ("http", "https")
    for door in ("open", "required", "auto")
]


@pytest.mark.parametrize(("client", "scheme", "door"), CELLS)
def test_a_client_fetches(client: str, scheme: str, door: str, scene: Scene) -> None:
    tmp_path, network, web, web_gateway = scene
    login = web_doors.LOGIN if door == "required" else ""
    server = "apache" if scheme == "https" else "nginx"
    url = f"{scheme}://{wan_name(server, 4)}/files/sample.bin"
    proxy = web_doors.proxy(door, 4, login)
    call = Call(url, tmp_path, proxy, web.signed.ca)
    status, said = CLIENTS[client](call, network.lan)
    assert status == 0, f"{said}\n{web_gateway.output[-2000:]}"
    assert digest((tmp_path / "body").read_bytes()) == digest(web.sample.read_bytes())


def has_refused(reason: str, records: list[Record]) -> bool:
    wanted = {"reason": reason, "outcome": "refused", "verdict": "deny"}
    return any(wanted.items() <= record.items() for record in records)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_is_refused(client: str, scheme: str, scene: Scene) -> None:
    """Without a login, and at a host that nobody may reach: it fails, and says so."""
    tmp_path, network, web, web_gateway = scene
    there = f"{scheme}://{wan_name('nginx', 4)}/files/sample.bin"
    denied = f"{scheme}://{web_doors.DENIED}/"
    for url, door, code in ((there, "required", "407"), (denied, "open", "403")):
        web_gateway.fresh()
        call = Call(url, tmp_path, web_doors.proxy(door, 4), web.signed.ca)
        status, said = CLIENTS[client](call, network.lan)
        assert status != 0, said
        assert code in said, said
        reason = REFUSED[code]
        web_gateway.wait_for(partial(has_refused, reason))


def test_a_wrong_login_is_refused(
    tmp_path: Path, network: Network, web: Web, web_gateway: Gateway
) -> None:
    """Once only: each wrong one has the next wait longer."""
    web_gateway.fresh()
    url = f"http://{wan_name('nginx', 4)}/files/text.txt"
    call = Call(url, tmp_path, web_doors.proxy("required", 4, WRONG), web.signed.ca)
    reply = curl(call, network.lan)
    assert reply.code == "407", reply
    assert reply.get("proxy-authenticate").startswith('Basic realm="edge"')
    web_gateway.wait_for(partial(has_refused, "login-wrong"))
    assert "wrong" not in web_gateway.file.read_text().replace("login-wrong", "")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_git_clones(
    scheme: str, tmp_path: Path, network: Network, web: Web, web_gateway: Gateway
) -> None:
    """From git's own server behind apache: chunks both ways, and gzip."""
    url = f"{scheme}://{wan_name('apache', 4)}/git/tree.git"
    proxy = web_doors.proxy("required", 4, web_doors.LOGIN)
    call = Call(url, tmp_path, proxy, web.signed.ca)
    status, said = http_clients.git(call, network.lan)
    assert status == 0, f"{said}\n{web_gateway.output[-2000:]}"
    cloned = tmp_path / "clone/large.bin"
    assert cloned.read_bytes() == (web.root / "work/large.bin").read_bytes()


@pytest.fixture(scope="module")
def index(web: Web) -> str:
    """The name of a package in an index of nginx's."""
    folder = web.root / "simple/portwaytest"
    folder.mkdir(parents=True)
    wheel = folder / "portwaytest-1.0-py3-none-any.whl"
    about = "portwaytest-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("portwaytest.py", "WORD = 'here'\n")
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: portwaytest\nVersion: 1.0\n",
        )
        archive.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n",
        )
        archive.writestr(f"{about}/RECORD", "")
    return "portwaytest"


def test_pip_downloads(
    index: str, tmp_path: Path, network: Network, web: Web, web_gateway: Gateway
) -> None:
    url = f"https://{wan_name('nginx', 4)}/simple/"
    proxy = web_doors.proxy("required", 4, web_doors.LOGIN)
    call = Call(url, tmp_path, proxy, web.signed.ca)
    status, said = http_clients.pip(call, network.lan, index)
    assert status == 0, f"{said}\n{web_gateway.output[-2000:]}"
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.read_bytes() == (web.root / "simple" / index / wheel.name).read_bytes()


PACKAGE = "portway-test"


def make_archive(folder: Path) -> bytes:
    """Make a flat archive of one Debian package; return the package."""
    work = folder.parent / f"{folder.name}-package"
    (work / "DEBIAN").mkdir(parents=True)
    (work / "DEBIAN/control").write_text(
        f"Package: {PACKAGE}\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: joe <joe@example.org>\nDescription: for the tests\n"
    )
    (work / "word").write_bytes(hashlib.sha256(b"word").digest() * 4000)
    folder.mkdir(exist_ok=True)
    file = folder / f"{PACKAGE}_1.0_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "-b", str(work), str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    data = file.read_bytes()
    text = (
        (work / "DEBIAN/control").read_text()
        + f"Filename: ./{file.name}\nSize: {len(data)}\n"
        + f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    )
    (folder / "Packages").write_text(text)
    (folder / "Packages.gz").write_bytes(gzip.compress(text.encode()))
    return data


@pytest.fixture(scope="module")
def archive(web: Web) -> bytes:
    return make_archive(web.root / "pool")


@pytest.mark.parametrize(
    ("scheme", "server", "door"),
    [("http", "apache", "required"), ("https", "nginx", "open")],
)
def test_apt_updates_and_downloads(
    scheme: str, server: str, door: str, archive: bytes, scene: Scene
) -> None:
    tmp_path, network, web, web_gateway = scene
    login = web_doors.LOGIN if door == "required" else ""
    url = f"{scheme}://{wan_name(server, 4)}/pool"
    call = Call(url, tmp_path, web_doors.proxy(door, 4, login), web.signed.ca)
    status, said = http_clients.apt(call, network.lan, PACKAGE)
    assert status == 0, f"{said}\n{web_gateway.output[-2000:]}"
    (package,) = tmp_path.glob("*.deb")
    assert package.read_bytes() == archive


def test_apt_gets_from_an_ftp_server(
    tmp_path: Path,
    network: Network,
    web: Web,
    web_gateway: Gateway,
    server: Callable[[str], Server],
) -> None:
    """``ftp://`` in its sources, and the HTTP door as its proxy for that."""
    there = server("vsftpd")
    archive = make_archive(there.files / "pool")
    url = f"ftp://{wan_name('vsftpd', 4)}/files/pool"
    call = Call(url, tmp_path, web_doors.proxy("open", 4), web.signed.ca)
    status, said = http_clients.apt(call, network.lan, PACKAGE)
    assert status == 0, f"{said}\n{web_gateway.output[-2000:]}"
    (package,) = tmp_path.glob("*.deb")
    assert package.read_bytes() == archive


def test_one_connection_carries_many_requests(
    tmp_path: Path, network: Network, web: Web, web_gateway: Gateway
) -> None:
    """Each judged: what is refused in the middle breaks nothing."""
    host = f"http://{wan_name('nginx', 4)}"
    call = Call(f"{host}/empty", tmp_path, f"http://{INNER[4]}:{web_doors.OPEN}")
    words = [
        "-A",
        "three in one",
        f"{host}/files/text.txt",
        "-o",
        "two",
        f"{host}/forbidden",
    ]
    reply = curl(call, network.lan, *words, "-o", "three")

    def found() -> list[Record]:
        records = web_gateway.records()
        sessions = {
            one["session"] for one in records if one.get("agent") == "three in one"
        }
        return [one for one in records if one["session"] in sessions]

    assert (reply.status, reply.code) == (0, "204"), reply
    assert sum(int(line.split()[2]) for line in reply.said.splitlines()) == 1
    eventually(lambda: len(found()) == 3, "three records")
    records = found()
    assert [record["status"] for record in records] == ["200", "403", "204"]
    assert len({record["session"] for record in records}) == 1
    assert [record["seq"] for record in records] == [1, 2, 3]
