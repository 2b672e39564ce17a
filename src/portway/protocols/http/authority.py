"""What a request is for: authorities, URLs and the paths that rules see.

RFC 3986; RFC 9112, section 3.2; protocols.md, section 2.1. `read_host` is for all
doors.

Not here: which schemes, ports and hosts may be asked for. Invariant: a host that came
out is one that no resolver reads in another way: an address in its usual form, or a
lower-case name that is no number.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import unquote_to_bytes

from portway.lines import shown
from portway.model import Endpoint, Side
from portway.protocols.http.wire import BadMessage

PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 990}  # of the schemes we know
_WITH_LOGIN = frozenset({"ftp", "ftps"})
_LONGEST = 253  # RFC 1035, section 2.3.4, without the dot at the end

_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # what inet_aton would take
_PORT = re.compile(rb"[1-9][0-9]{0,4}")
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(.*)", re.DOTALL)


class Form(Enum):
    """How a request names what it is for. RFC 9112, section 3.2."""

    ABSOLUTE = auto()
    AUTHORITY = auto()
    ORIGIN = auto()
    ASTERISK = auto()


@dataclass(slots=True)  # never changed; to freeze it costs as much as to read it
class Target:
    """What a request is for.

    *path* has the client's own bytes, with the query; it is ``*`` in asterisk-form, and
    empty in authority-form. *scheme*, *host* and *port* are empty where the form does
    not say them. *user* and *password* are from an ``ftp://`` URL, unescaped;
    *password* is None where there is none.
    """

    form: Form
    scheme: str = ""
    host: str = ""
    port: int = 0
    path: bytes = b""
    user: str = ""
    password: str | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return Endpoint(self.host, self.port)

    @property
    def authority(self) -> bytes:
        """What stands in ``Host``: without the scheme's usual port, without login."""
        return format_authority(self.host, self.port, self.scheme)

    @property
    def view(self) -> str:
        """The path as rules see it and the log shows it."""
        return rules_path(self.path) if self.path else ""


def read_target(method: str, target: bytes) -> Target:
    """Read a request's target. Raises BadMessage, 400, or 501 for other schemes."""
    if method == "CONNECT":
        host, port = _authority(target)
        if not port:
            raise _bad("CONNECT names a host and a port")
        return Target(Form.AUTHORITY, "", host, port)
    if target[:1] == b"/":
        return Target(Form.ORIGIN, path=target)
    if target == b"*":
        if method != "OPTIONS":
            raise _bad("* is for OPTIONS alone")
        return Target(Form.ASTERISK, path=target)
    return _absolute(method, target)


def _absolute(method: str, target: bytes) -> Target:
    parts = _SCHEME.fullmatch(target)
    if parts is None:
        raise _bad("a target that is neither a URL nor a path")
    scheme = parts[1].decode("ascii").lower()
    usual = PORTS.get(scheme)
    if usual is None:
        raise BadMessage(Side.CLIENT, 501, "a URL of another scheme than http and ftp")
    login, at, place = parts[2].rpartition(b"@")
    if at and scheme not in _WITH_LOGIN:
        raise _bad("a login in the URL")
    host, port = _authority(place)
    user, password = _login(login) if at else ("", None)
    path = parts[3]
    if not path:
        # RFC 9112, section 3.2.4: the server itself is asked
        path = b"*" if method == "OPTIONS" and scheme not in _WITH_LOGIN else b"/"
    elif path[:1] == b"?":
        path = b"/" + path
    return Target(Form.ABSOLUTE, scheme, host, port or usual, path, user, password)


def target_at(scheme: str, host: bytes, path: bytes) -> Target:
    """Return the target of an origin-form *path* with ``Host: host``.

    Raises BadMessage.
    """
    name, port = _authority(host)
    return Target(Form.ORIGIN, scheme, name, port or PORTS[scheme], path)


@lru_cache(4096)  # a client asks the same few again and again
def read_authority(text: bytes, port: int = 0) -> Endpoint:
    """Read ``host`` or ``host:port``; *port* is that of the first form.

    Raises ValueError, which says what is wrong.
    """
    host, colon, number = text.rpartition(b":")
    if not colon or text[-1:] == b"]":
        return Endpoint(read_host(text), port)
    if not _PORT.fullmatch(number) or int(number) > 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return Endpoint(read_host(host), int(number))


