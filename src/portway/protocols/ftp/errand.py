"""An FTP server reached on behalf of a client that speaks another protocol.

One dialogue, in straight lines: a command, its reply; a transfer, its two replies.

Not here: the connection and the login (reach.py), data (errandtransfer.py), and what
the other protocol makes of replies. Invariant: what was broken off is reset, and its
connection is never used again.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from portway.errors import PortwayError, ProtocolError
from portway.exchange import Exchange
from portway.model import IPAddress
from portway.protocols.ftp import errandlegs
from portway.protocols.ftp.dialogue import Awaited, Fate, Reply
from portway.protocols.ftp.entries import Entry, parse_facts, parse_timestamp
from portway.protocols.ftp.errandtransfer import Transfer, drop
from portway.protocols.ftp.said import Said
from portway.protocols.ftp.settings import Upstream as Wanted
from portway.protocols.ftp.upstream import ServerClosing, Upstream, verb_of
from portway.protocols.ftp.wire import parse_pwd

T = TypeVar("T")

TRUE_SIZES = 20  # digits of a size


class Station:
    """What is known of one control connection, for as long as it stands.

    *features* are the lines of FEAT, upper-case, None: nobody has asked. *refused*
    are the ways to data that the server does not know, *type* the last TYPE.
    """

    __slots__ = ("features", "home", "refused", "type", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.features: frozenset[bytes] | None = None
        self.home: bytes | None = None
        self.refused: set[str] = set()
        self.type = b""


class Errand:
    """The dialogue with a server, for one exchange.

    *seconds* is how long a connection may take to come up, *source* where it comes
    from. *clean*: nothing was broken off, and the server is where it was at login.
    """

    __slots__ = (
        "_ended",
        "_reader",
        "_transfer",
        "clean",
        "exchange",
        "seconds",
        "source",
        "station",
        "wanted",
    )

    def __init__(
        self,
        exchange: Exchange,
        station: Station,
        wanted: Wanted,
        source: IPAddress | None,
    ) -> None:
        self.exchange = exchange
        self.station = station
        self.wanted = wanted
        self.source = source
        self.seconds = float(wanted.connect_timeout)
        self.clean = True
        self._transfer: Transfer | None = None
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[PortwayError] = loop.create_future()
        self._reader = loop.create_task(self._read())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # The dialogue.

    async def _read(self) -> None:
        """Read the server; whoever waits for it is told how that ends."""
        try:
            await self.station.upstream.pass_replies_on()
        except ServerClosing:
            error: PortwayError = Said("a command", Reply(421, b"421 \r\n"))
        except PortwayError as lost:
            error = lost
        self._ended.set_result(error)
        if self._transfer is not None:
            self._transfer.lost(error)

    async def until(self, future: asyncio.Future[T]) -> T:
        """Return what comes of *future*. Raises what ends the dialogue before."""
        both: tuple[asyncio.Future[T] | asyncio.Future[PortwayError], ...]
        both = (future, self._ended)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        self.clean = False
        raise self._ended.result()

    async def during(self, work: Coroutine[None, None, T]) -> T:
        """Return what comes of *work*. Raises what ends the dialogue before."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            return await self.until(task)
        finally:
            await drop(task)

    @property
    def lost(self) -> PortwayError | None:
        """What has ended the dialogue, if anything has."""
        return self._ended.result() if self._ended.done() else None

    async def ask(self, line: bytes) -> Reply:
        """Return the whole reply to *line*. Raises PortwayError."""
        final: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        awaited = Awaited(verb_of(line), Fate.KEEP, finished=final.set_result)
        await self.station.upstream.send(line, awaited)
        return await self.until(final)

    async def has(self, feature: bytes) -> bool:
        """Say whether FEAT names *feature*, upper-case."""
        station = self.station
        if station.features is None:
            reply = await self.ask(b"FEAT")
            lines = reply.text.upper().splitlines() if reply.good else []
            words = (line.split(maxsplit=1)[:1] for line in lines)
            station.features = frozenset(word[0] for word in words if word)
        return feature in station.features

    async def lists_facts(self) -> bool:
        """Say whether there is MLSD: RFC 3659, section 7.8, has MLST stand for both."""
        return await self.has(b"MLST") or await self.has(b"MLSD")

    async def set_type(self, letter: bytes) -> None:
        """Let what follows be of TYPE *letter*. Raises Said."""
        if self.station.type != letter:
            self.station.type = b""
            await self.need(b"TYPE " + letter)
            self.station.type = letter

    async def need(self, line: bytes) -> Reply:
        """Ask *line*. Raises Said, where the server does not do it."""
        reply = await self.ask(line)
        if not reply.good:
            raise Said(verb_of(line), reply)
        return reply

    # What is there.

    async def home(self) -> bytes:
        """Return the folder that the login leads to; the root, if nobody says."""
        station = self.station
        if station.home is None:
            reply = await self.ask(b"PWD")
            station.home = b"/"
            with suppress(ProtocolError):
                station.home = parse_pwd(reply.text) if reply.good else b"/"
        return station.home

    async def size(self, path: bytes) -> int | Reply:
        """Return a file's size, or why it is not told. RFC 3659, section 4."""
        reply = await self.ask(b"SIZE " + path)
        digits = reply.words
        if reply.code == 213 and digits.isdigit() and len(digits) < TRUE_SIZES:
            return int(digits)
        return Reply(502, reply.text) if reply.good else reply

    async def modified(self, path: bytes) -> datetime | None:
        """Return when a file was changed, if that is told. RFC 3659, section 3."""
        reply = await self.ask(b"MDTM " + path)
        return parse_timestamp(reply.words) if reply.code == 213 else None

    async def facts(self, path: bytes) -> Entry | None:
        """Return what MLST says of *path*; None: nothing. RFC 3659, section 7."""
        if not await self.has(b"MLST"):
            return None
        reply = await self.ask(b"MLST " + path)
        if reply.code != 250:
            return None
        for line in reply.text.splitlines():
            if line[:1] == b" ":
                found = parse_facts(line.lstrip(b" "), listed=False)
                return found if isinstance(found, Entry) else None
        return None

    async def exists(self, path: bytes) -> bool:
        """Say whether there is a file at *path*, as far as the server tells."""
        return isinstance(await self.size(path), int)

    async def enter(self, path: bytes) -> Reply:
        """Go to the folder *path*; the connection is not kept behind that."""
        reply = await self.ask(b"CWD " + path)
        if reply.good:
            self.clean = False
        return reply

    async def is_folder(self, path: bytes) -> bool:
        """Say whether *path* is a folder. The server may be in it then."""
        return (await self.enter(path or b"/")).good

    # Transfers.

    async def begin(self, line: bytes, *, start: int = 0) -> Transfer:
        """Begin the transfer that *line* asks for; *start* is where a REST asks it to.

        Its data are up then, and the server has said 125 or 150. Raises Said, and
        PortwayError for data that do not come up.
        """
        leg = await self._agree()
        transfer = self._transfer = Transfer(self, verb_of(line), leg)
        try:
            if start:
                await self._rest(start)
            await transfer.begin(line)
        except BaseException:
            transfer.drop()
            raise
        return transfer

    async def _rest(self, start: int) -> None:
        reply = await self.ask(b"REST %d" % start)
        if reply.code != 350:
            raise Said("REST", reply)

    async def _agree(self) -> errandlegs.Leg:
        upstream = self.station.upstream
        leg = await errandlegs.agree(
            self.exchange,
            self.wanted,
            upstream.stream.local_address,
            self.ask,
            self.station.refused,
        )
        if isinstance(leg, Reply):
            raise Said("PASV" if self.wanted.data != "active" else "PORT", leg)
        return leg

    # The end.

    async def close(self) -> None:
        """End it: data that are still on their way are reset."""
        self.clean = False
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.drop()
        self.station.upstream.hang_up()
        await self._stop_reading()

    async def part(self) -> bool:
        """Say whether the connection may be used again; nobody reads it then."""
        upstream = self.station.upstream
        if not self.clean or upstream.due or self._ended.done():
            await self.close()
            return False
        try:
            await self._stop_reading()
        except BaseException:
            upstream.hang_up()
            raise
        if not upstream.stream.is_quiet():
            upstream.hang_up()
            return False
        return True

    async def _stop_reading(self) -> None:
        self._reader.cancel()
        await asyncio.wait({self._reader})
