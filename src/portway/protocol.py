"""What a protocol folder exports, so that listeners, policy and commands can use it.

Not here: any protocol. Registration is the list in `protocols.registry`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from portway.config.schema import Listener, ProtocolSettings, Wrong
from portway.gate import Gate
from portway.model import Action, Endpoint, Reason
from portway.net.contexts import TlsContexts
from portway.net.resolve import Resolver
from portway.net.stream import SocketStream

Probe = Callable[[Endpoint], Awaitable[None]]
Handler = Callable[[SocketStream, Gate], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol, as the rest of the house sees it.

    *name* is its word in rules and URLs, *port* the default of its URLs. *settings*
    is the Struct of its keys in a ``[listen.NAME]`` table. *methods* gives each method
    its action; a verb without one is talk and makes no exchange. *refusals* holds,
    for every `Reason`, what the client is told. *too_many* returns the farewell to a
    client that is one too many, given the gateway's name.

    *contexts*, given a listener, returns what TLS demands there, and what is wrong with
    the files that it takes for that.

    *handler*, given the gateway's name, a listener and its contexts, returns what
    serves one client connection after another: each to its end, with nothing left
    behind and the stream closed, or left to close by itself once the last words are
    out.

    *probe*, given a listener, its contexts and what resolves names, returns what asks a
    server whether it lives; that raises PortwayError where it does not.

    *caught* are the ports at which clients of transparent doors are caught; if there
    are none, it is *port*.
    """

    name: str
    port: int
    settings: type[ProtocolSettings]
    methods: Mapping[str, Action]
    refusals: Mapping[Reason, object]
    too_many: Callable[[str], bytes]
    contexts: Callable[[Listener], tuple[TlsContexts, tuple[Wrong, ...]]]
    handler: Callable[[str, Listener, TlsContexts], Handler]
    probe: Callable[[Listener, TlsContexts, Resolver], Probe] | None = None
    caught: tuple[int, ...] = ()
