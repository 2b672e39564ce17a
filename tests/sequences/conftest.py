"""A gateway with a door for each login, and a server, on this machine's loopback."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration import forgiving
from tests.integration.gateway import Gateway
from tests.integration.network import Place
from tests.integration.process import run
from tests.integration.speaker import Speaker
from tests.sequences.server import Server
from tests.sequences.walk import SAMPLE, WORDS, Door, Form

HERE = "127.0.0.1"
CONTENT = bytes(range(256)) * 300

DOORS = {
    "none": 'login = "none"',
    "optional": 'login = "optional"',
    "required": 'login = "required"',
    "colon": 'login = "required"\nmethods = ["colon"]',
}

HEAD = """
[gateway]
name = "edge"
state = "{state}"

[[ledger.file]]
path = "{records}"
format = "json"

[[rules]]
name = "all"
who = ["127.0.0.0/8"]
to = ["*", "inside"]
then = "allow"
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The gateway's doors, by their names, and the server."""

    place: Place
    ports: Mapping[str, int]
    server: Server
    has_names: bool  # whether the names that there are, are those in /etc/hosts

    def knock(self, door: Door) -> Speaker:
        """Connect; every client wants a 2yz greeting."""
        name = "none" if door == "empty" else door
        client = Speaker(self.place, HERE, self.ports[name])
        assert client.greeting.code // 100 == 2, client.greeting
        return client

    def words(self, form: Form, door: Door, **other: str) -> Mapping[str, str]:
        """Return what stands for the words in braces; *other* goes before."""
        server = self.server
        words = WORDS | {"a": server.address, "n": str(server.port)} | other
        if door == "empty":
            words |= {"fu": "", "fp": ""}
        if form.has_port:
            return words | {"h": f"{words['a']}:{words['n']}"}
        cause = f"port 21 of {server.address} cannot be had, and no port can be named"
        assert server.has_21, f"{cause}; run as root"
        return words | {"h": words["a"]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
        return port


def without_name_server(folder: Path) -> tuple[str, ...]:
    """Return what lets a command see /etc/hosts only; nothing, if that may not be.

    Else an unknown host would be a question of what this machine is connected to.
    """
    switch = folder / "nsswitch.conf"
    switch.write_text("hosts: files\n")
    unshare = "-m" if os.geteuid() == 0 else "-rm"
    script = f'mount --bind {switch} /etc/nsswitch.conf && exec "$@"'
    before = ("unshare", unshare, "sh", "-c", script, "sh")
    try:
        status, _ = run((*before, "true"))
    except OSError:
        return ()
    return before if status == 0 else ()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    ports = {name: free_port() for name in DOORS}
    doors = "".join(
        f'[listen.{name}]\nprotocol = "ftp"\naddress = "{HERE}:{port}"\n{DOORS[name]}\n'
        for name, port in ports.items()
    )
    files: Path = tmp_path_factory.mktemp("files")
    (files / SAMPLE).write_bytes(CONTENT)
    folder: Path = tmp_path_factory.mktemp("gateway")
    place = Place()
    heard: Path = tmp_path_factory.mktemp("server")
    users = {WORDS["fu"]: WORDS["fp"]}
    before = without_name_server(folder)
    text = HEAD + doors
    with (
        Server(heard, files) as server,
        Gateway(
            place,
            folder,
            text,
            before=before,
            program=forgiving.PROGRAM,
            users=users,
        ),
    ):
        yield Stage(place, ports, server, bool(before))
