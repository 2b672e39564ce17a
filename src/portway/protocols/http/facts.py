"""What a record tells of a request beside its method and its URL.

Not here: the record. Invariant: no query, login or cookie is part of it.
"""

from portway.lines import shown
from portway.protocols.http.wire import RequestHead

MOST = 1024  # bytes of a field that a record holds


def facts_of(head: RequestHead) -> dict[str, str]:
    """Return the client's program, and the page that it came from, if it says so."""
    facts = {}
    agent, referer = head.known.get(b"user-agent"), head.known.get(b"referer")
    if agent is not None:
        facts["agent"] = shown(agent[:MOST])
    if referer is not None:
        facts["referer"] = shown(_bare(referer)[:MOST])
    return facts


def _bare(url: bytes) -> bytes:
    """Return *url* without its query, and without a login."""
    scheme, mark, rest = url.partition(b"?")[0].partition(b"://")
    place, slash, path = rest.partition(b"/")
    return scheme + mark + place.rpartition(b"@")[2] + slash + path
