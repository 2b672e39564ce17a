import tomllib

import pytest

from portway.config.locate import DEEPEST, Path, locate

TOML = '''\
# a comment = "with", [all] {of} it
top = 1
a.b."c d" = "x"
\tindented = true

[listen.ftp]
address = [ # the first
  "one",

  # [not = "a key"]
  "two", [ "nested",
    "deep" ],
]
text = """
[no.header]
no = "key"
ends with quotes"""""
literal = \'\'\'
x = '''
TOML += """'''
more = {a = 1, b.c = [ {d = "}"}, 2 ], "e\\u0066" = '"'} # and
when = 2026-11-23T10:00:00Z
number = 3.14
[[rules]]
name = "first"
[rules.limit]
rate = 1
[[rules]]
[[rules.part]]
x = 1
[[rules.part]]
x = 2
[ "quoted.part" . 'other' ]
'y' = 1
[listen]
z = 1
"""

LINES = {
    ("top",): 2,
    ("a",): 3,
    ("a", "b"): 3,
    ("a", "b", "c d"): 3,
    ("indented",): 4,
    ("listen",): 34,
    ("listen", "ftp"): 6,
    ("listen", "ftp", "address"): 7,
    ("listen", "ftp", "address", 0): 8,
    ("listen", "ftp", "address", 1): 11,
    ("listen", "ftp", "address", 2): 11,
    ("listen", "ftp", "address", 2, 0): 11,
    ("listen", "ftp", "address", 2, 1): 12,
    ("listen", "ftp", "text"): 14,
    ("listen", "ftp", "literal"): 18,
    ("listen", "ftp", "more"): 20,
    ("listen", "ftp", "more", "a"): 20,
    ("listen", "ftp", "more", "b", "c", 0, "d"): 20,
    ("listen", "ftp", "more", "b", "c", 1): 20,
    ("listen", "ftp", "more", "ef"): 20,
    ("listen", "ftp", "when"): 21,
    ("listen", "ftp", "number"): 22,
    ("rules",): 23,
    ("rules", 0): 23,
    ("rules", 0, "name"): 24,
    ("rules", 0, "limit"): 25,
    ("rules", 0, "limit", "rate"): 26,
    ("rules", 1): 27,
    ("rules", 1, "part"): 28,
    ("rules", 1, "part", 0): 28,
    ("rules", 1, "part", 0, "x"): 29,
    ("rules", 1, "part", 1): 30,
    ("rules", 1, "part", 1, "x"): 31,
    ("quoted.part", "other"): 32,
    ("quoted.part", "other", "y"): 33,
    ("listen", "z"): 35,
}


def paths(value: object, here: Path = ()) -> set[Path]:
    """Return every path in a document, as tomllib reads it."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {here}
    return {here}.union(*(paths(one, (*here, key)) for key, one in value.items()))


@pytest.mark.parametrize("path", LINES, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_the_line_of_each_key(path: Path, end: str) -> None:
    assert locate(TOML.replace("\n", end))[path] == LINES[path]


def test_every_path_is_found_and_no_other() -> None:
    assert set(locate(TOML)) == paths(tomllib.loads(TOML))


def test_the_table_itself_counts_and_not_what_implied_it() -> None:
    lines = locate("[a.b]\n\n[a]\nx = 1\n[c.d]\n[c.e]\n")
    assert lines[("a",)] == 3
    assert lines[("c",)] == 5  # nothing else is said of it


def test_what_lies_too_deep_is_left_out() -> None:
    deep = locate("x = " + "[" * 3000 + "]" * 3000 + "\ny = 1\n")
    assert max(map(len, deep)) == DEEPEST
    assert deep[("y",)] == 2
    dotted = locate(".".join(["k"] * 5000) + " = 1\n[" + ".".join(["t"] * 5000) + "]\n")
    assert max(map(len, dotted)) == DEEPEST


@pytest.mark.parametrize(
    "text",
    ["]", "}}", "=", "[[[", "a = [}", 'a = "', '"""', "a = {[]", ",,", "[a]]] b", "\\"],
)
def test_what_is_no_toml_raises_nothing(text: str) -> None:
    locate(text)
    locate(text + "\nb = 1\n")
