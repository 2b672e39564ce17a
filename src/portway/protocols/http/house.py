"""What all sessions of one HTTP door share.

Not here: anything that acts. Invariant: it never changes, but for what it remembers of
logins and of old servers; a reload makes another one.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from portway.config.schema import Listener
from portway.net.contexts import NO_TLS, TlsContexts
from portway.net.parent import Parent
from portway.protocols.http.answers import token
from portway.protocols.http.fields import Edge
from portway.protocols.http.login import Logins
from portway.protocols.http.settings import HttpSettings, Ports

TAG = secrets.token_hex(4)  # of this process, by which it knows its own requests
MOST = 1024  # old servers that are remembered


class Old:
    """The servers that answered as HTTP/1.0 does: they know no chunks, and no 100."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], None] = OrderedDict()

    def __contains__(self, place: object) -> bool:
        return place in self._known

    def learn(self, place: tuple[str, int], *, old: bool) -> None:
        """Take note that the server at *place*, host and port, is *old*, or not."""
        if not old:
            self._known.pop(place, None)
            return
        self._known[place] = None
        if len(self._known) > MOST:
            self._known.popitem(last=False)


@dataclass(frozen=True, slots=True, eq=False)
class House:
    """What all sessions of one listener share; *name* is the gateway's."""

    name: str
    mode: str
    login: str
    settings: HttpSettings
    contexts: TlsContexts
    parent: Parent | None
    ports: Ports
    edge: Edge
    logins: Logins = field(default_factory=Logins)
    old: Old = field(default_factory=Old)

    @property
    def challenge(self) -> tuple[int, bytes, bytes]:
        """The status, field and value that ask for a login. RFC 7617, section 2."""
        realm = token(self.name).encode()
        value = b'Basic realm="%b", charset="UTF-8"' % realm
        if self.mode == "reverse":
            return 401, b"WWW-Authenticate", value
        return 407, b"Proxy-Authenticate", value

    @property
    def own_fields(self) -> tuple[bytes, ...]:
        """Fields that are for us alone, lower-case, beside those of all proxies."""
        if self.mode == "reverse" and self.login != "none":
            return (self.login_field,)
        return ()

    @property
    def login_field(self) -> bytes:
        """Where logins to us stand, lower-case."""
        return b"authorization" if self.mode == "reverse" else b"proxy-authorization"


def house_of(
    name: str,
    listener: Listener,
    settings: HttpSettings,
    contexts: TlsContexts = NO_TLS,
) -> House:
    """Return the house of *listener*, which may be a door of another protocol.

    Then *settings* are for the HTTP that is spoken within.
    """
    return House(
        name=name,
        mode=listener.mode,
        login=listener.login,
        settings=settings,
        contexts=contexts,
        parent=settings.upstream.parent,
        ports=Ports(settings.ports),
        edge=Edge(
            name=token(name),
            tag=TAG,
            named=settings.via,
            reverse=listener.mode == "reverse",
            forwarded=settings.forwarded == "add",
        ),
    )
