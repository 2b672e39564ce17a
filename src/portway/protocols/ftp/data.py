"""Which leg of a data connection listens, which dials, and to what address.

The client's leg is as the client asks. The server's leg is tried in the ways that the
door allows, in the order most like the client's own.

Not here: sockets. Invariant: no address that a peer names is ever dialled unchecked.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from portway.errors import ProtocolError
from portway.model import Endpoint, IPAddress, Reason, Side, read_address
from portway.protocols.ftp.wire import (
    parse_227,
    parse_229,
    parse_eprt,
    parse_port,
    reply,
)

SERVERS = 1024  # whose refusals are remembered
SECONDS = 3600.0  # and for how long: servers get new software
PRIVILEGED = 1024  # below, a port belongs to a service and not to a transfer

BAD_ADDRESS = reply(501, "Bad data address.")
NOT_YOURS = reply(501, "Data address is not yours.")
PRIVILEGED_PORT = reply(501, "Privileged port refused.")
BAD_EPSV = reply(501, "Bad argument: EPSV takes 1, 2 or ALL.")


# The server's leg.

PASSIVE = {"PASV": ("PASV", "EPSV"), "EPSV": ("EPSV", "PASV")}
ACTIVE = {"PORT": ("PORT", "EPRT"), "EPRT": ("EPRT", "PORT")}
PASSIVE_FOR = {"PORT": "PASV", "EPRT": "EPSV"}
ACTIVE_FOR = {"PASV": "PORT", "EPSV": "EPRT"}
IPV4_ONLY = {"PASV", "PORT"}


def attempts(
    verb: str, family: int | None, mode: str, refused: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return what to try with the server when the client sends *verb*, in order.

    *family* is that of the server's control connection, 4, 6, or None if unknown;
    *mode* the door's ``upstream.data``: auto, passive or active. What this server
    *refused* before is left out, unless nothing would remain.
    """
    passive = _in(family, PASSIVE[PASSIVE_FOR.get(verb, verb)])
    active = _in(family, ACTIVE[ACTIVE_FOR.get(verb, verb)])
    if mode == "active":
        every = active
    elif mode == "passive" or verb in PASSIVE:
        every = passive
    else:
        every = active + passive
    left = tuple(way for way in every if way not in frozenset(refused))
    return left or every


def _in(family: int | None, ways: tuple[str, ...]) -> tuple[str, ...]:
    """Return the *ways* that *family* has; if it is unknown, the likelier first."""
    if family == 6:
        return tuple(way for way in ways if way not in IPV4_ONLY)
    return ways if family == 4 else tuple(sorted(ways, key=IPV4_ONLY.__contains__))


def is_refusal(code: int) -> bool:
    """Say whether a final reply means that the server cannot do this at all.

    530 is about the login, not about the command.
    """
    return 500 <= code < 600 and code != 530


class Memory:
    """What each server refused to do, for an hour.

    The least recently used server is forgotten first.
    """

    __slots__ = ("_refusals", "_seconds", "_servers")

    def __init__(self, *, servers: int = SERVERS, seconds: float = SECONDS) -> None:
        self._servers = servers
        self._seconds = seconds
        self._refusals: OrderedDict[Endpoint, dict[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._refusals)

    def refuse(self, server: Endpoint, way: str, now: float) -> None:
        """Note that *server* refused *way* (PASV, EPSV, PORT or EPRT)."""
        self._refusals.setdefault(server, {})[way] = now + self._seconds
        self._refusals.move_to_end(server)
        if len(self._refusals) > self._servers:
            self._refusals.popitem(last=False)

    def refused(self, server: Endpoint, now: float) -> frozenset[str]:
        """Return what *server* refused within the time."""
        until = self._refusals.get(server)
        if until is None:
            return frozenset()
        ways = frozenset(way for way, end in until.items() if now < end)
        if ways:
            self._refusals.move_to_end(server)
        else:
            del self._refusals[server]
        return ways


@dataclass(frozen=True, slots=True)
class Announced:
    """Where to dial, and the host that the server named if it is another one."""

    endpoint: Endpoint
    other_host: str = ""


def server_address(
    verb: str, text: bytes, peer: str, *, trust_reply: bool = False
) -> Announced:
    """Read where the server listens, from its reply to PASV or EPSV.

    *peer* is the address of its control connection, or its name where nobody has told
    us the address. It is dialled whatever the reply says, unless *trust_reply*: then
    the caller must ask the policy about an other host. Raises ProtocolError, SERVER,
    for what cannot be used: it may not be 0.0.0.0, and the port not a service's.
    """
    endpoint = Endpoint(peer, parse_229(text)) if verb == "EPSV" else parse_227(text)
    if endpoint.port < PRIVILEGED or endpoint.host == "0.0.0.0":
        raise ProtocolError(Side.SERVER, f"unusable data address {endpoint}")
    known = read_address(peer)  # a name is one that the next proxy resolves
    if known is None and not trust_reply:
        return Announced(Endpoint(peer, endpoint.port))
    if known is not None and _folded(known) == _folded(endpoint.host):
        return Announced(Endpoint(peer, endpoint.port))
    dialled = endpoint if trust_reply else Endpoint(peer, endpoint.port)
    return Announced(dialled, endpoint.host)


# The client's leg.


def client_address(verb: str, argument: bytes, client: IPAddress) -> Endpoint | bytes:
    """Return where PORT or EPRT wants to be called, or the reply that refuses it.

    It must be *client*, the address of the control connection, at a port that is no
    service's (RFC 2577, section 3): there is nobody else we call back.
    """
    client = _folded(client)
    try:
        endpoint = (parse_eprt if verb == "EPRT" else parse_port)(argument)
    except ProtocolError as error:
        if error.reason is Reason.UNSUPPORTED:
            return wrong_family("1,2")
        return BAD_ADDRESS
    address = _folded(endpoint.host)
    if verb == "EPRT" and address.version != client.version:
        return wrong_family(_number(client))
    if address != client:
        return NOT_YOURS
    if endpoint.port < PRIVILEGED:
        return PRIVILEGED_PORT
    return Endpoint(str(address), endpoint.port)


def epsv_refusal(argument: bytes, client: IPAddress) -> bytes | None:
    """Return the reply to an EPSV that cannot be served; None for one that can.

    RFC 2428, section 3. *argument* is empty or names a network protocol; ``EPSV
    ALL`` is the caller's business.
    """
    wanted = argument.strip()
    number = _number(_folded(client))
    if not wanted or wanted == number.encode():
        return None
    if wanted.isdigit():
        return wrong_family(number)
    return BAD_EPSV


def wrong_family(numbers: str) -> bytes:
    """Return the 522 that names the network protocols to use. RFC 2428, section 2."""
    return reply(522, f"Network protocol not supported, use ({numbers}).")


def _number(address: IPAddress) -> str:
    """Return the address family number that EPRT and EPSV have for it."""
    return "1" if address.version == 4 else "2"


def _folded(address: IPAddress | str) -> IPv4Address | IPv6Address:
    """Return *address*, v4-mapped as v4."""
    if isinstance(address, str):
        address = ip_address(address)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
