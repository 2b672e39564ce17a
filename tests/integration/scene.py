"""Where a test of HTTP or SOCKS takes place, and what may come of it.

Not here: who makes it (conftest.py). Invariant: it never changes.
"""

from pathlib import Path
from typing import NamedTuple

from tests.integration.gateway import Gateway, Record
from tests.integration.http_servers import Web
from tests.integration.network import Network


class Scene(NamedTuple):
    """A *folder* of the test's own, and what all share."""

    folder: Path
    network: Network
    web: Web
    gateway: Gateway


RESET = "connection reset by peer"


def went_well(record: Record) -> bool:
    """Say whether *record* is of what has come to its end.

    A client's words end inside TLS; then it may close its tunnel with some of the
    server's unread, as curl does now and then, which its kernel tells by a reset.
    """
    if record["method"] == "CONNECT" and record["outcome"] == "cut":
        return (record["error"], record["side"]) == (RESET, "client")
    return record["outcome"] == "ok"
