"""Which fields of an HTTP message go on, and which the gateway adds.

RFC 9110, section 7.6; RFC 7239 for ``Forwarded``; protocols.md, section 2.3. Names are
compared with ``_`` read as ``-``, as many a server reads them.

Not here: framing, which wire.py reads and writes. Invariant: what comes out frames
nothing, concerns no connection but the next, and claims nothing about the client that
the gateway does not know.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from portway.model import Headers, Side
from portway.protocols.http.framing import options_of
from portway.protocols.http.wire import Fields, Head, RequestHead, ResponseHead, bad

# Of one connection, or of the framing, which is written anew.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_CLAIMS = frozenset({b"forwarded", b"x-real-ip"})  # and all of X-Forwarded-*
_X_FORWARDED = b"x-forwarded-"
_DROPPED_REQUEST = HOP_BY_HOP | _CLAIMS | {b"host"}

# What a Connection field may not name: a peer would take it out of the message.
_UNNAMEABLE = frozenset({b"host", b"authorization", b"cookie", b"via", b"forwarded"})
_USUAL = frozenset({b"close", b"keep-alive"})
_UNNAMEABLE_BEGINNINGS = (b"content-", _X_FORWARDED)

# RFC 9110, section 6.5.1: framing, routing, authentication, what changes a request or
# says how to read the content.
_NO_TRAILER = (
    HOP_BY_HOP
    | _CLAIMS
    | {
        b"age",
        b"authentication-info",
        b"authorization",
        b"cache-control",
        b"cookie",
        b"date",
        b"expect",
        b"expires",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"location",
        b"max-forwards",
        b"pragma",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"vary",
        b"via",
        b"warning",
        b"www-authenticate",
    }
)


@dataclass(frozen=True, slots=True)
class Edge:
    """How a door shows itself in messages, and how it treats what clients claim.

    *name* is the gateway's, *tag* this process's: random, of letters and digits.
    *named* puts the name into ``Via``; the tag always stands there. *reverse* writes
    ``Forwarded`` and ``X-Forwarded-*``, *forwarded* ``Forwarded: for=`` alone.
    """

    name: str
    tag: str
    named: bool = True
    reverse: bool = False
    forwarded: bool = False
    pseudonym: bytes = field(init=False)
    _vias: tuple[bytes, bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        name = f"{self.name}-{self.tag}" if self.named else self.tag
        pseudonym = name.encode("ascii")
        object.__setattr__(self, "pseudonym", pseudonym)
        object.__setattr__(self, "_vias", (b"1.0 " + pseudonym, b"1.1 " + pseudonym))

    def via(self, minor: int) -> bytes:
        """Return the ``Via`` for a message that came as HTTP/1.*minor*."""
        return self._vias[minor]

    def is_in(self, head: Head) -> bool:
        """Say whether the message went through this process before: a loop."""
        value = head.known.get(b"via")
        if value is None:
            return False
        tag = self.tag.encode("ascii").lower()
        for entry in value.lower().split(b","):
            words = entry.split()
            if len(words) > 1 and (words[1] == tag or words[1].endswith(b"-" + tag)):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Origin:
    """What is told of the client, where it is told: its address, what it asked for.

    *host* is the request's ``Host`` as the client sent it, *scheme* how it came.
    """

    client: str
    host: str = ""
    scheme: str = "http"


def check_connection(head: Head) -> frozenset[bytes]:
    """Return what ``Connection`` names, lower-case, with ``_`` as ``-``.

    Raises BadMessage where it names what concerns more than the connection.
    """
    if b"connection" not in head.known:
        return frozenset()
    named = options_of(head)
    if named <= _USUAL:
        return named
    named = frozenset([name.replace(b"_", b"-") for name in named])
    for name in named:
        if name in _UNNAMEABLE or name.startswith(_UNNAMEABLE_BEGINNINGS):
            side = Side.CLIENT if isinstance(head, RequestHead) else Side.SERVER
            raise bad(side, "Connection names what it may not take out")
    return named


def request_fields(  # noqa: PLR0913 - one for each source of fields
    head: RequestHead,
    edge: Edge,
    host: bytes,
    origin: Origin,
    *,
    headers: Headers | None = None,
    without: Collection[bytes] = (),
    connection: Iterable[bytes] = (),
) -> Fields:
    """Return the fields with which a request goes on; *host* is its ``Host``.

    *headers* are the rule's; *without* are further names to take out, lower-case:
    ``authorization`` where it was for us. *connection* goes into ``Connection``:
    ``close``, or ``upgrade`` with the client's own ``Upgrade`` kept. ``TE: trailers``
    goes on. Raises BadMessage as `check_connection` does.
    """
    drop = _DROPPED_REQUEST
    named = check_connection(head)
    if without or not named <= _USUAL:
        drop = drop.union(named, without)
    if not head.minor:
        drop |= {b"expect"}  # which HTTP/1.0 does not know
    passed = [
        pair
        for key, pair in zip(head.keys, head.fields, strict=False)
        if key not in drop and not key.startswith(_X_FORWARDED)
    ]
    if head.method == "OPTIONS" and b"max-forwards" in head.known:
        passed = _counted_down(passed, max_forwards(head))
    if headers is not None:
        passed = _by_rule(passed, headers)
    passed.append((b"Via", edge.via(head.minor)))
    if edge.reverse:
        passed += _told(origin)
    elif edge.forwarded:
        passed.append((b"Forwarded", b"for=" + _node(origin.client)))
    options = list(connection)
    if wants_trailers(head):
        options.append(b"TE")
        passed.append((b"TE", b"trailers"))
    return ((b"Host", host), *passed, *_connection(head, options))


def response_fields(
    head: ResponseHead,
    edge: Edge,
    *,
    connection: Iterable[bytes] = (),
) -> Fields:
    """Return the fields with which a reply goes on.

    *connection* goes into ``Connection``: ``close``, ``keep-alive`` to HTTP/1.0, or
    ``upgrade`` with the server's own ``Upgrade`` kept. Raises BadMessage as
    `check_connection` does.
    """
    named = check_connection(head)
    drop = HOP_BY_HOP if named <= _USUAL else HOP_BY_HOP | named
    passed = [
        pair
        for key, pair in zip(head.keys, head.fields, strict=False)
        if key not in drop
    ]
    passed.append((b"Via", edge.via(head.minor)))
    return (*passed, *_connection(head, connection))


def trailer_fields(trailers: Fields) -> Fields:
    """Return the trailers that may go on. RFC 9110, section 6.5.1."""
    return tuple([pair for pair in trailers if _may_trail(_key(pair[0]))])


def wants_trailers(head: RequestHead) -> bool:
    """Say whether the client takes trailers: ``TE: trailers``."""
    value = head.known.get(b"te")
    if value is None or not head.minor:
        return False
    return any(word.strip(b" \t") == b"trailers" for word in value.lower().split(b","))


def max_forwards(head: RequestHead) -> int | None:
    """Return how often the request may still go on; None says nothing of it.

    It concerns OPTIONS and TRACE alone: RFC 9110, section 7.6.2.
    """
    value = head.known.get(b"max-forwards", b"")
    return int(value) if value.isdigit() and len(value) < 10 else None


def _counted_down(
    passed: list[tuple[bytes, bytes]], count: int | None
) -> list[tuple[bytes, bytes]]:
    others = [pair for pair in passed if _key(pair[0]) != b"max-forwards"]
    if count is not None:
        others.append((b"Max-Forwards", b"%d" % max(count - 1, 0)))
    return others


def _by_rule(
    passed: list[tuple[bytes, bytes]], headers: Headers
) -> list[tuple[bytes, bytes]]:
    """Take out what the rule removes or sets, and add what it sets."""
    names = {_key(name.encode()) for name in headers.remove}
    names |= {_key(name.encode()) for name, _ in headers.set}
    kept = [pair for pair in passed if _key(pair[0]) not in names]
    return [*kept, *((name.encode(), text.encode()) for name, text in headers.set)]


def _told(origin: Origin) -> list[tuple[bytes, bytes]]:
    node, host = _node(origin.client), origin.host.encode("ascii", "replace")
    scheme = origin.scheme.encode()
    quoted = b'"%b"' % host.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return [
        (b"Forwarded", b"for=%b;host=%b;proto=%b" % (node, quoted, scheme)),
        (b"X-Forwarded-For", origin.client.encode()),
        (b"X-Forwarded-Host", host),
        (b"X-Forwarded-Proto", scheme),
    ]


def _node(address: str) -> bytes:
    """Return an address as RFC 7239, section 6, has it."""
    return b'"[%b]"' % address.encode() if ":" in address else address.encode()


def _connection(head: Head, options: Iterable[bytes]) -> Fields:
    named = tuple(options)
    if not named:
        return ()
    added: Fields = ((b"Connection", b", ".join(named)),)
    upgrade = head.known.get(b"upgrade")
    if upgrade is not None and b"upgrade" in (name.lower() for name in named):
        added += ((b"Upgrade", upgrade),)
    return added


def _may_trail(key: bytes) -> bool:
    return key not in _NO_TRAILER and not key.startswith((b"content-", _X_FORWARDED))


def _key(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")
