"""How a session gets to an SFTP server, which it need not know is none of FTP.

Not here: what needs asyncssh, which is not loaded unless a door is told which host keys
to trust. Invariant: a door that trusts no host keys dials no SSH server.
"""

import asyncio
from collections.abc import Awaitable, Callable

from portway.errors import Refused
from portway.exchange import Exchange
from portway.model import Endpoint, Reason
from portway.net.stream import SocketStream
from portway.protocols.ftp.dialects import SftpEndpoint
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.sftp.trust import trust_of

Dial = Callable[[], Awaitable[SocketStream]]
Translate = Callable[[SocketStream, Exchange, Dial, asyncio.TaskGroup], SocketStream]


class SftpWay:
    """SFTP at one door. Raises OSError or ValueError for files of no use."""

    __slots__ = ("_settings", "_trust")

    def __init__(self, settings: FtpSettings) -> None:
        self._settings = settings
        self._trust = trust_of(settings.upstream)

    def to(self, place: Endpoint) -> Translate | None:
        """Return what makes a server at *place* one of FTP; None: it is one.

        Raises Refused, UNSUPPORTED, where the door has no SFTP.
        """
        if self._settings.upstream.protocol == "ftp" and not isinstance(
            place, SftpEndpoint
        ):
            return None
        if self._trust is None or self._settings.upstream.by_ftp_parent:
            raise Refused(Reason.UNSUPPORTED)
        return self._translate

    def _translate(
        self,
        stream: SocketStream,
        exchange: Exchange,
        dial: Dial,
        tasks: asyncio.TaskGroup,
    ) -> SocketStream:
        """Return the connection to a translator, who gets *stream* and a task.

        *dial* connects to the server once more. *stream* is closed if this raises.
        """
        from portway.protocols.ftp.sftp import translator as sftp  # noqa: PLC0415 - extra

        if self._trust is None:
            raise Refused(Reason.UNSUPPORTED)
        access, services = exchange.access, exchange.services
        outside = sftp.Outside(
            Endpoint(access.host, access.port),
            self._trust,
            dial,
            exchange.note,
            services.clock,
        )
        if not stream.bare:
            stream.close()
            raise Refused(Reason.UNSUPPORTED)  # SSH wants the socket itself
        try:
            made = sftp.Translator(stream, outside)
        except Refused:
            stream.close()
            raise
        exchange.note(upstream_protocol="sftp")
        tasks.create_task(made.run())
        return made.near
