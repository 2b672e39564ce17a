"""What gates are made of, and what they know of their listener.

Not here: anything that acts. Invariant: a `Services` never changes; a reload builds
another one and swaps it in whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from portway.config.interception import Ca
from portway.ledger.live import Live
from portway.ledger.sink import Sink
from portway.model import Access, Endpoint, IPAddress
from portway.net.doors import Doors
from portway.net.idle import Idle
from portway.net.parent import Handshake
from portway.net.pinned import Pinned
from portway.net.resolve import Resolver
from portway.policy.match import Networks
from portway.policy.routes import Farms
from portway.policy.rules import Ruleset
from portway.relay.limiter import Limiter
from portway.relay.pipes import Pipes
from portway.users.directory import Directory
from portway.users.turnstile import Turnstile

if TYPE_CHECKING:  # it loads a library that few need, and slowly
    from portway.net.authority import Authority

# Default ports of URLs: RFC 9110, section 4.2; RFC 959; RFC 4217 has 990 from before.
SCHEMES = {"http": 80, "https": 443, "ftp": 21, "ftps": 990}
SAFE_IN_URL = "/%!$&'()*+,;=:@~"


@dataclass(frozen=True, slots=True)
class Services:
    """All that a gate is made of; a reload swaps the whole of it at once.

    *clock* gives seconds since the epoch. *handshakes* has, for each kind of parent,
    how it is spoken to, *farms* the servers of each reverse door, by its name.
    *contact* is whom clients may ask, *places* where our doors are, by their protocol.
    *authority* is there if a rule intercepts, *ca* says how that is done.
    """

    rules: Ruleset
    directory: Directory
    sink: Sink
    live: Live
    resolver: Resolver
    pipes: Pipes
    limiter: Limiter
    doors: Doors
    clock: Callable[[], float]
    turnstile: Turnstile = field(default_factory=Turnstile)
    handshakes: Mapping[str, Handshake] = field(default_factory=dict)
    farms: Mapping[str, Farms] = field(default_factory=dict)
    idle: Idle = field(default_factory=Idle)
    contact: str = ""
    places: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    authority: "Authority | None" = None
    ca: Ca = field(default_factory=Ca)
    pinned: Pinned = field(default_factory=Pinned)


class Current:
    """The services of this moment; one assignment replaces them for all gates."""

    __slots__ = ("services",)

    def __init__(self, services: Services) -> None:
        self.services = services


@dataclass(frozen=True, slots=True)
class Door:
    """What the records say of a listener. *port* is its protocol's default port.

    *captures*: clients come to it with connections to addresses that are not ours.
    *login* says whether they log in to the gateway: none, optional or required. *at*
    is where the listener is, of all that it may have. *spoken* is what a client speaks
    at a door of several protocols.
    """

    listener: str
    protocol: str
    port: int
    mode: str
    captures: bool = False
    login: str = "none"
    at: Endpoint | None = None
    spoken: str = ""

    @property
    def speaks(self) -> str:
        """What its client speaks there."""
        return self.spoken or self.protocol

    def url(self, access: Access) -> str:
        """Return the URL of what *access* asks for."""
        scheme = access.scheme or access.protocol
        host = f"[{access.host}]" if ":" in access.host else access.host
        port = "" if access.port in (0, self._usual_port(scheme)) else f":{access.port}"
        path = quote(access.path, safe=SAFE_IN_URL) if access.path else ""
        return f"{scheme}://{host}{port}{path}"

    def _usual_port(self, scheme: str) -> int:
        return self.port if scheme == self.protocol else SCHEMES.get(scheme, 0)


@dataclass(frozen=True, slots=True)
class DataPorts:
    """Where data connections may be taken: *ports* None leaves it to the kernel.

    *peers* may connect beside the address of the control connection. *balancers* say
    first whom they connect for, by the PROXY protocol.
    """

    ports: range | None = None
    peers: Networks = ()
    balancers: Networks = ()

    @property
    def introduces(self) -> Callable[[IPAddress], bool] | None:
        """What tells a balancer from others, if there are any."""
        return self._is_balancer if self.balancers else None

    def _is_balancer(self, address: IPAddress) -> bool:
        return any(address in network for network in self.balancers)


@dataclass(frozen=True, slots=True)
class Visitor:
    """What every record of one client connection repeats; *session* is its id.

    *called* is where the client has called, as a balancer says.
    """

    door: Door
    client: Endpoint
    session: str
    called: Endpoint | None = None
