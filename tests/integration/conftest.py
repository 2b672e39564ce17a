"""What the integration tests share: three namespaces, servers, and two gateways.

Each is made once for each test process, on first use, and taken down at its end.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration import doors, http_servers, servers, web_doors
from tests.integration.gateway import Gateway
from tests.integration.http_servers import Web
from tests.integration.network import Network
from tests.integration.scene import Scene
from tests.integration.servers import Server

STAMP = servers.PEERS / "stamp"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that servers which run as somebody else can get into."""
    path = Path(tempfile.mkdtemp(prefix="portway-tests-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """The three namespaces; pytest fails, and says so, where they cannot be made."""
    made = Network(str(os.getpid()))
    made.sweep()
    try:
        try:
            made.open()
        except (RuntimeError, OSError) as error:
            pytest.fail(f"no network namespaces: {error}", pytrace=False)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def server(network: Network, folder: Path) -> Iterator[Callable[[str], Server]]:
    """Return what gives the server of a name, started when first asked for."""
    if not STAMP.exists():
        pytest.fail("no servers and clients: run tests/peers/install", pytrace=False)
    running: dict[str, Server] = {}

    def get(name: str) -> Server:
        if name not in running:
            running[name] = servers.start(name, network.wan, folder / name)
        return running[name]

    yield get
    for one in running.values():
        one.stop()


@pytest.fixture(scope="session")
def gateway(network: Network, folder: Path) -> Iterator[Gateway]:
    """A gateway with every door of doors.py, which most tests can share."""
    users = {doors.PROXY_USER: doors.PROXY_PASSWORD}
    place = folder / "gateway"
    with Gateway(network.gateway, place, doors.configuration(), users=users) as made:
        yield made


@pytest.fixture(scope="session")
def web(network: Network, folder: Path) -> Iterator[Web]:
    """The web servers."""
    if not STAMP.exists():
        pytest.fail("no servers and clients: run tests/peers/install", pytrace=False)
    running = http_servers.start(network.wan, folder / "web")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def web_gateway(network: Network, folder: Path, web: Web) -> Iterator[Gateway]:
    """A gateway with every door of web_doors.py, whose servers *web* certifies."""
    users = {doors.PROXY_USER: doors.PROXY_PASSWORD}
    text = web_doors.configuration(web.signed)
    place = folder / "web-gateway"
    with Gateway(network.gateway, place, text, users=users) as made:
        yield made


@pytest.fixture
def scene(tmp_path: Path, network: Network, web: Web, web_gateway: Gateway) -> Scene:
    return Scene(tmp_path, network, web, web_gateway)
