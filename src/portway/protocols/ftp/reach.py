"""The way to an FTP server for an errand: a connection that waits, or another one.

Dialled, greeted, inside TLS where that is wanted, logged in.

Not here: what is then said (errand.py), and who may go there. Invariant: a connection
is used again only for the same login of the same user at the same server, by the same
way, and once the rules have allowed its address; no password is ever shown.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from hashlib import sha256
from ssl import SSLContext

from portway.errors import PeerError, PortwayError, UpstreamError
from portway.exchange import Exchange
from portway.lines import shown
from portway.model import IPAddress, Reason
from portway.net.stream import SocketStream
from portway.protocols.ftp import servertls
from portway.protocols.ftp.desk import Farewell
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.errand import Errand, Station
from portway.protocols.ftp.said import Said
from portway.protocols.ftp.settings import Upstream as Wanted
from portway.protocols.ftp.upstream import Upstream

_SECRET = secrets.token_bytes(32)  # of this process: passwords are kept nowhere
NO_SERVICE = Reply(421, b"421 \r\n")


@dataclass(frozen=True, slots=True)
class Login:
    """Who the client is to the server. No line end is in it."""

    user: bytes
    password: bytes = field(repr=False)

    @property
    def print(self) -> bytes:
        """What is the same for the same login, and tells nothing of it."""
        text = b"%d %b%b" % (len(self.user), self.user, self.password)
        return hmac.digest(_SECRET, text, sha256)


@dataclass(frozen=True, slots=True)
class Approach:
    """How servers are reached for one door's clients, and one client's.

    *door* and *who* are what connections must have in common to be used again.
    *introduce* tells a server whom we connect for, where it expects that.
    """

    door: Hashable
    who: Hashable
    wanted: Wanted
    context: SSLContext | None
    source: IPAddress | None
    introduce: Callable[[SocketStream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Key:
    """What a connection that waits is good for; *station* is what it knows."""

    door: Hashable
    who: Hashable
    user: str
    host: str
    port: int
    tls: str
    login: bytes = field(repr=False)
    station: Station | None = field(default=None, compare=False, repr=False)


def _key(
    exchange: Exchange, approach: Approach, login: Login, station: Station | None = None
) -> Key:
    access = exchange.access
    return Key(
        approach.door,
        approach.who,
        access.user,
        access.host,
        access.port,
        approach.wanted.tls,
        login.print,
        station,
    )


async def reach(exchange: Exchange, approach: Approach, login: Login) -> Errand:
    """Return a dialogue with the server of *exchange*, logged in as *login*.

    Raises Said where the server will not have us, and PortwayError.
    """
    exchange.server_login = shown(login.user)
    kept = await _take(exchange, approach, login)
    if kept is not None:
        return kept
    wanted = approach.wanted
    stream = await exchange.connect(
        source=approach.source, seconds=float(wanted.connect_timeout)
    )
    upstream = Upstream(stream, _drop, float(wanted.reply_timeout))
    try:
        await approach.introduce(stream)
        await _greet(upstream, exchange, approach)
    except BaseException:
        upstream.hang_up()
        raise
    errand = Errand(exchange, Station(upstream), wanted, approach.source)
    try:
        await _log_in(errand, login)
        await _protect(errand)
    except BaseException:
        await errand.close()
        raise
    return errand


async def _drop(text: bytes) -> None:
    """Nobody hears what the server says to all."""


async def _take(exchange: Exchange, approach: Approach, login: Login) -> Errand | None:
    """Return a dialogue on a connection that waited, if one does and still answers."""
    idle, key = exchange.services.idle, _key(exchange, approach, login)
    addresses = await exchange.addresses()
    while (kept := idle.take(key, addresses or None)) is not None:
        found = kept.key
        if not isinstance(found, Key) or found.station is None:
            kept.stream.close()
            continue
        try:
            exchange.reached(kept.address, kept.stream.local.host)
        except BaseException:
            kept.stream.close()
            raise
        errand = Errand(exchange, found.station, approach.wanted, approach.source)
        try:
            if (await errand.ask(b"NOOP")).good:
                return errand
        except PortwayError:
            pass  # it had had enough of waiting
        except BaseException:
            await errand.close()
            raise
        await errand.close()
    return None


async def leave(errand: Errand, approach: Approach, login: Login) -> None:
    """The errand is done: let the connection wait for another, or close it."""
    exchange, station = errand.exchange, errand.station
    if await errand.part():
        key = _key(exchange, approach, login, station)
        exchange.services.idle.keep(key, station.upstream.stream, exchange.server)


async def _greet(upstream: Upstream, exchange: Exchange, approach: Approach) -> None:
    """Wait for the greeting, inside TLS where that is wanted."""
    try:
        greeting = await servertls.meet(
            upstream, exchange, approach.wanted, approach.context
        )
    except PeerError as error:
        if error.reason in {Reason.GONE, Reason.TIMEOUT}:
            raise Said("a connection", NO_SERVICE) from error
        raise
    if greeting.code >= 300:
        raise Said("a connection", Reply(421, greeting.text))


async def _log_in(errand: Errand, login: Login) -> None:
    reply = await errand.ask(b"USER " + login.user)
    if reply.code == 331:
        reply = await errand.ask(b"PASS " + login.password)
        if not reply.good:
            raise Said("PASS", reply)
    elif not reply.good:
        raise Said("USER", reply)


async def _protect(errand: Errand) -> None:
    """Agree on TLS for data, where the control connection is inside it."""
    protecting = servertls.protect_data(
        errand.station.upstream, errand.exchange, errand.wanted, private=True
    )
    try:
        await errand.during(protecting)
    except Farewell as refused:
        text = "the server does not protect data"
        raise UpstreamError(Reason.TLS, text) from refused
