"""A protocol of our own, with a key of every type that a protocol may have."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from msgspec import Struct

from portway.config.schema import Listener, ProtocolSettings, Wrong
from portway.model import Endpoint, IPAddress
from portway.units import Rate, Seconds, Size


class Inner(Struct, frozen=True, kw_only=True):
    depth: int = 1
    wait: Seconds = Seconds(1.0)


class Settings(ProtocolSettings, frozen=True, kw_only=True):
    text: str = "usual"
    flag: bool = False
    number: int = 7
    seconds: Seconds = Seconds(30.0)
    size: Size = Size(1024)
    rate: Rate | None = None
    source: IPAddress | None = None
    peers: tuple[IPv4Network | IPv6Network, ...] = ()
    server: Endpoint | None = None
    ports: range | None = None
    colour: Literal["red", "green"] = "red"
    words: tuple[str, ...] | None = None
    inner: Inner = Inner()

    def problems(self, listener: Listener) -> Iterable[Wrong]:
        if self.number == 13:
            yield Wrong("number", f"{listener.name} does not like 13")
        if self.inner.depth == 13:
            yield Wrong("inner.depth", "nor 13 deep")


class Needy(ProtocolSettings, frozen=True, kw_only=True):
    must: str


KINDS: dict[str, type[ProtocolSettings]] = {"test": Settings, "needy": Needy}
