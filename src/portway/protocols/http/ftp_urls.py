"""A request for an ``ftp://`` or ``ftps://`` URL: done at the server, and answered.

protocols.md, section 2.6. Not here: the dialogue with the server (ftp.errand), files on
their way (ftp_files.py), and what its refusals are in HTTP (ftp_answers.py). Invariant:
nothing is dialled before the rules have said yes; each request leaves one record.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from urllib.parse import unquote_to_bytes

from portway.errors import PortwayError, Refused
from portway.exchange import Exchange
from portway.lines import shown
from portway.model import Action, Naming, Outcome, Reason, Side
from portway.protocols.ftp import reach as ftp
from portway.protocols.ftp.errand import Errand
from portway.protocols.ftp.said import Said
from portway.protocols.ftp.settings import Upstream as Wanted
from portway.protocols.ftp.wire import resolve_path
from portway.protocols.http import ftp_files, ftp_folders, ftp_pages
from portway.protocols.http.answers import token
from portway.protocols.http.authority import Target, format_authority
from portway.protocols.http.ftp_answers import ALLOW, status_of, words_for
from portway.protocols.http.ftp_paths import FtpPath, read_path
from portway.protocols.http.ftp_ranges import read_content_range
from portway.protocols.http.methods import ftp_naming
from portway.protocols.http.pages import SAFE
from portway.protocols.http.turn import Turn
from portway.protocols.http.upstream import introduce, source_of
from portway.protocols.http.wire import BadMessage

UNKNOWN = range(500, 505)  # replies to what a server does not have, or not there
BASIC = b"basic "


async def serve(turn: Turn) -> None:
    """Serve *turn*: whatever comes of it, the client has its answer, or was cut.

    Raises BadMessage, with its record left, where it asks for nothing that there is.
    """
    try:
        path, login, naming = _read(turn)
    except BadMessage as error:
        turn.gate.leave(error, turn.head.method)
        raise
    if naming is None:
        text = "a method that is nothing for FTP"
        turn.gate.leave(BadMessage(Side.CLIENT, 405, text), turn.head.method)
        await turn.page(405, words_for(405), ((b"Allow", ALLOW),))
        return
    turn.target = _Target.of(turn.target, path)
    exchange = await turn.begin(*naming)
    try:
        await _Visit(turn, exchange, path).run(login)
    except PortwayError as error:
        await turn.refuse(error, exchange)
        exchange.close(error)
    except BaseException as error:
        exchange.close(turn.blamed(error))
        raise
    else:
        exchange.close()


class _Target(Target):
    """What rules, records and `portway explain` see as FTP doors have it: unescaped."""

    __slots__ = ()

    @classmethod
    def of(cls, target: Target, path: FtpPath) -> "_Target":
        """Return *target* for *path*, which is what its path leads to."""
        return cls(target.form, target.scheme, target.host, target.port, path.view)

    @property
    def view(self) -> str:
        """The path as rules see it and the log shows it."""
        return shown(unquote_to_bytes(self.path))


def _read(
    turn: Turn,
) -> tuple[FtpPath, ftp.Login | None, tuple[Action, Naming] | None]:
    """Return what it is about, for whom, and how it is called. Raises BadMessage."""
    path, scheme = read_path(turn.target.path), turn.target.scheme
    naming = ftp_naming(
        turn.head.method, scheme, folder=path.folder, appends=_appends(turn)
    )
    return path, _login(turn), naming


def _login(turn: Turn) -> ftp.Login | None:
    """Return who the client is to the server; None: it has to say. Raises BadMessage.

    An ``Authorization`` counts before what the URL has.
    """
    field, target = turn.head.known.get(b"authorization"), turn.target
    if field is not None and field[: len(BASIC)].lower() == BASIC:
        try:
            text = b64decode(field[len(BASIC) :].strip(), validate=True)
        except NotBase64:
            raise BadMessage(Side.CLIENT, 400, "a login that is none") from None
        user, _, password = text.partition(b":")
    elif target.user:
        if target.password is None:
            return None
        user, password = _encoded(target.user), _encoded(target.password)
    else:
        user, password = b"anonymous", turn.house.settings.ftp.anonymous.encode()
    if set(b"\r\n\0") & {*user, *password}:
        raise BadMessage(Side.CLIENT, 400, "a line end in a login")
    return ftp.Login(user, password) if user else None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _appends(turn: Turn) -> bool:
    """Say whether an upload goes on with a file. Raises BadMessage."""
    field = turn.head.known.get(b"content-range")
    if field is None or turn.head.method != "PUT":
        return False
    return read_content_range(field).start > 0


class _Visit:
    """One request at one server."""

    __slots__ = ("_exchange", "_path", "_turn")

    def __init__(self, turn: Turn, exchange: Exchange, path: FtpPath) -> None:
        self._turn = turn
        self._exchange = exchange
        self._path = path

    async def run(self, login: ftp.Login | None) -> None:
        """Do what was asked, and answer. Raises what breaks that off."""
        if login is None:
            await self._answer(401)
            return
        approach = _approach(self._turn)
        try:
            errand = await ftp.reach(self._exchange, approach, login)
        except Said as said:
            await self._tell(said)
            return
        try:
            try:
                await self._judge(errand)
                await self._work()(errand)
            except Said as said:
                await self._tell(said)
        except BaseException:
            await errand.close()
            raise
        await ftp.leave(errand, approach, login)

    async def _judge(self, errand: Errand) -> None:
        """Ask about the path from the root too, where rules read paths.

        It was seen from where the login leads, before anybody could know where that is.
        Raises Refused.
        """
        exchange, path = self._exchange, self._path
        if path.rooted or not exchange.services.rules.reads_paths:
            return
        home = await errand.home()
        if home == b"/":
            return
        whole = shown(resolve_path(home, b"/".join(path.parts)))
        verdict = exchange.decide(replace(exchange.access, path=whole))
        if not verdict.allowed:
            exchange.verdict = verdict
            reason = verdict.reason or Reason.DEFAULT
            raise Refused(reason, verdict.because, verdict)

    def _work(self) -> Callable[[Errand], Awaitable[None]]:
        """Return what does it."""
        method, path = self._turn.head.method, self._path
        if method == "MKCOL":
            return self._make_folder
        if method == "DELETE":
            return self._delete
        if method == "PUT":
            return partial(ftp_files.put, self._turn, self._exchange, path)
        if method == "HEAD" and path.folder:
            return self._look_at_folder
        if method == "HEAD":
            return partial(ftp_files.look, self._turn, self._exchange, path)
        if path.folder:
            return self._list
        return partial(ftp_files.get, self._turn, self._exchange, path)

    # Answers.

    async def _tell(self, said: Said) -> None:
        """Answer a server's no. Raises it, where an answer has begun."""
        if self._turn.answered:
            raise said
        status = status_of(said)
        if status >= 500 and status != 507:
            reason, side = said.reason, said.side
            words = {"reason": reason.value, "side": side.value, "error": said.text}
            self._exchange.end(Outcome.FAILED, status=str(status), **words)
        await self._answer(status)

    async def _answer(self, status: int, *fields: tuple[bytes, bytes]) -> None:
        """Answer with a page that says *status*."""
        turn = self._turn
        if status == 401:
            fields = (*fields, (b"WWW-Authenticate", self._challenge))
        elif status == 405:
            fields = (*fields, (b"Allow", ALLOW))
        elif status in {502, 503}:
            name, error = token(turn.house.name), "http_protocol_error"
            if status == 503:
                error = "destination_unavailable"
            fields = (*fields, (b"Proxy-Status", f"{name}; error={error}".encode()))
        await turn.page(status, words_for(status), fields, exchange=self._exchange)

    @property
    def _challenge(self) -> bytes:
        target = self._turn.target
        at = format_authority(target.host, target.port)
        return b'Basic realm="%b://%b"' % (target.scheme.encode("ascii"), at)

    async def _done(self, status: int) -> None:
        """Answer that it is done: nothing more is to be said."""
        turn = self._turn
        self._exchange.told(str(status))
        await turn.answer(status, length=0)
        await turn.finish()

    # Folders.

    async def _list(self, errand: Errand) -> None:
        turn, exchange, path = self._turn, self._exchange, self._path
        await errand.set_type(b"A")
        transfer, facts = None, await errand.lists_facts()
        if facts:
            try:
                transfer = await errand.begin(
                    b"MLSD " + path.argument if path.argument else b"MLSD"
                )
            except Said as said:
                if said.reply.code not in UNKNOWN:
                    raise
                facts = False
        if transfer is None:
            await self._enter(errand)
            transfer = await errand.begin(b"LIST")
        host = format_authority(turn.target.host, turn.target.port, turn.target.scheme)
        accept = turn.head.known.get(b"accept")
        form = ftp_pages.form_of(path, host.decode("ascii"), accept)
        exchange.told("200")
        await turn.answer(200, ((b"Content-Type", form.media), *SAFE))
        reader = ftp_folders.Reader(exchange.services.clock(), facts=facts)
        await ftp_folders.send(turn, exchange, transfer.stream, form, reader)
        await ftp_files.make_sure(transfer)
        await turn.write(form.end)
        await turn.finish()

    async def _enter(self, errand: Errand) -> None:
        """Go to the folder, if the login does not lead there. Raises Said."""
        path = self._path.argument
        if path:
            reply = await errand.enter(path)
            if not reply.good:
                raise Said("CWD", reply)

    async def _look_at_folder(self, errand: Errand) -> None:
        await self._enter(errand)
        form = ftp_pages.form_of(self._path, "", self._turn.head.known.get(b"accept"))
        self._exchange.told("200")
        await self._turn.answer(200, ((b"Content-Type", form.media), *SAFE))
        await self._turn.finish()

    async def _make_folder(self, errand: Errand) -> None:
        if not self._turn.read:
            await self._answer(415)
            return
        path = self._path
        reply = await errand.ask(b"MKD " + (path.argument or b"/"))
        if reply.good:
            await self._done(201)
            return
        said = Said("MKD", reply)
        if status_of(said) != 403 or said.denied:
            raise said
        if await errand.is_folder(path.argument) or await errand.exists(path.argument):
            await self._answer(405)
        elif await ftp_files.lacks_parent(errand, path):
            await self._answer(409)
        else:
            raise said

    async def _delete(self, errand: Errand) -> None:
        path = self._path
        if not path.parts:
            await self._answer(403)
            return
        verb = "RMD" if path.folder else "DELE"
        reply = await errand.ask(verb.encode() + b" " + path.argument)
        if reply.good:
            await self._done(204)
            return
        said = Said(verb, reply)
        missing = status_of(said) == 404
        if missing and path.folder and await errand.is_folder(path.argument):
            await self._answer(409)
            return
        raise said


def _approach(turn: Turn) -> ftp.Approach:
    """Return how the servers of *turn*'s client are reached."""
    house = turn.house
    upstream, side = house.settings.upstream, house.settings.ftp
    who = None
    if upstream.keep_client or upstream.proxy_protocol != "off":
        who = turn.gate.visitor.client
    wanted = Wanted(
        data=side.data,
        address=upstream.address,
        data_ports=side.data_ports,
        data_peers=side.data_peers,
        connect_timeout=upstream.connect_timeout,
        reply_timeout=upstream.reply_timeout,
        tls="implicit" if turn.target.scheme == "ftps" else side.tls,
        tls_eof=side.tls_eof,
    )
    context = house.contexts.bare
    source = source_of(turn)
    return ftp.Approach(house, who, wanted, context, source, partial(introduce, turn))
