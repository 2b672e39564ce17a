"""What all sessions of one FTP door share.

Not here: anything that acts. Invariant: it never changes; a reload makes another one.
"""

from dataclasses import dataclass

from portway.net.contexts import NO_TLS, TlsContexts
from portway.net.parent import Parent
from portway.protocols.ftp.fixed import Servers
from portway.protocols.ftp.legs import Ways
from portway.protocols.ftp.sftp.way import SftpWay
from portway.protocols.ftp.via import STRAIGHT, Straight


@dataclass(frozen=True, slots=True)
class House:
    """What all sessions of one listener share; *name* is the gateway's.

    *servers* is there where the door leads to servers of its own, and clients name
    none. *sftp* reaches those of another kind.
    """

    name: str
    login: str
    methods: tuple[str, ...]
    ready: bytes
    ways: Ways
    parent: Parent | None = None
    manner: Straight = STRAIGHT
    contexts: TlsContexts = NO_TLS
    sftp: SftpWay | None = None
    servers: Servers | None = None

    @property
    def leads(self) -> bool:
        """Whether the door leads to servers of its own."""
        return self.servers is not None

    @property
    def early(self) -> bool:
        """Whether the server is reached before the client says anything."""
        return self.servers is not None and self.servers.early
