"""Both ends of a data connection, however the client and the gateway want to make it.

Not here: what is moved, and how it ends. Invariant: each leg is made by exactly the
commands that the client's verb and the door's settings call for.
"""

import asyncio
import re
from dataclasses import dataclass

from tests.session.peers import Peer, Port
from tests.session.stage import Stage

LONG = " " * 24
IN = f"""
< 220 edge FTP proxy ready.
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How one leg is made: *verb*, and the *port* of whoever listens."""

    verb: str
    host: str
    number: int
    port: Port | None


@dataclass(frozen=True, slots=True)
class Legs:
    """A data path that both sides have agreed to."""

    scene: Stage
    client: Way
    server: Way

    async def at_client(self) -> Peer:
        """Return the client's end: accept or dial."""
        return await self._end(self.client)

    async def at_server(self) -> Peer:
        """Return the server's end."""
        return await self._end(self.server)

    async def _end(self, way: Way) -> Peer:
        if way.port is None:
            return await self.scene.call(way.host, way.number)
        peer = await way.port.accept()
        self.scene.keep(peer)
        return peer


async def agree(scene: Stage, verb: str) -> Legs:
    """Let the client say *verb*, the server agree, and the client be answered."""
    host = scene.door.host
    port = scene.listen(host) if verb in {"PORT", "EPRT"} else None
    words = {"PORT": port and port.as_port, "EPRT": port and port.as_eprt}
    await scene.play(f"> {verb} {words[verb]}" if port else f"> {verb}")
    server = await server_way(scene)
    if port is not None:
        await scene.play(f"< 200 {verb} command successful.")
        return Legs(scene, Way(verb, host, port.number, port), server)
    line = await scene.client.line()
    return Legs(scene, Way(verb, host, offered(line), None), server)


async def server_way(scene: Stage) -> Way:
    """Let the server agree to whatever the gateway asks for."""
    server = scene.server
    assert server is not None
    asked = (await server.line()).decode()
    verb, _, argument = asked.partition(" ")
    if verb in {"PASV", "EPSV"}:
        port = scene.listen(scene.port.host)
        where = f"(|||{port.number}|)" if verb == "EPSV" else f"({port.as_port})."
        code = 229 if verb == "EPSV" else 227
        await server.say(f"{code} Entering {where}\r\n".encode())
        return Way(verb, port.host, port.number, port)
    if verb == "PORT":
        *numbers, high, low = argument.split(",")
        host, number = ".".join(numbers), int(high) * 256 + int(low)
    else:
        _, _, host, text, _ = argument.split("|")
        number = int(text)
    await server.say(f"200 {verb} ok\r\n".encode())
    return Way(verb, host, number, None)


def offered(line: bytes) -> int:
    """Return the port in a 227 or 229."""
    if line.startswith(b"229"):
        found = re.fullmatch(
            rb"229 Entering Extended Passive Mode \(\|\|\|(\d+)\|\)", line
        )
        assert found, line
        return int(found[1])
    found = re.fullmatch(
        rb"227 Entering Passive Mode \(127,0,0,1,(\d+),(\d+)\)\.", line
    )
    assert found, line
    return int(found[1]) * 256 + int(found[2])


async def begin(
    scene: Stage, command: str, verb: str = "PASV", *, opening: bool = True
) -> tuple[Peer, Peer]:
    """Bring a transfer to where both legs are up; return the client's and server's.

    *opening*: the server's 150 has come, and the client has it.
    """
    legs = await agree(scene, verb)
    await scene.play(f"> {command}\n{LONG}> {command}")
    server = await legs.at_server()
    assert scene.server is not None
    if opening:
        await scene.server.say(b"150 Opening\r\n")
    client = await legs.at_client()
    if opening:
        await scene.play("< 150 Opening")
    return client, server


async def move(source: Peer, sink: Peer, payload: bytes) -> None:
    """Send *payload* and its end through the gateway, and see it arrive whole."""

    async def send() -> None:
        await source.say(payload)
        source.end()

    sending = asyncio.get_running_loop().create_task(send())
    got, how = await sink.the_rest()
    await sending
    assert got == payload
    assert how == "eof"
    sink.close()
