"""The configuration as frozen values, once it was read and found right.

Not here: TOML (load.py), and the keys of one protocol, which its folder describes by a
subclass of `ProtocolSettings`. Invariant: a value of these types can be acted upon as
it is; nothing here is text that somebody still has to read, but for the rules, which
policy.compile reads.
"""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, NamedTuple, Self

from msgspec import Struct

from portway.config.amounts import Count, Pace, Speed
from portway.config.interception import Ca
from portway.config.secret import Secret
from portway.config.sources import Htpasswd, Ldap, Pam, Radius
from portway.config.stores import SQLITE, StoreAt
from portway.model import Endpoint, Quota
from portway.units import Seconds, Size

Mode = Literal["forward", "transparent", "reverse"]
Login = Literal["none", "optional", "required"]


class Wrong(NamedTuple):
    """What is wrong with a key: its name within its table, and why, with the cure."""

    key: str
    text: str


class ProtocolSettings(Struct, frozen=True, kw_only=True):
    """The keys of a ``[listen.NAME]`` table that belong to its protocol.

    Field types that the loader knows: str, bool, int, `Seconds`, `Size`, `Rate`,
    `IPAddress`, `IPNetwork`, `Endpoint`, `Secret`, `range` (of ports:
    ``"50000-50999"``), `Literal`, ``tuple[T, ...]``, ``T | None``, and nested frozen
    Structs.
    """

    def problems(self, listener: "Listener") -> Iterable[Wrong]:
        """Yield what is wrong between keys, each of which is right by itself."""
        del listener
        return ()

    def with_whole_paths(self, whole: Callable[[str], str]) -> Self:
        """Return it with each path of a file as *whole* makes it."""
        del whole
        return self

    def leads_anywhere(self, listener: "Listener") -> bool:
        """Whether clients choose where they go, so that it could be an open proxy."""
        del listener
        return True

    @property
    def captures(self) -> bool:
        """Whether the listener takes connections to addresses that are not ours."""
        return False

    @property
    def balancers(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Who must name, by the PROXY protocol, the client that it connects for."""
        return ()

    @property
    def in_words(self) -> Iterable[str]:
        """Yield what ``portway check`` says of them, a few words each."""
        return ()

    @property
    def risks(self) -> Iterable[Wrong]:
        """Yield what is allowed, and hardly wanted."""
        return ()

    @property
    def next_hops(self) -> Iterable[tuple[str, Endpoint]]:
        """Yield where connections are handed on to, and the key that says so."""
        return ()


class Gateway(Struct, frozen=True, kw_only=True):
    """``[gateway]``. An empty *timezone* is the machine's; *state* is a folder.

    *contact* is whom refused clients may ask, as pages of ours say. *user* is whom a
    gateway that root has started goes on as.
    """

    name: str = "portway"
    state: str = "/var/lib/portway"
    timezone: str = ""
    drain: Seconds = Seconds(30.0)
    contact: str = ""
    user: str = ""


class Listener(Struct, frozen=True, kw_only=True):
    """One ``[listen.NAME]``; *where* is the ``FILE:LINE`` of its table."""

    name: str
    where: str
    protocol: str
    address: tuple[Endpoint, ...]
    mode: Mode = "forward"
    login: Login = "none"
    settings: ProtocolSettings


class Limit(Struct, frozen=True, kw_only=True):
    """One table of a rule's ``limit``; see `model.Limit`."""

    rate: Speed | None = None
    up: Speed | None = None
    down: Speed | None = None
    quota: tuple[Quota, ...] = ()
    connections: Count | None = None
    requests: Pace | None = None
    per: Literal["user", "client", "group", "rule"] = "user"


class Headers(Struct, frozen=True, kw_only=True):
    """A rule's ``headers``: fields of HTTP requests, by their names."""

    remove: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()


class Rule(Struct, frozen=True, kw_only=True):
    """One ``[[rules]]`` entry, as written; *where* is the ``FILE:LINE`` of its head.

    *lines* gives, for each key that was written, the ``FILE:LINE`` of that key, and
    under ``key[place]`` that of each word of its list which is on another line. An
    empty *when* is always. *who*, *do* and *to* left out are ``("*",)``.
    """

    where: str
    lines: dict[str, str]
    name: str = ""
    who: tuple[str, ...] = ("*",)
    do: tuple[str, ...] = ("*",)
    to: tuple[str, ...] = ("*",)
    when: tuple[str, ...] = ()
    then: Literal["allow", "deny"]
    because: str = ""
    limit: tuple[Limit, ...] = ()
    tunnel: Literal["auto", "tls", "blind"] = "auto"
    intercept: bool = False
    headers: Headers | None = None


class Group(Struct, frozen=True, kw_only=True):
    """One ``[group.NAME]``, as written; *where* is the ``FILE:LINE`` of its table.

    *lines* gives that of each of its *members*.
    """

    name: str
    where: str
    members: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


class ListFile(Struct, frozen=True, kw_only=True):
    """One ``[list.NAME]``; *where* is the ``FILE:LINE`` of its *path*.

    *bad_lines* says whether a line that is no entry is an error, or is left out.
    """

    name: str
    where: str
    path: str
    format: Literal["auto", "domains", "networks", "hosts"] = "auto"
    bad_lines: Literal["refuse", "skip"] = "refuse"


class Logins(Struct, frozen=True, kw_only=True):
    """``[login]``: which *sources* of accounts are asked, in order.

    *on_failure*: ``closed`` refuses a login when a source is down that would be asked
    for it, ``next`` asks the sources after it.
    """

    sources: tuple[Literal["local", "htpasswd", "ldap", "radius", "pam"], ...] = (
        "local",
    )
    on_failure: Literal["closed", "next"] = "closed"
    htpasswd: Htpasswd | None = None
    ldap: Ldap | None = None
    radius: Radius | None = None
    pam: Pam | None = None


class LogFile(Struct, frozen=True, kw_only=True):
    """One ``[[ledger.file]]``."""

    path: str
    format: Literal["json", "xferlog", "squid", "combined"] = "json"
    rotate: Size | None = None
    rotated: int = 7


class KeepFor(Struct, frozen=True, kw_only=True):
    """``[ledger.keep_for]``: how long the records of single protocols are kept."""

    ftp: Seconds | None = None
    http: Seconds | None = None
    socks: Seconds | None = None


class Ledger(Struct, frozen=True, kw_only=True):
    """``[ledger]``: where records are, how long, and where else they are written.

    *password* is for a *store* that is the URL of a database.
    """

    store: StoreAt = SQLITE
    password: Secret | None = None
    keep: Seconds = Seconds(90 * 86400.0)
    keep_for: KeepFor | None = None
    max_size: Size | None = None
    anonymise: Seconds | None = None
    file: tuple[LogFile, ...] = ()


class Limits(Struct, frozen=True, kw_only=True):
    """``[limits]``: bounds of the whole gateway; see security.md, section 3."""

    connections: int = 10_000
    per_client: int = 256
    per_network6: int = 512


class Configuration(Struct, frozen=True, kw_only=True):
    """A whole configuration. *path* is its file, empty for the embedded default."""

    path: str
    gateway: Gateway
    listeners: tuple[Listener, ...]
    rules: tuple[Rule, ...]
    groups: tuple[Group, ...] = ()
    ledger: Ledger
    limits: Limits
    lists: tuple[ListFile, ...] = ()
    logins: Logins = Logins()
    ca: Ca = Ca()
