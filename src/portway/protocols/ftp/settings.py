"""The keys of a ``[listen.NAME]`` table whose protocol is ftp.

Not here: the keys that every listener has (config.schema). Invariant: what passes
`problems` is a door that can be used as it is described.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal, Self

from msgspec import Struct, structs

from portway.config.reverse import ReverseSettings
from portway.config.schema import Listener, Wrong
from portway.config.secret import Secret
from portway.model import Endpoint, IPAddress
from portway.net.parent import Parent, read_parent
from portway.policy.match import IPNetwork
from portway.protocols.ftp.dialects import METHODS, PORT, SSH_PORT
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
_FILES = ("certificate", "key", "client_ca")
_SERVER_FILES = ("ca", "certificate", "key")
_SERVER_PATHS = (*_SERVER_FILES, "host_keys", "ssh_key")
IMPLICIT_PORT = 990  # RFC 4217, section 2, has it from before
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
    protocol: Literal["ftp", "sftp"] = "ftp"
    host_keys: str = ""
    host_key_policy: Literal["verify", "pin"] = "verify"
    ssh_key: str = ""
    via: str = ""
    via_password: Secret | None = None
    tls: Literal["off", "try", "required", "implicit"] = "off"
    verify: bool = True
    ca: str = ""
    certificate: str = ""
    key: str = ""
    tls_name: str = ""
    tls_min: Literal["1.0", "1.1", "1.2", "1.3"] = "1.2"
    tls_eof: Literal["auto", "strict", "lenient"] = "auto"
    prot: Literal["private", "client", "clear"] = "private"
    keep_client: bool = False
    proxy_protocol: Literal["off", "v1", "v2"] = "off"

    @property
    def default_port(self) -> int:
        """The port of a server that was named without one."""
        if self.protocol == "sftp":
            return SSH_PORT
        return IMPLICIT_PORT if self.tls == "implicit" else PORT

    def wrong_tls(self) -> Iterable[Wrong]:
        """Yield what is wrong with TLS on this side."""
        if self.tls == "off":
            for name in (*_SERVER_FILES, "tls_name"):
                if getattr(self, name):
                    text = 'is for nobody; write tls = "required" too, or "try"'
                    yield Wrong(f"upstream.{name}", text)
            return
        if self.key and not self.certificate:
            text = "belongs to a certificate; name that too"
            yield Wrong("upstream.key", text)
        if self.ca and not self.verify:
            text = "checks no server while verify = false; take one of them out"
            yield Wrong("upstream.ca", text)

    @property
    def parent(self) -> Parent | None:
        """The proxy that servers are reached through. Raises ValueError."""
        if not self.via:
            return None
        secret = self.via_password
        return read_parent(self.via, secret.reveal() if secret else None)

    def wrong_sftp(self) -> Iterable[Wrong]:
        """Yield what is wrong with the way to SFTP servers."""
        if not self.host_keys:
            text = "names the known_hosts file that tells servers from impostors"
            if self.protocol == "sftp" or self.host_key_policy == "pin":
                yield Wrong("upstream.host_keys", f"is missing; it {text}")
            elif self.ssh_key:
                yield Wrong("upstream.ssh_key", "needs host_keys beside it")
            return
        if self.protocol == "sftp" and self.tls != "off":
            yield Wrong("upstream.tls", "SSH is encrypted by itself; leave it out")
        if self.protocol == "sftp" and self.by_ftp_parent:
            text = "an FTP proxy reaches no SFTP server; name a SOCKS or an HTTP proxy"
            yield Wrong("upstream.via", text)

    @property
    def by_ftp_parent(self) -> bool:
        """Whether the next proxy speaks FTP, and nothing else reaches servers by it."""
        try:
            return self.parent is not None and self.parent.is_ftp
        except ValueError:  # reported by `wrong_via`
            return False

    def wrong_via(self) -> Iterable[Wrong]:
        """Yield what is wrong with the way through another proxy."""
        try:
            parent = self.parent
        except ValueError as error:
            yield Wrong("upstream.via", str(error))
            return
        if parent is None:
            if self.via_password is not None:
                text = 'is for nobody; write via = "SCHEME://USER@HOST" too'
                yield Wrong("upstream.via_password", text)
        elif self.data == "active" and parent.resolves and not parent.is_ftp:
            why = "nobody but it knows who connects; socks5:// and socks4:// can"
            if not parent.binds:
                why = 'it lets no server connect to us; write "auto" or "passive"'
            text = f'"active" cannot be had through {parent.scheme}://: {why}'
            yield Wrong("upstream.data", text)


class FtpSettings(ReverseSettings, frozen=True, kw_only=True):
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
    tls: Literal["off", "explicit", "required", "implicit"] = "off"
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    tls_min: Literal["1.0", "1.1", "1.2", "1.3"] = "1.2"
    tls_eof: Literal["auto", "strict", "lenient"] = "auto"
    tls_reuse: Literal["off", "session"] = "off"
    ccc: bool = False
    capture: Literal["redirect", "tproxy"] = "redirect"
    proxy_protocol: tuple[IPNetwork, ...] = ()
    upstream: Upstream = Upstream()

    @property
    def in_words(self) -> Iterable[str]:
        """Yield what ``portway check`` says of them."""
        upstream = self.upstream
        if self.tls != "off":
            yield f"TLS with clients {self.tls}"
        if upstream.protocol == "sftp":
            yield "SFTP to servers"
        elif upstream.tls != "off":
            yield f"TLS with servers {upstream.tls}"
        if upstream.parent is not None:
            yield f"on by {upstream.parent}"

    @property
    def risks(self) -> Iterable[Wrong]:
        """Yield what leaves a server's side less safe than it looks."""
        upstream = self.upstream
        if upstream.tls == "off":
            return
        if not upstream.verify:
            text = (
                "false: whoever stands between takes the passwords; name a ca instead"
            )
            yield Wrong("upstream.verify", text)
        clear = upstream.prot == "clear" or (
            upstream.prot == "client" and self.tls == "off"
        )
        if clear:
            text = f'"{upstream.prot}": TLS covers logins, and no data'
            yield Wrong("upstream.prot", text)

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong between keys."""
        yield from self._wrong_methods(listener)
        yield from self._wrong_mode(listener)
        yield from self._wrong_balancers(listener)
        yield from self._wrong_farm(listener)
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

        yield from self.upstream.wrong_via()
        yield from self.upstream.wrong_sftp()
        yield from self._wrong_tls()
        yield from self.upstream.wrong_tls()

    def _wrong_balancers(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong with who may name the clients."""
        if any(network.prefixlen == 0 for network in self.proxy_protocol):
            text = "everybody could claim to be anybody; name the balancers alone"
            yield Wrong("proxy_protocol", text)
        if self.proxy_protocol and listener.mode == "transparent":
            text = "a balancer is on its way to us, not to a server; take it out"
            yield Wrong("proxy_protocol", text)

    def _wrong_tls(self) -> Iterable[Wrong]:
        if self.tls != "off" and not self.certificate:
            text = f'is missing; tls = "{self.tls}" needs a file in PEM to show clients'
            yield Wrong("certificate", text)
        for name in _FILES if self.tls == "off" else ():
            if getattr(self, name):
                text = 'is for nobody; write tls = "explicit" too, or "required"'
                yield Wrong(name, text)

    def with_whole_paths(self, whole: Callable[[str], str]) -> Self:
        """Return it with each path of a file as *whole* makes it."""
        found = {name: whole(getattr(self, name)) for name in _FILES}
        theirs = {name: whole(getattr(self.upstream, name)) for name in _SERVER_PATHS}
        upstream = structs.replace(self.upstream, **theirs)
        return structs.replace(self, upstream=upstream, **found)

    @property
    def next_hops(self) -> Iterable[tuple[str, Endpoint]]:
        """Where connections are handed on to, and the key that says so."""
        with suppress(ValueError):  # which was reported
            if (parent := self.upstream.parent) is not None:
                yield "upstream.via", parent.at
        for word in self.servers:
            with suppress(ValueError):  # which was reported
                yield "servers", self.read_server(word)

    def _wrong_methods(self, listener: Listener) -> Iterable[Wrong]:
        methods = self.methods
        if methods is None:
            return
        if not methods and listener.mode == "forward":
            text = "nobody could name a server; leave the key out for the usual ones"
            yield Wrong("methods", text)
        for method in methods:
            if method not in EVERY_METHOD:
                known = ", ".join(sorted(EVERY_METHOD))
                yield Wrong("methods", f'"{method}" is none of {known}')
            elif listener.login == "none" and method in NEED_LOGIN:
                text = f'"{method}" carries a proxy login, which login = "none" forbids'
                yield Wrong("methods", text)

    def methods_for(self, listener: Listener) -> tuple[str, ...]:
        """Return the ways to name a server, in the order in which they are tried."""
        if self.methods is not None:
            return self.methods
        return DEFAULT_METHODS[listener.login] if listener.mode == "forward" else ()

    @property
    def balancers(self) -> tuple[IPNetwork, ...]:
        """Who must name, by the PROXY protocol, the client that it connects for."""
        return self.proxy_protocol

    @property
    def server_port(self) -> int:
        """The port of a server that is named without one."""
        return self.upstream.default_port

    def leads_anywhere(self, listener: Listener) -> bool:
        """Whether clients choose where they go, so that it could be an open proxy."""
        return listener.mode != "reverse" or bool(self.methods_for(listener))

    def _wrong_farm(self, listener: Listener) -> Iterable[Wrong]:
        yield from self.wrong_servers(listener)
        if self.health is not None and self.upstream.via:
            text = "asks servers directly, and via says that they are reached otherwise"
            yield Wrong("health", f"{text}; take one of the two out")

    @property
    def captures(self) -> bool:
        """Whether the door takes connections to addresses that are not ours."""
        return self.capture == "tproxy"

    def _wrong_mode(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what does not go with the door's mode."""
        if listener.mode != "forward" and listener.login == "optional":
            text = "nobody could tell whose login it is, the server's or ours"
            yield Wrong("login", f'{text}; write "none" or "required"')
        if listener.mode != "transparent":
            if self.captures:
                yield Wrong("capture", 'is for mode = "transparent" alone')
        elif not self.captures and self.data_ports is None:
            text = "is missing; clients connect to the server's address for data, and"
            yield Wrong("data_ports", f"{text} a rule has to redirect these ports too")
        elif self.captures and self.data_address is not None:
            text = "is told to nobody: clients are told the server's own address"
            yield Wrong("data_address", f"{text}; take it out")
        yield from self._wrong_source()

    def _wrong_source(self) -> Iterable[Wrong]:
        upstream = self.upstream
        if not upstream.keep_client:
            return
        if not self.captures:
            text = 'needs mode = "transparent" and capture = "tproxy"'
            yield Wrong("upstream.keep_client", text)
        for key in ("address", "via"):
            if getattr(upstream, key):
                text = "servers see the client's address; take one of the two out"
                yield Wrong("upstream.keep_client", f"{text}, this or {key}")
