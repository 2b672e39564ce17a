"""The tables of the account sources outside: ``[login.ldap]`` and its like.

Not here: asking any of them (users/). Invariant: what is wrong between the keys of a
table is told by its `problems`, which opens nothing.
"""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from portway.config.locate import Path
from portway.config.report import quoted
from portway.config.secret import Secret
from portway.model import Endpoint

Wrong = tuple[Path, str]  # a key within the table, and what is wrong with it

LDAP_PORTS = {"ldap": 389, "ldaps": 636}
_SERVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+")  # RFC 4512, 1.4


class Htpasswd(Struct, frozen=True, kw_only=True):
    """``[login.htpasswd]``: a file as web servers have it."""

    path: str

    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong."""
        yield from _empty(self.path, "path", "the file of accounts")


class LdapServer(Struct, frozen=True):
    """Where a directory server is; *tls* from the first byte, or by STARTTLS."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return str(Endpoint(self.host, self.port))


class Ldap(Struct, frozen=True, kw_only=True):
    """``[login.ldap]``: a directory that is searched, and then bound to.

    *name* is the attribute whose value becomes the user, *groups* the one of the
    user's entry that names its groups. With *group_base* groups are searched for too,
    and *group_name* is the attribute that names one.
    """

    servers: tuple[str, ...]
    base: str
    filter: str = "(uid={user})"
    name: str = "uid"
    bind_dn: str = ""
    bind_password: Secret | None = None
    groups: str = "memberOf"
    group_base: str = ""
    group_filter: str = "(member={dn})"
    group_name: str = "cn"
    tls: Literal["required", "off"] = "required"
    ca: str = ""

    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong."""
        if not self.servers:
            yield ("servers",), 'is empty; name one, as in "ldaps://ldap.example.org"'
        for place, url in enumerate(self.servers):
            try:
                server = read_ldap_url(url)
            except ValueError as error:
                yield ("servers", place), str(error)
                continue
            if server.tls and self.tls == "off":
                text = f'{quoted(url)} is TLS, and tls = "off" says none; change one'
                yield ("tls",), text
        yield from _empty(self.base, "base", "where in the directory people are")
        if "{user}" not in self.filter:
            text = "must say where the name goes, as in "
            yield ("filter",), f'{text}"(uid={{user}})"'
        if bool(self.bind_dn) != (self.bind_password is not None):
            missing = "bind_password" if self.bind_dn else "bind_dn"
            yield (missing,), "is missing; both or none of bind_dn and bind_password"
        for key in ("name", "groups", "group_name"):
            text = getattr(self, key)
            if not (_ATTRIBUTE.fullmatch(text) or (key == "groups" and not text)):
                yield (key,), f"{quoted(text)} is no name of an attribute"


class Radius(Struct, frozen=True, kw_only=True):
    """``[login.radius]``: servers that share *secret* with us.

    *groups* is the attribute of an answer that names the user's groups.
    """

    servers: tuple[Endpoint, ...]
    secret: Secret
    identifier: str = "portway"
    groups: Literal["none", "class", "filter-id"] = "none"

    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong."""
        if not self.servers:
            yield ("servers",), 'is empty; name one, as in "10.0.0.5:1812"'
        for place, server in enumerate(self.servers):
            if not server.port:
                yield ("servers", place), "needs a port, mostly 1812"
        if not 0 < len(self.identifier.encode()) <= 253:
            yield ("identifier",), "takes from 1 to 253 bytes"


class Pam(Struct, frozen=True, kw_only=True):
    """``[login.pam]``: *service* names a file in *folder*, the system's if empty."""

    service: str = "portway"
    folder: str = ""

    def problems(self) -> Iterable[Wrong]:
        """Yield what is wrong."""
        if not _SERVICE.fullmatch(self.service):
            text = f"{quoted(self.service)} is no name of a file in /etc/pam.d"
            yield ("service",), text


def read_ldap_url(text: str) -> LdapServer:
    """Read ``ldap://host``, ``ldaps://host:port``. RFC 4516, but for the path.

    Raises ValueError, its text one line.
    """
    like = 'write it like "ldaps://ldap.example.org"'
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError(f"{quoted(text)} is no address of a server; {like}") from None
    if url.scheme not in LDAP_PORTS or not url.hostname:
        raise ValueError(f"{quoted(text)} is no address of a server; {like}")
    if url.username is not None or url.query or url.path not in {"", "/"}:
        raise ValueError(f"{quoted(text)} holds more than a server; {like}")
    port = port or LDAP_PORTS[url.scheme]
    return LdapServer(url.hostname, port, url.scheme == "ldaps")


def _empty(text: str, key: str, what: str) -> Iterable[Wrong]:
    if not text.strip():
        yield (key,), f"is empty; name {what}"
