"""A translator between a test that speaks FTP and an SFTP server in the same loop.

Not here: what a test says. Invariant: when the block is left, nothing is open.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import asyncssh
from asyncssh import SFTPServer, SSHServer

from portway.model import Endpoint
from portway.net.dial import dial
from portway.net.stream import SocketStream
from portway.protocols.ftp.sftp.connection import Trust, trust_of
from portway.protocols.ftp.sftp.inside import InsideStream
from portway.protocols.ftp.sftp.translator import Outside, Translator
from portway.protocols.ftp.wire import ReplyReader

USER, PASSWORD = "joe", "s3cret"
HOST = "127.0.0.1"


class Door(SSHServer):
    """Who may come in: *how* is ``password`` or ``keyboard``."""

    def __init__(self, how: str) -> None:
        self._how = how

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return self._how == "password"

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def kbdint_auth_supported(self) -> bool:
        return self._how == "keyboard"

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Your word: ", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return (username, list(responses)) == (USER, [PASSWORD])


@dataclass
class Server:
    """A running SFTP server: *folder* is its root."""

    folder: Path
    port: int
    key: asyncssh.SSHKey
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    @property
    def known(self) -> str:
        """The server's line of a known_hosts file."""
        return f"[{HOST}]:{self.port} {self.key.export_public_key().decode()}"

    @property
    def fingerprint(self) -> str:
        return str(self.key.get_fingerprint())


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    how: str = "password",
    key: asyncssh.SSHKey | None = None,
    port: int = 0,
    files: type[SFTPServer] = SFTPServer,
    options: Mapping[str, object] | None = None,
) -> AsyncIterator[Server]:
    """Run an SFTP server with *folder* as its root."""
    folder.mkdir(exist_ok=True)
    key = key or asyncssh.generate_private_key("ssh-ed25519")
    connections: list[asyncssh.SSHServerConnection] = []

    class Counted(Door):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.append(conn)

    acceptor = await asyncssh.listen(
        HOST,
        port,
        server_factory=lambda: Counted(how),
        server_host_keys=[key],
        **{
            "sftp_factory": lambda chan: files(chan, chroot=str(folder).encode()),
            **(options or {}),
        },
    )
    try:
        yield Server(folder, acceptor.get_port(), key, connections)
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()


class Talk:
    """The session's part of a visit."""

    def __init__(self, translator: Translator) -> None:
        self.control = translator.near
        self._reader = ReplyReader()
        self._replies: list[tuple[int, str]] = []
        self._text = ""

    async def reply(self) -> tuple[int, str]:
        """Return the next reply: its code, and its text without CRs."""
        while not self._replies:
            data = await self.control.receive()
            if not data:
                raise EOFError
            for line in self._reader.feed(data):
                self._text += line.line.decode(errors="replace").replace("\r", "")
                if line.final:
                    self._replies.append((line.code, self._text))
                    self._text = ""
        return self._replies.pop(0)

    async def say(self, line: bytes | str) -> tuple[int, str]:
        await self.send(line)
        return await self.reply()

    async def send(self, line: bytes | str) -> None:
        data = line if isinstance(line, bytes) else line.encode()
        await self.control.send(data + b"\r\n")

    async def log_in(self, user: str = USER, password: str = PASSWORD) -> None:
        assert (await self.say(f"USER {user}"))[0] == 331
        code, text = await self.say(f"PASS {password}")
        assert code == 230, text
        assert (await self.say("TYPE I"))[0] == 200

    async def leg(self) -> InsideStream:
        return await self.control.offer_leg().accept()

    async def fetch(self, line: bytes | str) -> tuple[bytes, tuple[int, str]]:
        """Return what *line* sends, and the final reply."""
        leg = await self.leg()
        try:
            code, text = await self.say(line)
            if code >= 200:
                return b"", (code, text)
            data = await everything(leg)
        finally:
            leg.close()
        return data, await self.reply()

    async def store(self, line: bytes | str, data: bytes) -> tuple[int, str]:
        leg = await self.leg()
        try:
            code, text = await self.say(line)
            if code >= 200:
                return code, text
            await leg.send(data)
            await leg.send_eof()
            return await self.reply()
        finally:
            leg.close()


async def everything(stream: SocketStream) -> bytes:
    data = bytearray()
    while more := await stream.receive():
        data += more
    return bytes(data)


@dataclass
class Visit:
    """A translator at work: *facts* is what it noted of its visit."""

    talk: Talk
    facts: dict[str, str]
    task: "asyncio.Task[None]"


@asynccontextmanager
async def visiting(
    port: int, trust: Trust, *, stream: SocketStream | None = None
) -> AsyncIterator[Visit]:
    """Run a translator for the server at *port*; its greeting is still to come."""

    async def connect() -> SocketStream:
        return await dial([ip_address(HOST)], port)

    facts: dict[str, str] = {}
    outside = Outside(Endpoint(HOST, port), trust, connect, facts.update, time.time)
    translator = Translator(stream or await connect(), outside)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(translator.run())
        try:
            yield Visit(Talk(translator), facts, task)
        finally:
            translator.near.close()


@asynccontextmanager
async def logged_in(server: Server) -> AsyncIterator[Talk]:
    """Run a translator that has logged in to *server*."""
    async with visiting(server.port, trusting(server)) as visit:
        assert (await visit.talk.reply())[0] == 220
        await visit.talk.log_in()
        yield visit.talk


def trusting(server: Server) -> Trust:
    """Return the trust of a door that knows *server*'s key."""
    file = server.folder.with_name("known_hosts")
    file.write_text(server.known)
    return trust_of(str(file), pin=False, identity="")
