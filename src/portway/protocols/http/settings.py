"""The keys of a ``[listen.NAME]`` table whose protocol is http.

Not here: the keys that every listener has (config.schema). Invariant: what passes
`problems` is a door that can be used as it is described.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal, Self

from msgspec import Struct, structs

from portway.config.reverse import ReverseSettings
from portway.config.schema import Listener, Wrong
from portway.config.secret import Secret
from portway.errors import Refused
from portway.exchange import Exchange
from portway.model import Endpoint, IPAddress, Reason
from portway.net.parent import Parent, read_parent
from portway.policy.match import IPNetwork
from portway.protocols.http.ftp_side import FtpSide
from portway.units import Rate, Seconds

PORT = 80  # of URLs
_FILES = ("certificate", "key", "client_ca")
_SERVER_FILES = ("ca", "certificate", "key")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)

# Where no list is written: protocols.md, section 2.1.
_WEB = ("80", "443", "1024-65535")
USUAL_PORTS = {
    "http": _WEB,
    "https": _WEB,
    "ftp": ("21", "990", "1024-65535"),
    "ftps": ("21", "990", "1024-65535"),
    "connect": ("443", "8443"),
}


class Pac(Struct, frozen=True, kw_only=True):
    """``[listen.NAME.pac]``: what ``/proxy.pac`` says.

    *direct* are names and networks that browsers reach by themselves. *proxy* and
    *socks* are where they find us; *proxy* empty is where they got the file from.
    """

    direct: tuple[str, ...] = ()
    fallback: bool = False
    proxy: str = ""
    socks: str = ""
    file: str = ""

    @property
    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong with it."""
        for key in ("proxy", "socks"):
            value = getattr(self, key)
            if value and not re.fullmatch(r"[A-Za-z0-9._:\[\]-]+:\d{1,5}", value):
                text = 'a name or an address, and a port, as in "proxy.example:3128"'
                yield Wrong(f"pac.{key}", text)
        for word in self.direct:
            if not re.fullmatch(r"[A-Za-z0-9._*:/-]+", word):
                text = f'"{word}" is neither a name nor a network'
                yield Wrong("pac.direct", text)


