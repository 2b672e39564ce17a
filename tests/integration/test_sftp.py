"""FTP clients at an SFTP server: real clients, OpenSSH, the gateway between them."""

import ftplib
import io
import json
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import doors, servers, sshd
from tests.integration.clients import CLIENTS, NEVER_STORES, SESSIONS, Call
from tests.integration.gateway import Gateway
from tests.integration.network import INNER, Network, wan_address, wan_name
from tests.integration.process import eventually
from tests.integration.servers import Server, digest

PLAIN, TRANSLATED, KEYED, PINNING, SECURE, BARE = 2921, 2922, 2923, 2924, 2926, 2927
BIG = 40_000_000

How = tuple[str, str, int]  # a client, its data mode, the family of its connection

RULES = """\
[[rules]]
name = "nothing secret"
do = ["write"]
to = ["{secrets}"]
then = "deny"
because = "Secrets stay here."

[[rules]]
name = "the LAN"
who = ["192.168.1.0/24", "fd00:1::/64"]
to = ["*", "fd00:2::/64"]
then = "allow"
"""


@pytest.fixture(scope="module")
def place(folder: Path) -> Path:
    made = folder / "sshd"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def server(network: Network, place: Path) -> Iterator[Server]:
    if not sshd.SSHD.exists():
        pytest.fail("no sshd: run tests/peers/install", pytrace=False)
    made = sshd.start(network.wan, place)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(
    network: Network, server: Server, place: Path, folder: Path
) -> Iterator[Gateway]:
    (place / "known_hosts").write_text(sshd.known(place))
    address = wan_address(sshd.HOST, 4)
    trusted = f'host_keys = "{place}/known_hosts"'
    text = "".join(
        [
            doors.HEAD,
            doors.door("plain", PLAIN, upstream=trusted),
            doors.door("bare", BARE),
            doors.door("secure", SECURE, upstream=f'{trusted}\ntls = "required"'),
            doors.door("only", TRANSLATED, upstream=f'{trusted}\nprotocol = "sftp"'),
            doors.door(
                "keyed",
                KEYED,
                upstream=f'{trusted}\nprotocol = "sftp"\nssh_key = "{place}/user"',
            ),
            doors.door(
                "pinning",
                PINNING,
                upstream='host_keys = "pinned"\nhost_key_policy = "pin"',
            ),
            RULES.replace("{secrets}", f"{address}{server.folder}/files/secret*"),
        ]
    )
    with Gateway(network.gateway, folder / "sftp-gateway", text) as made:
        yield made


def check(server: Server, call: Call, name: str) -> None:
    assert digest(call.down) == server.sample
    if name not in NEVER_STORES:
        assert digest(server.files / call.upload) == digest(call.up)


def call_for(tmp_path: Path, mode: str, family: int, **words: object) -> Call:
    (tmp_path / "up.bin").write_bytes(os.urandom(70_001))
    keys: dict[str, object] = {
        "dialect": "A",
        "mode": mode,
        "family": family,
        "port": TRANSLATED,
        "host": wan_name(sshd.HOST, family),
        "user": servers.USER,
        "password": servers.PASSWORD,
        "upload": f"up-{tmp_path.name}.bin",
        "folder": tmp_path,
    }
    return Call(**{**keys, **words})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "how",
    [
        ("curl", "EPSV", 4),
        ("curl", "PORT", 4),
        ("curl", "EPRT", 6),
        ("lftp", "PASV", 4),
        ("lftp", "PORT", 4),
        ("ncftp", "PASV", 4),
        ("ncftp", "PORT", 4),
        ("tnftp", "EPSV", 6),
        ("wget", "PASV", 4),
        ("Net::FTP", "PASV", 4),
        ("Net::FTP", "EPRT", 6),
        ("gftp", "PASV", 4),
        ("inetutils", "PORT", 4),
        ("ftplib", "EPSV", 6),
    ],
)
def test_every_client(
    network: Network, server: Server, gateway: Gateway, tmp_path: Path, how: How
) -> None:
    name, mode, family = how
    call = call_for(tmp_path, mode, family)
    with gateway.watched(SESSIONS.get(name, 1)) as records:
        status, output = CLIENTS[name](call, network.lan)
    assert status == 0, f"{output}\n{gateway.output}"
    check(server, call, name)
    visits = [one for one in records if one["method"] == "CONNECT"]
    assert {one["upstream_protocol"] for one in visits} == {"sftp"}
    assert {one["outcome"] for one in records} == {"ok"}
    moved = [one for one in records if one["method"] in {"RETR", "STOR"}]
    assert {one["server_data"] for one in moved} == {"SFTP"}
    assert {one["upstream_protocol"] for one in moved} == {"sftp"}
    fetched = next(one for one in records if one["method"] == "RETR")
    assert fetched["bytes_down"] == servers.SAMPLE_SIZE
    assert str(fetched["path"]).endswith("/root/files/sample.bin")


