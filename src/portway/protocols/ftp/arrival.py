"""Reaching a server: the one place where an FTP session asks, dials and is greeted.

Not here: how the server was named (login.py), and what goes on with it (visit.py).
Invariant: where no server is reached, nothing stays open and each attempt has left its
record.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from portway.errors import PortwayError
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import Action, Outcome, Side
from portway.net.preface import FORMATS
from portway.net.stream import SocketStream
from portway.protocols.ftp import servertls
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.desk import Farewell, How, Target
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.fixed import (
    Named,
    Offer,
    Unreached,
    no_server,
    refused_by,
    unreached,
)
from portway.protocols.ftp.greeting import Greeting
from portway.protocols.ftp.house import House
from portway.protocols.ftp.legs import source_for
from portway.protocols.ftp.upstream import Upstream

Blame = Callable[[BaseException], BaseException]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A server that greeted us; *exchange*, *upstream* and its stream are open."""

    exchange: Exchange
    upstream: Upstream
    offer: Offer
    greeting: Greeting


class Arrivals:
    """How the servers of one session are reached.

    *blame*, given what broke an attempt off, returns what the record says of it.
    *tasks* gets what stands between us and a server of another kind.
    """

    __slots__ = ("_blame", "_client", "_gate", "_house", "_tasks")

    def __init__(
        self,
        house: House,
        gate: Gate,
        client: Client,
        blame: Blame,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._house = house
        self._gate = gate
        self._client = client
        self._blame = blame
        self._tasks = tasks

    async def reach(self, target: Target) -> Arrival:
        """Connect to *target*, or to the first of the door's servers that greets us.

        Raises Unreached; Farewell where the client had better come back later, or
        cannot stay.
        """
        named = target.how is not How.FIXED
        try:
            return await self._first(target, named=named)
        except Unreached as failure:
            if failure.passing or (self._house.early and not named):
                raise Farewell(failure.text) from None
            raise

    async def _first(self, target: Target, *, named: bool) -> Arrival:
        failure = no_server()
        for offer in [Named(target.place)] if named else self._offers(target.user):
            try:
                return await self._try(offer, named=named)
            except Unreached as no:
                offer.failed(no.error)
                failure = no
            except BaseException:
                offer.left()
                raise
        raise failure

    def _offers(self, user: bytes) -> Iterable[Offer]:
        servers, stream = self._house.servers, self._client.stream
        return servers.offers(self._gate, stream, user) if servers else ()

    async def _try(self, offer: Offer, *, named: bool) -> Arrival:
        exchange: Exchange | None = None
        try:
            exchange = await self._gate.begin(
                Action.CONNECT, offer.place, method="CONNECT"
            )
            return await self._connect(exchange, offer)
        except PortwayError as error:
            if exchange is not None:
                exchange.close(error)
            raise unreached(error, offer.place, named=named) from None
        except BaseException as error:
            if exchange is not None:
                exchange.close(self._blame(error))
            raise

    async def _connect(self, exchange: Exchange, offer: Offer) -> Arrival:
        """Connect, and hear the greeting. Raises PortwayError, Unreached."""
        settings, sftp = self._house.ways.settings, self._house.sftp
        translate = sftp.to(offer.place) if sftp is not None else None
        stream = await self._dial(exchange)
        if translate is not None:
            again = partial(self._dial, exchange)
            stream = translate(stream, exchange, again, self._tasks)
        upstream = Upstream(stream, self._client.tell, settings.upstream.reply_timeout)
        try:
            hello = await self._greeting(upstream, exchange)
        except BaseException:
            upstream.hang_up()
            raise
        greeting = Greeting(hello.text, hidden=settings.greeting == "hide")
        return Arrival(exchange, upstream, offer, greeting)

    async def _dial(self, exchange: Exchange) -> SocketStream:
        settings = self._house.ways.settings
        stream = await exchange.connect(
            source=source_for(settings, self._gate.address),
            seconds=settings.upstream.connect_timeout,
        )
        await self._introduce_client(stream)
        return stream

    async def _introduce_client(self, stream: SocketStream) -> None:
        """Tell the server whom we connect for, where it expects that."""
        form = FORMATS.get(self._house.ways.settings.upstream.proxy_protocol)
        if form is None:
            return
        visitor = self._gate.visitor
        called = visitor.called or self._client.stream.local
        try:
            await stream.send(form(visitor.client, called))
        except BaseException:
            stream.close()
            raise

    async def _greeting(self, upstream: Upstream, exchange: Exchange) -> Reply:
        wanted, contexts = self._house.ways.settings.upstream, self._house.contexts
        hello = await servertls.meet(upstream, exchange, wanted, contexts.connect)
        hello = await self._house.manner.introduce(upstream, exchange, hello)
        if hello.code >= 300:
            exchange.end(Outcome.FAILED, status=str(hello.code), side=Side.SERVER)
            raise refused_by(hello)
        return hello
