"""What the rest of the house sees of FTP."""

from portway.config.schema import Listener
from portway.net.contexts import TlsContexts
from portway.protocol import Handler, Protocol
from portway.protocols.ftp import replies
from portway.protocols.ftp.captured import captured_by
from portway.protocols.ftp.certificates import contexts_of
from portway.protocols.ftp.commands import METHODS
from portway.protocols.ftp.data import Memory
from portway.protocols.ftp.dialects import PORT
from portway.protocols.ftp.farm import farm_of
from portway.protocols.ftp.house import House
from portway.protocols.ftp.legs import Ways
from portway.protocols.ftp.probe import probe_of
from portway.protocols.ftp.session import Session
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.sftp.way import SftpWay
from portway.protocols.ftp.via import manner_of
from portway.services import DataPorts


def handler(name: str, listener: Listener, contexts: TlsContexts) -> Handler:
    """Return what serves the clients of *listener*; *name* is the gateway's."""
    settings = listener.settings
    if not isinstance(settings, FtpSettings):
        raise TypeError(f"{listener.name} is no FTP listener")
    upstream, parent = settings.upstream, settings.upstream.parent
    methods = settings.methods_for(listener)
    house = House(
        name=name,
        login=listener.login,
        methods=methods,
        ready=replies.ready(name, settings.banner),
        ways=Ways(
            settings=settings,
            client_ports=DataPorts(
                settings.data_ports, settings.data_peers, settings.proxy_protocol
            ),
            server_ports=DataPorts(upstream.data_ports, upstream.data_peers),
            memory=Memory(),
            captured=listener.mode == "transparent",
        ),
        parent=parent,
        manner=manner_of(parent),
        contexts=contexts,
        servers=captured_by(listener, methods) or farm_of(listener, methods),
        sftp=SftpWay(settings),
    )

    return lambda stream, gate: Session(house, stream, gate).run()


PROTOCOL = Protocol(
    name="ftp",
    port=PORT,
    settings=FtpSettings,
    methods=METHODS,
    refusals=replies.REFUSALS,
    too_many=replies.too_many,
    contexts=contexts_of,
    handler=handler,
    probe=probe_of,
)