@pytest.mark.parametrize("name", ["curl", "wget", "inetutils", "ftplib"])
def test_a_client_names_it(
    network: Network, server: Server, gateway: Gateway, tmp_path: Path, name: str
) -> None:
    host = f"sftp://{wan_name(sshd.HOST, 4)}:22"
    call = call_for(tmp_path, "PASV", 4, host=host, port=PLAIN)
    with gateway.watched(SESSIONS.get(name, 1)) as records:
        status, output = CLIENTS[name](call, network.lan)
    assert status == 0, f"{output}\n{gateway.output}"
    check(server, call, name)
    assert {one["port"] for one in records} == {22}


class Client(ftplib.FTP):
    """ftplib in the LAN's namespace."""

    def __init__(self, network: Network, port: int) -> None:
        super().__init__()
        self.timeout = 10
        self.sock = network.lan.connect(INNER[4], port)
        self.sock.settimeout(10)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding="utf-8")
        self._network = network
        self.welcome = self.getresp()

    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        _, port = self.makepasv()
        data = self._network.lan.connect(INNER[4], port)
        data.settimeout(10)
        try:
            if rest is not None:
                self.sendcmd(f"REST {rest}")
            answer = self.sendcmd(cmd)
            assert answer[0] == "1", answer
        except BaseException:
            data.close()
            raise
        return data, None

    def __exit__(self, *_: object) -> None:
        self.close()


def client(network: Network, port: int = TRANSLATED) -> Client:
    made = Client(network, port)
    made.login(f"{servers.USER}@{wan_address(sshd.HOST, 4)}", servers.PASSWORD)
    return made


def test_policy(network: Network, server: Server, gateway: Gateway) -> None:
    with gateway.watched() as records, client(network) as ftp:
        ftp.cwd("files")
        with pytest.raises(ftplib.error_perm, match="550 Denied: Secrets stay here"):
            ftp.storbinary("STOR secret.bin", io.BytesIO(b"x"))
        ftp.storbinary("STOR open.bin", io.BytesIO(b"x"))
        with pytest.raises(ftplib.error_perm, match="550 No such file"):
            ftp.retrbinary("RETR nothing", print)
        with pytest.raises(ftplib.error_perm, match="550 Permission denied"):
            ftp.storbinary("STOR ../up.bin", io.BytesIO(b"x"))
        ftp.quit()
    assert not (server.files / "secret.bin").exists()
    seen = [(one["method"], one["verdict"], one["outcome"]) for one in records]
    assert ("STOR", "deny", "refused") in seen
    assert ("STOR", "allow", "ok") in seen
    assert ("RETR", "allow", "failed") in seen


def test_a_key_in_place_of_a_password(
    network: Network, server: Server, gateway: Gateway
) -> None:
    with gateway.watched(), Client(network, KEYED) as ftp:
        ftp.login(f"joe@{wan_address(sshd.HOST, 4)}", "not-the-password")
        assert "files/sample.bin" in ftp.nlst("files")
        ftp.quit()


