"""The doors of the gateway that the tests of HTTP and SOCKS share.

Not here: the gateway itself. Invariant: a door differs from the next one in one thing.
"""

from tests.certificates import Certificates
from tests.integration.doors import HEAD, PROXY_PASSWORD, PROXY_USER
from tests.integration.network import INNER, OUTER, wan_address

OPEN, OPTIONAL, REQUIRED, TLS, AUTO, USUAL = range(3128, 3134)
SOCKS, SOCKS_OPTIONAL, SOCKS_REQUIRED = range(1080, 1083)
WEB = {"open": OPEN, "optional": OPTIONAL, "required": REQUIRED, "tls": TLS}
WEB |= {"auto": AUTO}
SOCKET = {"socks": SOCKS, "socks-optional": SOCKS_OPTIONAL}
SOCKET |= {"socks-required": SOCKS_REQUIRED, "auto": AUTO}
LOGIN = f"{PROXY_USER}:{PROXY_PASSWORD}"
NAMES = tuple(f"gateway{family}.test" for family in (4, 6))
SILENT = 9  # a port where nobody answers: not even a reset comes
DENIED = "liar4.test"  # which rules let nobody reach

RULES = f"""\
[[rules]]
name = "not there"
to = ["{DENIED}", "*.test/forbidden*"]
then = "deny"
because = "It is not for you."

[[rules]]
name = "to the gateway itself"
who = ["192.168.1.66"]
to = ["*", "inside"]
then = "allow"

[[rules]]
name = "the LAN"
who = ["192.168.1.0/24", "fd00:1::/64"]
to = ["*", "fd00:2::/64"]
then = "allow"

[[rules]]
name = "doors inwards"
who = ["192.168.1.0/24", "fd00:1::/64"]
do = ["socks:BIND"]
to = ["*", "fd00:2::/64"]
then = "allow"
"""


def door(name: str, protocol: str, port: int, settings: str = "", up: str = "") -> str:
    """Return the tables of one door, on both addresses of the LAN's side."""
    return f"""
[listen.{name}]
protocol = "{protocol}"
address = ["{INNER[4]}:{port}", "[{INNER[6]}]:{port}"]
{settings}

[listen.{name}.upstream]
{up}
"""


def configuration(signed: Certificates) -> str:
    """Return the configuration of the shared gateway; *signed* is for its names."""
    authority = f'ca = "{signed.ca}"'
    any_port = 'ports = ["*"]'
    tables = [
        door("open", "http", OPEN, any_port, authority),
        door("optional", "http", OPTIONAL, f'login = "optional"\n{any_port}'),
        door("required", "http", REQUIRED, f'login = "required"\n{any_port}'),
        door(
            "tls",
            "http",
            TLS,
            f'tls = "implicit"\ncertificate = "{signed.certificate}"\n'
            f'key = "{signed.key}"\n{any_port}',
        ),
        door("auto", "auto", AUTO, any_port),
        door("usual", "http", USUAL),
        door("socks", "socks", SOCKS, "", 'connect_timeout = "1s"'),
        door("socks-optional", "socks", SOCKS_OPTIONAL, 'login = "optional"'),
        door("socks-required", "socks", SOCKS_REQUIRED, 'login = "required"'),
    ]
    return HEAD + "".join(tables) + RULES


def proxy(kind: str, family: int, login: str = "", *, named: bool = False) -> str:
    """Return the URL of a door of WEB; *login* is ``user:password``."""
    scheme = "https" if kind == "tls" else "http"
    host = f"[{INNER[6]}]" if family == 6 else INNER[4]
    if named or kind == "tls":
        host = NAMES[family == 6]
    return f"{scheme}://{login and login + '@'}{host}:{WEB[kind]}"


OUTERS = frozenset(OUTER.values())
ORIGIN = {family: wan_address("origin", family) for family in (4, 6)}
