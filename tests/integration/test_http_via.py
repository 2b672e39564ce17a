"""Through other proxies: HTTP and SOCKS doors, each with every parent that it may have.

Not here: FTP doors (test_via.py). Invariant: what arrives is what the server has, and
the record names the parent.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.integration import parents, socks_clients, web_doors
from tests.integration.doors import HEAD
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import Call, curl
from tests.integration.http_servers import Web, digest
from tests.integration.network import INNER, OUTER, Network, wan_address, wan_name
from tests.integration.parents import HOST, USER, Parents
from tests.integration.process import Process, eventually
from tests.integration.scene import Scene, went_well
from tests.integration.servers import PASSWORD, Server
from tests.integration.servers import digest as digest_of

FIRST = 3200  # doors of HTTP; those of SOCKS come a hundred later
HTTP, CLOSED, SOCKS, CLOSED_SOCKS, BACK, ROUND = range(1100, 1106)
ECHO = 7777
REFUSED = frozenset({"via", "refused", "unreachable"})  # as the parent puts it
DEAD = 1  # a port at which nobody is


@dataclass(frozen=True, slots=True)
class Hop:
    """A parent as the gateway is told of it."""

    scheme: str
    port: int
    user: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.user and self.user + '@'}{HOST}:{self.port}"


HOPS = {
    "squid": Hop("http", parents.HTTP),
    "squid-login": Hop("http", parents.HTTP_LOGIN, USER),
    "dante": Hop("socks5", parents.SOCKS),
    "dante-login": Hop("socks5", parents.SOCKS_LOGIN, USER),
    "dante-names": Hop("socks5h", parents.SOCKS),
    "dante-4": Hop("socks4", parents.SOCKS),
    "portway": Hop("http", HTTP),
    "portway-login": Hop("http", CLOSED, USER),
    "portway-socks": Hop("socks5h", SOCKS),
    "portway-socks-login": Hop("socks5", CLOSED_SOCKS, USER),
    "portway-4a": Hop("socks4a", SOCKS),
}
NAMES = tuple(HOPS)
DOORS = {name: FIRST + number for number, name in enumerate((*NAMES, "wrong", "dead"))}


def parent_text() -> str:
    """Portway itself as a parent, with doors of HTTP and of SOCKS, open and closed."""
    doors = ""
    for name, protocol, port, login in (
        ("http", "http", HTTP, "none"),
        ("closed", "http", CLOSED, "required"),
        ("socks", "socks", SOCKS, "none"),
        ("closed-socks", "socks", CLOSED_SOCKS, "required"),
        ("round", "http", ROUND, "none"),
    ):
        ports = 'ports = ["*"]\n' if protocol == "http" else ""
        doors += (
            f'[listen.{name}]\nprotocol = "{protocol}"\naddress = "{HOST}:{port}"\n'
            f'login = "{login}"\n{ports}'
        )
    doors += f'[listen.round.upstream]\nvia = "http://{OUTER[4]}:{BACK}"\n'
    return f"""\
[gateway]
name = "parent"
state = "{{state}}"

{doors}

[[rules]]
to = ["{parents.FORBIDDEN}", "liar4.test"]
then = "deny"

[[rules]]
who = ["203.0.113.0/24"]
to = ["*", "inside"]
then = "allow"

