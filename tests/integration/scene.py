"""Where a test of HTTP or SOCKS takes place. Not here: who makes it (conftest.py).

Invariant: it never changes.
"""

from pathlib import Path
from typing import NamedTuple

from tests.integration.gateway import Gateway
from tests.integration.http_servers import Web
from tests.integration.network import Network


class Scene(NamedTuple):
    """A *folder* of the test's own, and what all share."""

    folder: Path
    network: Network
    web: Web
    gateway: Gateway
