"""The real SOCKS clients: how each is told of the gateway, and made to work.

Not here: what is expected of them. Invariant: each fetches one HTTP URL into ``body``,
with nothing but what SOCKS carries, in a folder of its own.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.integration.http_clients import PATH, TIME_LIMIT
from tests.integration.network import Place
from tests.integration.process import run
from tests.integration.servers import PEERS

NODE_PATH = str(PEERS / "npm/node_modules")


@dataclass(frozen=True, slots=True)
class Call:
    """One run: *version* is ``4``, ``4a``, ``5`` or ``5h`` (names go to the gateway).

    *gateway* is an address of the gateway's. *host* and *port* are the server's.
    """

    version: str
    gateway: str
    door: int
    host: str
    folder: Path
    port: int = 80
    path: str = "/files/sample.bin"
    user: str = ""
    password: str = ""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}{self.path}"

    @property
    def netloc(self) -> str:
        """The gateway's address and port, as they stand in a URL."""
        host = f"[{self.gateway}]" if ":" in self.gateway else self.gateway
        return f"{host}:{self.door}"

    @property
    def request(self) -> str:
        """For clients that carry bytes alone."""
        return f"GET {self.path} HTTP/1.0\r\nHost: {self.authority}\r\n\r\n"

    def arguments(self) -> list[str]:
        """Return what the scripts of ours are told."""
        login = [self.user, self.password]
        where = [self.gateway, str(self.door), self.host, str(self.port)]
        return [self.version, *where, self.path, *login]


def launch(
    call: Call, place: Place, *command: str, given: str = "", **more: str
) -> tuple[int, str]:
    environment = {"HOME": str(call.folder), "PATH": PATH, "LC_ALL": "C"} | more
    return run(
        place.command(*command),
        seconds=TIME_LIMIT,
        given=given,
        environment=environment,
        folder=call.folder,
    )


SCHEMES = {"4": "socks4", "4a": "socks4a", "5": "socks5", "5h": "socks5h"}


def curl(call: Call, place: Place) -> tuple[int, str]:
    login = f"{call.user}:{call.password}@" if call.user else ""
    proxy = f"{SCHEMES[call.version]}://{login}{call.netloc}"
    words = ["curl", "-q", "-sSv", "--max-time", "10", "-o", "body", "-x", proxy]
    return launch(call, place, *words, call.url)


def unwrap(call: Call, status: int, said: str) -> tuple[int, str]:
    """Take the body out of ``raw``, where a reply is with its head."""
    raw = call.folder / "raw"
    data = raw.read_bytes() if raw.exists() else b""
    head, _, body = data.partition(b"\r\n\r\n")
    (call.folder / "body").write_bytes(body)
    if not status and not head.startswith(b"HTTP/1.1 200"):
        return 99, f"{said}\n{head[:500]!r}"
    return status, said


def _shell(call: Call, place: Place, *command: str, **more: str) -> tuple[int, str]:
    """Run what carries bytes between the request and ``raw``."""
    (call.folder / "request").write_text(call.request, newline="")
    shell = 'exec "$@" <request >raw'
    words = ("sh", "-c", shell, "sh", *command)
    return unwrap(call, *launch(call, place, *words, **more))


def ncat(call: Call, place: Place) -> tuple[int, str]:
    """4 and 5; it resolves names itself, or lets 4a and 5h do so."""
    remote = call.version in {"4a", "5h"}
    words = ["ncat", "-v", "--proxy", call.netloc, "--proxy-type"]
    words.append("socks4" if call.version.startswith("4") else "socks5")
    words += ["--proxy-dns", "remote" if remote else "local"]
    if call.user:
        words += ["--proxy-auth", f"{call.user}:{call.password}"]
    return _shell(call, place, *words, call.host, str(call.port))


def socat(call: Call, place: Place) -> tuple[int, str]:
    """4 and 4a; what it reaches is dialled in IPv4."""
    kind = "SOCKS4" if call.version == "4" else "SOCKS4A"
    there = f"{kind}:{call.gateway}:{call.host}:{call.port}"
    options = f"socksport={call.door},socksuser=joe"
    return _shell(call, place, "socat", "-t", "8", "-", f"{there},{options}")


def proxychains(call: Call, place: Place, *command: str) -> tuple[int, str]:
    """4 and 5, laid under curl, or under *command*; names go through the chain."""
    kind = "socks4" if call.version.startswith("4") else "socks5"
    login = f" {call.user} {call.password}" if call.user else ""
    settings = call.folder / "proxychains.conf"
    settings.write_text(
        "strict_chain\nproxy_dns\nremote_dns_subnet 224\n"
        "tcp_read_time_out 8000\ntcp_connect_time_out 8000\n"
        f"[ProxyList]\n{kind} {call.gateway} {call.door}{login}\n"
    )
    plain = ("curl", "-q", "-sSv", "--max-time", "10", "-o", "body", call.url)
    words = ["proxychains4", "-f", "proxychains.conf", *(command or plain)]
    return launch(call, place, *words)


