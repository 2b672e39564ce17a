"""A small FTP server, of which each reply can be made to be another one.

Not here: what a test expects. Invariant: it says and sends what its fields have it say
and send, and notes what it was asked.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

from tests.session.peers import Ended, Peer, Port

GREETING = b"220 ready\r\n"
USUAL = {
    "USER": b"331 password\r\n",
    "PASS": b"230 in\r\n",
    "TYPE": b"200 ok\r\n",
    "NOOP": b"200 ok\r\n",
    "FEAT": b"211-Features:\r\n MDTM\r\n REST STREAM\r\n MLST size*;\r\n211 End\r\n",
    "REST": b"350 from there\r\n",
    "ABOR": b"226 aborted\r\n",
    "MKD": b'257 "it" made\r\n',
    "DELE": b"250 gone\r\n",
    "RMD": b"250 gone\r\n",
    "MDTM": b"213 20240501103000\r\n",
    "PASV": b"502 no\r\n",
}
MISSING = b"550 no such file\r\n"
DONE = b"226 done\r\n"


@dataclass
class Ftpd:
    """*files* by path, *folders* that there are; *replies* instead of the usual ones.

    *sent* is how many bytes of a file go out, at most; *end* is the reply behind it.
    It waits for *hold* before it says that. *stored* has what was uploaded, and
    *resets* counts data that were broken off.
    """

    files: dict[bytes, bytes] = field(default_factory=dict)
    folders: set[bytes] = field(default_factory=set)
    replies: dict[str, bytes] = field(default_factory=dict)
    greeting: bytes = GREETING
    listing: bytes = b""
    sent: int | None = None
    end: bytes = DONE
    hold: asyncio.Event | None = None
    asked: list[bytes] = field(default_factory=list)
    stored: dict[bytes, bytes] = field(default_factory=dict)
    resets: int = 0
    sessions: int = 0

    @property
    def verbs(self) -> list[str]:
        return [line.split(b" ")[0].decode() for line in self.asked]

    async def serve(self, port: Port) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                peer = await asyncio.get_running_loop().sock_accept(port.sock)
                self.sessions += 1
                tasks.create_task(_Session(self, Peer(peer[0])).run())


class _Session:
    def __init__(self, server: Ftpd, peer: Peer) -> None:
        self.server, self.peer = server, peer
        self.data: Port | None = None
        self.start = 0

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self._listen(None)

    def _listen(self, port: Port | None) -> None:
        if self.data is not None:
            self.data.close()
        self.data = port

    async def _run(self) -> None:
        with closing(self.peer), suppress(Ended, ConnectionError, TimeoutError):
            await self.peer.say(self.server.greeting)
            if not self.server.greeting.startswith(b"220"):
                return
            while True:
                line = await self._line()
                self.server.asked.append(line)
                await self._do(line)

    async def _line(self) -> bytes:
        while True:
            with suppress(TimeoutError):
                return await self.peer.line()

    async def _do(self, line: bytes) -> None:
        server = self.server
        word, _, argument = line.partition(b" ")
        verb = word.decode()
        reply = server.replies.get(verb)
        if reply is not None:
            await self.peer.say(reply)
        elif verb == "EPSV":
            self._listen(port := Port())
            await self.peer.say(b"229 ok (|||%d|)\r\n" % port.number)
        elif verb == "SIZE":
            found = server.files.get(argument)
            text = MISSING if found is None else b"213 %d\r\n" % len(found)
            await self.peer.say(text)
        elif verb == "CWD":
            good = argument in server.folders
            await self.peer.say(b"250 ok\r\n" if good else MISSING)
        elif verb == "REST":
            self.start = int(argument)
            await self.peer.say(USUAL["REST"])
        elif verb in {"RETR", "LIST", "MLSD"}:
            await self._send(verb, argument)
        elif verb in {"STOR", "APPE"}:
            await self._take(argument)
        elif verb == "MLST":
            await self.peer.say(MISSING)
        else:
            await self.peer.say(USUAL.get(verb, b"500 what?\r\n"))

    async def _accept(self) -> Peer:
        data, self.data = self.data, None
        assert data is not None
        with closing(data):
            return await data.accept()

    async def _send(self, verb: str, argument: bytes) -> None:
        server, start = self.server, self.start
        self.start = 0
        found = server.files.get(argument) if verb == "RETR" else server.listing
        if verb == "MLSD" and argument and argument not in server.folders:
            found = None
        if found is None:
            self._listen(None)
            await self.peer.say(MISSING)
            return
        peer = await self._accept()
        await self.peer.say(b"150 here it comes\r\n")
        with closing(peer):
            try:
                await peer.say(found[start : server.sent])
            except ConnectionError:
                server.resets += 1
                await self.peer.say(b"426 broken off\r\n")
                return
        if server.hold is not None:
            await server.hold.wait()
        await self.peer.say(server.end)

    async def _take(self, argument: bytes) -> None:
        start, self.start = self.start, 0
        peer = await self._accept()
        await self.peer.say(b"150 send it\r\n")
        with closing(peer):
            payload, how = await peer.the_rest()
        if how == "reset":
            self.server.resets += 1
            await self.peer.say(b"426 broken off\r\n")
            return
        before = self.server.files.get(argument, b"")[:start]
        self.server.stored[argument] = before + payload
        await self.peer.say(self.server.end)


@asynccontextmanager
async def serving(port: Port, server: Ftpd) -> AsyncIterator[Ftpd]:
    """Let *server* serve whoever comes to *port*."""
    task = asyncio.get_running_loop().create_task(server.serve(port))
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task})
