"""Three network namespaces: a LAN, a gateway, and the outside, with no way around.

    lan 192.168.1.10, .66 -- .1, .2 gateway 203.0.113.7, .8 -- 203.0.113.10-66 wan
    lan fd00:1::10, ::66  -- ::1    gateway fd00:2::7, ::8  -- fd00:2::10-66   wan

Not here: what runs in them. Invariant: the gateway does not forward and the LAN has no
route to the outside, so what arrives was carried by a proxy.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNET = 0x40000000

LAN = {4: "192.168.1.10", 6: "fd00:1::10"}
STRANGER = {4: "192.168.1.66", 6: "fd00:1::66"}  # a second machine of the LAN
INNER = {4: "192.168.1.1", 6: "fd00:1::1"}  # the gateway, as the LAN sees it
ADVERTISED = "192.168.1.2"  # another address of the gateway on the LAN
OUTER = {4: "203.0.113.7", 6: "fd00:2::7"}  # the gateway, as the outside sees it
SECOND_OUTER = {4: "203.0.113.8", 6: "fd00:2::8"}
THIRD_PARTY = {4: "203.0.113.66", 6: "fd00:2::66"}
# IPv6 would else prefer, as the source of a connection, what was added last.
UNASKED = frozenset({STRANGER[6], SECOND_OUTER[6], THIRD_PARTY[6]})

WAN_HOSTS = {  # the last number of the address, in either family
    "vsftpd": 10,
    "proftpd": 11,
    "pure-ftpd": 12,
    "pyftpdlib": 13,
    "nano": 20,
    "liar": 21,  # a server that others must not be taken for
    "nginx": 30,
    "apache": 31,
    "origin": 32,  # servers of the tests' own
    "host": 33,  # the server of the smuggling catalogue
    "third": 66,
}


def wan_address(name: str, family: int) -> str:
    """Return the address, in the WAN, of the host called *name*."""
    return (
        f"203.0.113.{WAN_HOSTS[name]}" if family == 4 else f"fd00:2::{WAN_HOSTS[name]}"
    )


def wan_name(name: str, family: int) -> str:
    """Return the name that has this one address: ``vsftpd4.test``."""
    return f"{name}{family}.test"


class Place:
    """Where a test's programs and sockets are: this machine, as it is."""

    def command(self, *command: str) -> list[str]:
        """Return *command* so that it runs in here."""
        return list(command)

    def new_socket(self, family: int) -> socket.socket:
        """Return a TCP socket that lives in here, whoever uses it."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        return socket.socket(kind, socket.SOCK_STREAM)

    def listen(self, address: str, port: int = 0) -> socket.socket:
        """Return a socket that listens on *address*."""
        listener = self.new_socket(6 if ":" in address else 4)
        listener.settimeout(5)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(16)
        return listener

    def connect(self, address: str, port: int, source: str = "") -> socket.socket:
        """Return a socket connected to *address*, from *source* if there is one."""
        stream = self.new_socket(6 if ":" in address else 4)
        stream.settimeout(5)
        try:
            if source:
                stream.bind((source, 0))
            stream.connect((address, port))
        except OSError:
            stream.close()
            raise
        return stream


class Namespace(Place):
    """One network namespace of this test run, called *name*."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, *command: str) -> list[str]:
        """Return *command* so that it runs in here, with the hosts of `Network`."""
        return ["ip", "netns", "exec", self.name, *command]

    def new_socket(self, family: int) -> socket.socket:
        """Return a TCP socket that lives in here, whoever uses it."""
        made: list[socket.socket] = []

        def make() -> None:
            with Path("/run/netns", self.name).open() as there:
                library = ctypes.CDLL(None, use_errno=True)
                if library.setns(there.fileno(), CLONE_NEWNET) == 0:
                    made.append(super(Namespace, self).new_socket(family))

        thread = threading.Thread(target=make)  # setns binds one thread, and it ends
        thread.start()
        thread.join()
        return made[0]