def torsocks(call: Call, place: Place) -> tuple[int, str]:
    """5, laid under curl; names it resolves by a command that is Tor's alone."""
    words = ["torsocks", "-a", call.gateway, "-P", str(call.door)]
    if call.user:
        words += ["-u", call.user, "-p", call.password]
    words += ["curl", "-q", "-sSv", "--max-time", "10", "-o", "body"]
    return launch(call, place, *words, call.url)


def socksify(call: Call, place: Place, *command: str) -> tuple[int, str]:
    """4 and 5, Dante's own, laid under curl, or under *command*."""
    version = "socks_v4" if call.version.startswith("4") else "socks_v5"
    method = "username" if call.user else "none"
    udp = "udp" if version == "socks_v5" else "tcp"
    settings = call.folder / "socks.conf"
    settings.write_text(f"""\
resolveprotocol: fake
route {{ from: 0.0.0.0/0 to: {call.gateway}/32 via: direct }}
route {{ from: 0.0.0.0/0 to: 127.0.0.0/8 via: direct }}
route {{
  from: 0.0.0.0/0 to: 0.0.0.0/0 via: {call.gateway} port = {call.door}
  proxyprotocol: {version}
  protocol: tcp {udp}
  command: connect bind udpassociate
  method: {method}
}}
""")
    plain = ("curl", "-q", "-sSv", "--max-time", "10", "-o", "body", call.url)
    environment = {"SOCKS_CONF": str(settings)}
    if call.user:
        environment["SOCKS_USERNAME"] = call.user
        environment["SOCKS_PASSWORD"] = call.password
    return launch(call, place, "socksify", *(command or plain), **environment)


_FETCH = """
    name = f"[{host}]" if ":" in host else host
    request = f"GET {path} HTTP/1.0\\r\\nHost: {name}:{port}\\r\\n\\r\\n"
    stream.sendall(request.encode())
    with open("raw", "wb") as sink:
        while data := stream.recv(65536):
            sink.write(data)
"""

_PYSOCKS = f"""\
import sys, socks
version, gateway, door, host, port, path, user, password = sys.argv[1:]
kind = socks.SOCKS4 if version[0] == "4" else socks.SOCKS5
stream = socks.socksocket()
stream.set_proxy(kind, gateway, int(door), rdns=version in ("4a", "5h"),
    username=user or None, password=password or None)
stream.settimeout(8)
try:
    stream.connect((host, int(port)))
    {_FETCH.strip()}
except socks.ProxyError as error:
    sys.exit(f"{{error}}")
"""

_PYTHON_SOCKS = f"""\
import sys
from python_socks import ProxyError, ProxyType
from python_socks.sync import Proxy
version, gateway, door, host, port, path, user, password = sys.argv[1:]
kind = ProxyType.SOCKS4 if version[0] == "4" else ProxyType.SOCKS5
proxy = Proxy(kind, gateway, int(door), user or None, password or None,
    rdns=version in ("4a", "5h"))
try:
    stream = proxy.connect(host, int(port), timeout=8)
    {_FETCH.strip()}
except ProxyError as error:
    sys.exit(f"{{error.error_code}}: {{error}}")
"""


def pysocks(call: Call, place: Place) -> tuple[int, str]:
    words = (sys.executable, "-c", _PYSOCKS, *call.arguments())
    return unwrap(call, *launch(call, place, *words))


def python_socks(call: Call, place: Place) -> tuple[int, str]:
    words = (sys.executable, "-c", _PYTHON_SOCKS, *call.arguments())
    return unwrap(call, *launch(call, place, *words))


_NODE = """\
const { SocksClient } = require("socks");
const fs = require("fs");
const [version, gateway, door, host, port, path, user, password] =
  process.argv.slice(2);
const proxy = { host: gateway, port: +door, type: +version[0] };
if (user) { proxy.userId = user; proxy.password = password; }
SocksClient.createConnection({ proxy, command: "connect", timeout: 8000,
  destination: { host, port: +port } }).then(({ socket }) => {
    socket.pipe(fs.createWriteStream("raw")).on("finish", () => process.exit(0));
    const name = host.includes(":") ? `[${host}]` : host;
    socket.write(`GET ${path} HTTP/1.0\\r\\nHost: ${name}:${port}\\r\\n\\r\\n`);
  }).catch(error => { console.log(String(error)); process.exit(2); });
"""


def node(call: Call, place: Place, script: str = _NODE) -> tuple[int, str]:
    """The package ``socks``: 4a where it is given a name, which it never resolves."""
    (call.folder / "client.js").write_text(script)
    words = ("node", "client.js", *call.arguments())
    return unwrap(call, *launch(call, place, *words, NODE_PATH=NODE_PATH))


Client = Callable[[Call, Place], tuple[int, str]]

# A client, and the versions that it speaks.
CLIENTS: Mapping[str, tuple[Client, tuple[str, ...]]] = {
    "curl": (curl, ("4", "4a", "5", "5h")),
    "ncat": (ncat, ("4", "5", "5h")),
    "socat": (socat, ("4", "4a")),
    "proxychains": (proxychains, ("4", "5h")),
    "torsocks": (torsocks, ("5",)),
    "socksify": (socksify, ("4", "5h")),
    "PySocks": (pysocks, ("4", "4a", "5", "5h")),
    "python-socks": (python_socks, ("4", "4a", "5", "5h")),
    "node": (node, ("4a", "5h")),
}
