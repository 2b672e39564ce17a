"""Where a request goes whose door, or tunnel, knows the server by its address.

Transparent doors, and tunnels to an address: protocols.md, section 2.1. `Host` names
the URL if that name leads to the very address; if it does not, anybody could write
anything there, so the address is judged, and the name beside it.

Not here: doors that lead to servers of their own (reverse.py). Invariant: the one
address that is dialled is the one that the client was on its way to.
"""

from dataclasses import dataclass, replace

from portway.errors import PortwayError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.model import (
    Action,
    Endpoint,
    IPAddress,
    Naming,
    Reason,
    Side,
    read_address,
)
from portway.net.guard import fold
from portway.protocols.http.authority import Form, Target, target_at
from portway.protocols.http.wire import BadMessage, RequestHead


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes, where that is not simply what its target names.

    *endpoint* is what is judged and dialled, *at* the one address of it that is, if
    not None. *secure*: it is spoken to inside TLS. *unproven* is the name of a host
    that the request claims, and nothing proves.
    """

    endpoint: Endpoint
    secure: bool
    at: IPAddress | None = None
    unproven: str = ""

    def among(self, addresses: tuple[IPAddress, ...]) -> tuple[IPAddress, ...]:
        """Return which of *addresses* may be dialled."""
        if self.at is None:
            return addresses
        return tuple(one for one in addresses if one == self.at) or addresses


def named_by(head: RequestHead, target: Target, scheme: str) -> Target:
    """Return *target* with the host that the request names. Raises BadMessage."""
    if target.form is Form.AUTHORITY:
        raise BadMessage(Side.CLIENT, 405, "there is no proxy here to ask for a tunnel")
    if target.form is Form.ABSOLUTE:
        if target.scheme != scheme:
            raise BadMessage(Side.CLIENT, 421, "a URL of another scheme")
        return replace(target, form=Form.ORIGIN)
    return target_at(scheme, head.known.get(b"host", b""), target.path)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, wherever it is. *path* is as the rules read it."""

    action: Action
    method: str
    naming: Naming
    path: str = ""


async def place_at(
    gate: Gate, host: str, at: Endpoint, asked: Asked, *, secure: bool = False
) -> Place:
    """Return the place of a request for *host* whose client was on its way to *at*.

    A name that the rules refuse is not looked up: data leave by such questions.
    """
    address = at.address
    if address is None:
        raise ValueError(f"{at} is no address")
    address = fold(address)
    literal = read_address(host)
    if literal is not None and fold(literal) == address:
        return Place(at, secure, address)
    named = Endpoint(host, at.port)
    asks = literal is None and _may(gate, named, address, asked)
    if asks and await leads_to(gate, host, address):
        return Place(named, secure, address)
    return Place(at, secure, address, host)


def _may(gate: Gate, named: Endpoint, address: IPAddress, asked: Asked) -> bool:
    """Say whether the rules allow it, if the name leads to *address*."""
    target = named.host, named.port, address
    words = asked.method, asked.path, asked.naming
    exchange = gate.draft(asked.action, target, *words, counts=0)
    return exchange.decide(exchange.access).allowed


async def leads_to(gate: Gate, host: str, address: IPAddress) -> bool:
    """Say whether *host* is a name of *address*'s."""
    try:
        return address in await gate.services.resolver.resolve(host)
    except PortwayError:
        return False


def judge_name(exchange: Exchange, host: str) -> None:
    """Ask the rules about *host*, too, which nothing has proven. Raises Refused.

    From now on *exchange* goes by both names.
    """
    verdict = exchange.decide(replace(exchange.access, host=host))
    if not verdict.allowed:
        exchange.verdict = verdict
        reason = verdict.reason or Reason.DEFAULT
        raise Refused(reason, verdict.because, verdict)
    exchange.named = host
