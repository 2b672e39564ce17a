"""The packet filter's rules that bring clients to the transparent doors.

They are nftables' words, made from the doors of a configuration: what is for the
machine itself is left alone, so that nothing that we dial comes back to us.

Not here: loading them, which is left to who runs the machine. Invariant: a rule leads
to a door that the configuration opens, at the address that it opens it at.
"""

from collections.abc import Iterator

from portway.config.schema import Configuration, Listener
from portway.model import Endpoint
from portway.protocols.registry import PROTOCOLS

MARK = 1  # what TPROXY has delivered here rather than forwarded
TABLE = 100  # the routing table that says so
PASSING = "fib daddr type != local"  # on its way to another machine than this one
FAMILIES = {4: ("ipv4", "ip"), 6: ("ipv6", "ip6")}
ROUTES = tuple(
    line
    for ip in ("ip", "ip -6")
    for line in (
        f"{ip} rule add fwmark {MARK} lookup {TABLE}",
        f"{ip} route add local default dev lo table {TABLE}",
    )
)


def transparent_doors(configuration: Configuration) -> tuple[Listener, ...]:
    """Return the doors that nobody comes to without such rules."""
    return tuple(one for one in configuration.listeners if one.mode == "transparent")


def filter_rules(configuration: Configuration, interface: str = "") -> list[str]:
    """Return the lines of a file for ``nft -f``, with the routes as comments.

    *interface* is the one that clients are behind; empty: any.
    """
    doors = transparent_doors(configuration)
    redirected = [door for door in doors if not door.settings.captures]
    kept = [door for door in doors if door.settings.captures]
    at = f'iifname "{interface}" ' if interface else ""
    lines = []
    if kept:
        lines += ["# Run once, and at every start of the machine:"]
        lines += [f"#   {route}" for route in ROUTES]
    lines += ["table inet portway", "delete table inet portway", "table inet portway {"]
    if redirected:
        lines += ["  chain redirected {"]
        lines += ["    type nat hook prerouting priority dstnat; policy accept;"]
        for door in redirected:
            lines += [f"    {at}{line}" for line in _redirected(door)]
        lines += ["  }"]
    if kept:
        lines += ["  chain kept {"]
        lines += ["    type filter hook prerouting priority mangle; policy accept;"]
        # what belongs to a connection of ours, from whichever side it comes
        lines += [f"    meta l4proto tcp socket transparent 1 {_KEPT}"]
        for door in kept:
            lines += [f"    {at}{line}" for line in _kept(door)]
        lines += ["  }"]
    return [*lines, "}"]


_KEPT = f"meta mark set {MARK} accept"


def _redirected(door: Listener) -> Iterator[str]:
    ports: range | None = getattr(door.settings, "data_ports", None)
    for endpoint, family, ip in _ends(door):
        which = f"meta nfproto {family} {PASSING} tcp dport"
        to = f"redirect to :{endpoint.port}"
        data = "redirect"
        address = endpoint.address
        if address is not None and not address.is_unspecified:
            to, data = f"dnat {ip} to {endpoint}", f"dnat {ip} to {_bare(endpoint)}"
        yield f"{which} {_caught(door)} {to}  # listen.{door.name}"
        if ports:
            yield f"{which} {ports[0]}-{ports[-1]} {data}  # its data, to the same port"


def _kept(door: Listener) -> Iterator[str]:
    for endpoint, family, ip in _ends(door):
        which = f"meta nfproto {family} {PASSING} tcp dport"
        address = endpoint.address
        wild = address is None or address.is_unspecified
        to = f":{endpoint.port}" if wild else str(endpoint)
        ports = _caught(door)
        yield f"{which} {ports} tproxy {ip} to {to} {_KEPT}  # listen.{door.name}"


def _caught(door: Listener) -> str:
    """Return nft's words for the ports at which the door's clients are caught."""
    protocol = PROTOCOLS[door.protocol]
    if not protocol.caught:
        return str(protocol.port)
    return f"{{ {', '.join(map(str, protocol.caught))} }}"


def _ends(door: Listener) -> Iterator[tuple[Endpoint, str, str]]:
    """Yield each end of *door*, with nft's two words for its family."""
    for endpoint in door.address:
        versions = [endpoint.address.version] if endpoint.address else [4, 6]
        for version in versions:
            yield endpoint, *FAMILIES[version]


def _bare(endpoint: Endpoint) -> str:
    return f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
