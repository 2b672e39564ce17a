"""What a protocol folder exports, so that listeners, policy and commands can use it.

Not here: any protocol. Registration is the list in `protocols.registry`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from portway.config.schema import Listener, ProtocolSettings
from portway.gate import Gate
from portway.model import Action, Reason
from portway.net.stream import SocketStream

Handler = Callable[[SocketStream, Gate], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol, as the rest of the house sees it.

    *name* is its word in rules and URLs, *port* the default of its URLs. *settings*
    is the Struct of its keys in a ``[listen.NAME]`` table. *methods* gives each method
    its action; a verb without one is talk and makes no exchange. *refusals* holds,
    for every `Reason`, what the client is told. *too_many* returns the farewell to a
    client that is one too many, given the gateway's name.

    *handler*, given the gateway's name and a listener, returns what serves one client
    connection after another: each to its end, with nothing left behind and the stream
    closed, or left to close by itself once the last words are out.
    """

    name: str
    port: int
    settings: type[ProtocolSettings]
    methods: Mapping[str, Action]
    refusals: Mapping[Reason, object]
    too_many: Callable[[str], bytes]
    handler: Callable[[str, Listener], Handler]
