"""The keys of a reverse door: the servers that it leads to, and who gets which.

Not here: what becomes of a session (net.balance), and the words of ``who``, which
policy.routes reads. Invariant: a server that passed `problems` can be dialled as it
was read.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct

from portway.config.schema import Listener, ProtocolSettings, Wrong
from portway.model import Endpoint
from portway.units import Seconds

Balance = Literal["round-robin", "least-sessions", "random", "source", "user"]

_LABEL = r"[A-Za-z0-9_-]{1,63}"
_NAME = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+$|0[xX]){_LABEL}")
_LONGEST = 253  # RFC 1035, section 2.3.4, without the dot at the end


class Health(Struct, frozen=True, kw_only=True):
    """``[listen.NAME.health]``: how each server is asked whether it lives.

    It is down after *fall* probes in a row that failed, up after *rise* that did not.
    """

    every: Seconds = Seconds(30.0)
    timeout: Seconds = Seconds(5.0)
    fall: int = 3
    rise: int = 2
    probe: Literal["greeting", "connect"] = "greeting"

    def problems(self) -> Iterator[Wrong]:
        """Yield what is wrong with it."""
        for key in ("every", "timeout"):
            if getattr(self, key) < 1:
                yield Wrong(f"health.{key}", "at least a second")
        for key in ("fall", "rise"):
            if getattr(self, key) < 1:
                yield Wrong(f"health.{key}", "at least 1")


class Route(Struct, frozen=True, kw_only=True):
    """``[[listen.NAME.route]]``: the *servers* for *who*, in the words of rules."""

    who: tuple[str, ...]
    servers: tuple[str, ...]


class ReverseSettings(ProtocolSettings, frozen=True, kw_only=True):
    """The keys of a door that leads to servers of its own."""

    servers: tuple[str, ...] = ()
    balance: Balance = "least-sessions"
    health: Health | None = None
    route: tuple[Route, ...] = ()

    @property
    def server_port(self) -> int:
        """The port of a server that is named without one."""
        return 0

    def read_server(self, text: str) -> Endpoint:
        """Return where the server *text* is. Raises ValueError, with the cure."""
        return read_server(text, self.server_port)

    @property
    def asks_who(self) -> bool:
        """Whether the server can only be chosen when the client has a name."""
        words = [word for route in self.route for word in route.who]
        named = any(word.startswith(("user:", "group:")) for word in words)
        return self.balance == "user" or named

    def wrong_servers(self, listener: Listener) -> Iterable[Wrong]:
        """Yield what is wrong with the servers, or with their being there."""
        if listener.mode != "reverse":
            for key in ("servers", "health", "route"):
                if getattr(self, key):
                    yield Wrong(key, 'is for mode = "reverse" alone')
            return
        if not self.servers and not self.route:
            yield Wrong("servers", 'is missing; name one, as in ["10.0.0.11:21"]')
        yield from self._wrong_list("servers", self.servers)
        for place, route in enumerate(self.route):
            for key in ("who", "servers"):
                if not getattr(route, key):
                    yield Wrong(f"route.{place}.{key}", "is empty; name one at least")
            yield from self._wrong_list(f"route.{place}.servers", route.servers)
        if self.health is not None:
            yield from self.health.problems()

    def _wrong_list(self, key: str, words: tuple[str, ...]) -> Iterator[Wrong]:
        known: set[Endpoint] = set()
        for word in words:
            try:
                server = self.read_server(word)
            except ValueError as error:
                yield Wrong(key, str(error))
                continue
            if server in known:
                yield Wrong(key, f"{server} stands there twice; take one out")
            known.add(server)


def read_server(text: str, port: int) -> Endpoint:
    """Return where *text* is: an address or a name, with a port or else *port*.

    Raises ValueError, which names the cure.
    """
    host, colon, number = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or text.endswith("]") or (":" in host and not bracketed):
        host, number = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    try:
        host = str(ip_address(host.replace("%", " ")))  # zones are of one machine
    except ValueError:
        if not _NAME.fullmatch(host.removesuffix(".")) or len(host) > _LONGEST:
            cure = 'write an address or a name, as in "10.0.0.11:21"'
            raise ValueError(f'"{text}" is no server; {cure}') from None
    if not re.fullmatch("[0-9]{1,5}", number) or not 0 < int(number) < 65536:
        raise ValueError(f'"{text}": a port is a number from 1 to 65535')
    return Endpoint(host, int(number))
