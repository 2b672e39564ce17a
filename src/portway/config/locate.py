"""Where each key of a TOML text stands: a key's path and the number of its line.

`tomllib` keeps no lines. This reads the same text a second time for them alone: it
tells tables, keys and brackets apart, and does not care what a value is.

Not here: whether the text is TOML; `tomllib` has said so before. Invariant: no text
makes it raise, and a text that is TOML gives the line of each of its keys, and of each
element of its arrays.
"""

import re
from dataclasses import dataclass

Path = tuple[str | int, ...]  # keys, and places in arrays counted from 0

DEEPEST = 32  # parts of a path; whatever lies deeper is found at its ancestor's line

# Multi-line strings end at the last three of up to five quotes (TOML 1.0, "String").
_TOKEN = re.compile(
    r'''
    (?P<text> """(?:\\.|[^\\])*?"""(?:"{0,2})
            | \'\'\'.*?\'\'\'(?:'{0,2})
            | "(?:\\.|[^"\\\n])*"
            | '[^'\n]*' )
  | (?P<comment> \#[^\n]* )
  | (?P<end> \n )
  | (?P<mark> [\[\]{}=,.] )
  | (?P<bare> [^\s\[\]{}=,."'#]+ )
    ''',
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def locate(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every key, table and array element in *text*."""
    scanner = _Scanner()
    line = 1
    for token in _TOKEN.finditer(text.replace("\r\n", "\n")):
        kind = token.lastgroup or ""
        scanner.take(kind, token[0], line)
        line += token[0].count("\n")
    return scanner.lines


@dataclass(slots=True)
class _Open:
    """An array or an inline table whose closing bracket has not come yet.

    *path* is its own. *index* counts an array's elements, and is None for a table.
    """

    path: Path
    index: int | None


class _Scanner:
    """Takes tokens in their order; *lines* is what it found.

    It waits for a key (of *_key*, part by part), or for a value at *_place*.
    """

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self._table: Path = ()  # what the last header named
        self._counts: dict[Path, int] = {}  # elements of each array of tables
        self._open: list[_Open] = []
        self._key: list[str] = []
        self._place: Path | None = None  # of the value that is due or going on
        self._header = 0  # brackets of the header we are in

    def take(self, kind: str, word: str, line: int) -> None:
        """Take the next token, which begins on *line*."""
        if kind == "end":
            self._take_end()
        elif kind == "comment":
            return
        elif self._header:
            self._take_header(kind, word, line)
        elif self._place is None:
            self._take_key(kind, word, line)
        else:
            self._take_value(kind, word, line)

    def _take_end(self) -> None:
        if not self._open:
            self._key, self._place, self._header = [], None, 0

    def _take_header(self, kind: str, word: str, line: int) -> None:
        if kind != "mark":
            self._take_part(word)
        elif word == "[" and not self._key:
            self._header += 1
        elif word == "]" and self._key:
            self._enter(line)

    def _enter(self, line: int) -> None:
        """Go into the table that a whole header names."""
        *above, last = self._key
        path: Path = ()
        for part in above:
            self._note((*path, part), line)
            path = self._newest((*path, part))
        path = (*path, last)
        if self._header > 1:
            self._note(path, line)
            self._counts[path] = self._counts.get(path, -1) + 1
            path = self._newest(path)
        self.lines[path] = line  # rather than where a table below it implied it
        self._table = path
        self._key, self._header = [], 0

    def _newest(self, path: Path) -> Path:
        """Return *path*, or the last element of the array of tables that it is."""
        count = self._counts.get(path)
        return path if count is None else (*path, count)

    def _take_key(self, kind: str, word: str, line: int) -> None:
        if kind != "mark":
            self._take_part(word)
        elif word == "=":
            base = self._open[-1].path if self._open else self._table
            self._place = (*base, *self._key)[:DEEPEST]
            for length in range(len(base) + 1, len(self._place) + 1):
                self._note(self._place[:length], line)
            self._key = []
        elif word == "[" and not self._open:
            self._header = 1
        elif word in "]}":
            self._close()

    def _take_part(self, word: str) -> None:
        if len(self._key) < DEEPEST:
            self._key.append(_unquoted(word))

    def _take_value(self, kind: str, word: str, line: int) -> None:
        place = self._place or ()
        if word in {"]", "}"}:
            self._close()
            return
        if word == "," and kind == "mark":
            self._next()
            return
        self._note(place, line)
        if kind != "mark" or word not in {"[", "{"}:
            return
        index = 0 if word == "[" else None
        self._open.append(_Open(place, index))
        self._place = (*place, 0)[:DEEPEST] if word == "[" else None

    def _next(self) -> None:
        """Wait for the next element, or the next key, after a comma."""
        if not self._open:
            return
        around = self._open[-1]
        if around.index is None:
            self._place = None
            return
        around.index += 1
        self._place = (*around.path, around.index)[:DEEPEST]

    def _close(self) -> None:
        """Leave an array or an inline table: what encloses it goes on."""
        if self._open:
            self._place = self._open.pop().path
        self._key = []

    def _note(self, path: Path, line: int) -> None:
        """Keep the first line that is said of *path*."""
        if len(path) <= DEEPEST:
            self.lines.setdefault(path, line)


def _unquoted(word: str) -> str:
    """Return the key that a word is: bare, or a string on one line."""
    if word[0] == '"':
        return _ESCAPE.sub(_unescaped, word[1:-1])
    return word[1:-1] if word[0] == "'" else word


def _unescaped(match: re.Match[str]) -> str:
    number = match[1] or match[2] or match[3]
    if number is None:
        return _ESCAPED.get(match[4], match[4])
    code = int(number, 16)
    return chr(code) if code < 0x110000 else ""
