"""METHOD and URL, as a person writes them, read as the question that they are.

Not here: who asks, and the answer (explain.py). Invariant: what a door would ask the
rules about such a request is what is asked here.
"""

from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import click

from portway.lines import shown
from portway.model import PLAIN, Access, Action, Identity, IPAddress, Naming
from portway.net.guard import fold
from portway.policy.compile import is_slip
from portway.policy.rules import Ruleset
from portway.protocols.ftp.wire import resolve_path
from portway.protocols.http import methods
from portway.protocols.http.authority import rules_path
from portway.protocols.registry import PROTOCOLS
from portway.services import SCHEMES

NAMING = "CONNECT"  # the method that names a server; LOGIN is another word for it
_OVER = {"https": "http", "ftps": "ftp"}  # schemes that are another one inside TLS
_NO_PATH = frozenset({NAMING, "BIND", "UDP", "ASSOCIATE"})


def read_access(
    method: str, url: str, client: IPAddress, identity: Identity, rules: Ruleset
) -> Access:
    """Return the question that METHOD and URL are. Raises UsageError."""
    parts, host, port = _split(url)
    action, method, naming = _asked(parts, method, rules)
    path = _path(parts, naming)
    address = _address_of(host)
    scheme = naming.scheme or naming.protocol
    usual = PROTOCOLS[naming.protocol].port
    return Access(
        protocol=naming.protocol,
        client=client,
        user=identity.user,
        groups=identity.groups,
        action=action,
        method=method,
        host=str(address or host.removesuffix(".")),
        port=port or SCHEMES.get(scheme, usual),
        address=address,
        path="" if method in _NO_PATH else path,
        scheme="" if scheme == naming.protocol else scheme,
        also=naming.also,
    )


def _path(parts: SplitResult, naming: Naming) -> str:
    """Return the path as a door would have it, which knows of no query but HTTP's."""
    if naming.protocol == "http" and naming.scheme not in methods.FTP_SCHEMES:
        return rules_path((parts.path or "/").encode())
    raw = parts.path
    raw += f"?{parts.query}" if parts.query else ""
    raw += f"#{parts.fragment}" if parts.fragment else ""
    return shown(resolve_path(b"/", unquote_to_bytes(raw))) if raw else ""


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    """Return the parts of *url*, its host and its port. Raises UsageError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:
        # it is not repeated: what was meant for a port may be a password
        text = "URL is not a URL: write ftp://HOST/PATH, or ftp://HOST:PORT/PATH"
        raise click.UsageError(text) from error
    if _OVER.get(parts.scheme, parts.scheme) not in PROTOCOLS or not host:
        names = ", ".join(f"{name}://" for name in (*PROTOCOLS, *_OVER))
        text = f"URL must begin with a protocol of this version, {names} and a host"
        raise click.UsageError(text)
    return parts, host, port


def _asked(parts: SplitResult, word: str, rules: Ruleset) -> tuple[Action, str, Naming]:
    """Return what is done, and how rules call it. Raises UsageError."""
    protocol = _OVER.get(parts.scheme, parts.scheme)
    method, folder = word.upper(), parts.path.endswith("/") or not parts.path
    known = PROTOCOLS[protocol].methods
    if protocol == "ftp" and method not in known and method in methods.METHODS:
        found = methods.ftp_naming(method, parts.scheme, folder=folder)
        if found is not None and "http" in PROTOCOLS:
            return found[0], method, found[1]
    if protocol == "http" and word.isascii() and method != "LOGIN":
        named = methods.naming_of(parts.scheme)
        if method == "UPGRADE":
            named = methods.UPGRADES.get(parts.scheme, named)
        return methods.action_of(method), method, named
    method, action = _read_method(protocol, word, rules)
    return action, method, PLAIN._replace(protocol=protocol)


def _address_of(host: str) -> IPAddress | None:
    try:
        return fold(ip_address(host))
    except ValueError:
        return None


def _read_method(protocol: str, word: str, rules: Ruleset) -> tuple[str, Action]:
    known = PROTOCOLS[protocol].methods
    method = NAMING if word.upper() == "LOGIN" else word.upper()
    if method in known:
        return method, known[method]
    if method == NAMING or rules.names_method(protocol, method):
        return method, Action.CONNECT
    near = [name for name in known if is_slip(method, name)]
    near = near or get_close_matches(method, known, 1)
    cure = f'did you mean "{near[0]}"?' if near else f"those are {' '.join(known)}"
    text = f'{protocol} has no method "{word}" that rules are asked about'
    raise click.UsageError(f"{text}; {cure}")
