"""The matrix of TLS: which runs, of all that are possible, are made.

Not here: the runs. Invariant: every cell of client TLS x server TLS x data mode is in
one run at least, so is every pair of two choices of any columns that can stand
together, and the list is always the same.
"""

from dataclasses import dataclass
from itertools import combinations, product

from tests.integration.servers import NAMES
from tests.integration.tls_clients import CLIENTS, TLS, is_able

MODES = ("PASV", "EPSV", "PORT", "EPRT")
DIRECTIONS = ("STOR", "RETR", "LIST")  # each run does them all, in one session
SERVER_TLS = {"off": "off", "1.2": "explicit", "1.3": "explicit", "990": "implicit"}
# A server, and what it wants: TLS of one version behind AUTH, or at once on port 990.
SERVERS = (*product(NAMES, ("off", "1.2", "1.3")), ("vsftpd", "990"))


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: *tls* is the client's side, *wants* the server's."""

    client: str
    tls: str
    mode: str
    server: str
    wants: str

    def __str__(self) -> str:
        return f"{self.client} {self.tls} {self.mode} {self.server} {self.wants}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it stands: client TLS, server TLS, data mode."""
        return self.tls, SERVER_TLS[self.wants], self.mode

    @property
    def covered(self) -> set[tuple[object, ...]]:
        """What a run of it covers."""
        columns = (
            ("client", self.client),
            ("tls", self.tls),
            ("mode", self.mode),
            ("server", self.server, self.wants),
        )
        return {self.place, *combinations(columns, 2)}


def possible() -> list[Cell]:
    """Return every run that could be made."""
    columns = product(CLIENTS, TLS, MODES, SERVERS)
    return [
        Cell(client, tls, mode, *server)
        for client, tls, mode, server in columns
        if is_able(client, tls, mode)
    ]


def cells() -> list[Cell]:
    """Return the runs that are made; the greedy way."""
    rest = {cell: cell.covered for cell in possible()}
    wanted = set().union(*rest.values())
    found: list[Cell] = []
    while wanted:
        # Of those that cover the same, the one that is most unlike the last ones.
        seen = found[-3:]
        best = max(
            rest,
            key=lambda cell: (
                len(rest[cell] & wanted),
                -sum(cell.client == other.client for other in seen),
            ),
        )
        wanted -= rest.pop(best)
        found.append(best)
    return found
