"""Whatever stands in a configuration: problems, and never a foreign exception."""

import json
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.config.kinds import KINDS

from portway import units
from portway.config.load import parse
from portway.config.locate import Path as KeyPath
from portway.config.locate import locate
from portway.config.schema import Configuration, ProtocolSettings
from portway.errors import Problem
from portway.protocols.ftp.settings import FtpSettings

ALL_KINDS: dict[str, type[ProtocolSettings]] = {**KINDS, "ftp": FtpSettings}

# Text that nearly is TOML.

_PIECES = (
    "[|]|[[|]]|{|}|=|,|.|\n|\r\n|#|\"|'|\"\"\"|'''|\\|\\u0041| |\t|a|b|listen|rules|"
    "x|1|1.5|true|2026-11-23|10:00|inf|0x1f|-|who|[listen.x]\n|[[rules]]\n|a = 1\n|"
    'protocol = "ftp"\n|address = |"127.0.0.1:21"|\x00|\x7f|\u00e9|\ufeff'
)
PIECES = st.sampled_from(_PIECES.split("|"))
GARBAGE = st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join)

# Documents that are TOML, with anything in the place of anything.

WORDS = st.sampled_from(
    [
        *("gateway", "listen", "rules", "ledger", "limits", "dashboard", "upstream"),
        *("protocol", "address", "mode", "login", "name", "state", "timezone", "file"),
        *("who", "do", "to", "when", "then", "because", "limit", "path", "format"),
        *("data_ports", "idle", "number", "inner", "peers", "ports", "x", "", "a b\n"),
    ]
)
TEXTS = st.sampled_from(
    [
        *("ftp", "test", "needy", "http", "forward", "reverse", "allow", "deny", "off"),
        *("127.0.0.1:21", "[::]:21", "localhost:0", "0.0.0.0:21", "::1:x", "fe80::1%a"),
        *("10.0.0.0/8", "*", "5 MB", "30s", "5000-6000", "Europe/Paris", "Europe", "~"),
        *("~x/y", ".", "/", "\r\n", "json", "required", "sqlite", "postgresql://a:b@c"),
    ]
)
SCALARS = (
    TEXTS
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
)
KEYS = WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)
LIKELY = st.dictionaries(WORDS, VALUES, max_size=6)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "gateway": LIKELY | VALUES,
        "listen": st.dictionaries(KEYS, LIKELY, max_size=3) | VALUES,
        "rules": st.lists(LIKELY, max_size=3) | VALUES,
        "ledger": LIKELY | VALUES,
        "limits": LIKELY | VALUES,
        "group": VALUES,
    },
)


def judge(text: str) -> tuple[Configuration, tuple[Problem, ...]]:
    """Read *text*, and look at what every answer has in common."""
    configuration, problems = parse(text, Path("p.toml"), ALL_KINDS)
    last = text.count("\n") + 1
    for problem in problems:
        line = str(problem)
        assert line.startswith("p.toml:")
        assert not set(line) & {"\n", "\r", "\0", "\x1b"}
        if problem.where != "p.toml":
            assert 1 <= int(problem.where.rpartition(":")[2]) <= last
    return configuration, problems


@given(GARBAGE)
def test_garbage_is_located_and_read_without_an_exception(text: str) -> None:
    locate(text)
    judge(text)


@given(DOCUMENTS)
def test_wrong_values_are_problems(document: dict[str, Any]) -> None:
    configuration, problems = judge(written(document)[0])
    if not problems:
        assert configuration.listeners
        written_rules = document.get("rules", [])
        assert len(configuration.rules) == len(written_rules)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.data())
def test_every_key_of_a_document_is_found_on_its_line(
    document: dict[str, Any], data: st.DataObject
) -> None:
    text, lines = written(document, data)
    assert tomllib.loads(text) == document
    assert locate(text) == lines


# Quantities.


@given(st.integers(0, 36500 * 86400 * 1000))
def test_a_duration_is_read_back(thousandths: int) -> None:
    seconds = units.Seconds(thousandths / 1000)
    assert units.parse_seconds(units.format_seconds(seconds)) == seconds


