"""Asking an HTTP server whether it lives: it answers a request, and not with an error.

Not here: when, and what is made of it (portway.health). Invariant: nothing is asked for
that changes anything, and the connection is closed whatever comes of it.
"""

from functools import partial

from portway.config.schema import Listener
from portway.errors import PeerError
from portway.model import Endpoint, Side
from portway.net.contexts import TlsContexts
from portway.net.dial import dial
from portway.net.preface import NOBODY_ELSE
from portway.net.resolve import Resolver
from portway.net.stream import SocketStream
from portway.net.tls import start_tls
from portway.protocol import Probe
from portway.protocols.http.recall import Recall
from portway.protocols.http.settings import HttpSettings
from portway.protocols.http.upstream import Server

REQUEST = b"HEAD / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
BROKEN = 500  # and above: what a server answers that cannot serve (RFC 9110, 15.6)


def probe_of(listener: Listener, contexts: TlsContexts, resolver: Resolver) -> Probe:
    """Return what asks a server of *listener*; it raises PortwayError if it is down."""
    settings = listener.settings
    if not isinstance(settings, HttpSettings):
        raise TypeError(f"{listener.name} is no HTTP listener")
    return partial(_probe, settings, contexts, resolver)


async def _probe(
    settings: HttpSettings, contexts: TlsContexts, resolver: Resolver, at: Endpoint
) -> None:
    """Connect to *at*, and see whether it answers if that is wanted."""
    upstream, health = settings.upstream, settings.health
    addresses = await resolver.resolve(at.host)
    stream = await dial(addresses, at.port, source=upstream.address, host=at.host)
    try:
        if health is None or health.probe == "connect":
            return
        if upstream.proxy_protocol != "off":
            await stream.send(NOBODY_ELSE[upstream.proxy_protocol])
        host = host_of(settings, at)
        if upstream.tls == "implicit" and contexts.connect is not None:
            name = upstream.tls_name or host
            stream = await start_tls(stream, contexts.connect, server_hostname=name)
        await _answered(stream, host, tolerant=upstream.tolerant)
    finally:
        stream.close()


async def _answered(stream: SocketStream, host: str, *, tolerant: bool) -> None:
    await stream.send(REQUEST % host.encode())
    head = await Server(stream, None, ()).read_head(Recall(), tolerant=tolerant)
    if head.status >= BROKEN:
        raise PeerError(Side.SERVER, f"answers {head.status}")


def host_of(settings: HttpSettings, at: Endpoint) -> str:
    """Return the site that is asked for: the first that is no pattern, else *at*."""
    named = (host for host in settings.hosts if "*" not in host and "?" not in host)
    return next(named, str(Endpoint(at.host, 0)))
