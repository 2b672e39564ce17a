"""``[listen.NAME.ftp]``: how an HTTP door reaches the servers of ``ftp://`` URLs.

Not here: the keys that all its servers have, ``[listen.NAME.upstream]``. Invariant:
``ftps://`` is TLS from the first byte, whatever stands here.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from portway.config.schema import Wrong
from portway.policy.match import IPNetwork


class FtpSide(Struct, frozen=True, kw_only=True):
    """How servers of ``ftp://`` URLs are spoken to.

    *anonymous* is the password of who has no login; *tls* is for ``ftp://`` alone.
    """

    anonymous: str = "portway@"
    tls: Literal["off", "try", "required"] = "off"
    tls_eof: Literal["auto", "strict", "lenient"] = "auto"
    data: Literal["passive", "active"] = "passive"
    data_ports: range | None = None
    data_peers: tuple[IPNetwork, ...] = ()

    @property
    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong with it."""
        if any(not sign.isprintable() for sign in self.anonymous):
            yield Wrong("ftp.anonymous", "is one line of printable signs")
        if self.data == "passive":
            for key in ("data_ports", "data_peers"):
                if getattr(self, key):
                    text = 'is for nobody; write data = "active" too'
                    yield Wrong(f"ftp.{key}", text)
