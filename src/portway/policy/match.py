"""What a rule says of hosts, networks, ports and paths, and how it is found again.

Not here: users, methods and times, nor what follows when a rule matches. Invariant:
nothing that a peer sends makes a comparison slow; its cost grows with the length of
what is compared, and not with the number of patterns that begin otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Generic, TypeVar

from portway.model import Access, IPAddress
from portway.net.guard import fold
from portway.policy.lists import NamedList

IPNetwork = IPv4Network | IPv6Network
Networks = tuple[IPNetwork, ...]

T = TypeVar("T")

_ADDRESS = re.compile(r"\d+(?:\.\d+){3}(?:/\d+)?")
_PLACES = (  # a host or network, a port, a path
    re.compile(r"\[([^]]*)\](?::([^/]*))?(/.*)?", re.DOTALL),
    re.compile(rf"({_ADDRESS.pattern})(?::([^/]*))?(/.*)?", re.DOTALL),
    re.compile(r"([^/:]+)(?::([^/]*))?(/.*)?", re.DOTALL),
)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_FIRST_LABEL = re.compile(r"[a-z0-9_*-]{1,63}")


class Prefixes(Generic[T]):
    """What is known of networks, found by an address that lies in them."""

    __slots__ = ("_tables",)

    def __init__(self, known: Mapping[IPNetwork, T]) -> None:
        tables: dict[int, dict[int, dict[int, T]]] = {4: {}, 6: {}}
        for network, value in known.items():
            shift = network.max_prefixlen - network.prefixlen
            table = tables[network.version].setdefault(shift, {})
            table[int(network.network_address) >> shift] = value
        self._tables = {version: [*by.items()] for version, by in tables.items()}

    def find(self, address: IPAddress) -> list[T]:
        """Return what is known of every network that *address* is in."""
        address = fold(address)
        bits = int(address)
        return [
            table[bits >> shift]
            for shift, table in self._tables[address.version]
            if bits >> shift in table
        ]


class Names(Generic[T]):
    """What is known of host names and patterns, found by a host that they fit.

    ``*.example.org`` fits every name below example.org, and not example.org itself;
    in ``ftp*.example.org`` the star stands for a part of one label.
    """

    __slots__ = ("_below", "_exact", "_starred")

    def __init__(self, known: Mapping[str, T]) -> None:
        self._exact: dict[str, T] = {}
        self._below: dict[str, T] = {}
        self._starred: dict[str, list[tuple[re.Pattern[str], T]]] = {}
        for name, value in known.items():
            label, _, parent = name.partition(".")
            if label == "*":
                self._below[parent] = value
            elif "*" in label:
                pattern = re.compile(_segment(label))
                self._starred.setdefault(parent, []).append((pattern, value))
            else:
                self._exact[name] = value

    def find(self, host: str) -> list[T]:
        """Return what is known of every name and pattern that *host* fits."""
        found = [self._exact[host]] if host in self._exact else []
        label, dot, parent = host.partition(".")
        if parent in self._starred:
            found += [v for p, v in self._starred[parent] if p.fullmatch(label)]
        while dot:
            if parent in self._below:
                found.append(self._below[parent])
            _, dot, parent = parent.partition(".")
        return found


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern of absolute paths; *folder* is all of it before the first wildcard."""

    text: str
    folder: str
    regex: re.Pattern[str]


class Place(Enum):
    """What the first part of a target names."""

    OUTSIDE = auto()  # "*"
    INSIDE = auto()  # "inside"
    NAME = auto()
    NETWORK = auto()
    LIST = auto()  # "@games"


@dataclass(frozen=True, slots=True)
class Target:
    """One word of a rule's ``to``. *port* 0 is any, *path* None is any and none."""

    text: str
    place: Place
    name: str = ""
    networks: Networks = ()
    port: int = 0
    path: PathPattern | None = None
    listed: NamedList | None = None

    def takes(self, access: Access) -> bool:
        """Say whether port and path are right; where it leads is another question."""
        if self.port and self.port != access.port:
            return False
        return self.path is None or bool(self.path.regex.fullmatch(access.path))


def read_networks(text: str) -> Networks:
    """Read an address, a network, or a range ``10.0.4.1-10.0.4.9``.

    What is mapped into IPv6 is IPv4. Raises ValueError, which names the cure.
    """
    first, dash, last = text.partition("-")
    if dash:
        return _range(text, _address(first), _address(last))
    if "/" not in text:
        return (ip_network(_address(text)),)
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f'"{text}" is not a network like "10.0.0.0/8"') from error
    if network.network_address != ip_address(text.partition("/")[0]):
        raise ValueError(f'"{text}" begins inside its network: write "{network}"')
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return (IPv4Network((mapped, network.prefixlen - 96)),)
    return (network,)


def _address(text: str) -> IPAddress:
    try:
        address = fold(ip_address(text.strip()))
    except ValueError as error:
        raise ValueError(f'"{text}" is not an IPv4 or IPv6 address') from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f'"{text}": leave out the zone after the "%"')
    return address


def _range(text: str, first: IPAddress, last: IPAddress) -> Networks:
    match first, last:
        case IPv4Address(), IPv4Address() if first <= last:
            return tuple(summarize_address_range(first, last))
        case IPv6Address(), IPv6Address() if first <= last:
            return tuple(summarize_address_range(first, last))
    raise ValueError(f'"{text}": a range goes from an address up to one of its kind')


