"""The doors of the gateway that most integration tests share.

Not here: the gateway itself. Invariant: a door differs from the next one in one thing.
"""

from tests.integration.network import ADVERTISED, INNER, OUTER, SECOND_OUTER

PROXY_USER = "fu"
PROXY_PASSWORD = "fp-word"

LOGINS = ("none", "optional", "required", "colon")
DATA = ("auto", "passive", "active")  # what the server's side is told to do
FIRST = 2100

NARROW = 2190  # a door with addresses and port ranges of its own
NARROW_CLIENT_PORTS = range(50000, 50040)
NARROW_SERVER_PORTS = range(51000, 51040)
SHORT = 2191  # a door of little patience

HEAD = """\
[gateway]
name = "edge"
state = "{state}"

[[ledger.file]]
path = "{records}"
format = "json"
"""

RULES = """\
[[rules]]
name = "nothing secret"
do = ["write"]
to = ["*.test/files/secret*"]
then = "deny"
because = "Secrets stay here."

[[rules]]
name = "the LAN"
who = ["192.168.1.0/24", "fd00:1::/64"]
to = ["*", "fd00:2::/64"]
then = "allow"
"""


def port(login: str, data: str = "auto") -> int:
    """Return the port of the door that asks for *login* and does *data*."""
    return FIRST + 10 * LOGINS.index(login) + DATA.index(data)


def door(name: str, number: int, settings: str = "", upstream: str = "") -> str:
    """Return the tables of one door, on both addresses of the LAN's side."""
    return f"""
[listen.{name}]
protocol = "ftp"
address = ["{INNER[4]}:{number}", "[{INNER[6]}]:{number}"]
{settings}

[listen.{name}.upstream]
{upstream}
"""


def configuration() -> str:
    """Return the configuration of the shared gateway."""
    tables = []
    for login in LOGINS:
        settings = f'login = "{login}"'
        if login == "colon":
            settings = 'login = "required"\nmethods = ["colon"]'
        tables += [
            door(f"{login}-{data}", port(login, data), settings, f'data = "{data}"')
            for data in DATA
        ]
    tables.append(narrow())
    tables.append(
        door(
            "short",
            SHORT,
            'idle = "2s"\nlogin_time = "2s"\nstall = "2s"',
            'connect_timeout = "2s"\nreply_timeout = "2s"',
        )
    )
    return HEAD + "".join(tables) + RULES


def narrow() -> str:
    """A door of one family, since an address has one."""
    client, server = NARROW_CLIENT_PORTS, NARROW_SERVER_PORTS
    return f"""
[listen.narrow]
protocol = "ftp"
address = "{INNER[4]}:{NARROW}"
data_address = "{ADVERTISED}"
data_ports = "{client[0]}-{client[-1]}"

[listen.narrow.upstream]
address = "{SECOND_OUTER[4]}"
data_ports = "{server[0]}-{server[-1]}"
"""


OUTERS = frozenset([*OUTER.values(), *SECOND_OUTER.values()])
