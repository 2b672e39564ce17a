"""The names of sockets, as endpoints.

Not here: sockets. Invariant: IPv4 mapped into IPv6 comes out as IPv4.
"""

from sys import intern

from portway.model import Endpoint, IPAddress


def endpoint_of(name: object) -> Endpoint:
    """Return a socket's name as an endpoint, IPv4 mapped into IPv6 folded."""
    if not isinstance(name, tuple):
        return Endpoint("", 0)
    host, port = name[0], name[1]
    if host.startswith("::ffff:") and "." in host:
        host = host[7:]
    return Endpoint(intern(host), port)  # few of them, again and again


def address_of(endpoint: Endpoint) -> IPAddress:
    """Return the address that *endpoint*, which is a socket's, holds."""
    address = endpoint.address
    if address is None:
        raise ValueError(f"{endpoint} is no address")
    return address
