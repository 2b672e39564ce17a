"""What a protocol folder exports, so that listeners, policy and commands can use it.

Not here: any protocol. Registration is the list in `protocols.registry`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from portway.gate import Gate
from portway.model import Action, Reason
from portway.net.stream import SocketStream

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Protocol(Generic[S]):
    """A protocol, as the rest of the house sees it.

    *name* is its word in rules and URLs, *port* the default of its URLs. *settings*
    is the msgspec Struct of its keys in a ``[listen.NAME]`` table. *methods* gives
    each method its action; a verb without one is talk and makes no exchange.
    *refusals* holds, for every `Reason`, what the client is told. *serve* runs one
    client connection to its end and leaves nothing behind; the stream is closed by
    whoever called it.
    """

    name: str
    port: int
    settings: type[S]
    methods: Mapping[str, Action]
    refusals: Mapping[Reason, object]
    serve: Callable[[SocketStream, Gate, S], Awaitable[None]]