def read_target(text: str) -> Target:
    """Read a host, pattern or network, with ``:port`` and ``/path`` if it has them.

    Raises ValueError, which names the cure.
    """
    if "://" in text or "@" in text.partition("/")[0]:  # may hold a password
        raise ValueError("a URL or a login: write the host and what is behind it only")
    if text.startswith("/"):
        raise ValueError(f'"{text}" has no host: write "*{text}" for any host')
    if text.partition("/")[0].count(":") > 1 and not text.startswith("["):
        return Target(text, Place.NETWORK, networks=_bare6(text))
    found = next(filter(None, (form.fullmatch(text) for form in _PLACES)), None)
    if found is None:
        raise ValueError(f'"{text}" is not a host, a network, host:port or host/path')
    host = found[1].lower().removesuffix(".")
    port = 0 if found[2] is None else _port(text, found[2])
    path = None if found[3] is None else read_path(found[3])
    if host == "*":
        return Target(text, Place.OUTSIDE, port=port, path=path)
    if host == "inside":
        return Target(text, Place.INSIDE, port=port, path=path)
    if host == "outside":
        raise ValueError('for anywhere outside write "*"')
    if text.startswith("[") or _numeric(host):
        networks = read_networks(host)
        return Target(text, Place.NETWORK, networks=networks, port=port, path=path)
    return Target(text, Place.NAME, name=_name(host), port=port, path=path)


def _bare6(text: str) -> Networks:
    try:
        return read_networks(text)
    except ValueError as error:
        cure = 'with a port or a path, IPv6 stands in brackets: "[fd00::1]:21"'
        raise ValueError(f"{error}; {cure}") from error


def _numeric(host: str) -> bool:
    """Say whether *host* is no name: names do not end in a number."""
    return host.rpartition(".")[2].isdecimal() or bool(_ADDRESS.fullmatch(host))


def _port(text: str, digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65536:
        raise ValueError(f'"{text}": a port is a number from 1 to 65535')
    return int(digits)


def _name(text: str) -> str:
    head, dot, rest = text.partition(".") if "*" in text else ("", "", text)
    if "*" in rest:
        raise ValueError(
            f'"{text}": a "*" in a host stands in its first label only, as in '
            '"*.example.org"; networks are written "10.0.0.0/8"'
        )
    try:
        rest = rest if rest.isascii() else rest.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError(f'"{text}" is not a host name') from error
    first_fits = _FIRST_LABEL.fullmatch(head) and "**" not in head
    rest_fits = all(_LABEL.fullmatch(label) for label in rest.split("."))
    if (head and not first_fits) or not (rest_fits or (head and not dot)):
        raise ValueError(f'"{text}" is not a host name')
    return head + dot + rest


def read_path(text: str) -> PathPattern:
    """Read a pattern of paths.

    ``*`` stands for any characters but ``/``, ``?`` for one of them; ``**`` is a
    segment of its own and stands for folders: for any number of them, none too, and
    at the end for all that lies below. Raises ValueError, which names the cure.
    """
    segments = text[1:].split("/")
    if segments != [""] and "" in segments:
        raise ValueError(
            f'"{text}": paths have no "/" at the end, and no two in a row; '
            f'"{text.rstrip("/")}/**" is all that lies below'
        )
    if any("**" in segment and segment != "**" for segment in segments):
        raise ValueError(
            f'"{text}": "**" stands alone between two "/", as in "/in/**/*.exe"'
        )
    if "." in segments or ".." in segments:
        raise ValueError(f'"{text}": leave out "." and ".."')
    wild = (n for n, segment in enumerate(segments) if set("*?") & set(segment))
    literal = segments[: next(wild, len(segments))]
    folder = "".join("/" + segment for segment in literal if segment)
    return PathPattern(text, folder, re.compile(_path(segments)))


def _path(segments: list[str]) -> str:
    """Return *segments* as a regular expression that has nothing to try again.

    Between two ``**`` the first place where the segments fit is as good as any later
    one, hence the atomic groups; the last segments can only fit at the end.
    """
    runs: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            runs.append([])
        else:
            runs[-1].append(_segment(segment))
    first, *rest = ("".join("/" + segment for segment in run) for run in runs)
    if not rest:
        return first
    *middle, last = rest
    found = [rf"(?>(?:/[^/]*+)*?{run}(?=/|\Z))" for run in middle if run]
    end = f"(?:/[^/]*+)*{last}" if last else "(?:/[^/]*+)+"
    return first + "".join(found) + end


def _segment(text: str) -> str:
    """Return a pattern without ``/`` as a regular expression, as `_path` does."""
    if text == "*":
        return "[^/]++"
    first, *rest = (_literal(part) for part in re.split(r"\*+", text))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{part})" for part in middle) + f"[^/]*{last}"


def _literal(text: str) -> str:
    return "".join("[^/]" if char == "?" else re.escape(char) for char in text)


def by_network(targets: Iterable[Target]) -> dict[IPNetwork, list[Target]]:
    """Return those of *targets* that name networks, under each of them."""
    found: dict[IPNetwork, list[Target]] = {}
    for target in targets:
        for network in target.networks:
            found.setdefault(network, []).append(target)
    return found


def by_name(targets: Iterable[Target]) -> dict[str, list[Target]]:
    """Return those of *targets* that name hosts, under their name or pattern."""
    found: dict[str, list[Target]] = {}
    for target in targets:
        if target.place is Place.NAME:
            found.setdefault(target.name, []).append(target)
    return found
