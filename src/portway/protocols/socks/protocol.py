"""What the rest of the house sees of SOCKS."""

from collections.abc import Mapping
from types import MappingProxyType

from portway.config.schema import Listener
from portway.model import Action
from portway.net.contexts import TlsContexts
from portway.protocol import Handler, Protocol
from portway.protocols.socks.certificates import contexts_of
from portway.protocols.socks.house import house_of
from portway.protocols.socks.replies import REFUSALS
from portway.protocols.socks.session import Session
from portway.protocols.socks.settings import SocksSettings

METHODS: Mapping[str, Action] = MappingProxyType(
    {"CONNECT": Action.CONNECT, "BIND": Action.MANAGE, "UDP": Action.CONNECT}
)
ANY_PORT = 0  # a URL of ours has no usual port: it is the server's


def handler(name: str, listener: Listener, contexts: TlsContexts) -> Handler:
    """Return what serves the clients of *listener*; *name* is the gateway's."""
    settings = listener.settings
    if not isinstance(settings, SocksSettings):
        raise TypeError(f"{listener.name} is no SOCKS listener")
    house = house_of(name, listener, settings, contexts)
    return lambda stream, gate: Session(house, stream, gate).run()


def too_many(name: str) -> bytes:
    """Return the farewell to a client that is one too many: it is told nothing."""
    del name
    return b""


PROTOCOL = Protocol(
    name="socks",
    port=ANY_PORT,
    settings=SocksSettings,
    methods=METHODS,
    refusals=REFUSALS,
    too_many=too_many,
    contexts=contexts_of,
    handler=handler,
)
