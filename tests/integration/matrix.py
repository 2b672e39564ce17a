"""The matrix: which runs, of all that are possible, are made.

Not here: the runs. Invariant: for each client, every pair of two choices that may stand
together is in one run at least (all-pairs testing), and the list is always the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from tests.integration import servers

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
        choices: list[tuple[object, ...]] = [
            tuple(
                (dialect, login)
                for dialect in dialects.split()
                for login in _logins(dialect)
            ),
            modes,
            servers.NAMES,
            (4, 6),
            ("auto", "passive", "active"),
            ("name", "address") if client in BY_ADDRESS else ("name",),
        ]
        for (dialect, login), (mode, family), *rest in all_pairs(choices):  # type: ignore[misc]
            yield Cell(
                client, dialect, mode, family, rest[0], rest[1], login, *rest[2:]
            )


def _logins(dialect: str) -> tuple[str, ...]:
    if dialect.endswith("-"):
        return ("none",)
    if dialect.startswith("L"):
        return ("colon",)
    if dialect in EITHER_LOGIN:
        return ("optional", "required")
    return ("required",)


def all_pairs(choices: Sequence[Sequence[object]]) -> Iterator[tuple[object, ...]]:
    """Yield rows that hold every pair of values of two columns; the greedy way."""
    columns = range(len(choices))
    wanted = {
        ((one, a), (other, b))
        for one, other in combinations(columns, 2)
        for a in range(len(choices[one]))
        for b in range(len(choices[other]))
    }
    order = sorted(wanted)
    while wanted:
        row = dict(next(pair for pair in order if pair in wanted))
        for column in columns:
            if column not in row:
                row[column] = max(
                    range(len(choices[column])),
                    key=lambda value: sum(  # how many pairs it would add
                        tuple(sorted(((column, value), there))) in wanted  # noqa: B023 - used at once
                        for there in row.items()
                    ),
                )
        wanted -= set(combinations(sorted(row.items()), 2))
        yield tuple(choices[column][row[column]] for column in columns)
