"""Asking an FTP server whether it lives, as far as its greeting tells.

Not here: when, and what is made of it (portway.health). Invariant: no name and no
password is sent, and the connection is closed whatever comes of it.
"""

import asyncio
from contextlib import suppress
from functools import partial

from portway.config.schema import Listener
from portway.errors import PeerError, PortwayError, ProtocolError
from portway.lines import shown
from portway.model import Endpoint, Side
from portway.net.contexts import TlsContexts
from portway.net.dial import dial
from portway.net.preface import NOBODY_ELSE
from portway.net.resolve import Resolver
from portway.protocol import Probe
from portway.protocols.ftp.legs import source_for
from portway.protocols.ftp.secured import Secured
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.upstream import Upstream

SSH = b"SSH-"  # how a server's first line begins: RFC 4253, section 4.2
FIRST_LINE = 255  # bytes: the same section


def probe_of(listener: Listener, contexts: TlsContexts, resolver: Resolver) -> Probe:
    """Return what asks a server of *listener*; it raises PortwayError if it is down."""
    settings = listener.settings
    if not isinstance(settings, FtpSettings):
        raise TypeError(f"{listener.name} is no FTP listener")
    return partial(_probe, settings, contexts, resolver)


async def _probe(
    settings: FtpSettings, contexts: TlsContexts, resolver: Resolver, at: Endpoint
) -> None:
    """Connect to *at*, and hear its greeting if that is wanted."""
    addresses = await resolver.resolve(at.host)
    stream = await dial(addresses, at.port, source=source_for(settings), host=at.host)
    health = settings.health
    if health is None or health.probe == "connect":
        stream.close()
        return
    upstream = Upstream(stream, _nobody, settings.upstream.reply_timeout)
    try:
        if settings.upstream.proxy_protocol != "off":
            await stream.send(NOBODY_ELSE[settings.upstream.proxy_protocol])
        if settings.upstream.protocol == "sftp":
            first = await stream.receive(FIRST_LINE)
            if not first.startswith(SSH):
                raise ProtocolError(Side.SERVER, "does not speak SSH")
            return
        await _greeted(settings, contexts, upstream, at)
    finally:
        upstream.hang_up()


async def _greeted(
    settings: FtpSettings, contexts: TlsContexts, upstream: Upstream, at: Endpoint
) -> None:
    wanted = settings.upstream
    if wanted.tls == "implicit" and contexts.connect is not None:
        host = (wanted.tls_name or at.host).rstrip(".")
        secured = Secured(contexts.connect, host, wanted.tls_eof)
        await upstream.go_inside(secured, wanted.connect_timeout)
    greeting = await upstream.greeting()
    if greeting.code >= 300:
        text = f"greets with {greeting.code} {shown(greeting.words)}"
        raise PeerError(Side.SERVER, text)
    with suppress(PortwayError, TimeoutError):  # that it said goodbye proves no more
        async with asyncio.timeout(1):
            await upstream.stream.send(b"QUIT\r\n")
            await upstream.greeting()


async def _nobody(text: bytes) -> None:
    """No client is there to be told anything."""
    del text
