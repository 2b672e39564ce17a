"""Either side in clear or inside TLS, with real clients and real servers.

Each cell is a session of one client: what it stores, fetches and lists are three
transfers in a row. What arrived is compared by its digest, and the records say what
protected it on either side.

Every cell of client TLS x server TLS x data mode x direction is run; which client runs
it is chosen so that each client meets each choice of every other column.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import pytest
from tests.certificates import issue
from tests.integration import secure_servers
from tests.integration.clients import Call
from tests.integration.doors import HEAD, RULES, door
from tests.integration.gateway import Gateway, Record
from tests.integration.network import LAN, Network, wan_name
from tests.integration.tls_clients import CLIENTS, FAMILIES, TLS, SecureCall
from tests.integration.secure_servers import PORTS
from tests.integration.servers import NAMES, SAMPLE_SIZE, Server, digest

UPLOAD_SIZE = 200_003
MODES = ("PASV", "EPSV", "PORT", "EPRT")
DIRECTIONS = ("STOR", "RETR", "LIST")
DOORS = {"off": "off", "private": "explicit", "clear": "explicit"}
# A server's name, and what TLS it wants: a version of AUTH TLS, or TLS at once.
SERVERS = [
    *product(NAMES, ("off", "1.2", "1.3")),
    ("vsftpd", "implicit"),
]
UPSTREAM = {"off": "off", "1.2": "required", "1.3": "required", "implicit": "implicit"}
# pure-ftpd 1.0.50 gives no tickets in TLS 1.3, so there is nothing to resume.
NO_TICKETS = {("pure-ftpd", "1.3")}
FIRST = 2500
