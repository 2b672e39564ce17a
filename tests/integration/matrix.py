"""The matrix: which runs, of all that are possible, are made.

Not here: the runs. Invariant: for each client, every pair of two choices that may stand
together is in one run at least (all-pairs testing), and the list is always the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from tests.integration import doors, servers

V4 = (("PASV", 4), ("EPSV", 4), ("PORT", 4), ("EPRT", 4))
V6 = (("EPSV", 6), ("EPRT", 6))
BOTH = V4 + V6
CLASSIC = (("PASV", 4), ("PORT", 4), *V6)  # on IPv4 only what RFC 959 has

# What each client can say (ftp.md 2.1), a minus for "without a login to the proxy".
# gFTP 2.9.1 cannot use PORT: it binds the proxy's address instead of its own.
ABLE: dict[str, tuple[str, tuple[tuple[str, int], ...]]] = {
    "curl": ("A- F G L", BOTH),
    "lftp": ("A- B D D- E F G", CLASSIC),
    "ncftp": ("A- A8- B C D E F G I-", (("PASV", 4), ("PORT", 4))),
    "tnftp": ("A-", BOTH),
    "wget": ("A-", CLASSIC),
    "Net::FTP": ("A- B C C- D D- E E- F J", CLASSIC),
    "gftp": ("A- B C I- J1", (("EPSV", 4), ("EPSV", 6))),
    "inetutils": ("A-", BOTH),
    "ftplib": ("A- B C C- D D- D1 D2- E F G I- J J1 L L3 L4", BOTH),
}
FAMILIES = (4, 6)
FORMS = ("name", "address")
BY_ADDRESS = frozenset({"curl", "lftp", "ftplib"})  # these can be told an address
EITHER_LOGIN = frozenset("BCDFG")  # dialects for login optional as well as required


@dataclass(frozen=True, slots=True)
class Cell:
    """One run. *login* and *data* name the door, *outside* is the server's family."""

    client: str
    dialect: str
    mode: str
    family: int
    server: str
    outside: int
    login: str
    data: str
    form: str

    def __str__(self) -> str:
        return (
            f"{self.client}-{self.dialect}-{self.login}-{self.mode}{self.family}"
            f"-{self.server}{self.outside}-{self.data}-{self.form}"
        )


def cells() -> Iterator[Cell]:
    """Every run of the matrix."""
    for client, (dialects, modes) in ABLE.items():
        ways = [
            (dialect, login)
            for dialect in dialects.split()
            for login in _logins(dialect)
        ]
        forms = FORMS if client in BY_ADDRESS else FORMS[:1]
        columns = (ways, modes, servers.NAMES, FAMILIES, doors.DATA, forms)
        sizes = [len(column) for column in columns]
        for way, mode, server, outside, data, form in all_pairs(sizes):
            yield Cell(
                client,
                ways[way][0],
                *modes[mode],
                servers.NAMES[server],
                FAMILIES[outside],
                ways[way][1],
                doors.DATA[data],
                forms[form],
            )


def _logins(dialect: str) -> tuple[str, ...]:
    if dialect.endswith("-"):
        return ("none",)
    if dialect.startswith("L"):
        return ("colon",)
    if dialect in EITHER_LOGIN:
        return ("optional", "required")
    return ("required",)


def all_pairs(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield rows that hold every pair of values of two columns; the greedy way.

    *sizes* says how many values each column has; they are numbers from 0.
    """
    columns = range(len(sizes))
    wanted = {
        ((one, a), (other, b))
        for one, other in combinations(columns, 2)
        for a in range(sizes[one])
        for b in range(sizes[other])
    }

    def gain(row: Mapping[int, int], column: int, value: int) -> int:
        """Return how many wanted pairs *value* would add to *row*."""
        pairs = (tuple(sorted(((column, value), there))) for there in row.items())
        return sum(pair in wanted for pair in pairs)

    order = sorted(wanted)
    while wanted:
        row = dict(next(pair for pair in order if pair in wanted))
        for column in columns:
            if column not in row:
                gains = [gain(row, column, value) for value in range(sizes[column])]
                row[column] = gains.index(max(gains))
        wanted -= set(combinations(sorted(row.items()), 2))
        yield tuple(row[column] for column in columns)