def test_a_wrong_password(network: Network, server: Server, gateway: Gateway) -> None:
    with gateway.watched() as records, Client(network, TRANSLATED) as ftp:
        with pytest.raises(ftplib.error_perm, match="530 Login incorrect"):
            ftp.login(f"joe@{wan_address(sshd.HOST, 4)}", "wrong-word")
        ftp.login(f"joe@{wan_address(sshd.HOST, 4)}", servers.PASSWORD)
        ftp.quit()
    (visit,) = records
    assert (visit["outcome"], visit["server_login"]) == ("ok", "joe")
    assert "wrong-word" not in gateway.output + str(records)


def test_the_first_key_is_pinned_and_no_other_taken(
    network: Network, server: Server, gateway: Gateway
) -> None:
    pins = gateway.configuration.with_name("pinned")
    name = f"joe@sftp://{wan_address(sshd.HOST, 4)}"
    with gateway.watched(), Client(network, PINNING) as ftp:
        ftp.login(name, servers.PASSWORD)
        ftp.quit()
    words = pins.read_text().split()
    assert words[0] == wan_address(sshd.HOST, 4)
    other = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
    pins.write_text(f"{words[0]} ssh-ed25519 {other}\n")
    told = pytest.raises(ftplib.error_perm, match=r"another key .* SHA256:")
    with gateway.watched(), Client(network, PINNING) as ftp, told:
        ftp.login(name, servers.PASSWORD)


def test_a_door_without_host_keys(
    network: Network, server: Server, gateway: Gateway
) -> None:
    told = pytest.raises(ftplib.error_perm, match="502 Not available")
    with gateway.watched() as records, Client(network, BARE) as ftp, told:
        ftp.login(f"joe@sftp://{wan_address(sshd.HOST, 4)}", servers.PASSWORD)
    (visit,) = records
    assert (visit["reason"], visit["outcome"]) == ("unsupported", "refused")


def test_tls_is_for_ftp_servers(
    network: Network, server: Server, gateway: Gateway
) -> None:
    with gateway.watched(), Client(network, SECURE) as ftp:
        name = f"joe@sftp://{wan_address(sshd.HOST, 4)}"
        ftp.login(name, servers.PASSWORD)
        assert "files/sample.bin" in ftp.nlst("files")
        ftp.quit()


def test_a_full_disk(network: Network, server: Server, gateway: Gateway) -> None:
    with gateway.watched() as records, client(network) as ftp:
        with pytest.raises(ftplib.error_temp, match="452 Disk full"):
            ftp.storbinary("STOR tiny/much", io.BytesIO(bytes(4_000_000)))
        ftp.quit()
    (moved,) = [one for one in records if one["method"] == "STOR"]
    assert (moved["outcome"], moved["status"]) == ("cut", "452")


@pytest.fixture
def big(server: Server) -> Iterator[Path]:
    path = server.files / "big.bin"
    with path.open("wb") as file:
        file.truncate(BIG)
    path.chmod(0o644)
    yield path
    path.unlink()


def test_abort(network: Network, server: Server, gateway: Gateway, big: Path) -> None:
    with gateway.watched() as records, client(network) as ftp:
        ftp.voidcmd("TYPE I")
        data, _ = ftp.ntransfercmd(f"RETR files/{big.name}")
        data.recv(1000)
        assert ftp.abort()[:3] in {"426", "226"}
        data.close()
        assert ftp.getmultiline()[:3] == "226"
        assert ftp.size(f"files/{big.name}") == BIG
        ftp.quit()
    (moved,) = [one for one in records if one["method"] == "RETR"]
    assert (moved["outcome"], moved["side"]) == ("cut", "client")