class Network:
    """The three namespaces of the test process whose number *tag* is, or ends in."""

    def __init__(self, tag: str) -> None:
        self.lan = Namespace(f"portway-lan-{tag}")
        self.gateway = Namespace(f"portway-gw-{tag}")
        self.wan = Namespace(f"portway-wan-{tag}")

    @property
    def _all(self) -> tuple[Namespace, Namespace, Namespace]:
        return self.lan, self.gateway, self.wan

    def open(self) -> None:
        """Make them. Raises RuntimeError saying what the machine refuses."""
        for namespace in self._all:
            _ip("netns", "add", namespace.name)
            _ip("-n", namespace.name, "link", "set", "lo", "up")
            self._give_hosts(namespace)
        self._wire(self.lan, self.gateway, "lan0")
        self._wire(self.wan, self.gateway, "wan0")
        wan = [*OUTER.values(), *SECOND_OUTER.values()]
        _give(self.lan, "lan0", [*LAN.values(), *STRANGER.values()])
        _give(self.gateway, "lan0", [*INNER.values(), ADVERTISED])
        _give(self.gateway, "wan0", wan)
        outside = [wan_address(name, family) for name in WAN_HOSTS for family in (4, 6)]
        _give(self.wan, "wan0", outside)
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self._forward_nothing(key)

    def lead_through(self) -> None:
        """Let either side send what is for the other to the gateway, which drops it."""
        for family, ip in ((4, []), (6, ["-6"])):
            for place, hop in ((self.lan, INNER), (self.wan, OUTER)):
                route = ["route", "replace", "default", "via", hop[family]]
                _ip(*ip, "-n", place.name, *route)

    def sweep(self) -> None:
        """Remove what runs that were killed have left: those whose process is gone."""
        for path in Path("/run/netns").glob("portway-lan-*"):
            tag = path.name.removeprefix("portway-lan-")
            number = tag.rpartition("-")[2]
            if number.isdecimal() and not Path("/proc", number).exists():
                Network(tag).close()

    def close(self) -> None:
        """Remove them; those that are not there are no fault."""
        for namespace in self._all:
            subprocess.run(
                ["ip", "netns", "delete", namespace.name],
                check=False,
                stderr=subprocess.DEVNULL,
            )
            shutil.rmtree(f"/etc/netns/{namespace.name}", ignore_errors=True)

    @staticmethod
    def _wire(one: Namespace, other: Namespace, link: str) -> None:
        _ip(*f"link add {link} netns {one.name} type veth".split(),
            *f"peer name {link} netns {other.name}".split())  # fmt: skip

    def _forward_nothing(self, key: str) -> None:
        path = f"/proc/sys/net/{key}"
        shell = f"[ $(cat {path}) = 0 ] || echo 0 >{path}"
        subprocess.run(self.gateway.command("sh", "-c", shell), check=True)

    @staticmethod
    def _give_hosts(namespace: Namespace) -> None:
        """Give it names of its own, which ``ip netns exec`` lays over /etc."""
        folder = Path("/etc/netns", namespace.name)
        folder.mkdir(parents=True)
        lines = [
            "127.0.0.1 localhost",
            "::1 localhost",
            f"{INNER[4]} gateway4.test gateway.test",
            f"{INNER[6]} gateway6.test gateway.test",
        ]
        for name in WAN_HOSTS:
            for family in (4, 6):
                names = f"{wan_name(name, family)} {name}.test"
                lines.append(f"{wan_address(name, family)} {names}")
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        # Nobody answers here: a name that is not above fails at once.
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")


def _give(namespace: Namespace, link: str, addresses: Iterable[str]) -> None:
    _ip("-n", namespace.name, "link", "set", link, "up")
    for address in addresses:
        how = ["/64", "nodad"] if ":" in address else ["/24"]
        if address in UNASKED:
            how += ["preferred_lft", "0"]
        _ip(
            "-n", namespace.name, "addr", "add", address + how[0], "dev", link, *how[1:]
        )


def _ip(*words: str) -> None:
    if os.geteuid() != 0:
        msg = "the integration tests make network namespaces: run them as root"
        raise RuntimeError(msg)
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"ip {' '.join(words)}: {done.stderr.strip()}"
        raise RuntimeError(msg)
