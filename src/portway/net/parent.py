"""The proxy through which servers are reached, as a configuration names it: its parent.

``socks5://user@10.0.0.1:1080``. A password is never part of it: that is a secret of
its own, given by reference.

Not here: reaching it, and the words it wants to hear. Invariant: no text of this module
holds a password, not even one that was written where none may be.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from portway.model import Credentials, Endpoint, read_address
from portway.net.stream import Stream

PORTS = {
    "socks5": 1080,
    "socks5h": 1080,
    "socks4": 1080,
    "socks4a": 1080,
    "http": 3128,
    "ftp": 21,
}
RESOLVING = frozenset({"socks5h", "socks4a", "http", "ftp"})
BINDING = frozenset({"socks5", "socks5h", "socks4", "socks4a"})
NO_PASSWORDS = frozenset({"socks4", "socks4a"})
NEED_PASSWORD = frozenset({"socks5", "socks5h"})  # RFC 1929: of 1 byte at least
METHODS = ("user@host", "site", "open", "proxyuser@host", "joined", "acct")
WITH_LOGIN = ("proxyuser@host", "joined", "acct")

Ask = Callable[[Stream, Endpoint, Credentials | None], Awaitable[None]]
AskToListen = Callable[[Stream, Endpoint, Credentials | None], Awaitable[Endpoint]]

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)

EXAMPLE = 'as in "socks5://10.0.0.1:1080"'
UNWRITTEN = 'a password is not written here; write via_password = "file:/path"'


@dataclass(frozen=True, slots=True)
class Parent:
    """A parent: *scheme* is how one speaks to it, *at* where it is.

    *method* is how an FTP parent is told of the server: one of `METHODS`.
    """

    scheme: str
    at: Endpoint
    credentials: Credentials | None = field(default=None, repr=False)
    method: str = ""

    @property
    def resolves(self) -> bool:
        """Whether it is given names, so that we never learn the address."""
        return self.scheme in RESOLVING

    @property
    def binds(self) -> bool:
        """Whether it can be asked to listen for somebody's connection to us."""
        return self.scheme in BINDING

    @property
    def is_ftp(self) -> bool:
        """Whether it is the peer of the control connection and of all data."""
        return self.scheme == "ftp"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.at}"


@dataclass(frozen=True, slots=True)
class Handshake:
    """How one kind of parent is spoken to, on a fresh connection with it.

    *connect* asks for a connection to an endpoint. *listen* asks the parent to take
    one from there; it returns where, and *caller* waits for who came. Each raises
    ParentError or PeerError.
    """

    connect: Ask
    listen: AskToListen | None = None
    caller: Callable[[Stream], Awaitable[Endpoint]] | None = None


def read_parent(text: str, password: str | None = None) -> Parent:
    """Read the URL of a parent. Raises ValueError: why it is none, and the cure."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(f"is no URL of a host and a port; {EXAMPLE}") from None
    if url.scheme not in PORTS:
        known = ", ".join(f"{scheme}://" for scheme in PORTS)
        raise ValueError(f"must begin with one of {known}; {EXAMPLE}")
    if url.password is not None:
        raise ValueError(UNWRITTEN)
    if not host or url.path not in {"", "/"} or url.fragment:
        raise ValueError(f"names no proxy, or more than one; write it {EXAMPLE}")
    if read_address(host) is None and not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is neither a name nor an address")
    if port == 0:
        raise ValueError("a port is from 1 to 65535")
    at = Endpoint(host.removesuffix("."), port or PORTS[url.scheme])
    user = unquote(url.username or "")
    if any(not sign.isprintable() for sign in user):
        raise ValueError("the user's name holds a sign that no name has")
    if password is not None and not user:
        raise ValueError('via_password has no user; write via = "SCHEME://USER@HOST"')
    if password is not None and not password.isprintable():
        raise ValueError("the password holds a sign that none has; look at its file")
    if user and url.scheme in NO_PASSWORDS and password is not None:
        raise ValueError("SOCKS 4 knows no password; leave via_password out")
    if user and url.scheme in NEED_PASSWORD and not password:
        raise ValueError('has a user; write via_password = "file:/path" too')
    credentials = Credentials(user, password or "") if user else None
    return Parent(url.scheme, at, credentials, _method(url.scheme, url.query, user))


def _method(scheme: str, query: str, user: str) -> str:
    words = parse_qsl(query, keep_blank_values=True)
    if scheme != "ftp":
        if query:
            raise ValueError("only ftp:// has a method; take out what follows the ?")
        return ""
    if not words:
        return METHODS[0]
    (key, method), *more = words
    if key != "method" or more or method not in METHODS:
        raise ValueError(f"after the ? stands method= and one of {', '.join(METHODS)}")
    if method in WITH_LOGIN and not user:
        raise ValueError(f'the method {method} needs a user, as in "ftp://USER@HOST"')
    return method
