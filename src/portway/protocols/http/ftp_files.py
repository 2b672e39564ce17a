"""Files of an FTP server, fetched, looked at and stored for an HTTP client.

Not here: folders, and deleting (ftp_urls.py). Invariant: the last byte of a file, or
the last chunk, goes to the client only when the server has said that the file is whole;
a file that a client has broken off is reset at the server.
"""

from collections.abc import Sequence
from datetime import datetime

from portway.errors import PeerError, PortwayError
from portway.exchange import Exchange
from portway.model import Reason, Side
from portway.net.stream import SocketStream
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.entries import Kind
from portway.protocols.ftp.errand import Errand
from portway.protocols.ftp.errandtransfer import Transfer
from portway.protocols.ftp.said import Said
from portway.protocols.http.ftp_answers import status_of
from portway.protocols.http.ftp_folders import count, ended
from portway.protocols.http.ftp_media import media_of
from portway.protocols.http.ftp_paths import FtpPath
from portway.protocols.http.ftp_ranges import (
    Span,
    UnsatisfiableError,
    format_content_range,
    format_date,
    is_unmodified,
    may_be_part,
    read_content_range,
    read_range,
)
from portway.protocols.http.pace import Alarm
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import BadMessage

ALL = Span(0, None)
Field = tuple[bytes, bytes]


async def make_sure(transfer: Transfer) -> None:
    """The data have ended: see that the server says so too. Raises PortwayError."""
    reply = await transfer.end()
    if not reply.good:
        raise ended()


# Fetching, and looking.


class _File:
    """What is known of the file at *path*."""

    __slots__ = ("errand", "exchange", "modified", "path", "size", "turn")

    def __init__(
        self, turn: Turn, exchange: Exchange, path: FtpPath, errand: Errand
    ) -> None:
        self.turn = turn
        self.exchange = exchange
        self.path = path
        self.errand = errand
        self.size: int | None = None
        self.modified: datetime | None = None

    async def ask(self) -> Reply | None:
        """Ask the server about it; return its no, if it says that there is none."""
        argument = self.path.argument
        text = self.path.type == "a"
        await self.errand.set_type(b"A" if text else b"I")
        found = await self.errand.size(argument)
        if isinstance(found, int):
            self.size = None if text else found  # in ASCII it is another one
        elif found.code == 550:
            return found
        self.modified = await self.errand.modified(argument)
        return None

    @property
    def is_unmodified(self) -> bool:
        """Whether the client has it as it is."""
        since = self.turn.head.known.get(b"if-modified-since")
        return is_unmodified(since, self.modified)

    @property
    def fields(self) -> Sequence[Field]:
        """What is said of it."""
        fields = [(b"Content-Type", media_of(self.path))]
        if self.modified is not None:
            fields.append((b"Last-Modified", format_date(self.modified)))
        if self.size is not None:
            fields.append((b"Accept-Ranges", b"bytes"))
        return fields

    def part(self) -> Span | None:
        """Return the part that is asked for, if it can be had. Raises Unsatisfiable."""
        known = self.turn.head.known
        field = known.get(b"range")
        if field is None or self.size is None:
            return None
        if not may_be_part(known.get(b"if-range"), self.modified):
            return None
        return read_range(field, self.size)

    async def not_modified(self) -> None:
        """Answer 304."""
        self.exchange.told("304")
        await self.turn.answer(304, self.fields[1:2])
        await self.turn.finish()

    async def redirect(self) -> bool:
        """Answer 301 where it is a folder; say whether it is."""
        if not await self.errand.is_folder(self.path.argument):
            return False
        where = self.path.link + b"/"
        text = "It is a folder: a slash belongs at the end."
        fields = ((b"Location", where),)
        await self.turn.page(301, text, fields, exchange=self.exchange)
        return True


async def look(turn: Turn, exchange: Exchange, path: FtpPath, errand: Errand) -> None:
    """Answer HEAD: what is known of a file. Raises PortwayError."""
    file = _File(turn, exchange, path, errand)
    refusal = await file.ask()
    if refusal is not None:
        if not await file.redirect():
            raise Said("SIZE", refusal)
    elif file.is_unmodified:
        await file.not_modified()
    elif file.size is None and file.modified is None and await file.redirect():
        return
    else:
        exchange.told("200")
        await turn.answer(200, file.fields, length=file.size)
        await turn.finish()


async def get(turn: Turn, exchange: Exchange, path: FtpPath, errand: Errand) -> None:
    """Answer GET: a file, or a part of it. Raises PortwayError."""
    file = _File(turn, exchange, path, errand)
    if await file.ask() is None and file.is_unmodified:
        await file.not_modified()
        return
    try:
        part = file.part()
    except UnsatisfiableError:
        fields = ((b"Content-Range", b"bytes */%d" % (file.size or 0)),)
        text = "The file is not that long."
        await turn.page(416, text, fields, exchange=exchange)
        return
    try:
        transfer, part = await _begin(errand, path, part)
    except Said as said:
        missing = said.verb == "RETR" and status_of(said) == 404
        if missing and await file.redirect():
            return
        raise
    await _send(file, transfer, part)


