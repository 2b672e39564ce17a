"""Through other proxies to a server: real ones, each in all its ways."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration import parents
from tests.integration.doors import HEAD, RULES, door
from tests.integration.gateway import Gateway, Record
from tests.integration.network import INNER, Network, wan_name
from tests.integration.parents import HOST, USER, Parents
from tests.integration.servers import Server
from tests.integration.speaker import Speaker

FIRST = 2300
DEAD = 1  # a port at which nobody is


@dataclass(frozen=True, slots=True)
class Hop:
    """A parent as the gateway is told of it; *active*: servers can call through it."""

    url: str
    active: str = ""
    login: bool = False

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0]


def at(scheme: str, port: int, user: str = "", query: str = "") -> str:
    return f"{scheme}://{user and user + '@'}{HOST}:{port}{query}"


def portway(method: str, port: int = parents.CLOSED) -> Hop:
    user = "" if port == parents.OPEN else USER
    url = at("ftp", port, user, f"?method={method}")
    return Hop(url, "PORT", login=bool(user))


# Dante knows no SOCKS 4a: that is played in tests/session.
HOPS = {
    "socks5": Hop(at("socks5", parents.SOCKS), "PORT"),
    "socks5-login": Hop(at("socks5", parents.SOCKS_LOGIN, USER), "PORT", login=True),
    "socks5h": Hop(at("socks5h", parents.SOCKS)),
    "socks4": Hop(at("socks4", parents.SOCKS), "PORT"),
    "http": Hop(at("http", parents.HTTP)),
    "http-login": Hop(at("http", parents.HTTP_LOGIN, USER), login=True),
    "suse": Hop(at("ftp", parents.SUSE), "PORT"),
    "portway": portway("user@host", parents.OPEN),
    "portway-site": portway("site", parents.OPEN),
    "portway-open": portway("open", parents.OPEN),
    "portway-login": portway("user@host"),
    "portway-login-site": portway("site"),
    "portway-login-open": portway("open"),
    "portway-proxyuser": portway("proxyuser@host"),
    "portway-joined": portway("joined"),
    "portway-acct": portway("acct"),
}
NAMES = tuple(HOPS)
# Not all of them: each wrong one has the next wait longer.
WRONG = (
    "socks5-login",
    "http-login",
    "portway-login",
    "portway-joined",
    "portway-acct",
)
SCHEMES = ("socks5", "socks4", "http", "ftp")


def hop_door(name: str, number: int, hop: Hop, secret: Path) -> str:
    upstream = f'via = "{hop.url}"\nconnect_timeout = "4s"\n'
    if hop.login:
        upstream += f'via_password = "file:{secret}"\n'
    return door(name, number, "", upstream)


@pytest.fixture(scope="module")
def running(network: Network, folder: Path) -> Iterator[Parents]:
    with parents.parents(network.wan, folder / "parents") as made:
        yield made


@pytest.fixture(scope="module")
def chained(network: Network, folder: Path, running: Parents) -> Iterator[Gateway]:
    """A gateway with a door for each way, for each with a wrong password, and dead."""
    wrong = folder / "wrong"
    wrong.write_text("not-it")
    wrong.chmod(0o600)
    tables = [
        hop_door(name, FIRST + place, HOPS[name], running.secret)
        for place, name in enumerate(NAMES)
    ]
    tables += [
        hop_door(f"wrong-{name}", FIRST + 100 + place, HOPS[name], wrong)
        for place, name in enumerate(WRONG)
    ]
    tables += [
        hop_door(f"dead-{scheme}", FIRST + 200 + n, Hop(at(scheme, DEAD)), wrong)
        for n, scheme in enumerate(SCHEMES)
    ]
    text = HEAD + "".join(tables) + RULES
    with Gateway(network.gateway, folder / "chained", text) as made:
        yield made


@pytest.fixture
def vsftpd(server: Callable[[str], Server]) -> Server:
    return server("vsftpd")


@pytest.mark.parametrize("mode", ["PASV", "EPSV", "PORT", "EPRT"])
@pytest.mark.parametrize("name", NAMES)
def test_files_go_through(
    network: Network, chained: Gateway, vsftpd: Server, name: str, mode: str
) -> None:
    hop, port = HOPS[name], FIRST + NAMES.index(name)
    content = f"{name} {mode}".encode() * 30_000
    new = f"files/{name}-{mode}.bin"
    with (
        chained.watched() as records,
        Speaker(network.lan, INNER[4], port) as client,
    ):
        client.login(f"{vsftpd.user}@{wan_name('vsftpd', 4)}", vsftpd.password)
        client.expect("TYPE I", 200)
        client.store(f"STOR {new}", content, mode)
        assert client.fetch(f"RETR {new}", mode) == content
        assert new.partition("/")[2].encode() in client.fetch("LIST files", mode)
        client.expect("QUIT", 221)
    assert (vsftpd.folder / new).read_bytes() == content
    connect = next(record for record in records if record["method"] == "CONNECT")
    assert connect["via"] == hop.url.replace(f"{USER}@", "").partition("?")[0]
    by_us = hop.scheme in {"socks5", "socks4"}
    assert connect.get("address", "") == (vsftpd.addresses[4] if by_us else "")
    assert connect.get("resolved_by") == (None if by_us else "parent")
    if not hop.active and mode in {"PORT", "EPRT"}:
        ways = {"PASV", "EPSV"}
    elif mode in {"PORT", "EPRT"}:
        ways = {"PORT", "EPRT"}
    else:
        ways = {"PASV", "EPSV"}
    moved = [record for record in records if record["method"] in {"STOR", "RETR"}]
    assert len(moved) == 2
    for record in moved:
        assert record["outcome"] == "ok"
        assert record["server_data"] in ways
        assert record["via"] == connect["via"]


def refused(chained: Gateway, client: Speaker, line: str) -> tuple[str, Record]:
    """Say *line*; return what the client is told, and the record of the visit."""
    chained.fresh()
    reply = client.ask(line)
    if reply.code == 331:
        reply = client.ask("PASS x")
    assert reply.code in {421, 530}, reply
    client.send("QUIT")
    records = chained.wait_for(lambda found: any(map(is_visit, found)))
    return reply.text, next(filter(is_visit, records))


def is_visit(record: Record) -> bool:
    return record["method"] == "CONNECT"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_password_is_told(
    network: Network, chained: Gateway, vsftpd: Server, name: str
) -> None:
    port = FIRST + 100 + WRONG.index(name)
    with Speaker(network.lan, INNER[4], port) as client:
        host = wan_name("vsftpd", 4)
        text, record = refused(chained, client, f"USER {vsftpd.user}@{host}")
    assert record["outcome"] == "failed"
    if name in {"portway-joined", "portway-acct"}:  # it comes with the server's login
        assert "refused" in text
    else:
        assert "by the next proxy: it refuses the login" in text
        assert record["reason"] == "via"
    assert "not-it" not in str(record) + chained.output


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_dead_proxy_is_told(
    network: Network, chained: Gateway, vsftpd: Server, scheme: str
) -> None:
    port = FIRST + 200 + SCHEMES.index(scheme)
    with Speaker(network.lan, INNER[4], port) as client:
        host = wan_name("vsftpd", 4)
        text, record = refused(chained, client, f"USER {vsftpd.user}@{host}")
    assert "by the next proxy: it cannot be reached: connection refused" in text
    assert record["reason"] == "via"
    assert f"{HOST}:{DEAD}" in str(record["error"])


@pytest.mark.parametrize("name", ["socks5", "socks4", "http", "portway-site"])
def test_a_target_that_the_proxy_refuses_is_told(
    network: Network, chained: Gateway, name: str
) -> None:
    port = FIRST + NAMES.index(name)
    with Speaker(network.lan, INNER[4], port) as client:
        text, record = refused(chained, client, f"USER joe@{wan_name('liar', 4)}")
    told = {
        "socks5": "it is not allowed",
        "socks4": "it could not",
        "http": "(403)",
        "portway-site": "Denied by policy",
    }
    assert told[name] in text
    assert record["reason"] == "via"


@pytest.mark.parametrize("name", ["socks5", "socks5h", "http"])
def test_a_server_that_nobody_serves_is_told(
    network: Network, chained: Gateway, name: str
) -> None:
    port = FIRST + NAMES.index(name)
    with Speaker(network.lan, INNER[4], port) as client:
        text, record = refused(chained, client, f"USER joe@{wan_name('vsftpd', 4)}:9")
    assert "by the next proxy" in text
    assert record["reason"] in {"refused", "unreachable", "via"}


def test_our_own_address_is_the_parents_loop(network: Network, folder: Path) -> None:
    """A name of ours is found out when it is dialled."""
    text = HEAD + door("round", 2999, "", 'via = "ftp://gateway4.test:2999"') + RULES
    with (
        Gateway(network.gateway, folder / "round", text) as gateway,
        Speaker(network.lan, INNER[4], 2999) as client,
    ):
        assert client.ask("USER joe@vsftpd4.test").code in {421, 530}
        [record] = gateway.wait_for(bool)
    assert record["reason"] == "loop"


@pytest.mark.parametrize("name", [n for n in NAMES if HOPS[n].scheme == "ftp"])
def test_no_word_of_the_client_names_another_server(
    network: Network, chained: Gateway, vsftpd: Server, name: str
) -> None:
    """The parent reaches whatever it is told; the rules would not have been asked."""
    other = wan_name("proftpd", 4)
    with Speaker(network.lan, INNER[4], FIRST + NAMES.index(name)) as client:
        client.login(f"{vsftpd.user}@{wan_name('vsftpd', 4)}", vsftpd.password)
        for word in ("SITE", "PROXY", "HOST", "XOPEN"):
            client.expect(f"{word} {other}", 502)
        client.expect(f"ACCT {other}", 503)
        client.expect("TYPE I", 200)  # and the session is the one it was
        assert "Permission denied" in client.expect("SITE UMASK", 550).text  # its own
        client.expect("QUIT", 221)
