"""The keys of a ``[listen.NAME]`` table whose protocol is ftp.

Not here: the keys that every listener has (config.schema). Invariant: what passes
`problems` is a door that can be used as it is described.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from portway.config.schema import Listener, ProtocolSettings, Wrong
from portway.model import IPAddress
from portway.policy.match import IPNetwork
from portway.protocols.ftp.dialects import METHODS
from portway.units import Seconds

# The ways to name a server that a door takes when its table names none.
DEFAULT_METHODS = {
    "none": ("site", "open", "user@host"),
    "optional": ("joined", "acct", "site", "open", "user@host"),
    "required": (
        "joined",
        "acct",
        "site",
        "open",
        "user@host",
        "proxyuser@host",
        "resp",
    ),
}
EVERY_METHOD = frozenset({*METHODS, "site", "open"})
NEED_LOGIN = ("acct", "joined", "colon", "resp")


class Upstream(Struct, frozen=True, kw_only=True):
    """``[listen.NAME.upstream]``: the server's side of the door."""

    data: Literal["auto", "passive", "active"] = "auto"
    address: IPAddress | None = None
    data_ports: range | None = None
    data_peers: tuple[IPNetwork, ...] = ()
    pasv_address: Literal["control", "reply"] = "control"
    connect_timeout: Seconds = Seconds(10.0)
    reply_timeout: Seconds = Seconds(300.0)
    tls: Literal["off"] = "off"


class FtpSettings(ProtocolSettings, frozen=True, kw_only=True):
    """``[listen.NAME]``: the client's side of the door."""

    methods: tuple[str, ...] | None = None
    greeting: Literal["show", "hide"] = "show"
    banner: str = ""
    data_address: IPAddress | None = None
    data_ports: range | None = None
    data_peers: tuple[IPNetwork, ...] = ()
    active_port: int = 0
    idle: Seconds = Seconds(900.0)
    login_time: Seconds = Seconds(120.0)
    stall: Seconds = Seconds(300.0)
    tls: Literal["off"] = "off"
    upstream: Upstream = Upstream()

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong between keys."""
        yield from self._wrong_methods(listener)
        if not 0 <= self.active_port < 65536:
            yield Wrong("active_port", "a port from 1 to 65535, or 0 for any")
        if self.data_address is not None and self.data_address.is_unspecified:
            text = "clients cannot connect to it; name the address that they reach"
            yield Wrong("data_address", text)
        for key in ("idle", "login_time", "stall"):
            if getattr(self, key) < 1:
                yield Wrong(key, "at least a second")
        for key in ("connect_timeout", "reply_timeout"):
            if getattr(self.upstream, key) < 1:
                yield Wrong(f"upstream.{key}", "at least a second")

    def _wrong_methods(self, listener: Listener) -> Iterable[Wrong]:
        methods = self.methods
        if methods is None:
            return
        if not methods:
            text = "nobody could name a server; leave the key out for the usual ones"
            yield Wrong("methods", text)
        for method in methods:
            if method not in EVERY_METHOD:
                known = ", ".join(sorted(EVERY_METHOD))
                yield Wrong("methods", f'"{method}" is none of {known}')
            elif listener.login == "none" and method in NEED_LOGIN:
                text = f'"{method}" carries a proxy login, which login = "none" forbids'
                yield Wrong("methods", text)

    def methods_for(self, login: str) -> tuple[str, ...]:
        """Return the ways to name a server, in the order in which they are tried."""
        return DEFAULT_METHODS[login] if self.methods is None else self.methods
