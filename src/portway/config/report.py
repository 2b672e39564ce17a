"""What is wrong with a configuration, gathered problem by problem.

Not here: finding it. Invariant: each problem stands on one line, with the line of its
key or of the nearest table around it, and at most one is kept of a key.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from portway.config.locate import Path
from portway.errors import Problem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_USERINFO = re.compile(r"//\S*@")  # of a URL: a password may be in it
_SHOWN = 60  # characters of a value: enough to know it again


class Report:
    """The problems of one file. *lines* comes from `locate`."""

    def __init__(self, file: str, lines: dict[Path, int]) -> None:
        self.file = file
        self._lines = lines
        self._found: dict[Path, tuple[int, Problem]] = {}

    def where(self, path: Path) -> str:
        """Return ``FILE:LINE`` of *path*, or of what is nearest around it."""
        return f"{self.file}:{self._line(path)}"

    def wrong(self, path: Path, text: str) -> None:
        """Add a problem, unless one of that key is known."""
        line = self._line(path)
        problem = Problem(f"{self.file}:{line}", spell(path), text)
        self._found.setdefault(path, (line, problem))

    def touches(self, path: Path) -> bool:
        """Tell whether something at or below *path* is wrong."""
        return any(found[: len(path)] == path for found in self._found)

    def problems(self) -> tuple[Problem, ...]:
        """Return all problems, from the top of the file to its end."""
        found = sorted(self._found.values(), key=lambda one: one[0])
        return tuple(problem for _, problem in found)

    def _line(self, path: Path) -> int:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def spell(path: Path) -> str:
    """Return *path* as people write it: ``listen.ftp.address``, ``rules[0].who``."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int):
            words.append(f"[{part}]")
            continue
        dot = "." if words else ""
        words.append(dot + (part if _BARE_KEY.fullmatch(part) else quoted(part)))
    return "".join(words)


def quoted(text: str) -> str:
    """Return *text* in quotes: on one line, short enough to read, without secrets."""
    text = _USERINFO.sub("//***@", text)
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    shown = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in cut
    )
    return f'"{shown}"'


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question that names what *word* was meant to be, or nothing."""
    found = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{found[0]}"?' if found else ""