@lru_cache(4096)
def format_authority(host: str, port: int, scheme: str = "") -> bytes:
    """Return *host* and *port*; the usual port of *scheme* is left out."""
    usual = scheme and port == PORTS.get(scheme)
    return str(Endpoint(host, 0 if usual else port)).encode("ascii")


def read_host(text: str | bytes, *, idna: bool = False) -> str:
    """Return a host as an `Endpoint` has it. Raises ValueError, saying what is wrong.

    An IPv6 address stands in brackets. A name has labels of letters, digits, ``-`` and
    ``_`` of up to 63 bytes, 253 in all; a dot at its end is dropped. A name whose last
    label is a number is a dotted quad, or nothing. *idna* lets other letters through
    IDNA.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8" if idna else "ascii")
        except UnicodeDecodeError:
            raise ValueError("a host with bytes that no host has") from None
    return _host(text, idna=idna)


@lru_cache(4096)  # a client asks the same few again and again
def _host(text: str, *, idna: bool) -> str:
    if text[:1] == "[" and text[-1:] == "]":
        return _ipv6(text[1:-1])
    if not text.isascii():
        text = _ascii(text) if idna else ""
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("a host that is no name and no address")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(name)
    return name


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        raise ValueError("an IPv4 address has four numbers of up to 255") from None


def _ipv6(text: str) -> str:
    """Return an address in its usual form, v4-mapped as v4.

    A zone names a network card of ours, which is not the client's to say.
    """
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise ValueError("an IPv6 address that is none") from None
    if address.scope_id is not None:
        raise ValueError("an IPv6 address with a zone")
    return str(address.ipv4_mapped or address)


def _ascii(text: str) -> str:
    if len(text) > _LONGEST:  # the codec takes its time
        return ""
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _authority(text: bytes) -> tuple[str, int]:
    try:
        place = read_authority(text)
    except ValueError as error:
        raise _bad(str(error)) from None
    return place.host, place.port


def _login(text: bytes) -> tuple[str, str | None]:
    user, colon, password = (unquote_to_bytes(part) for part in text.partition(b":"))
    if set(b"\r\n\0") & {*user, *password}:
        raise _bad("a line end in the URL's login")
    words = (user.decode("utf-8", "surrogateescape"), None)
    if not colon:
        return words
    return words[0], password.decode("utf-8", "surrogateescape")


# The path that rules see.

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(
    b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
) | frozenset(range(128, 256))


def rules_path(path: bytes) -> str:
    """Return *path*, origin-form, as rules see it and records show it.

    The query is left out. Escapes of unreserved signs are decoded, those of letters
    beyond ASCII too (RFC 3987, section 5.3.2.3), so that one path has one form. Dot
    segments, doubled slashes and one at the end are taken out: patterns have none.
    """
    plain = path.partition(b"?")[0]
    if b"%" in plain:
        plain = _ESCAPE.sub(_decoded, plain)
    if b"/." in plain or b"//" in plain or plain[-1:] == b"/":
        plain = _straight(plain)
    return shown(plain)


_SLASHES = re.compile(rb"%2[Ff]|%5[Cc]|\\")


def slashed_path(path: bytes) -> str | None:
    """Return *path* as rules see it, its escaped slashes and backslashes taken for /.

    Many a server decodes before it walks. None: there are none.
    """
    plain = path.partition(b"?")[0]
    found = _SLASHES.sub(b"/", plain)
    return None if found == plain else rules_path(found)


def _decoded(escape: re.Match[bytes]) -> bytes:
    code = int(escape[1], 16)
    return bytes((code,)) if code in _PLAIN else escape[0].upper()


def _straight(path: bytes) -> bytes:
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in {b"", b"."}:
            parts.append(part)
    return b"/" + b"/".join(parts)


def _bad(text: str) -> BadMessage:
    return BadMessage(Side.CLIENT, 400, text)
