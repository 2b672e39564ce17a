"""Accounts in an LDAP directory: searched for by us, proved by their own bind.

Our own small client, for no library of LDAP is both kept and had as a wheel; it knows
bind, search and STARTTLS, and not one thing more.

Not here: messages and filters (ldap_messages.py, ldap_filter.py). Invariant: no
password goes out before TLS unless the configuration says so, none that is empty goes
out at all, and no referral is followed.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from portway.config.sources import Ldap, LdapServer, read_ldap_url
from portway.model import Credentials
from portway.net.contexts import connecting
from portway.users import ldap_messages as messages
from portway.users.asking import SECONDS, Asking, Unavailable, Until
from portway.users.ber import total
from portway.users.directory import (
    UNKNOWN,
    Source,
    Verification,
    Verified,
    fault,
    normal,
)
from portway.users.ldap_filter import Filter, read_filter
from portway.users.ldap_messages import Entry, Message

NAME = "ldap"
LARGEST = 1 << 20  # bytes of one message
GROUPS = 1000  # of one user

# What a server says to the bind of a user who may not, for whatever reason of his own:
# the password is wrong, there is none, or the account is locked or switched off.
_WRONG = frozenset(
    {
        messages.INVALID_CREDENTIALS,
        messages.INAPPROPRIATE,
        messages.UNWILLING,
        messages.CONSTRAINT,
        messages.NO_SUCH_OBJECT,
    }
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked of the directory, made once of its settings."""

    settings: Ldap
    user: Filter
    group: Filter
    context: ssl.SSLContext | None = field(repr=False)


def prepare(settings: Ldap) -> Search:
    """Return what asks by *settings*. Raises ValueError: one line."""
    return Search(
        settings,
        read_filter(settings.filter, frozenset({"user"})),
        read_filter(settings.group_filter, frozenset({"user", "dn"})),
        connecting(ca=settings.ca) if settings.tls == "required" else None,
    )


def faults(settings: Ldap) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with *settings*, so that `prepare` would raise: key, why."""
    places = {"filter": ["user"], "group_filter": ["user", "dn"]}
    for key, known in places.items():
        try:
            read_filter(getattr(settings, key), frozenset(known))
        except ValueError as error:
            yield key, str(error)
    if settings.tls == "required":
        try:
            connecting(ca=settings.ca)
        except ValueError as error:
            yield "ca", str(error)


class LdapSource:
    """A source of the accounts in a directory. Raises ValueError, as `prepare` does."""

    name = NAME

    def __init__(self, settings: Ldap, *, seconds: float = SECONDS) -> None:
        self._search = prepare(settings)
        self._servers = [read_ldap_url(url) for url in settings.servers]
        self._asking = Asking(NAME, seconds=seconds)

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*; see `Source`."""
        if fault(credentials.user):
            return UNKNOWN
        user = normal(credentials.user)
        password = credentials.password.encode(errors="surrogateescape")
        return await self._asking.ask(
            lambda until: self._at_one(
                lambda line: _verify(line, self._search, user, password), until
            )
        )

    async def knows(self, user: str) -> bool:
        """Say whether *user* is an account; see `Source`."""
        if fault(user):
            return False
        return await self._asking.ask(
            lambda until: self._at_one(
                lambda line: _find(line, self._search, normal(user)) is not None, until
            )
        )

    async def renewed(self, verified: Verified) -> Verified:
        """Return *verified*: only a password tells."""
        return verified

    def close(self) -> None:
        """Let go of the threads."""
        self._asking.close()

    def _at_one(self, ask: Callable[["Line"], T], until: Until) -> T:
        """Ask the first server that answers; it is the first to be asked next time."""
        errors = []
        for count, server in enumerate(servers := list(self._servers)):
            try:
                with _connected(
                    server, self._search, until.share(len(servers) - count)
                ) as line:
                    found = ask(line)
            except (OSError, ValueError, Unavailable) as error:
                errors.append(f"{server}: {_words(error)}")
                continue
            if count:
                self._servers = [*servers[count:], *servers[:count]]
            return found
        raise Unavailable("; ".join(errors))


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error)


def _verify(line: "Line", search: Search, user: str, password: bytes) -> Verified:
    entry = _find(line, search, user)
    if entry is None:
        return UNKNOWN
    groups = _groups(line, search, user, entry)
    # RFC 4513, 5.1.2: to bind without a password is to bind as nobody, and it succeeds
    if not password or not entry.dn:
        return Verified(Verification.WRONG, source=NAME)
    code = line.bind(entry.dn, password)
    if code in _WRONG:
        return Verified(Verification.WRONG, source=NAME)
    if code != messages.SUCCESS:
        raise Unavailable(f"the login was answered with {_result(code)}")
    name = _name(entry, search.settings.name)
    return Verified(Verification.OK, name, groups, NAME)