async def _begin(
    errand: Errand, path: FtpPath, part: Span | None
) -> tuple[Transfer, Span | None]:
    """Begin to fetch *part*, or all of it where the server cannot begin there."""
    line = b"RETR " + path.argument
    if part is not None and part.start:
        try:
            return await errand.begin(line, start=part.start), part
        except Said as said:
            if said.verb != "REST":
                raise
            part = None
    return await errand.begin(line), part


async def _send(file: _File, transfer: Transfer, part: Span | None) -> None:
    """Send what *transfer* brings."""
    turn, size = file.turn, file.size
    status, fields = 200, file.fields
    span = part or Span(0, size)
    if part is not None and size is not None:
        status = 206
        fields = (*fields, (b"Content-Range", format_content_range(part, size)))
    file.exchange.told(str(status))
    await turn.answer(status, fields, length=span.length)
    if span.length is None:
        await turn.write_from(transfer.stream, file.exchange)
        await make_sure(transfer)
        await turn.finish()
    elif span.end == size:
        await _send_to_end(file, transfer, span.length)
    else:
        await turn.write_from(transfer.stream, file.exchange, span.length)
        await turn.finish()
        await transfer.stop()


async def _send_to_end(file: _File, transfer: Transfer, length: int) -> None:
    """Send *length* bytes to the file's end; the last one once it is known to be."""
    turn, exchange, stream = file.turn, file.exchange, transfer.stream
    if length > 1:
        moved = await turn.write_from(stream, exchange, length - 1)
        if moved < length - 1:
            raise ended()
    last, goes_on = await _look_behind(turn, stream, min(length, 1))
    if goes_on:
        await transfer.stop()
        grown = await file.errand.size(file.path.argument)
        if not isinstance(grown, int) or grown <= (file.size or 0):
            raise ended()  # its size was wrong
    else:
        await make_sure(transfer)
    await count(exchange.down, len(last))
    await turn.write(last)
    await turn.finish()


async def _look_behind(
    turn: Turn, stream: SocketStream, count: int
) -> tuple[bytes, bool]:
    """Return the last byte, if *count* says that one is due, and whether more comes.

    Raises PeerError: data that stand still there, and do not end, may miss something.
    """
    alarm, seconds = Alarm(), turn.house.settings.stall
    alarm.set(seconds, stream, f"no byte in {seconds:.0f} s", Reason.TIMEOUT)
    try:
        last = await stream.receive(count) if count else b""
        if len(last) < count:
            raise ended()
        return last, bool(await stream.receive(1))
    finally:
        alarm.close()


# Storing.


async def put(turn: Turn, exchange: Exchange, path: FtpPath, errand: Errand) -> None:
    """Answer PUT: store a file, or go on with one. Raises PortwayError."""
    span = _span(turn)
    await errand.set_type(b"A" if path.type == "a" else b"I")
    size = await errand.size(path.argument)
    known = isinstance(size, int)
    if not known:
        entry = await errand.facts(path.argument)
        known = entry is not None and entry.kind is not Kind.FOLDER
    verb, start = b"STOR", span.start
    if start and start == size:
        verb, start = b"APPE", 0
    try:
        transfer = await errand.begin(verb + b" " + path.argument, start=start)
    except Said as said:
        if await _is_homeless(errand, path, said):
            text = "The folder that it would be in is missing."
            await turn.page(409, text, exchange=exchange)
            return
        raise
    await _store(turn, exchange, transfer, span)
    exchange.told(status := "204" if known else "201")
    await turn.answer(int(status), length=0)
    await turn.finish()


def _span(turn: Turn) -> Span:
    """Return which part of the file the request has. Raises BadMessage."""
    field = turn.head.known.get(b"content-range")
    if field is None:
        return ALL
    span = read_content_range(field)
    if turn.length not in {None, span.length}:
        raise _wrong_length()
    return span


def _wrong_length() -> BadMessage:
    return BadMessage(Side.CLIENT, 400, "a body that Content-Range does not fit")


async def _store(
    turn: Turn, exchange: Exchange, transfer: Transfer, span: Span
) -> None:
    """Send the body to the server, and see that it has it all. Raises PortwayError."""
    turn.keeps, keeps = False, turn.keeps  # until it has been read whole
    try:
        count = await turn.read_into(transfer.stream, exchange)
        if span.length not in {None, count}:
            raise _wrong_length()
    except PeerError as error:
        if error.side is not Side.SERVER:
            await transfer.give_up()
            raise
        reply = await transfer.why()
        if reply is not None and reply.code >= 400:
            raise Said("STOR", reply) from error
        raise
    except PortwayError:
        await transfer.give_up()
        raise
    reply = await transfer.end(up=True)
    turn.keeps = keeps
    if not reply.good:
        raise Said("STOR", reply)


async def _is_homeless(errand: Errand, path: FtpPath, said: Said) -> bool:
    """Say whether a file cannot be stored because its folder is missing."""
    if said.verb not in {"STOR", "APPE"} or said.reply.code not in {550, 553}:
        return False
    return await lacks_parent(errand, path)


async def lacks_parent(errand: Errand, path: FtpPath) -> bool:
    """Say whether there is no folder for what *path* names."""
    parent = path.parent
    if not parent.parts:
        return False
    return not await errand.is_folder(parent.argument)
