"""A folder of an FTP server, sent to an HTTP client line by line.

Not here: what a line looks like there (ftp_pages.py). Invariant: no more of a folder is
held than a line and a piece; what did not come whole has no end.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from portway.errors import PeerError, ProtocolError
from portway.exchange import Exchange
from portway.model import Reason, Side
from portway.net.stream import SocketStream
from portway.protocols.ftp.entries import Entry, Item, Text, parse_facts
from portway.protocols.ftp.listing import Listing
from portway.protocols.http.ftp_pages import Form
from portway.protocols.http.pace import Pace
from portway.protocols.http.turn import Turn
from portway.relay.meter import Meter

MOST = 100_000  # entries, and
MOST_BYTES = 32 << 20  # bytes: security.md, section 3
LINE = 8192  # bytes of one line
CHUNK = 65536


class Reader:
    """Makes entries of a folder's bytes; *facts*: they are MLSD's, else LIST's."""

    __slots__ = ("_bytes", "_count", "_facts", "_held", "_listing")

    def __init__(self, now: float, *, facts: bool) -> None:
        self._listing = Listing(datetime.fromtimestamp(now, UTC))
        self._facts = facts
        self._held = b""
        self._count = 0
        self._bytes = 0

    def feed(self, data: bytes) -> list[Entry | Text]:
        """Return what *data* completes. Raises ProtocolError over the bounds."""
        self._bytes += len(data)
        lines = (self._held + data).split(b"\n")
        self._held = lines.pop()
        found = [item for item in map(self._read, lines) if item is not None]
        self._count += len(found)
        too_long = len(self._held) > LINE or any(len(line) > LINE for line in lines)
        if too_long or self._count > MOST or self._bytes > MOST_BYTES:
            raise ProtocolError(Side.SERVER, "the folder is too long", Reason.TOO_LONG)
        return found

    def end(self) -> Iterator[Entry | Text]:
        """Yield what is left: a last line may have no end."""
        held, self._held = self._held, b""
        for item in (self._read(held), self._listing.end()):
            if item is not None:
                yield item

    def _read(self, line: bytes) -> Item:
        line = line.removesuffix(b"\r")
        if not self._facts:
            return self._listing.read(line)
        return parse_facts(line) if line else None


async def send(
    turn: Turn, exchange: Exchange, stream: SocketStream, form: Form, reader: Reader
) -> None:
    """Send what *stream* lists, all but the end of the page. Raises PortwayError."""
    settings = turn.house.settings
    pace = Pace(
        stream, turn.client, exchange.down, settings.stall, float(settings.min_rate)
    )
    try:
        await turn.write(form.begin)
        between = b""
        while data := await stream.receive(CHUNK):
            await asyncio.sleep(0)  # lines take longer to read than to come
            await count(exchange.down, len(data))
            between = await _send(turn, form, between, reader.feed(data))
        await _send(turn, form, between, list(reader.end()))
    finally:
        pace.close()


async def _send(
    turn: Turn, form: Form, between: bytes, found: list[Entry | Text]
) -> bytes:
    """Send *found*; return what stands before the next one."""
    if not found:
        return between
    await turn.write(between + form.between.join(map(form.row, found)))
    return form.between


async def count(meter: Meter, size: int) -> None:
    """Count *size* bytes, as soon as limits let them go. Raises Refused."""
    while size:
        granted = await meter.leave(size) if meter.limited else size
        meter.moved(granted)
        size -= granted
    meter.rest()


def ended() -> PeerError:
    """Return what to raise where data ended too early."""
    return PeerError(Side.SERVER, "the server's data are not whole")
