"""What HTTP methods do, and what they are called where the URL is one of FTP.

protocols.md, section 1.1, has the table. Not here: whether they may. Invariant: every
token is a method, and has an action.
"""

from collections.abc import Mapping
from types import MappingProxyType

from portway.model import PLAIN, Action, Naming

METHODS: Mapping[str, Action] = MappingProxyType(
    {
        "GET": Action.READ,
        "HEAD": Action.READ,
        "OPTIONS": Action.READ,
        "QUERY": Action.READ,
        "POST": Action.WRITE,
        "PUT": Action.WRITE,
        "PATCH": Action.WRITE,
        "DELETE": Action.DELETE,
        "PROPFIND": Action.LIST,
        "REPORT": Action.LIST,
        "SEARCH": Action.LIST,
        "MKCOL": Action.MANAGE,
        "COPY": Action.MANAGE,
        "MOVE": Action.MANAGE,
        "LOCK": Action.MANAGE,
        "UNLOCK": Action.MANAGE,
        "PROPPATCH": Action.MANAGE,
        "CONNECT": Action.CONNECT,
        "UPGRADE": Action.CONNECT,
    }
)

FTP_SCHEMES = frozenset({"ftp", "ftps"})
_NAMINGS = {scheme: Naming("http", scheme) for scheme in ("http", "https")}
UPGRADES = {scheme: Naming("http", scheme, "http:GET") for scheme in ("http", "https")}

# By whether the path ends in a slash.
_FTP: Mapping[tuple[str, bool], tuple[Action, str]] = MappingProxyType(
    {
        ("GET", False): (Action.READ, "RETR"),
        ("GET", True): (Action.LIST, "LIST"),
        ("HEAD", False): (Action.LIST, "SIZE"),
        ("HEAD", True): (Action.LIST, "LIST"),
        ("PUT", False): (Action.WRITE, "STOR"),
        ("DELETE", False): (Action.DELETE, "DELE"),
        ("DELETE", True): (Action.DELETE, "RMD"),
        ("MKCOL", False): (Action.MANAGE, "MKD"),
        ("MKCOL", True): (Action.MANAGE, "MKD"),
    }
)


def action_of(method: str) -> Action:
    """Return what *method* does; one that nobody knows may do anything."""
    return METHODS.get(method, Action.MANAGE)


def naming_of(scheme: str) -> Naming:
    """Return how a request for an ``http`` or ``https`` URL is called."""
    return _NAMINGS.get(scheme, PLAIN)


def ftp_naming(
    method: str, scheme: str, *, folder: bool, appends: bool = False
) -> tuple[Action, Naming] | None:
    """Return what *method* does to an ``ftp`` or ``ftps`` URL; None: nothing.

    *folder*: the path ends in a slash. *appends*: an upload goes on with a file.
    """
    found = _FTP.get((method, folder))
    if found is None:
        return None
    action, verb = found
    verb = "APPE" if appends else verb
    return action, Naming("http", scheme, f"ftp:{verb}")
