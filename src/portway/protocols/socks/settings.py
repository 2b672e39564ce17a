"""The keys of a ``[listen.NAME]`` table whose protocol is socks.

Not here: the keys that every listener has (config.schema). Invariant: what passes
`problems` is a door that can be used as it is described.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal, Self

from msgspec import Struct, structs

from portway.config.schema import Listener, ProtocolSettings, Wrong
from portway.config.secret import Secret
from portway.model import Endpoint, IPAddress
from portway.net.parent import Parent, read_parent
from portway.policy.match import IPNetwork
from portway.units import Seconds

PORT = 1080  # IANA's; RFC 1928, section 3
_FILES = ("certificate", "key", "client_ca")


class Upstream(Struct, frozen=True, kw_only=True):
    """``[listen.NAME.upstream]``: the server's side of the door."""

    address: IPAddress | None = None
    connect_timeout: Seconds = Seconds(10.0)
    via: str = ""
    via_password: Secret | None = None
    verify: bool = True
    ca: str = ""
    proxy_protocol: Literal["off", "v1", "v2"] = "off"

    @property
    def parent(self) -> Parent | None:
        """The proxy that servers are reached through. Raises ValueError."""
        if not self.via:
            return None
        secret = self.via_password
        return read_parent(self.via, secret.reveal() if secret else None)

    @property
    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong with it."""
        if self.connect_timeout < 1:
            yield Wrong("upstream.connect_timeout", "at least a second")
        if self.ca and not self.verify:
            text = "checks no server while verify = false; take one of them out"
            yield Wrong("upstream.ca", text)
        try:
            parent = self.parent
        except ValueError as error:
            yield Wrong("upstream.via", str(error))
            return
        if parent is None:
            if self.via_password is not None:
                text = 'is for nobody; write via = "SCHEME://USER@HOST" too'
                yield Wrong("upstream.via_password", text)
            return
        if parent.is_ftp:
            text = "an FTP proxy reaches FTP servers alone; name a SOCKS or HTTP proxy"
            yield Wrong("upstream.via", text)
        if self.proxy_protocol != "off":
            text = "tells a server who the client is, and via puts a proxy between"
            yield Wrong("upstream.proxy_protocol", f"{text}; take one of the two out")


class SocksSettings(ProtocolSettings, frozen=True, kw_only=True):
    """``[listen.NAME]``: the client's side of the door."""

    udp: bool = True
    udp_idle: Seconds = Seconds(60.0)
    hide_address: bool = False
    data_address: IPAddress | None = None
    data_ports: range | None = None
    head_time: Seconds = Seconds(10.0)
    idle: Seconds = Seconds(3600.0)
    tls: Literal["off", "implicit"] = "off"
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    tls_min: Literal["1.0", "1.1", "1.2", "1.3"] = "1.2"
    proxy_protocol: tuple[IPNetwork, ...] = ()
    upstream: Upstream = Upstream()

    @property
    def in_words(self) -> Iterable[str]:
        """Yield what ``portway check`` says of them."""
        if self.tls != "off":
            yield "TLS with clients"
        if not self.udp:
            yield "no UDP"
        if self.upstream.parent is not None:
            yield f"on by {self.upstream.parent}"

    @property
    def risks(self) -> Iterable[Wrong]:
        """Yield what leaves a server's side less safe than it looks."""
        if not self.upstream.verify:
            text = "false: where TLS is opened, anybody may pass for the server"
            yield Wrong("upstream.verify", f"{text}; name a ca instead")

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong between keys."""
        if listener.mode != "forward":
            text = 'SOCKS clients name their server themselves; write "forward"'
            yield Wrong("mode", text)
        for key in ("head_time", "idle", "udp_idle"):
            if getattr(self, key) < 1:
                yield Wrong(key, "at least a second")
        if self.data_address is not None and self.data_address.is_unspecified:
            text = "nobody can connect to it; name the address that peers reach"
            yield Wrong("data_address", text)
        if any(network.prefixlen == 0 for network in self.proxy_protocol):
            text = "everybody could claim to be anybody; name the balancers alone"
            yield Wrong("proxy_protocol", text)
        yield from self._wrong_tls()
        yield from self.upstream.problems

    def _wrong_tls(self) -> Iterable[Wrong]:
        if self.tls != "off" and not self.certificate:
            text = f'is missing; tls = "{self.tls}" needs a file in PEM to show clients'
            yield Wrong("certificate", text)
        for name in _FILES if self.tls == "off" else ():
            if getattr(self, name):
                yield Wrong(name, 'is for nobody; write tls = "implicit" too')

    def with_whole_paths(self, whole: Callable[[str], str]) -> Self:
        """Return it with each path of a file as *whole* makes it."""
        found = {name: whole(getattr(self, name)) for name in _FILES}
        upstream = structs.replace(self.upstream, ca=whole(self.upstream.ca))
        return structs.replace(self, upstream=upstream, **found)

    @property
    def next_hops(self) -> Iterable[tuple[str, Endpoint]]:
        """Where connections are handed on to, and the key that says so."""
        with suppress(ValueError):  # which was reported
            if (parent := self.upstream.parent) is not None:
                yield "upstream.via", parent.at

    @property
    def balancers(self) -> tuple[IPNetwork, ...]:
        """Who must name, by the PROXY protocol, the client that it connects for."""
        return self.proxy_protocol