def _find(line: "Line", search: Search, user: str) -> Entry | None:
    """Return the entry of *user*, found as who `bind_dn` says we are."""
    settings = search.settings
    secret = settings.bind_password.reveal() if settings.bind_password else ""
    if secret:
        words = secret.encode(errors="surrogateescape")
        if code := line.bind(settings.bind_dn.encode(), words):
            raise Unavailable(f"bind_dn was answered with {_result(code)}")
    query = search.user({"user": user.encode()})
    attributes = [name for name in (settings.name, settings.groups) if name]
    found = line.search(settings.base.encode(), query, attributes, 2)
    if len(found) > 1:
        raise Unavailable("the filter finds several entries for one name")
    return found[0] if found else None


def _name(entry: Entry, attribute: str) -> str:
    """Return the user's name as the directory spells it.

    It takes ``ALICE`` for ``alice``, and a rule about ``user:alice`` must hold too.
    """
    values = entry.values(attribute)
    name = normal(values[0].decode(errors="replace")) if values else ""
    if wrong := fault(name):
        raise Unavailable(f"the attribute {attribute} names no account: {wrong}")
    return name


def _groups(line: "Line", search: Search, user: str, entry: Entry) -> frozenset[str]:
    settings = search.settings
    names = list(entry.values(settings.groups)[:GROUPS]) if settings.groups else []
    if settings.group_base:
        query = search.group({"dn": entry.dn, "user": user.encode()})
        base, attribute = settings.group_base.encode(), settings.group_name
        for group in line.search(base, query, [attribute], GROUPS):
            names += group.values(attribute)
    return frozenset(normal(messages.common_name(name)) for name in names)


@contextlib.contextmanager
def _connected(server: LdapServer, search: Search, until: Until) -> Iterator["Line"]:
    """Give a connection, which is under TLS where there is any."""
    sock = socket.create_connection((server.host, server.port), until.left())
    line = Line(sock, until)
    try:
        if search.context is not None:
            if not server.tls:
                line.start_tls()
            line.encrypt(search.context, server.host)
        yield line
    finally:
        line.close()


class Line:
    """A connection to a server that is asked one thing after the other."""

    def __init__(self, sock: socket.socket, until: Until) -> None:
        self._sock = sock
        self._until = until
        self._read = b""
        self._count = 0

    def bind(self, dn: bytes, password: bytes) -> int:
        """Return the result code of a bind with *password*, which is not empty."""
        self._send(messages.bind(dn, password))
        return messages.read_result(self._expect(messages.BOUND))

    def search(
        self, base: bytes, query: bytes, attributes: Sequence[str], most: int
    ) -> list[Entry]:
        """Return at most *most* entries below *base*; references are passed over."""
        seconds = int(self._until.left()) + 1
        self._send(messages.search(base, query, attributes, most, seconds))
        found = []
        while True:
            message = self._receive()
            if message.tag == messages.ENTRY:
                found.append(messages.read_entry(message.content))
                if len(found) > most:
                    raise ValueError("more entries than were asked for")
            elif message.tag == messages.DONE:
                break
            elif message.tag != messages.REFERENCE:
                raise ValueError(f"an answer that was not asked for: {message.tag:#x}")
        code = messages.read_result(message.content)
        if code not in {messages.SUCCESS, messages.SIZE_LIMIT}:
            raise Unavailable(f"the search was answered with {_result(code)}")
        return found

    def start_tls(self) -> None:
        """Agree on TLS; nothing may have come behind the answer."""
        self._send(messages.start_tls())
        code = messages.read_result(self._expect(messages.EXTENDED_DONE))
        if code != messages.SUCCESS:
            raise Unavailable(f"STARTTLS was answered with {_result(code)}")
        if self._read:
            raise ValueError("bytes in clear behind the answer to STARTTLS")

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on, with the server whose name is *host*."""
        self._sock.settimeout(self._until.left())
        self._sock = context.wrap_socket(self._sock, server_hostname=host)

    def close(self) -> None:
        """Say goodbye, if that can be done at once, and close."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(0)
            self._sock.sendall(messages.wrapped(self._count + 1, messages.unbind()))
        self._sock.close()

    def _send(self, operation: bytes) -> None:
        self._count += 1
        self._sock.settimeout(self._until.left())
        self._sock.sendall(messages.wrapped(self._count, operation))

    def _expect(self, tag: int) -> bytes:
        message = self._receive()
        if message.tag != tag:
            raise ValueError(f"an answer that was not asked for: {message.tag:#x}")
        return message.content

    def _receive(self) -> Message:
        """Return the next message, which answers what was asked last."""
        while (size := total(self._read)) is None or size > len(self._read):
            if size is not None and size > LARGEST:
                raise ValueError("an answer larger than any is")
            self._sock.settimeout(self._until.left())
            more = self._sock.recv(65536)
            if not more:
                raise Unavailable("the server hung up")
            self._read += more
        message = messages.read_message(self._read[:size])
        self._read = self._read[size:]
        if message.number != self._count:  # 0: the server is about to hang up
            raise Unavailable("the server ends the connection")
        return message


def _result(code: int) -> str:
    return messages.RESULTS.get(code, f"result {code}")


if TYPE_CHECKING:
    _: type[Source] = LdapSource
