"""Either side in clear or inside TLS: every pair of them, its data moved both ways."""

import ssl
from dataclasses import dataclass
from itertools import product

import pytest
from tests.certificates import HOST, Certificates, issue
from tests.session.moving import agree
from tests.session.peers import Peer
from tests.session.secure import SecurePeer, server_goes_inside
from tests.session.stage import Stage, stage

from portway.protocols.ftp.settings import Upstream

LONG = " " * 24
PAYLOAD = bytes(range(256)) * 512
HELLO = "< 220 edge FTP proxy ready."
PRIVATE = "> PBSZ 0\n< 200 PBSZ=0\n> PROT P\n< 200 PROT accepted."
CLIENTS = ("off", "clear", "private", "implicit")
SERVERS = ("off", "clear", "private", "implicit")
CELLS = [
    " ".join(cell)
    for cell in product(CLIENTS, SERVERS, ("PASV", "EPRT"), ("RETR", "STOR"))
]


@dataclass(frozen=True, slots=True)
class Both:
    """The certificates of the gateway and of the server, and what trusts them."""

    gateway: Certificates
    server: Certificates
    accept: ssl.SSLContext
    connect: ssl.SSLContext

    def door(
        self, client: str, server: str, prot: str = "private"
    ) -> dict[str, object]:
        """Return the keys of a door between a *client* and a *server*."""
        keys: dict[str, object] = {}
        if client != "off":
            keys["tls"] = "implicit" if client == "implicit" else "explicit"
            keys["certificate"] = self.gateway.certificate
            keys["key"] = self.gateway.key
        if server != "off":
            keys["upstream"] = Upstream(
                tls="implicit" if server == "implicit" else "required",
                ca=self.server.ca,
                prot="clear" if server == "clear" else prot,  # type: ignore[arg-type]
            )
        return keys

    async def client_inside(self, peer: Peer) -> SecurePeer:
        secure = SecurePeer(peer, self.connect, server_hostname=HOST)
        await secure.shake_hands()
        return secure

    async def server_inside(self, peer: Peer) -> SecurePeer:
        secure = SecurePeer(peer, self.accept)
        await secure.shake_hands()
        return secure


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("certificates")
    gateway, server = issue(folder / "gateway"), issue(folder / "server", "ftp.test")
    return Both(gateway, server, server.accepting(), gateway.connecting())


async def come_in(scene: Stage, both: Both, client: str, server: str) -> None:
    """Bring both sides to where files can be moved."""
    if client == "implicit":
        scene.client = await both.client_inside(scene.client)
    await scene.play(HELLO)
    if client in {"clear", "private"}:
        await scene.play("> AUTH TLS\n< 234 AUTH TLS accepted.")
        scene.client = await both.client_inside(scene.client)
    if client == "private":
        await scene.play(PRIVATE)
    await scene.play("> USER u@{at}")
    await scene.called()
    if server == "implicit":
        await server_goes_inside(scene, both.accept)
    await scene.play(f"{LONG}< 220 Welcome")
    if server in {"clear", "private"}:
        await scene.play(f"{LONG}> AUTH TLS\n{LONG}< 234 Go ahead")
        await server_goes_inside(scene, both.accept)
    await scene.play(f"{LONG}> USER u\n{LONG}< 230 In")
    if server != "off":
        level = "C" if server == "clear" else "P"
        await protected(scene, level)
    await scene.play("< 230-Welcome\n< 230 In")


async def protected(scene: Stage, level: str) -> None:
    """The server is told how its data are to be protected."""
    await scene.play(f"""
{LONG}> PBSZ 0
{LONG}< 200 PBSZ=0
{LONG}> PROT {level}
{LONG}< 200 As you like
""")


async def moved(
    scene: Stage, both: Both, verb: str, command: str, inside: tuple[bool, bool]
) -> None:
    """Let *command* move PAYLOAD; *inside* says which leg is inside TLS."""
    legs = await agree(scene, verb)
    await scene.play(f"> {command} f\n{LONG}> {command} f")
    server = await legs.at_server()
    if inside[1]:
        server = await both.server_inside(server)
    await scene.play(f"{LONG}< 150 Opening")
    client = await legs.at_client()
    if inside[0]:
        client = await both.client_inside(client)
    await scene.play("< 150 Opening")
    up = command == "STOR"
    source, sink = (client, server) if up else (server, client)
    await source.say(PAYLOAD)
    source.end()
    assert await sink.the_rest() == (PAYLOAD, "eof")
    sink.close()
    await scene.play(f"{LONG}< 226 Done\n< 226 Done")


@pytest.mark.parametrize("cell", CELLS)
async def test_every_pair(cell: str, both: Both) -> None:
    client, server, verb, command = cell.split()
    inside = client in {"private", "implicit"}, server in {"private", "implicit"}
    async with stage(**both.door(client, server)) as scene:  # type: ignore[arg-type]
        await come_in(scene, both, client, server)
        for _ in range(2):
            await moved(scene, both, verb, command, inside)
        await scene.play(f"> QUIT\n{LONG}> QUIT\n{LONG}< 221 Bye\n< 221 Bye\nended")
    assert [one.outcome for one in scene.records] == ["ok"] * 3
    for record in scene.records[:2]:
        facts = "tls_client" in record.facts, "tls_server" in record.facts
        assert facts == inside


async def test_data_as_the_client_has_them(both: Both) -> None:
    keys = both.door("clear", "private", prot="client")
    async with stage(**keys) as scene:  # type: ignore[arg-type]
        await scene.play(HELLO + "\n> AUTH TLS\n< 234 AUTH TLS accepted.")
        scene.client = await both.client_inside(scene.client)
        await scene.play(f"""
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> AUTH TLS
{LONG}< 234 Go ahead
""")
        await server_goes_inside(scene, both.accept)
        await scene.play(f"{LONG}> USER u\n{LONG}< 230 In")
        await protected(scene, "C")
        await scene.play("< 230-Welcome\n< 230 In")
        await moved(scene, both, "PASV", "RETR", (False, False))
        await scene.play(PRIVATE)
        await scene.play(f"> REST 7\n{LONG}> REST 7\n{LONG}< 350 ok\n< 350 ok")
        await scene.play("> PASV")
        await protected(scene, "P")
        await scene.play(f"""
{LONG}> REST 7
{LONG}< 350 ok
{LONG}> PASV
{LONG}< 502 No
{LONG}> EPSV
{LONG}< 502 No
< 425 ...
""")
