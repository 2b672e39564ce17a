"""Every way in which a client names its server, read from one USER argument.

What the words may mean depends on what the door offers and on who is already known;
all readings that fit come out, and the password decides between them.

Not here: the dialogue round it (login.py), accounts, and names being resolved.
Invariant: a place that comes out can be dialled or resolved as it is; nothing that
an old resolver takes for a number in disguise is one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from portway.errors import ProtocolError
from portway.model import Endpoint, Side

PORT = 21
SSH_PORT = 22
SFTP = b"sftp://"
NAME = 253  # bytes of a host name: RFC 1035, section 2.3.4, less length bytes


class BadTarget(ProtocolError):  # noqa: N818 - what is bad is the client's word
    """A client named a server in a way that nobody understands."""

    def __init__(self) -> None:
        super().__init__(Side.CLIENT, "bad host name or port")


@dataclass(frozen=True, slots=True)
class SftpEndpoint(Endpoint):
    """A server that the client says to speak SFTP; it equals no other endpoint."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host, the port if one was given, and the word behind it if there was one.

    *host* is as in `Endpoint`; v4-mapped addresses are v4. *sftp* says that
    ``sftp://`` stood before it.
    """

    host: str
    port: int | None = None
    word: bytes | None = None
    sftp: bool = False

    def endpoint(self, default_port: int = PORT) -> Endpoint:
        """Return where to connect."""
        if self.sftp:
            return SftpEndpoint(self.host, self.port or SSH_PORT)
        return Endpoint(self.host, self.port or default_port)


@dataclass(frozen=True, slots=True)
class Named:
    """What stands before the last ``@``, and the place behind it."""

    user: bytes
    place: Place


def split(argument: bytes) -> Named:
    """Read ``user@place``, with the last ``@`` between them.

    Raises BadTarget, if there is no ``@`` too.
    """
    user, at, place = argument.rpartition(b"@")
    if not at:
        raise BadTarget
    return Named(user, read_place(place))


def split_place(argument: bytes, default_port: int = PORT) -> Endpoint:
    """Read the argument of SITE, OPEN or ACCT: a place and no more.

    Raises BadTarget.
    """
    place = read_place(argument)
    if place.word is not None:
        raise BadTarget
    return place.endpoint(default_port)


# A place: host, port and word.

_BRACKETED = re.compile(rb"\[([^\]]*)\](?:[:,]([^ \t]*))?((?:[ \t].*)?)", re.DOTALL)
_BARE_PORTS = re.compile(r"21|990|[1-9]\d{3}", re.ASCII)


def read_place(text: bytes) -> Place:
    """Read a host, with ``:port``, ``,port`` or `` port``, and one more word.

    A following word of digits is the port if none was given yet. ``sftp://`` may stand
    before all of it. Raises BadTarget.
    """
    if text[: len(SFTP)].lower() == SFTP:
        return replace(_read_bare(text[len(SFTP) :]), sftp=True)
    return _read_bare(text)


def _read_bare(text: bytes) -> Place:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        host = _ipv6(_text(bracketed[1]))
        if host is None:
            raise BadTarget
        port = None if bracketed[2] is None else _port(bracketed[2])
        return _with_words(host, port, bracketed[3].split())
    if text[:1] in {b" ", b"\t"}:
        raise BadTarget
    first, *words = text.split() or [b""]
    host, port = _host_and_port(first)
    return _with_words(host, port, words)


def _with_words(host: str, port: int | None, words: list[bytes]) -> Place:
    if port is None and words and words[0].isdigit():
        port = _port(words.pop(0))
    if len(words) > 1:
        raise BadTarget
    return Place(host, port, words[0] if words else None)


def _host_and_port(text: bytes) -> tuple[str, int | None]:
    host, comma, port = text.partition(b",")
    if comma:
        return _host(host), _port(port)
    if text.count(b":") > 1:
        return _bare_ipv6(_text(text))
    host, colon, port = text.partition(b":")
    return _host(host), _port(port) if colon else None


def _bare_ipv6(text: str) -> tuple[str, int | None]:
    """Tell an address from an address with a port, where nothing parts the two."""
    head, _, last = text.rpartition(":")
    whole, shorter = _ipv6(text), _ipv6(head)
    if whole and not (shorter and _BARE_PORTS.fullmatch(last)):
        return whole, None
    if shorter:
        return shorter, _port(last.encode())
    raise BadTarget


def _port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or not 0 < int(text) < 65536:
        raise BadTarget
    return int(text)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadTarget from None


# A host: an address or a name.

_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_NUMERIC = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)  # what inet_aton would take


def _host(data: bytes) -> str:
    text = _text(data)
    if ":" in text:
        address = _ipv6(text)
        if address is None:
            raise BadTarget
        return address
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        return _name(text)


def _ipv6(text: str) -> str | None:
    """Return an address in its usual form, v4-mapped as v4; None if it is none.

    A zone (``%eth0``) names a network card of ours, which is not the client's to say.
    """
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    if address.scope_id is not None:
        return None
    return str(address.ipv4_mapped or address)


def _name(text: str) -> str:
    """Check a host name and return it in small letters; non-ASCII goes through IDNA.

    RFC 1123, section 2.1, and underscores, which names in use do have.
    """
    if not text.isascii():
        if len(text) > NAME:  # the codec takes its time, and drops some characters
            raise BadTarget
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            raise BadTarget from None
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if (
        len(name) > NAME
        or not all(map(_LABEL.fullmatch, labels))
        or _NUMERIC.fullmatch(labels[-1])
    ):
        raise BadTarget
    return name


# The readings of a USER argument.

METHODS = (
    "acct",
    "joined",
    "colon",
    "proxyuser@host",
    "resp",
    "user@host",
)  # those that USER can name a server by; site and open have verbs of their own


@dataclass(frozen=True, slots=True)
class Context:
    """What the door offers, and what is known of the client.

    *methods* in the order in which they are tried. *login* is ``none``,
    ``optional`` or ``required``: a login to the proxy. *standing* says that the
    client has one; one that came with ``joined``, ``acct`` or ``colon`` does not
    count. *fixed* says that the server is not the client's to name.
    """

    methods: tuple[str, ...]
    login: str = "none"
    standing: bool = False
    fixed: bool = False
    default_port: int = PORT


@dataclass(frozen=True, slots=True)
class Candidate:
    """One reading of a USER argument.

    *user* is for the server. *account* is for the proxy, empty where it is given
    later or not at all; if *only_if_known*, the reading holds only where that may be
    an account. *place*'s host is empty where the server is fixed. *has_word* says
    that a word followed that this reading ignores. Passwords that came with the
    names show in no repr.
    """

    method: str
    user: bytes
    place: Endpoint
    account: bytes = b""
    only_if_known: bool = False
    has_word: bool = False
    words: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Candidate({self.method}, {self.user!r}, {self.place})"

    def split_password(self, argument: bytes) -> tuple[bytes | None, bytes | None]:
        """Return the server's and the proxy's password in a PASS argument.

        None for one that it does not hold: it is due later, or this reading does not
        fit. A proxy password with ``@`` cannot be joined.
        """
        if self.method == "proxyuser@host":
            return None, argument
        if self.method == "joined":
            server, at, proxy = argument.rpartition(b"@")
            return (server, proxy) if at else (argument, None)
        if self.method != "colon":
            return argument, None
        if not self.words:
            proxy, colon, server = argument.partition(b":")
            return (server, proxy) if colon else (argument, None)
        proxy, *server_words = self.words
        return (server_words[0] if server_words else argument), proxy


def candidates(argument: bytes, context: Context) -> tuple[Candidate, ...]:
    """Return the readings of *argument* that fit, in the order of the methods.

    None: it is a plain name. Raises BadTarget where a method would read a server's
    name, and there is none to be read.
    """
    argument = argument.rstrip(b" \t")
    if b"@" not in argument or not any(map(context.methods.__contains__, METHODS)):
        return ()
    if context.fixed and argument.count(b"@") == 1 and _may_join(context):
        return tuple(_with_fixed_server(argument, context))
    named = split(argument)
    found = (_reading(method, named, context) for method in context.methods)
    return tuple(candidate for candidate in found if candidate is not None)


def _logs_in(context: Context) -> bool:
    """Whether a proxy login may come along with the server's name."""
    return context.login != "none" and not context.standing


