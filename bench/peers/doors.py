"""Portway and its rivals by the doors that are not FTP: HTTP, CONNECT, SOCKS 5, TCP.

Not here: what a client says to them (web.py, tunnel.py). Invariant: each is set up to
its advantage where a default would hinder it (connections at a time), and otherwise as
Debian has it, with its log written to a file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.peers import haproxy, portway
from bench.peers.install import version
from bench.peers.peer import BY, Peer, binary, libraries
from bench.peers.portway import PORTWAY
from bench.peers.rivals import NOBODY, SQUID, THREE, squid, three
from bench.processes import LOOPBACK, Command
from bench.tunnel import Shake, connect, socks5, straight

MANY = 4096  # connections at a time
TUNNELS = 2000


@dataclass(frozen=True, slots=True)
class Way:
    """A proxy, and how it is asked for a server."""

    peer: Peer
    shake: Shake


def _tinyproxy(folder: Path, port: int) -> Command:
    configuration = folder / "tinyproxy.conf"
    configuration.write_text(
        f"""Port {port}
Listen {LOOPBACK}
Timeout 600
MaxClients {MANY}
LogFile "{folder}/tinyproxy.log"
LogLevel Info
PidFile "{folder}/tinyproxy.pid"
Allow {LOOPBACK}
""",
        encoding="utf-8",
    )
    program = str(binary("tinyproxy", "usr/bin/tinyproxy"))
    words = (program, "-d", "-c", str(configuration))
    return Command(words, libraries("tinyproxy"), hello=b"")


def _dante(folder: Path, port: int) -> Command:
    configuration = folder / "danted.conf"
    configuration.write_text(
        f"""logoutput: {folder}/danted.log
internal: {LOOPBACK} port = {port}
external: {LOOPBACK}
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: {NOBODY}
client pass {{ from: {LOOPBACK}/32 to: 0.0.0.0/0 log: error }}
socks pass {{
  from: {LOOPBACK}/32 to: 0.0.0.0/0
  command: connect
  log: connect error
}}
""",
        encoding="utf-8",
    )
    program = str(binary("dante", "usr/sbin/danted"))
    words = (program, "-f", str(configuration), "-p", str(folder / "danted.pid"))
    return Command(words, libraries("dante"), hello=b"")


def _microsocks(folder: Path, port: int) -> Command:
    del folder
    program = str(binary("microsocks", "usr/bin/microsocks"))
    words = (program, "-i", LOOPBACK, "-p", str(port))
    return Command(words, libraries("microsocks"), hello=b"")


TINY = Peer(
    "tinyproxy", _tinyproxy, partial(version, "tinyproxy", "tinyproxy-bin"), TUNNELS
)
DANTE = Peer("Dante", _dante, partial(version, "dante", "dante-server"), TUNNELS)
MICRO = Peer(
    "microsocks", _microsocks, partial(version, "microsocks", "microsocks"), TUNNELS
)

OURS_HTTP = partial(portway.command, protocol="http")
OURS_SOCKS = partial(portway.command, protocol="socks")
SQUID_HTTP = partial(squid, key="http_port")
THREE_HTTP = partial(three, service="proxy")
THREE_SOCKS = partial(three, service="socks")

# As in the table of versions: HAProxy needs to be told its server before it is a peer.
RIVALS = (TINY, DANTE, MICRO)


def _by(peer: Peer, door: str, command: Callable[[Path, int], Command]) -> Peer:
    name = f"{peer.name}{BY}{door}" if door else peer.name
    return Peer(name, command, peer.version, TUNNELS)


def http_peers(server: int) -> tuple[Peer, ...]:
    """Return those that answer HTTP requests; HAProxy leads to *server* alone."""
    leading = partial(haproxy.http, server=server)
    return (
        _by(PORTWAY, "", OURS_HTTP),
        Peer(haproxy.NAME, leading, haproxy.version, TUNNELS),
        _by(SQUID, "", SQUID_HTTP),
        _by(THREE, "", THREE_HTTP),
        TINY,
    )


def socks_peers() -> tuple[Peer, ...]:
    """Return those that speak SOCKS 5."""
    ours, three = _by(PORTWAY, "", OURS_SOCKS), _by(THREE, "", THREE_SOCKS)
    return (ours, three, DANTE, MICRO)


def ways(server: int) -> tuple[Way, ...]:
    """Return all ways to lead bytes through a proxy; HAProxy's leads to *server*."""
    leading = partial(haproxy.tcp, server=server)
    by_connect = ((PORTWAY, OURS_HTTP), (SQUID, SQUID_HTTP), (THREE, THREE_HTTP))
    by_socks = ((PORTWAY, OURS_SOCKS), (THREE, THREE_SOCKS))
    return (
        *(Way(_by(peer, "CONNECT", command), connect) for peer, command in by_connect),
        *(Way(_by(peer, "SOCKS", command), socks5) for peer, command in by_socks),
        Way(_by(DANTE, "SOCKS", DANTE.command), socks5),
        Way(_by(MICRO, "SOCKS", MICRO.command), socks5),
        Way(
            Peer(f"{haproxy.NAME}{BY}TCP", leading, haproxy.version, TUNNELS), straight
        ),
    )