@given(st.integers(0, 1 << 50))
def test_a_size_is_read_back(size: int) -> None:
    assert units.parse_size(units.format_size(units.Size(size))) == size


@given(st.integers(0, 1 << 53))
def test_a_rate_is_read_back(bits: int) -> None:
    rate = units.Rate(bits / 8)
    assert units.parse_rate(units.format_rate(rate)) == rate


@given(st.text(max_size=20) | st.from_regex(r"\d+(\.\d+)? ?[a-zA-Z]*(/s)?"))
def test_a_wrong_quantity_is_a_value_error(text: str) -> None:
    for parse_one in (units.parse_seconds, units.parse_size, units.parse_rate):
        try:
            quantity = parse_one(text)
        except ValueError as error:
            words = str(error)
        else:
            words = ""
            assert 0 <= quantity < 1 << 54
        assert "\n" not in words


# A writer of TOML that knows where it wrote what.


def written(
    document: dict[str, Any], data: st.DataObject | None = None
) -> tuple[str, dict[KeyPath, int]]:
    """Return *document* as TOML, in a style drawn from *data*, and each key's line."""
    writer = _Writer(data)
    writer.table(document, ())
    return "".join(writer.text), writer.lines


class _Writer:
    def __init__(self, data: st.DataObject | None) -> None:
        self.data = data
        self.text: list[str] = []
        self.line = 1
        self.lines: dict[KeyPath, int] = {(): 1}

    def chance(self) -> bool:
        return self.data is not None and self.data.draw(st.booleans())

    def put(self, text: str) -> None:
        self.text.append(text)
        self.line += text.count("\n")

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.line)

    def table(self, table: dict[str, Any], path: KeyPath) -> None:
        """Write the keys of a table whose header stands, then the tables below it."""
        below: list[tuple[str, Any]] = []
        for key, value in table.items():
            if is_table(value) and self.chance():
                below.append((key, value))
                continue
            if self.chance():
                self.put("  # [no] = {table}\n\n")
            self.note((*path, key))
            self.put(f"{spelled(key)} = ")
            self.value(value, (*path, key))
            self.put(" # end\n" if self.chance() else "\n")
        for key, value in below:
            self.headed(value, (*path, key))

    def headed(self, value: Any, path: KeyPath) -> None:
        name = ".".join(spelled(key) for key in path if isinstance(key, str))
        elements = value if isinstance(value, list) else [value]
        for place, element in enumerate(elements):
            here = path
            self.note(path)
            if isinstance(value, list):
                here = (*path, place)
                self.note(here)
            self.put(f"[[{name}]]\n" if isinstance(value, list) else f"[{name}]\n")
            self.table(element, here)

    def value(self, value: Any, path: KeyPath) -> None:
        self.note(path)
        if isinstance(value, dict):
            self.put("{")
            for number, (key, one) in enumerate(value.items()):
                self.put(", " if number else " ")
                self.note((*path, key))
                self.put(f"{spelled(key)} = ")
                self.value(one, (*path, key))
            self.put("}")
        elif isinstance(value, list):
            self.put("[")
            for place, one in enumerate(value):
                self.put("\n # ] \n" if self.chance() else " ")
                self.value(one, (*path, place))
                self.put(",")
            self.put("]")
        elif isinstance(value, str):
            self.put(self.string(value))
        else:
            self.put(json.dumps(value) if isinstance(value, bool) else repr(value))

    def string(self, value: str) -> str:
        plain = value.isprintable()
        if plain and "'" not in value and self.chance():
            return f"'{value}'"
        if plain and '"' not in value and "\\" not in value and self.chance():
            return f'"""\\\n{value}"""' if value[:1].strip() else f'"""{value}"""'
        return spelled(value)


def is_table(value: Any) -> bool:
    """Tell whether *value* may be written below a header, or several."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, dict) for one in value)
    return isinstance(value, dict)


def spelled(text: str) -> str:
    """Return *text* as a basic string, or as a bare key where it may be one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
