"""What the rest of the house sees of HTTP."""

from portway.config.schema import Listener
from portway.net.contexts import TlsContexts
from portway.protocol import Handler, Protocol
from portway.protocols.http import answers
from portway.protocols.http.certificates import contexts_of
from portway.protocols.http.house import house_of
from portway.protocols.http.methods import METHODS
from portway.protocols.http.probe import probe_of
from portway.protocols.http.session import Session
from portway.protocols.http.settings import PORT, HttpSettings


def handler(name: str, listener: Listener, contexts: TlsContexts) -> Handler:
    """Return what serves the clients of *listener*; *name* is the gateway's."""
    settings = listener.settings
    if not isinstance(settings, HttpSettings):
        raise TypeError(f"{listener.name} is no HTTP listener")
    house = house_of(name, listener, settings, contexts)
    return lambda stream, gate: Session(house, stream, gate).run()


PROTOCOL = Protocol(
    name="http",
    port=PORT,
    settings=HttpSettings,
    methods=METHODS,
    refusals=answers.REFUSALS,
    too_many=answers.too_many,
    contexts=contexts_of,
    handler=handler,
    probe=probe_of,
    caught=(PORT, 443),
)
