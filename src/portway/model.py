"""The plain values that every part of Portway speaks in.

Not here: anything that acts, waits, or knows a protocol. Invariant: every value is
frozen, and equal values are interchangeable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import NamedTuple

IPAddress = IPv4Address | IPv6Address

NO_FACTS: Mapping[str, str] = MappingProxyType({})


class Side(StrEnum):
    """Who a fault, a stream or a leg belongs to."""

    CLIENT = "client"
    SERVER = "server"
    GATEWAY = "gateway"


class Action(StrEnum):
    """What a request does, in words that every protocol shares."""

    CONNECT = "connect"
    READ = "read"
    WRITE = "write"
    LIST = "list"
    DELETE = "delete"
    MANAGE = "manage"
    SEND = "send"
    RESOLVE = "resolve"


class Reason(StrEnum):
    """Why a request was not served. The word stands in the record."""

    SYNTAX = "syntax"
    TOO_LONG = "too-long"
    UNSUPPORTED = "unsupported"
    LOGIN = "login"
    LOGIN_WRONG = "login-wrong"
    LOGIN_UNAVAILABLE = "login-unavailable"
    RULE = "rule"
    DEFAULT = "default"
    PORT = "port"
    INSIDE = "inside"
    CONNECTIONS = "connections"
    RATE = "rate"
    QUOTA = "quota"
    FILTER = "filter"
    UNSCANNED = "unscanned"
    NAME = "name"
    RESOLVER = "resolver"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS = "tls"
    VIA = "via"
    PROTOCOL = "protocol"
    GONE = "gone"
    TIMEOUT = "timeout"
    IDLE = "idle"
    BUSY = "busy"
    DRAIN = "drain"
    ADMIN = "admin"
    LOOP = "loop"


class Outcome(StrEnum):
    """How an exchange ended."""

    OK = "ok"
    REFUSED = "refused"  # the policy, or the gateway, said no
    FAILED = "failed"  # a peer said no, or could not be reached
    CUT = "cut"  # it broke off after bytes had moved
    OPEN = "open"  # still going on
    LOST = "lost"  # open when the gateway died


@lru_cache(4096)  # a session meets the same few again and again
def read_address(text: str) -> IPAddress | None:
    """Return the address that *text* is, or None."""
    try:
        return ip_address(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port.

    *host* is an address in its usual text form, without brackets, or a lower-case
    name without a final dot. *port* is 1-65535, or 0 where it does not matter.
    """

    host: str
    port: int

    @property
    def address(self) -> IPAddress | None:
        """The host as an address, or None if it is a name."""
        return read_address(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login as a client gave it; the password shows in no repr."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the client is to the policy; an empty *user* is nobody known.

    *by* says how we know: ``password``, or empty. *groups* are those that the
    account belongs to; the configuration may count it among others too.
    """

    user: str = ""
    by: str = ""
    groups: frozenset[str] = frozenset()


NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class Access:
    """One question to the policy.

    *client* is the client's address, *mac* its link-layer address as the neighbour
    table has it (``00:11:22:33:44:55``, or empty), *groups* those of the account.
    *host* is what the client named (an `Endpoint.host`), *address* what would be
    dialled, or None while nobody has resolved it. *path* is absolute, shown as UTF-8
    with bytes that are none as ``%XX``, or empty where the method has no path.
    *scheme* and *also* are as in `Naming`.
    """

    protocol: str
    client: IPAddress
    user: str
    action: Action
    method: str
    host: str
    port: int
    address: IPAddress | None = None
    path: str = ""
    groups: frozenset[str] = frozenset()
    mac: str = ""
    scheme: str = ""
    also: str = ""


class Naming(NamedTuple):
    """How a request is called, where the protocol of its door does not say it.

    *protocol* is that of the request, *scheme* its URL's where that is another:
    ``https``. *also* is a second name by which rules know it: ``ftp:RETR``, for a GET
    of an ``ftp://`` URL.
    """

    protocol: str = ""
    scheme: str = ""
    also: str = ""


PLAIN = Naming()


class Per(StrEnum):
    """Whose a limit is: each of them has it for himself."""

    USER = "user"  # the client's address where no user is known
    CLIENT = "client"  # an address
    GROUP = "group"  # the group by which the rule matched
    RULE = "rule"  # all whom the rule allows, together


class Period(StrEnum):
    """What a quota is counted over, in the gateway's time zone; a week from Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Quota:
    """So many bytes of payload in each period, both ways together."""

    bytes: int
    period: Period


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a rule allows each of those it is *per*; None is no bound.

    *rate* is bytes a second both ways together, *up* those to the server, *down*
    those to the client. *connections* bounds the client sessions at once, *requests*
    the exchanges that begin in a minute.
    """

    per: Per = Per.USER
    rate: float | None = None
    up: float | None = None
    down: float | None = None
    quotas: tuple[Quota, ...] = ()
    connections: int | None = None
    requests: int | None = None


class Headers(NamedTuple):
    """Fields that a rule takes out of HTTP requests, and those that it sets in them."""

    remove: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()


class Handling(NamedTuple):
    """What a rule makes of what it allows.

    *tunnel* says what may go through a tunnel: ``auto``, ``tls``, or ``blind``, which
    looks at nothing. *intercept* opens TLS, *headers* changes requests.
    """

    tunnel: str = "auto"
    intercept: bool = False
    headers: Headers | None = None


AS_IT_IS = Handling()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy's answer to an `Access`.

    *rule* is the deciding rule's name and *rule_at* its ``FILE:LINE``; both are empty
    when no rule matched. *reason* is None exactly when *allowed*. *reaches_inside*
    says that the deciding rule names the inside, the network, or the host, so that
    an address that counts as inside may be dialled. *limits* are what the rule sets
    to a yes; *group* is the group by which it matched, where one of them is per group.
    *handling* is what else it makes of a yes.
    """

    allowed: bool
    rule: str = ""
    rule_at: str = ""
    reason: Reason | None = None
    because: str = ""
    reaches_inside: bool = False
    limits: tuple[Limit, ...] = ()
    group: str = ""
    handling: Handling = AS_IT_IS


class Record(NamedTuple):
    """One row of the ledger: one exchange that was answered.

    *time* is its start in seconds since the epoch, *duration* in seconds. *url* never
    holds a user name or a password. *status* is the protocol's own code, as text.
    *facts* are further details, each a word and its text.
    """

    id: str
    time: float
    duration: float = 0.0
    session: str = ""
    seq: int = 0
    protocol: str = ""
    listener: str = ""
    mode: str = ""
    client: str = ""
    client_port: int = 0
    user: str = ""
    by: str = ""
    method: str = ""
    action: str = ""
    url: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    address: str = ""
    source: str = ""
    verdict: str = ""
    rule: str = ""
    rule_at: str = ""
    reason: str = ""
    because: str = ""
    outcome: Outcome = Outcome.OK
    status: str = ""
    error: str = ""
    side: str = ""
    ended_by: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    server_login: str = ""
    facts: Mapping[str, str] = NO_FACTS
