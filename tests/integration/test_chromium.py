"""A browser that is told of the gateway by its PAC file, and by nothing else."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.integration import web_doors
from tests.integration.doors import HEAD
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import Call, launch
from tests.integration.http_servers import PARTS, Web
from tests.integration.network import INNER, Network, wan_name
from tests.integration.process import eventually

PORT = 3150
SHOWN = f'<p id="said">fetched {PARTS - 2} rgb(1, 2, 3)</p>'
PATHS = {"/page", "/page/style.css", "/page/data.json"}
PATHS |= {f"/page/part{number}.js" for number in range(PARTS - 2)}
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--virtual-time-budget=8000",
]


@pytest.fixture(scope="module")
def gateway(network: Network, folder: Path) -> Iterator[Gateway]:
    """One door, whose PAC file says how to go there, and not to go by oneself."""
    door = web_doors.door("web", "http", PORT, 'ports = ["*"]')
    text = HEAD + door + '[listen.web.pac]\ndirect = ["lan.test"]\n' + web_doors.RULES
    with Gateway(network.gateway, folder / "chromium-gateway", text) as made:
        yield made


def fingerprint(web: Web) -> str:
    """Return by what the browser knows that the servers' key is to be trusted."""
    leaf = x509.load_pem_x509_certificate(Path(web.signed.certificate).read_bytes())
    form = PublicFormat.SubjectPublicKeyInfo
    key = leaf.public_key().public_bytes(Encoding.DER, form)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def browse(url: str, folder: Path, network: Network, web: Web) -> str:
    """Return the page as it stands when all of it has been loaded."""
    words = [
        *OPTIONS,
        f"--user-data-dir={folder}/profile",
        f"--proxy-pac-url=http://{INNER[4]}:{PORT}/proxy.pac",
        f"--ignore-certificate-errors-spki-list={fingerprint(web)}",
        "--dump-dom",
        url,
    ]
    call = Call(url, folder)
    status, said = launch(call, network.lan, ["chromium", *words], seconds=40)
    assert status == 0, said
    return said


def is_tunnel(record: Record) -> bool:
    return (record["method"], record["port"]) == ("CONNECT", 443)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_with_all_its_parts(
    scheme: str, tmp_path: Path, network: Network, web: Web, gateway: Gateway
) -> None:
    gateway.fresh()
    host = wan_name("nginx", 4)
    page = browse(f"{scheme}://{host}/page/", tmp_path, network, web)
    assert SHOWN in page, f"{page}\n{gateway.output[-2000:]}"

    def ours() -> list[Record]:
        return [one for one in gateway.records() if one.get("host") == host]

    if scheme == "https":
        eventually(lambda: any(map(is_tunnel, ours())), "the tunnel's record")
        assert {one["status"] for one in filter(is_tunnel, ours())} == {"200"}
        return
    eventually(lambda: {one["path"] for one in ours()} >= PATHS, "the records")
    records = {one["path"]: one for one in ours()}
    assert {one["status"] for one in records.values()} == {"200"}
    assert {one["outcome"] for one in records.values()} == {"ok"}
    assert all("Chrome/" in str(one["agent"]) for one in records.values())


@pytest.mark.timeout(60)
def test_a_page_that_is_refused_says_why(
    tmp_path: Path, network: Network, web: Web, gateway: Gateway
) -> None:
    page = browse(f"http://{web_doors.DENIED}/", tmp_path, network, web)
    assert "It is not for you." in page, page

    def refused() -> list[Record]:
        return [one for one in gateway.records() if one.get("reason") == "rule"]

    eventually(lambda: bool(refused()), "the record")
    (record,) = refused()
    assert str(record["id"]) in page
