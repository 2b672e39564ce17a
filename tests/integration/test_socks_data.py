"""Through SOCKS: datagrams, doors inwards, and FTP, which makes use of them all.

Not here: plain connections (test_socks_matrix.py).
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration import socks_clients, web_doors
from tests.integration.doors import PROXY_PASSWORD, PROXY_USER
from tests.integration.gateway import Gateway, Record
from tests.integration.network import (
    INNER,
    OUTER,
    Network,
    wan_address,
    wan_name,
)
from tests.integration.process import Process, eventually
from tests.integration.scene import Scene
from tests.integration.servers import Server, digest
from tests.integration.socks_clients import Call

ECHO = 7777


@contextmanager
def echoing(network: Network, folder: Path) -> Iterator[None]:
    """Something answers each datagram with the same, on both addresses of origin."""
    processes = []
    for family in (4, 6):
        host = wan_address("origin", family)
        host = f"[{host}]" if family == 6 else host
        there = f"UDP{family}-RECVFROM:{ECHO},bind={host},fork"
        command = network.wan.command("socat", there, "EXEC:/bin/cat")
        processes.append(Process(command, folder / f"echo{family}"))
    try:
        yield
    finally:
        for process in processes:
            process.stop(1)


_UDP = """\
import sys, socks, time
version, gateway, door, host, port, path, user, password = sys.argv[1:]
stream = socks.socksocket(type=2)
stream.set_proxy(socks.SOCKS5, gateway, int(door), True, user or None, password or None)
stream.settimeout(1)
for turn in range(8):
    stream.sendto(b"are you there?", (host, int(port)))
    try:
        data, peer = stream.recvfrom(2048)
    except TimeoutError:
        continue
    print(data, peer)
    sys.exit(data != b"are you there?")
sys.exit("no answer")
"""

_NODE_UDP = """\
const { SocksClient } = require("socks");
const dgram = require("dgram");
const [version, gateway, door, host, port, path, user, password] =
  process.argv.slice(2);
const proxy = { host: gateway, port: +door, type: 5 };
if (user) { proxy.userId = user; proxy.password = password; }
const client = new SocksClient({ proxy, command: "associate",
  destination: { host: "0.0.0.0", port: 0 } });
client.on("error", error => { console.log(String(error)); process.exit(2); });
client.on("established", info => {
  const datagrams = dgram.createSocket("udp4");
  const packet = SocksClient.createUDPFrame({ frameNumber: 0,
    remoteHost: { host, port: +port }, data: Buffer.from("are you there?") });
  datagrams.on("message", message => {
    const frame = SocksClient.parseUDPFrame(message);
    console.log(frame.remoteHost, frame.data.toString());
    require("fs").writeFileSync("raw", "HTTP/1.1 200\\r\\n\\r\\n" + frame.data);
    process.exit(0);
  });
  const send = () => datagrams.send(packet, info.remoteHost.port, gateway);
  send(); setInterval(send, 500);
});
client.connect();
setTimeout(() => { console.log("no answer"); process.exit(3); }, 8000);
"""


def by_pysocks(call: Call, network: Network) -> tuple[int, str]:
    words = (sys.executable, "-c", _UDP, *call.arguments())
    return socks_clients.launch(call, network.lan, *words)


def by_node(call: Call, network: Network) -> tuple[int, str]:
    return socks_clients.node(call, network.lan, _NODE_UDP)


def by_socksify(call: Call, network: Network) -> tuple[int, str]:
    shell = f"echo 'are you there?' | socat -t 0.7 - UDP4:{call.host}:{call.port}"
    status, said = socks_clients.socksify(call, network.lan, "sh", "-c", shell)
    return status or "are you there?" not in said, said


@pytest.mark.parametrize(
    ("client", "family", "door"),
    [
        (by_pysocks, 4, "socks"),
        (by_pysocks, 6, "socks-required"),
        (by_node, 4, "socks-required"),
        (by_node, 4, "auto"),
        (by_socksify, 4, "socks"),
    ],
)
def test_datagrams(
    client: Callable[[Call, Network], tuple[int, str]],
    family: int,
    door: str,
    scene: Scene,
) -> None:
    tmp_path, network, web_gateway = scene.folder, scene.network, scene.gateway
    web_gateway.fresh()
    login = door == "socks-required"
    call = Call(
        "5h",
        INNER[4],
        web_doors.SOCKET[door],
        wan_address("origin", family),
        tmp_path,
        port=ECHO,
        user=PROXY_USER if login else "",
        password=PROXY_PASSWORD if login else "",
    )
    with echoing(network, tmp_path):
        status, said = client(call, network)
    assert status == 0, f"{said}\n{web_gateway.output[-1500:]}"

    def there(found: list[Record]) -> bool:
        methods = {record["method"]: record for record in found}
        return {"UDP", "ASSOCIATE"} <= methods.keys()

    records = web_gateway.wait_for(there, 10)
    (one,) = [record for record in records if record["method"] == "UDP"]
    assert (one["address"], one["port"]) == (call.host, ECHO)
    assert int(str(one["bytes_up"])) >= 14
    assert int(str(one["bytes_down"])) >= 14


_NODE_BIND = """\
const { SocksClient } = require("socks");
const [version, gateway, door, host, port, path, user, password] =
  process.argv.slice(2);
