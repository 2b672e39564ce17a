"""What is within the tunnels of a SOCKS door: HTTP in clear is judged by its requests.

Not here: how tunnels are looked into (http.tunnel). Invariant: the requests within a
tunnel go to its own server, as that client.
"""

from dataclasses import replace

from portway.config.schema import Listener
from portway.exchange import Exchange
from portway.gate import Gate
from portway.net.contexts import TlsContexts
from portway.net.stream import SocketStream
from portway.protocols.http import house as http
from portway.protocols.http.certificates import connect_context
from portway.protocols.http.inside import Inside
from portway.protocols.http.intercept import Opening, Redial
from portway.protocols.http.session import Session as WebSession
from portway.protocols.http.settings import HttpSettings
from portway.protocols.http.settings import Upstream as WebUpstream
from portway.protocols.http.tunnel import Manner
from portway.protocols.http.tunnel import run as run_tunnel
from portway.protocols.http.upstream import keep_for
from portway.protocols.socks.settings import SocksSettings

EVERY_PORT = ("*",)


class Within:
    """How the tunnels of one door go; *name* is the gateway's."""

    __slots__ = ("_house", "_idle")

    def __init__(
        self,
        name: str,
        listener: Listener,
        settings: SocksSettings,
        contexts: TlsContexts,
    ) -> None:
        upstream = settings.upstream
        web = HttpSettings(
            ports=EVERY_PORT,
            idle=settings.idle,
            upstream=WebUpstream(
                address=upstream.address,
                connect_timeout=upstream.connect_timeout,
                via=upstream.via,
                via_password=upstream.via_password,
                verify=upstream.verify,
                ca=upstream.ca,
                proxy_protocol=upstream.proxy_protocol,
            ),
        )
        self._idle = settings.idle
        self._house = http.house_of(name, listener, web, contexts)

    async def join(
        self,
        gate: Gate,
        exchange: Exchange,
        client: SocketStream,
        server: SocketStream,
        redial: Redial,
    ) -> None:
        """Join *client* and *server* until both have ended. Raises PortwayError.

        *redial* reaches the server once more.
        """
        house = self._house_for(exchange)

        async def within(client: SocketStream, where: Inside) -> None:
            await WebSession.inside(house, client, gate, where).run()

        async def take_over(client: SocketStream, server: SocketStream) -> None:
            at = exchange.access
            keep_for(house, gate, exchange, server, "http")
            await within(client, Inside("http", at.host, at.port))

        open_up = Opening(house, gate, exchange, redial, within)
        manner = Manner(self._idle, take_over, open_up)
        await run_tunnel(exchange, client, server, manner)

    def _house_for(self, exchange: Exchange) -> http.House:
        """Return the house, which can speak TLS with servers once it has to."""
        house = self._house
        if exchange.verdict.handling.intercept and house.contexts.connect is None:
            connect = connect_context(house.settings.upstream, [])
            contexts = replace(house.contexts, connect=connect)
            self._house = house = replace(house, contexts=contexts)
        return house

    async def join_blindly(
        self, exchange: Exchange, client: SocketStream, server: SocketStream
    ) -> None:
        """Join those whose server has come to its client. Raises PortwayError."""
        manner = Manner(self._idle, looks=False)
        await run_tunnel(exchange, client, server, manner)
