"""What the rest of the house sees of FTP."""

from portway.config.schema import Listener
from portway.protocol import Handler, Protocol
from portway.protocols.ftp import replies
from portway.protocols.ftp.commands import METHODS
from portway.protocols.ftp.data import Memory
from portway.protocols.ftp.dialects import PORT
from portway.protocols.ftp.legs import Ways
from portway.protocols.ftp.session import House, Session
from portway.protocols.ftp.settings import FtpSettings
from portway.services import DataPorts


def handler(name: str, listener: Listener) -> Handler:
    """Return what serves the clients of *listener*; *name* is the gateway's."""
    settings = listener.settings
    if not isinstance(settings, FtpSettings):
        raise TypeError(f"{listener.name} is no FTP listener")
    upstream = settings.upstream
    house = House(
        name=name,
        login=listener.login,
        methods=settings.methods_for(listener.login),
        ready=replies.ready(name, settings.banner),
        ways=Ways(
            settings=settings,
            client_ports=DataPorts(settings.data_ports, settings.data_peers),
            server_ports=DataPorts(upstream.data_ports, upstream.data_peers),
            memory=Memory(),
        ),
    )

    return lambda stream, gate: Session(house, stream, gate).run()


PROTOCOL = Protocol(
    name="ftp",
    port=PORT,
    settings=FtpSettings,
    methods=METHODS,
    refusals=replies.REFUSALS,
    too_many=replies.too_many,
    handler=handler,
)
