"""What a scenario found: a table, and how it stands to the targets.

Not here: printing (report.py). Invariant: a target without a figure is neither met nor
missed, and says why.
"""

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Target:
    """One target of the table in README.md.

    *figure* is what was measured, in *unit* (``x`` is a ratio), or None where it could
    not be: *why* says so. *bound* is the most that meets it, or the least if
    *at_least*.
    """

    number: str
    what: str
    figure: float | None
    bound: float
    unit: str = "x"
    at_least: bool = False
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if nothing was measured."""
        if self.figure is None:
            return None
        if self.at_least:
            return self.figure >= self.bound
        return self.figure <= self.bound

    @property
    def verdict(self) -> str:
        """The word for `met`."""
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


@dataclass(slots=True)
class Report:
    """One scenario's table: *rows* of a peer's name and a figure for each column."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, tuple[float | None, ...]]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Samples:
    """Figures by peer and kind, of several rounds; what counts is their median."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], list[float]] = {}

    def add(self, peer: str, kind: str, figure: float) -> None:
        """Keep one round's figure."""
        self._figures.setdefault((peer, kind), []).append(figure)

    def get(self, peer: str, kind: str) -> float | None:
        """Return the median, or None if there is no figure."""
        figures = self._figures.get((peer, kind))
        return median(figures) if figures else None

    def of_others(self, kind: str, *without: str) -> list[float]:
        """Return the medians of all peers but *without*."""
        peers = {peer for peer, its in self._figures if its == kind} - {*without}
        return [median(self._figures[peer, kind]) for peer in sorted(peers)]


def ratio(figure: float | None, to: float | None) -> float | None:
    """Return how *figure* stands to another one, if both are there."""
    if figure is None or not to:
        return None
    return figure / to
