"""What a request means beside what it says, which the rules are asked about too.

Servers differ in what they take for a slash, and WebDAV names a second path: RFC 4918,
section 10.3. Not here: the first question (turn.py). Invariant: where either reading is
refused, the request is.
"""

from collections.abc import Iterator
from dataclasses import replace

from portway.errors import Refused
from portway.exchange import Exchange
from portway.model import Access, Action, Reason, Side
from portway.protocols.http.authority import Form, Target, read_target, slashed_path
from portway.protocols.http.wire import BadMessage, RequestHead

TWO_PATHS = frozenset({"MOVE", "COPY"})


def judge(exchange: Exchange, head: RequestHead, target: Target) -> None:
    """Ask the rules about the other readings of a request. Raises Refused, BadMessage.

    The path with its escaped slashes, and backslashes, as slashes; the path that a MOVE
    or a COPY writes to.
    """
    for other in _others(exchange, head, target):
        verdict = exchange.decide(other)
        if not verdict.allowed:
            exchange.verdict = verdict
            reason = verdict.reason or Reason.DEFAULT
            raise Refused(reason, verdict.because, verdict)


def _others(exchange: Exchange, head: RequestHead, target: Target) -> Iterator[Access]:
    access = exchange.access
    if head.method in TWO_PATHS:
        path = _destination(head, target)
        yield replace(access, path=path, action=Action.WRITE)
        yield replace(access, path=path)
    if exchange.services.rules.reads_paths:
        slashed = slashed_path(target.path)
        if slashed is not None:
            yield replace(access, path=slashed)


def _destination(head: RequestHead, target: Target) -> str:
    """Return the path that ``Destination`` names; it must be on the same host."""
    value = head.known.get(b"destination")
    if value is None:
        raise BadMessage(Side.CLIENT, 400, f"{head.method} names no Destination")
    found = read_target("PUT", value)
    if found.form is Form.ABSOLUTE:
        same = (found.scheme, found.host, found.port)
        if same != (target.scheme, target.host, target.port):
            raise BadMessage(Side.CLIENT, 400, "a Destination at another host")
    elif found.form is not Form.ORIGIN:
        raise BadMessage(Side.CLIENT, 400, "a Destination that is no URL")
    return slashed_path(found.path) or found.view