class Upstream(Struct, frozen=True, kw_only=True):
    """``[listen.NAME.upstream]``: the server's side of the door."""

    address: IPAddress | None = None
    connect_timeout: Seconds = Seconds(10.0)
    reply_timeout: Seconds = Seconds(120.0)
    tolerant: bool = False
    via: str = ""
    via_password: Secret | None = None
    tls: Literal["off", "implicit"] = "off"
    verify: bool = True
    ca: str = ""
    certificate: str = ""
    key: str = ""
    tls_name: str = ""
    tls_min: Literal["1.0", "1.1", "1.2", "1.3"] = "1.2"
    tls_eof: Literal["strict", "lenient"] = "strict"
    keep_client: bool = False
    proxy_protocol: Literal["off", "v1", "v2"] = "off"

    @property
    def parent(self) -> Parent | None:
        """The proxy that servers are reached through. Raises ValueError."""
        if not self.via:
            return None
        secret = self.via_password
        return read_parent(self.via, secret.reveal() if secret else None)

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong with it."""
        yield from self._wrong_via()
        if self.key and not self.certificate:
            text = "belongs to a certificate; name that too"
            yield Wrong("upstream.key", text)
        if self.ca and not self.verify:
            text = "checks no server while verify = false; take one of them out"
            yield Wrong("upstream.ca", text)
        if self.tls != "off" and listener.mode != "reverse":
            text = 'is for mode = "reverse": elsewhere the URL says it; take it out'
            yield Wrong("upstream.tls", text)
        if self.tls_name and listener.mode != "reverse":
            text = 'is for mode = "reverse": elsewhere the URL names the server'
            yield Wrong("upstream.tls_name", text)
        for key in ("connect_timeout", "reply_timeout"):
            if getattr(self, key) < 1:
                yield Wrong(f"upstream.{key}", "at least a second")

    def _wrong_via(self) -> Iterable[Wrong]:
        try:
            parent = self.parent
        except ValueError as error:
            yield Wrong("upstream.via", str(error))
            return
        if parent is None:
            if self.via_password is not None:
                text = 'is for nobody; write via = "SCHEME://USER@HOST" too'
                yield Wrong("upstream.via_password", text)
        elif parent.is_ftp:
            text = "an FTP proxy reaches no HTTP server; name a SOCKS or an HTTP proxy"
            yield Wrong("upstream.via", text)
        if parent is not None and self.proxy_protocol != "off":
            text = "tells a server who the client is, and via puts a proxy between"
            yield Wrong("upstream.proxy_protocol", f"{text}; take one of the two out")


class HttpSettings(ReverseSettings, frozen=True, kw_only=True):
    """``[listen.NAME]``: the client's side of the door."""

    ports: tuple[str, ...] | None = None
    hosts: tuple[str, ...] = ()
    head_time: Seconds = Seconds(15.0)
    keepalive: Seconds = Seconds(60.0)
    idle: Seconds = Seconds(3600.0)
    stall: Seconds = Seconds(300.0)
    min_rate: Rate = Rate(100.0)
    via: bool = True
    forwarded: Literal["remove", "add"] = "remove"
    tls: Literal["off", "implicit"] = "off"
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    tls_min: Literal["1.0", "1.1", "1.2", "1.3"] = "1.2"
    capture: Literal["redirect", "tproxy"] = "redirect"
    proxy_protocol: tuple[IPNetwork, ...] = ()
    pac: Pac = Pac()
    ftp: FtpSide = FtpSide()
    upstream: Upstream = Upstream()

    @property
    def in_words(self) -> Iterable[str]:
        """Yield what ``portway check`` says of them."""
        if self.tls != "off":
            yield "TLS with clients"
        if self.upstream.tls != "off":
            yield "TLS with servers"
        if self.upstream.parent is not None:
            yield f"on by {self.upstream.parent}"

    @property
    def risks(self) -> Iterable[Wrong]:
        """Yield what leaves a server's side less safe than it looks."""
        if not self.upstream.verify:
            text = (
                "false: whoever stands between takes the passwords; name a ca instead"
            )
            yield Wrong("upstream.verify", text)

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong between keys."""
        yield from self._wrong_ports()
        yield from self._wrong_mode(listener)
        yield from self.wrong_servers(listener)
        yield from self._wrong_tls()
        if any(network.prefixlen == 0 for network in self.proxy_protocol):
            text = "everybody could claim to be anybody; name the balancers alone"
            yield Wrong("proxy_protocol", text)
        for key in ("head_time", "keepalive", "idle", "stall"):
            if getattr(self, key) < 1:
                yield Wrong(key, "at least a second")
        yield from self.pac.problems
        yield from self.ftp.problems
        yield from self.upstream.problems(listener)

    def _wrong_ports(self) -> Iterable[Wrong]:
        for word in self.ports or ():
            try:
                read_ports((word,))
            except ValueError as error:
                yield Wrong("ports", str(error))

    def _wrong_mode(self, listener: Listener) -> Iterable[Wrong]:
        mode = listener.mode
        if mode == "transparent":
            if listener.login != "none":
                text = "clients know of no proxy there, and answer none that asks"
                yield Wrong("login", f'{text}; write "none"')
            if self.proxy_protocol:
                text = "a balancer is on its way to us, not to a server; take it out"
                yield Wrong("proxy_protocol", text)
        elif self.capture == "tproxy":
            yield Wrong("capture", 'is for mode = "transparent" alone')
        if mode != "reverse" and self.hosts:
            yield Wrong("hosts", 'is for mode = "reverse" alone')
        if mode == "reverse" and not self.hosts:
            text = 'is missing; name the hosts of this site, as in ["www.example.org"]'
            yield Wrong("hosts", text)
        if self.upstream.keep_client and not self.captures:
            text = 'needs mode = "transparent" and capture = "tproxy"'
            yield Wrong("upstream.keep_client", text)

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
        theirs = {name: whole(getattr(self.upstream, name)) for name in _SERVER_FILES}
        upstream = structs.replace(self.upstream, **theirs)
        pac = structs.replace(self.pac, file=whole(self.pac.file))
        return structs.replace(self, upstream=upstream, pac=pac, **found)

    @property
    def next_hops(self) -> Iterable[tuple[str, Endpoint]]:
        """Where connections are handed on to, and the key that says so."""
        with suppress(ValueError):  # which was reported
            if (parent := self.upstream.parent) is not None:
                yield "upstream.via", parent.at
        for word in self.servers:
            with suppress(ValueError):  # which was reported
                yield "servers", self.read_server(word)

    @property
    def balancers(self) -> tuple[IPNetwork, ...]:
        """Who must name, by the PROXY protocol, the client that it connects for."""
        return self.proxy_protocol

    @property
    def server_port(self) -> int:
        """The port of a server that is named without one."""
        return 443 if self.upstream.tls == "implicit" else PORT

    def leads_anywhere(self, listener: Listener) -> bool:
        """Whether clients choose where they go, so that it could be an open proxy."""
        return listener.mode != "reverse"

    @property
    def captures(self) -> bool:
        """Whether the door takes connections to addresses that are not ours."""
        return self.capture == "tproxy"


class Ports:
    """The ports that one door reaches, whatever rules say, by what is asked for."""

    __slots__ = ("_any", "_by_word")

    def __init__(self, written: tuple[str, ...] | None) -> None:
        self._any = written is not None and "*" in written
        self._by_word = {
            word: read_ports(usual if written is None else written)
            for word, usual in USUAL_PORTS.items()
            if not self._any
        }

    def admit(self, word: str, port: int) -> bool:
        """Say whether *port* may be reached: *word* is a scheme, or ``connect``."""
        return self._any or any(port in ports for ports in self._by_word[word])

    def check(self, word: str, exchange: Exchange) -> None:
        """Raise Refused, PORT, unless that of *exchange* may be reached.

        A rule that names the very port opens it, whatever is listed here.
        """
        if not (self.admit(word, exchange.access.port) or exchange.names_port):
            raise Refused(Reason.PORT)


def read_ports(words: tuple[str, ...]) -> tuple[range, ...]:
    """Return the ports that *words* name; ``*`` is any. Raises ValueError."""
    return tuple(_read_range(word) for word in words)


def _read_range(word: str) -> range:
    if word == "*":
        return range(1, 65536)
    match = _PORTS.fullmatch(word)
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if not 0 < first <= last <= 65535:
        text = f'"{word}" is no port, as "443" is, nor a range, as "8000-8999"'
        raise ValueError(text)
    return range(first, last + 1)
