"""The two legs of a data connection: agreed upon with both sides, then brought up.

The client asks once and is answered once; with the server, the ways are tried in turn
until it agrees to one. The server's leg is ready before the client is answered.

Not here: which ways there are (data.py), and moving payload (mover.py). Invariant:
an agreement that fails leaves no port open.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from portway.chain import ChainPort
from portway.datalegs import admits, connect_data, listen_for_data
from portway.errors import ParentError, PeerError, ProtocolError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.lines import shown
from portway.model import Endpoint, IPAddress, Reason, Side
from portway.net.capture import original_destination
from portway.net.dataport import DataPort
from portway.net.deadline import Deadline
from portway.net.doors import is_local
from portway.net.stream import SocketStream
from portway.protocols.ftp import data, replies
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.sftp.inside import SFTP, InsideControl, InsideLeg
from portway.protocols.ftp.upstream import Upstream
from portway.protocols.ftp.wire import (
    format_227,
    format_229,
    format_eprt,
    format_port,
    reply,
)
from portway.services import DataPorts

DATA_PORT = 20
LIFETIME = 120.0  # seconds, from the agreement to the transfer command

log = logging.getLogger(__name__)

# We listen there, or dial it; or it is here already.
ServerLeg = DataPort | ChainPort | InsideLeg | Endpoint
ClientLeg = DataPort | Endpoint


@dataclass(frozen=True, slots=True)
class Ways:
    """What the data connections of one door have in common.

    *captured*: clients came to it on their way to their server, and so does their data.
    """

    settings: FtpSettings
    client_ports: DataPorts
    server_ports: DataPorts
    memory: data.Memory
    captured: bool = False


class DataPath:
    """A way for one payload, from the agreement to the end of its transfer.

    *client_way* and *server_way* are the commands that made each leg: PASV, EPSV,
    PORT or EPRT. It expires by itself, and is closed then.
    """

    __slots__ = (
        "_clock",
        "_dial",
        "_server",
        "client",
        "client_way",
        "expired",
        "server_way",
    )

    def __init__(
        self,
        client_way: str,
        client: ClientLeg,
        server_way: str,
        server: ServerLeg,
        dial: Callable[[Endpoint], Awaitable[SocketStream]],
    ) -> None:
        self.client_way = client_way
        self.server_way = server_way
        self.client = client
        self.expired = False
        self._server = server
        self._dial = dial  # calls the client back
        self._clock = Deadline(self._expire)
        self._clock.set(LIFETIME)

    @property
    def calls_client(self) -> bool:
        """Whether the client listens and we dial."""
        return isinstance(self.client, Endpoint)

    def use(self) -> None:
        """The transfer begins; from now on it has clocks of its own."""
        self._clock.close()

    async def client_leg(self) -> SocketStream:
        """Return the connection with the client. Raises PortwayError."""
        if isinstance(self.client, DataPort):
            return await self.client.accept()
        return await self._dial(self.client)

    async def server_leg(
        self, exchange: Exchange, source: IPAddress | None, seconds: float
    ) -> SocketStream:
        """Return the connection with the server. Raises PortwayError."""
        if isinstance(self._server, Endpoint):
            return await connect_data(
                exchange, self._server, source=source, seconds=seconds
            )
        return await self._server.accept()

    def close(self, *, reset: bool = False) -> None:
        """Close the ports; *reset* connections to them that came to nothing."""
        self._clock.close()
        close_port(self.client, reset=reset)
        close_port(self._server, reset=reset)

    def _expire(self) -> None:
        self.expired = True
        self.close()


class Agreement:
    """One PASV, EPSV, PORT or EPRT of the client's.

    *exchange* is the visit to the server, *client* the control connection.
    """

    def __init__(
        self,
        ways: Ways,
        gate: Gate,
        client: SocketStream,
        upstream: Upstream,
        exchange: Exchange,
    ) -> None:
        self._ways = ways
        self._gate = gate
        self._client = client
        self._upstream = upstream
        self._exchange = exchange

    async def agree(self, verb: str, argument: bytes) -> DataPath | bytes:
        """Return the path, or the reply that refuses one.

        `client_reply` is what the client is then told of a path.
        """
        place = self._client_place(verb, argument)
        if isinstance(place, bytes):
            return place
        found = await self._server_leg(verb)
        if isinstance(found, bytes):
            return found
        way, server = found
        client: ClientLeg
        if isinstance(place, Endpoint):
            client = place
        else:
            try:
                client = self._gate.listen(
                    self._ways.client_ports, self._listening_address(verb)
                )
            except Refused as refused:
                close_port(server)
                return replies.REFUSALS[refused.reason]
        return DataPath(verb, client, way, server, self._call_back)

    def client_reply(self, path: DataPath) -> bytes:
        """Return what tells the client of *path*."""
        verb, port = path.client_way, path.client
        if verb == "EPSV":
            at = port.endpoint if isinstance(port, DataPort) else port
            return format_229(at.port)
        if verb == "PASV" and isinstance(port, DataPort):
            return format_227(Endpoint(self._told_host, port.endpoint.port))
        return reply(200, f"{verb} command successful.")

    @property
    def _told_host(self) -> str:
        told = self._ways.settings.data_address
        if told is None and self._ways.captured:
            # which some clients insist on: where they dial, they are caught again
            return original_destination(self._client).host
        return str(told or self._client.local_address)

    # The client's leg.

    def _client_place(self, verb: str, argument: bytes) -> Endpoint | bytes | None:
        """Return where to call the client, None to listen for it, or a refusal."""
        address = self._gate.address
        if verb == "PASV":
            return replies.USE_EPSV if ":" in self._told_host else None
        if verb == "EPSV":
            return data.epsv_refusal(argument, address)
        return data.client_address(verb, argument, address)

    def _listening_address(self, verb: str) -> IPAddress | None:
        """Return where the client will come to; None: where it came to already."""
        told = self._ways.settings.data_address
        if told is None or verb == "EPSV":
            return None
        if is_local(told):
            return told
        return wildcard(told) if told.version != self._gate.address.version else None

    async def _call_back(self, place: Endpoint) -> SocketStream:
        settings, call_back = self._ways.settings, self._gate.call_back
        if settings.captures and not settings.active_port:
            # whose data comes from the port below its own: RFC 959, section 3.2
            try:
                return await call_back(place.port, source_port=DATA_PORT)
            except PeerError as error:
                if error.reason is not Reason.UNREACHABLE:
                    raise
        return await call_back(place.port, source_port=settings.active_port)

    # The server's leg.

    async def _server_leg(self, verb: str) -> tuple[str, ServerLeg] | bytes:
        """Try the ways to the server in turn; return the one it agreed to."""
        if isinstance(self._upstream.stream, InsideControl):
            return inside_leg(self._upstream.stream)
        memory, server = self._ways.memory, self._server_endpoint
        now = self._exchange.services.clock()
        address, mode = self._exchange.server, self._ways.settings.upstream.data
        if mode == "auto" and not self._exchange.way.can_listen(address):
            mode = "passive"
        answer = replies.NO_WAY
        for way in data.attempts(
            verb,
            address.version if address else None,
            mode,
            memory.refused(server, now),
        ):
            try:
                leg = await self._ask(way)
            except ProtocolError as error:
                answer = reply(425, f"No data path to the server: {error.text}.")
            else:
                if not isinstance(leg, Reply):
                    return way, leg
                if not data.is_refusal(leg.code):
                    return leg.text
                text = f"No data path to the server: {shown(leg.words)}"
                answer = reply(425, text)
            memory.refuse(server, way, now)
        return answer

    @property
    def _server_endpoint(self) -> Endpoint:
        access = self._exchange.access
        return Endpoint(access.host, access.port)

    async def _ask(self, way: str) -> ServerLeg | Reply:
        """Ask the server for a leg; return it, or the server's refusal.

        Raises ProtocolError for an answer that cannot be used.
        """
        if way in data.PASSIVE:
            return await self._ask_where_to_dial(way)
        try:
            return await self._tell_where_we_listen(way)
        except Refused as refused:
            return Reply(425, replies.REFUSALS[refused.reason])

    async def _ask_where_to_dial(self, way: str) -> Endpoint | Reply:
        answer = await self._upstream.ask(way.encode())
        if not answer.good:
            return answer
        announced = data.server_address(
            way,
            answer.text,
            str(self._exchange.server or self._exchange.access.host),
            trust_reply=self._ways.settings.upstream.pasv_address == "reply",
        )
        if announced.other_host:
            server = str(self._server_endpoint)
            extra = {"server": server, "announced": announced.other_host}
            log.info("ftp.other_data_address", extra=extra)
        return announced.endpoint

    async def _listen(self) -> tuple[Endpoint, DataPort | ChainPort]:
        """Listen for the server's data; return what the server is told, and the port.

        Raises Refused; ProtocolError where the next proxy does not listen for us.
        """
        settings, exchange = self._ways.settings, self._exchange
        if exchange.way.chained is not None:
            try:
                port = await exchange.way.listen(
                    exchange.services,
                    Endpoint(str(exchange.server), exchange.access.port),
                    admits(exchange, self._ways.server_ports),
                    source_for(settings),
                    settings.upstream.connect_timeout,
                )
            except ParentError as error:
                text = f"next proxy: {error.words}"
                raise ProtocolError(Side.SERVER, text) from error
            return port.endpoint, port
        own = self._upstream.stream.local_address
        told = settings.upstream.address or own
        here = listen_for_data(
            exchange,
            told if told == own or is_local(told) else wildcard(told),
            self._ways.server_ports,
        )
        return Endpoint(str(told), here.endpoint.port), here

    async def _tell_where_we_listen(self, way: str) -> DataPort | ChainPort | Reply:
        at, port = await self._listen()
        try:
            argument = format_eprt(at) if way == "EPRT" else port_argument(at)
            answer = await self._upstream.ask(way.encode() + b" " + argument)
        except BaseException:
            port.close()
            raise
        if answer.good:
            return port
        port.close()
        return answer


def port_argument(at: Endpoint) -> bytes:
    """Return what PORT says of *at*. Raises ProtocolError: it knows no IPv6."""
    if ":" in at.host:
        raise ProtocolError(Side.SERVER, "the next proxy listens on IPv6 only")
    return format_port(at)


def source_for(
    settings: FtpSettings, client: IPAddress | None = None
) -> IPAddress | None:
    """Return the address to dial servers from; None leaves it to the kernel.

    It is *client*'s where servers are to see that.

    An address that is not this machine's is one behind which it stands: servers are
    told of it, and nothing can be bound to it.
    """
    if settings.upstream.keep_client:
        return client
    address = settings.upstream.address
    return address if address is not None and is_local(address) else None


def wildcard(address: IPAddress) -> IPAddress:
    """Return the address of *address*'s family that stands for all of the machine's."""
    return type(address)(0)


def inside_leg(control: InsideControl) -> tuple[str, ServerLeg] | bytes:
    """Return the leg to a translator, or the reply that says that there is none."""
    try:
        return SFTP, control.offer_leg()
    except Refused as refused:
        return replies.REFUSALS[refused.reason]


def close_port(leg: ServerLeg, *, reset: bool = False) -> None:
    """Close *leg*, if it listens."""
    if not isinstance(leg, Endpoint):
        leg.close(reset=reset)
