"""The keys of a ``[listen.NAME]`` table whose protocol is auto: of HTTP and of SOCKS.

Not here: what the keys mean. Invariant: a key that both protocols have is one for both;
what passes `problems` is right for each.
"""

from collections.abc import Iterable

from msgspec import structs

from portway.config.schema import Listener, Wrong
from portway.model import IPAddress
from portway.protocols.http.settings import HttpSettings
from portway.protocols.socks.settings import SocksSettings, Upstream
from portway.units import Seconds

SHARED = (
    "udp",
    "udp_idle",
    "hide_address",
    "data_address",
    "data_ports",
    "idle",
    "proxy_protocol",
)
SHARED_UPSTREAM = (
    "address",
    "connect_timeout",
    "via",
    "via_password",
    "verify",
    "ca",
    "proxy_protocol",
)


class AutoSettings(HttpSettings, frozen=True, kw_only=True):
    """``[listen.NAME]``: HTTP's keys, and those that SOCKS alone has."""

    udp: bool = True
    udp_idle: Seconds = Seconds(60.0)
    hide_address: bool = False
    data_address: IPAddress | None = None
    data_ports: range | None = None

    @property
    def http(self) -> HttpSettings:
        """What holds for a client of HTTP, once TLS has begun."""
        return structs.replace(self, tls="off")

    @property
    def socks(self) -> SocksSettings:
        """What holds for a client of SOCKS, once TLS has begun."""
        upstream = {key: getattr(self.upstream, key) for key in SHARED_UPSTREAM}
        keys = {key: getattr(self, key) for key in SHARED}
        return SocksSettings(upstream=Upstream(**upstream), **keys)

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong between keys."""
        if listener.mode != "forward":
            text = 'no client of both names a server otherwise; write "forward"'
            yield Wrong("mode", text)
            return
        found = [*super().problems(listener)]
        yield from found
        known = {wrong.key for wrong in found}
        for wrong in self.socks.problems(listener):
            if wrong.key not in known:
                yield wrong

    @property
    def in_words(self) -> Iterable[str]:
        """Yield what ``portway check`` says of them."""
        yield from super().in_words
        if not self.udp:
            yield "no UDP"