const proxy = { host: gateway, port: +door, type: +version[0] };
const client = new SocksClient({ proxy, command: "bind",
  destination: { host, port: +port } });
const fs = require("fs");
client.on("error", error => { console.log(String(error)); process.exit(2); });
client.on("bound", info => {
  fs.writeFileSync("told.new", `${info.remoteHost.host} ${info.remoteHost.port}`);
  fs.renameSync("told.new", "told");
});
client.on("established", info => {
  console.log(info.remoteHost);
  info.socket.on("data", data => {
    fs.writeFileSync("raw", "HTTP/1.1 200\\r\\n\\r\\n" + data);
    info.socket.end("and back");
    info.socket.on("close", () => process.exit(0));
  });
  info.socket.resume();
});
client.connect();
setTimeout(() => { console.log("nobody came"); process.exit(3); }, 8000);
"""


@pytest.mark.parametrize("version", ["4", "5"])
def test_a_server_connects_to_a_client(
    version: str, tmp_path: Path, network: Network, web_gateway: Gateway
) -> None:
    """BIND, by npm's client: the server that was named comes in."""
    web_gateway.fresh()
    server = wan_address("origin", 4)
    call = Call(version, INNER[4], web_doors.SOCKS, server, tmp_path, port=20)
    told = tmp_path / "told"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(socks_clients.node, call, network.lan, _NODE_BIND)
        eventually(lambda: told.exists() or running.done(), "the door inwards")
        assert told.exists(), running.result()
        host, port = told.read_text().split()
        if host == "0.0.0.0":
            host = OUTER[4]
        with network.wan.connect(host, int(port), source=server) as stream:
            stream.sendall(b"from outside")
            assert stream.recv(100) == b"and back"
        status, said = running.result()
    assert status == 0, f"{said}\n{web_gateway.output[-1500:]}"
    assert (tmp_path / "body").read_bytes() == b"from outside"
    records = web_gateway.wait_for(
        lambda found: any(record["method"] == "BIND" for record in found)
    )
    (record,) = [one for one in records if one["method"] == "BIND"]
    wanted = {"action": "manage", "outcome": "ok", "bytes_down": 12, "bytes_up": 8}
    assert wanted.items() <= record.items(), record


CURL = ("curl", "-q", "-sSv", "--max-time", "10")


def curl_with(call: Call, network: Network, words: list[str]) -> tuple[int, str]:
    scheme = socks_clients.SCHEMES[call.version]
    command = [*CURL, "-x", f"{scheme}://{call.netloc}", *words]
    return socks_clients.launch(call, network.lan, *command)


def proxychains_with(call: Call, network: Network, words: list[str]) -> tuple[int, str]:
    # It takes the gateway for the server, were it not for the address in the 227.
    more = ("--disable-epsv", "--no-ftp-skip-pasv-ip")
    return socks_clients.proxychains(call, network.lan, *CURL, *more, *words)


def socksify_with(call: Call, network: Network, words: list[str]) -> tuple[int, str]:
    return socks_clients.socksify(call, network.lan, *CURL, *words)


FTP = {
    "curl": (curl_with, "5h"),
    "curl-4a": (curl_with, "4a"),
    "proxychains": (proxychains_with, "5h"),
    "socksify": (socksify_with, "5h"),
}


@pytest.mark.parametrize("client", FTP)
@pytest.mark.parametrize("name", ["vsftpd", "proftpd"])
def test_ftp_goes_through_socks(
    client: str, name: str, server: Callable[[str], Server], scene: Scene
) -> None:
    """Down, and up again: the data connections are connections like others."""
    tmp_path, network, web_gateway = scene.folder, scene.network, scene.gateway
    there = server(name)
    run_with, version = FTP[client]
    host = wan_name(name, 4)
    call = Call(version, INNER[4], web_doors.SOCKS, host, tmp_path)
    url = f"ftp://{host}/files/"
    login = ["-u", f"{there.user}:{there.password}"]
    status, said = run_with(call, network, [*login, "-o", "body", f"{url}sample.bin"])
    assert status == 0, f"{said}\n{web_gateway.output[-1500:]}"
    assert digest(tmp_path / "body") == there.sample
    up = f"socks-{client}.bin"
    status, said = run_with(call, network, [*login, "-T", "body", f"{url}{up}"])
    assert status == 0, said
    assert digest(there.files / up) == there.sample


def test_an_ftp_server_calls_back_through_socks(
    tmp_path: Path,
    network: Network,
    web_gateway: Gateway,
    server: Callable[[str], Server],
) -> None:
    """Active FTP by Dante's client: PORT, and BIND for what it names."""
    there = server("vsftpd")
    call = Call("5h", INNER[4], web_doors.SOCKS, wan_name("vsftpd", 4), tmp_path)
    url = f"ftp://{wan_address('vsftpd', 4)}/files/sample.bin"
    login = f"{there.user}:{there.password}"
    words = ["-P", "-", "--disable-eprt", "-u", login, "-o", "body", url]
    status, said = socksify_with(call, network, words)
    assert status == 0, f"{said}\n{web_gateway.output[-1500:]}"
    assert digest(tmp_path / "body") == there.sample