def _may_join(context: Context) -> bool:
    return _logs_in(context) and "joined" in context.methods


def _with_fixed_server(argument: bytes, context: Context) -> Iterable[Candidate]:
    """Read ``u@fu``, which needs no host, beside what would need one."""
    user, _, account = argument.rpartition(b"@")
    try:
        named = split(argument)
    except BadTarget:
        named = None
    for method in context.methods:
        if method == "joined":
            yield Candidate(method, user, Endpoint("", 0), account, only_if_known=True)
        elif named is not None:
            candidate = _reading(method, named, context)
            if candidate is not None:
                yield candidate


def _reading(method: str, named: Named, context: Context) -> Candidate | None:
    """Return how *method* reads a name, if it fits."""
    place = named.place.endpoint(context.default_port)
    has_word = named.place.word is not None
    if method == "user@host":
        if context.login == "required" and not context.standing:
            return None
        return Candidate(method, named.user, place, has_word=has_word)
    if method == "acct":
        return _read_acct(named, place, context)
    if method == "joined":
        return _read_joined(named, place, context)
    if method == "colon":
        return _read_colon(named, place, context)
    if has_word or context.standing or not named.user:
        return None
    if method == "proxyuser@host":
        return Candidate(
            method, b"", place, named.user, only_if_known=context.login == "optional"
        )
    if method == "resp" and context.login == "required":
        return Candidate(method, named.user, place)
    return None


def _read_acct(named: Named, place: Endpoint, context: Context) -> Candidate | None:
    """``u@h fu``: the proxy's password will come with ACCT."""
    if named.place.word is None or not _logs_in(context):
        return None
    return Candidate("acct", named.user, place, named.place.word)


def _read_joined(named: Named, place: Endpoint, context: Context) -> Candidate | None:
    """``u@fu@h``, ``p@fp``."""
    user, at, account = named.user.rpartition(b"@")
    if not at or not account or not _logs_in(context):
        return None
    return Candidate("joined", user, place, account, only_if_known=True)


def _read_colon(named: Named, place: Endpoint, context: Context) -> Candidate | None:
    """``fu:u@h``, ``fu:fp:u@h`` or ``fu:fp:u:p@h``."""
    account, *words = named.user.split(b":")
    if not 1 <= len(words) <= 3 or not _logs_in(context):
        return None
    if len(words) == 1:
        return Candidate("colon", words[0], place, account)
    proxy_password, user, *password = words
    return Candidate("colon", user, place, account, words=(proxy_password, *password))
