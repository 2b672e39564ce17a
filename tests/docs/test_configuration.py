"""The reference of the configuration against the schema, and every TOML block."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

from portway.config.decode import decode_fields
from portway.config.interception import Ca
from portway.config.report import Report
from portway.config.reverse import Health, Route
from portway.config.schema import (
    Gateway,
    Group,
    Headers,
    KeepFor,
    Ledger,
    Limit,
    Limits,
    Listener,
    ListFile,
    LogFile,
    Logins,
    Rule,
)
from portway.config.sources import Htpasswd, Ldap, Pam, Radius
from portway.prepare import prepare
from portway.protocols.ftp.settings import (
    DEFAULT_METHODS,
    EVERY_METHOD,
    FtpSettings,
    Upstream,
)
from portway.protocols.http.ftp_side import FtpSide
from portway.protocols.http.settings import HttpSettings, Pac
from portway.protocols.http.settings import Upstream as WebUpstream
from portway.protocols.socks.settings import SocksSettings
from portway.protocols.socks.settings import Upstream as SocksUpstream

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "configuration.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))

_HEADING = re.compile(r"## `(\[.*\])`(, [a-z]+)?")  # of one protocol, where it says so
_CODE = re.compile(r"`([^`]*)`")
_BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def keys(*kinds: type[Struct], but: frozenset[str] = frozenset()) -> list[FieldInfo]:
    return [field for kind in kinds for field in fields(kind) if field.name not in but]


# What each table of the reference describes. Nested tables have their own.
TABLES = {
    "[gateway]": keys(Gateway),
    "[listen.NAME]": keys(
        Listener,
        FtpSettings,
        but=frozenset({"name", "where", "settings", "upstream", "health", "route"}),
    ),
    "[listen.NAME.health]": keys(Health),
    "[[listen.NAME.route]]": keys(Route),
    "[listen.NAME.upstream]": keys(Upstream),
    "[listen.NAME], http": keys(
        HttpSettings,
        but=frozenset(
            {"servers", "balance", "health", "route", "upstream", "pac", "ftp"}
        ),
    ),
    "[listen.NAME.pac], http": keys(Pac),
    "[listen.NAME.ftp], http": keys(FtpSide),
    "[listen.NAME.upstream], http": keys(WebUpstream),
    "[listen.NAME], socks": keys(SocksSettings, but=frozenset({"upstream"})),
    "[listen.NAME.upstream], socks": keys(SocksUpstream),
    "[list.NAME]": keys(ListFile, but=frozenset({"name", "where"})),
    "[login]": keys(Logins, but=frozenset({"htpasswd", "ldap", "radius", "pam"})),
    "[login.htpasswd]": keys(Htpasswd),
    "[login.ldap]": keys(Ldap),
    "[login.radius]": keys(Radius),
    "[login.pam]": keys(Pam),
    "[[rules]]": keys(Rule, but=frozenset({"where", "lines"})),
    "[rules.headers]": keys(Headers),
    "[rules.limit]": keys(Limit),
    "[group.NAME]": keys(Group, but=frozenset({"name", "where", "lines"})),
    "[ledger]": keys(Ledger, but=frozenset({"file", "keep_for"})),
    "[ledger.keep_for]": keys(KeepFor),
    "[[ledger.file]]": keys(LogFile),
    "[limits]": keys(Limits),
    "[ca]": keys(Ca),
}
FIELDS = [
    pytest.param(table, field, id=f"{table}.{field.name}")
    for table, known in TABLES.items()
    for field in known
]


def reference() -> dict[str, dict[str, list[str]]]:
    """Return, for each table, the rows of its keys: type, default, meaning."""
    found: dict[str, dict[str, list[str]]] = {}
    rows: dict[str, list[str]] | None = None
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = _HEADING.fullmatch(line)
            rows = (
                found.setdefault(heading[1] + (heading[2] or ""), {})
                if heading
                else None
            )
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        key = _CODE.fullmatch(cells[0])
        if rows is not None and key and len(cells) == 4:
            rows[key[1]] = cells[1:]
    return found


def test_every_key_is_in_the_reference_and_nothing_else() -> None:
    described = {table: sorted(rows) for table, rows in reference().items()}
    assert described == {
        table: sorted(field.encode_name for field in known)
        for table, known in TABLES.items()
    }


@pytest.mark.parametrize(("table", "field"), FIELDS)
def test_the_default_is_the_one_of_the_schema(table: str, field: FieldInfo) -> None:
    _, written, _ = reference()[table][field.encode_name]
    code = _CODE.fullmatch(written)
    if field.required:
        assert written == "required"
    elif code is None:  # in words, since there is no value that says it
        assert field.default in (None, "", ())
    else:
        value = tomllib.loads(f"{field.encode_name} = {code[1]}")
        report = Report("", {})
        found = decode_fields([field], value, ("x",), report)
        assert report.problems() == ()
        default = field.default_factory() if has_factory(field) else field.default
        assert found[field.name] == default


def has_factory(field: FieldInfo) -> bool:
    return field.default_factory is not NODEFAULT


@pytest.mark.parametrize(("table", "field"), FIELDS)
def test_every_choice_is_named_and_no_other(table: str, field: FieldInfo) -> None:
    kind, _, _ = reference()[table][field.encode_name]
    choices = getattr(field.type, "__args__", ())
    if all(isinstance(choice, str) for choice in choices):
        assert _CODE.findall(kind) == [f'"{choice}"' for choice in choices_of(field)]


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """Return the values that are to be had: of the modes only what is built."""
    if field.name == "mode":
        return ("forward", "transparent", "reverse")
    if field.name == "protocol" and field.type is str:  # a listener's
        return ("ftp", "http", "socks", "auto")
    return tuple(getattr(field.type, "__args__", ()))


def test_the_ways_to_name_a_server() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for login, methods in DEFAULT_METHODS.items():
        listed = ", ".join(f'"{method}"' for method in methods)
        assert f'| `"{login}"` | `[{listed}]` |' in text
    sentence = text[text.index("`methods` knows") :].partition(".")[0]
    assert set(_CODE.findall(sentence)) == EVERY_METHOD | {"methods"}


# Everything that looks like a configuration is one.


def blocks() -> Iterator[object]:
    for path in [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]:
        for match in _BLOCK.finditer(path.read_text(encoding="utf-8")):
            line = match.string[: match.start()].count("\n") + 2
            yield pytest.param(match[1], id=f"{path.relative_to(ROOT)}:{line}")


@pytest.mark.parametrize("text", [*blocks()])
def test_a_block_loads(text: str, tmp_path: Path) -> None:
    """A block without a listener shows a part; it is read beside one."""
    if "[listen." not in text:
        text += '\n[listen.x]\nprotocol = "ftp"\naddress = "127.0.0.1:2121"\n'
    shutil.copytree(ROOT / "examples" / "lists", tmp_path / "lists")
    path = tmp_path / "portway.toml"
    path.write_text(text, encoding="utf-8")
    prepare(path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads(path: Path) -> None:
    assert prepare(path).configuration.rules


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