[[ledger.file]]
path = "{{records}}"
"""


AROUND = """
[[rules]]
name = "around"
who = ["203.0.113.0/24"]
to = ["*"]
then = "allow"
"""


def doors_text(secret: Path) -> str:
    tables = []
    wrong = replace(HOPS["squid-login"], user="nobody")
    dead = Hop("http", DEAD)
    for name, hop in (*HOPS.items(), ("wrong", wrong), ("dead", dead)):
        up = f'via = "{hop.url}"\nconnect_timeout = "4s"\n'
        if hop.user:
            up += f'via_password = "file:{secret}"\n'
        port = DOORS[name]
        tables.append(web_doors.door(name, "http", port, 'ports = ["*"]', up))
        tables.append(web_doors.door(f"s-{name}", "socks", port + 100, "", up))
    tables.append(
        f'[listen.back]\nprotocol = "http"\naddress = ["{OUTER[4]}:{BACK}"]\n'
        f'ports = ["*"]\n[listen.back.upstream]\nvia = "http://{HOST}:{ROUND}"\n'
    )
    return HEAD + "".join(tables) + web_doors.RULES + AROUND


@pytest.fixture(scope="module")
def chained(
    network: Network, folder: Path, web: Web
) -> Iterator[tuple[Gateway, Parents]]:
    """A gateway with a door of each kind for each parent."""
    users = {USER: PASSWORD}
    with ExitStack() as stack:
        others = parents.parents(network.wan, folder / "web-others")
        running = stack.enter_context(others)
        place = folder / "web-parent"
        parent = Gateway(network.wan, place, parent_text(), users=users)
        stack.enter_context(parent)
        text = doors_text(running.secret)
        made = Gateway(network.gateway, folder / "web-chained", text)
        stack.enter_context(made)
        yield made, running


@pytest.fixture
def scene(
    tmp_path: Path, network: Network, web: Web, chained: tuple[Gateway, Parents]
) -> Scene:
    return Scene(tmp_path, network, web, chained[0])


def fetch(name: str, kind: str, url: str, scene: Scene) -> tuple[int, str, bytes]:
    """Return exit status, what was said, and what came: by HTTP, or by SOCKS."""
    folder, network, web, _ = scene
    door = DOORS[name]
    proxy = f"http://{INNER[4]}:{door}"
    if kind == "socks":
        proxy = f"socks5h://{INNER[4]}:{door + 100}"
    reply = curl(Call(url, folder, proxy, web.signed.ca), network.lan, "-v", "--fail")
    return reply.status, reply.said, reply.body


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("door", ["http", "socks"])
def test_through_each_parent(name: str, door: str, scene: Scene) -> None:
    """In clear and in a tunnel; the record names the parent, and no password."""
    web, gateway = scene.web, scene.gateway
    hop = HOPS[name]
    sample = digest(web.sample.read_bytes())
    for scheme, server in (("http", "nginx"), ("https", "apache")):
        gateway.fresh()
        url = f"{scheme}://{wan_name(server, 4)}/files/sample.bin"
        status, said, body = fetch(name, door, url, scene)
        shown = f"{said}\n{gateway.output[-1500:]}"
        assert status == 0, shown
        assert digest(body) == sample, shown

        def there(found: list[Record]) -> bool:
            return any(one.get("bytes_down", 0) != 0 for one in found)

        records = gateway.wait_for(there)
        for record in records:
            assert went_well(record), record
            if record["protocol"] == door or door == "http":
                assert f"{HOST}:{hop.port}" in str(record["via"]), record
    assert PASSWORD not in gateway.file.read_text() + gateway.output


@pytest.mark.parametrize("name", ["squid", "dante", "portway", "portway-socks"])
def test_what_the_parent_refuses(name: str, scene: Scene) -> None:
    """The client is told by the codes of its own door; the log says who refused."""
    gateway = scene.gateway
    host = wan_address("host", 4)
    for door, code in (("http", "502"), ("socks", "(5)")):
        gateway.fresh()
        url = f"https://{host}:9/"
        status, said, _ = fetch(name, door, url, scene)
        assert status != 0, said
        if HOPS[name].scheme.startswith("socks") or door == "http":
            assert code in said, said
        records = gateway.wait_for(bool)
        assert records[-1]["outcome"] == "failed", records
        assert records[-1]["reason"] in REFUSED, records


def test_a_parent_that_is_not_there_or_wants_another_login(scene: Scene) -> None:
    gateway = scene.gateway
    for name in ("wrong", "dead"):
        for scheme in ("http", "https"):
            gateway.fresh()
            url = f"{scheme}://{wan_name('nginx', 4)}/"
            status, said, _ = fetch(name, "http", url, scene)
            assert status != 0
            # the parent's own question for a login never reaches the client
            assert "HTTP/1.1 502" in said, said
            assert "roxy-Authenticate" not in said, said
            (record,) = gateway.wait_for(bool)
            assert record["outcome"] == "failed", record


def test_a_way_that_leads_back_is_noticed(scene: Scene) -> None:
    """Each is the other's parent: the first knows its own mark again."""
    tmp_path, network, gateway = scene.folder, scene.network, scene.gateway
    gateway.fresh()
    call = Call(
        f"http://{wan_name('nginx', 4)}/x", tmp_path, f"http://{OUTER[4]}:{BACK}"
    )
    # from the parent's side, where this door is open
    reply = curl(call, network.wan, "--interface", HOST)
    assert reply.code == "502", reply
    gateway.wait_for(lambda found: any(one.get("reason") == "loop" for one in found))


@pytest.mark.parametrize("name", ["squid", "dante", "portway-login", "dante-4"])
def test_ftp_urls_go_on_through_a_parent(
    name: str, server: Callable[[str], Server], scene: Scene
) -> None:
    tmp_path, gateway = scene.folder, scene.gateway
    there = server("proftpd")
    url = f"ftp://{there.user}:{there.password}@{wan_name('proftpd', 4)}/files/"
    url += "sample.bin"
    status, said, _ = fetch(name, "http", url, scene)
    assert status == 0, f"{said}\n{gateway.output[-1500:]}"
    assert digest_of(tmp_path / "body") == there.sample


@pytest.mark.parametrize("name", ["portway-socks", "portway-socks-login"])
def test_datagrams_go_on_through_a_parent(name: str, scene: Scene) -> None:
    tmp_path, network, gateway = scene.folder, scene.network, scene.gateway
    host = wan_address("origin", 4)
    there = f"UDP4-RECVFROM:{ECHO},bind={host},fork"
    command = network.wan.command("socat", there, "EXEC:/bin/cat")
    call = socks_clients.Call(
        "5h", INNER[4], DOORS[name] + 100, host, tmp_path, port=ECHO
    )
    shell = f"echo 'are you there?' | socat -t 0.7 - UDP4:{host}:{ECHO}"
    gateway.fresh()
    with Process(command, tmp_path / "echo"):
        _, said = socks_clients.socksify(call, network.lan, "sh", "-c", shell)
    assert "are you there?" in said, f"{said}\n{gateway.output[-1500:]}"
    gateway.wait_for(lambda found: any(one["method"] == "UDP" for one in found))


def test_squid_knows_who_asked(scene: Scene, chained: tuple[Gateway, Parents]) -> None:
    """Its own log has the login that we gave, and the URL as a whole."""
    _, running = chained
    url = f"http://{wan_name('nginx', 4)}/files/text.txt?squid"
    status, said, _ = fetch("squid-login", "http", url, scene)
    assert status == 0, said
    log = running.secret.parent / "squid-login/access.log"
    eventually(lambda: url.removesuffix("?squid") in log.read_text(), "squid's log")
    assert f" {USER} " in log.read_text()