def test_the_server_is_killed_in_a_transfer(
    network: Network, server: Server, gateway: Gateway, big: Path
) -> None:
    with gateway.watched() as records, client(network) as ftp:
        ftp.voidcmd("TYPE I")
        data, _ = ftp.ntransfercmd(f"RETR files/{big.name}")
        data.recv(1000)
        for pid in sessions_of(server):
            os.kill(pid, signal.SIGKILL)
        assert ftp.getmultiline()[:3] == "426"
        assert ftp.getmultiline()[:3] == "421"
        data.close()
    (moved,) = [one for one in records if one["method"] == "RETR"]
    assert (moved["outcome"], moved["side"]) == ("cut", "server")


def sessions_of(server: Server) -> list[int]:
    """The processes of *server* that serve a client."""
    return below(server.processes[0].pid)


def below(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, children) for one in (child, *below(child))]


def test_the_client_is_killed_in_an_upload(
    network: Network, server: Server, gateway: Gateway
) -> None:
    with gateway.watched() as records:
        ftp = client(network)
        ftp.voidcmd("TYPE I")
        data, _ = ftp.ntransfercmd("STOR files/half.bin")
        data.sendall(bytes(1_000_000))
        assert ftp.sock is not None
        for sock in (ftp.sock, data):
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        assert ftp.file is not None
        ftp.file.close()
        data.close()
        ftp.sock.close()
        ftp.sock = None
    (moved,) = [one for one in records if one["method"] == "STOR"]
    assert (moved["outcome"], moved["side"]) == ("cut", "client")


def test_kick(network: Network, server: Server, gateway: Gateway, big: Path) -> None:
    with gateway.watched() as records, client(network) as ftp:
        ftp.voidcmd("TYPE I")
        data, _ = ftp.ntransfercmd(f"RETR files/{big.name}")
        data.recv(1000)
        listed = gateway.portway("sessions", "--json")
        assert wan_address(sshd.HOST, 4) in listed
        session = str(json.loads(listed.splitlines()[0])["id"])
        gateway.portway("kick", session)
        assert ftp.getmultiline()[:3] == "426"
        assert ftp.getmultiline() == "421 Ended by the administrator."
        data.close()
    moved = [one for one in records if one["method"] == "RETR"]
    assert [one["outcome"] for one in moved] == ["cut"]


def test_many_at_once(
    network: Network, server: Server, gateway: Gateway, big: Path
) -> None:
    fetched: list[int] = []

    def fetch() -> None:
        with client(network) as ftp:
            ftp.voidcmd("TYPE I")
            sink = io.BytesIO()
            ftp.retrbinary(f"RETR files/{big.name}", sink.write, 1 << 20)
            fetched.append(len(sink.getvalue()))
            ftp.quit()

    with gateway.watched(6):
        threads = [threading.Thread(target=fetch) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(18)
    assert fetched == [BIG] * 6


def test_drain(network: Network, server: Server, place: Path, folder: Path) -> None:
    """A transfer that goes on when the gateway is told to end comes to its end."""
    text = (
        doors.HEAD
        + doors.door(
            "only",
            2125,
            upstream=f'host_keys = "{place}/known_hosts"\nprotocol = "sftp"',
        )
        + RULES.replace("{secrets}", "*/secret*")
    )
    (place / "known_hosts").write_text(sshd.known(place))
    with Gateway(network.gateway, folder / "drained", text) as gateway:
        with client(network, 2125) as ftp:
            ftp.voidcmd("TYPE I")
            data, _ = ftp.ntransfercmd("STOR files/drained.bin")
            data.sendall(bytes(100_000))
            gateway.process.signal(signal.SIGTERM)
            eventually(lambda: not is_open(network, 2125), "the door is closed")
            data.sendall(bytes(100_000))
            data.close()
            assert ftp.getmultiline()[:3] == "226"
            assert ftp.getmultiline()[:3] == "421"
        assert gateway.process.wait(5) == 0
    assert (server.files / "drained.bin").stat().st_size == 200_000


def is_open(network: Network, port: int) -> bool:
    try:
        network.lan.connect(INNER[4], port).close()
    except OSError:
        return False
    return True
