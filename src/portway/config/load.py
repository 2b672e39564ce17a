"""From a file of TOML to a `Configuration`, or to everything that is wrong with it.

Not here: the meaning of rules (policy.compile), and acting on any of it. Invariant: a
wrong file raises nothing; what is wrong is in the problems, each with its line, and
what is returned beside them is only good for looking for more.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any

from msgspec import structs

from portway.config.checks import check, is_timezone
from portway.config.decode import (
    decode_fields,
    decode_struct,
    read_table,
    refuse_others,
)
from portway.config.interception import Ca
from portway.config.lists import decode_lists
from portway.config.locate import Path, locate
from portway.config.report import Report, nearest, quoted
from portway.config.rules import decode_groups, decode_rules
from portway.config.schema import (
    Configuration,
    Gateway,
    Ledger,
    Limits,
    Listener,
    Logins,
    ProtocolSettings,
)
from portway.config.values import read_text
from portway.errors import Problem

Kinds = Mapping[str, type[ProtocolSettings]]

LARGEST = 16 << 20  # bytes of a file: a hundred thousand rules
DEFAULT = "default.toml"
STARTER = "starter.toml"

_MUST = (("protocol", '"ftp"'), ("address", '"127.0.0.1:2121"'))
_TABLES = (
    "ca",
    "gateway",
    "group",
    "listen",
    "login",
    "rules",
    "ledger",
    "limits",
    "list",
)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

_TABLE = re.compile(r"\('([^()]*)',?\)")  # as tomllib names one: ('listen', 'ftp')
_COMMA = "', '"

# How tomllib's words begin, and the cure that they leave to guess.
_CURES = {
    "Invalid value": 'text stands in quotes, as in protocol = "ftp"',
    "Invalid statement": "a line is [table], key = value, or a # comment",
    "Illegal character": "a quote may be missing at the end of that text",
    "Unterminated string": "a quote is missing at its end",
    "Unclosed array": "a ] is missing at its end",
    "Expected newline": "write one key a line; a quote or a comma may be missing",
    "Expected '=' after": "write key = value",
    "Cannot declare": "it stands there twice; put its keys together",
    "Cannot overwrite": "the key stands there twice; take one out",
    "Unescaped '\\'": "write it twice, or use 'single quotes'",
}

_LISTENER_FIELDS = [
    field
    for field in structs.fields(Listener)
    if field.name not in {"name", "where", "settings"}
]


def load(
    path: FilePath | None, kinds: Kinds
) -> tuple[Configuration, tuple[Problem, ...]]:
    """Read the file at *path*, or the embedded default; *kinds* by protocol's name."""
    if path is None:
        return _load_default(kinds)
    try:
        text = _read(path)
    except _Unreadable as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        return _nothing(str(path)), (Problem(where, "", error.text),)
    return parse(text, path, kinds)


def embedded(name: str) -> str:
    """Return the text of DEFAULT or STARTER."""
    return files("portway.config").joinpath(name).read_text(encoding="utf-8")


def default_state() -> str:
    """Return the state folder of who runs the embedded default.

    XDG Base Directory Specification: a relative $XDG_STATE_HOME is to be ignored.
    It begins with ``~`` if no home folder is known.
    """
    home = os.environ.get("XDG_STATE_HOME", "")
    base = home if home.startswith("/") else "~/.local/state"
    return _whole(f"{base.rstrip('/')}/portway", FilePath("/"))


def _load_default(kinds: Kinds) -> tuple[Configuration, tuple[Problem, ...]]:
    configuration, problems = parse(embedded(DEFAULT), FilePath(DEFAULT), kinds)
    state = default_state()
    if state.startswith("~"):
        text = "no home folder is known; set XDG_STATE_HOME to a folder for the state"
        problems = (*problems, Problem(DEFAULT, "gateway.state", text))
    gateway = structs.replace(configuration.gateway, state=state)
    return structs.replace(configuration, path="", gateway=gateway), problems


def parse(
    text: str, path: FilePath, kinds: Kinds
) -> tuple[Configuration, tuple[Problem, ...]]:
    """Read *text* as that of the file at *path*, which itself is not read."""
    file = str(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _nothing(file), (_syntax_problem(str(error), text, file),)
    except (RecursionError, ValueError) as error:  # tomllib lets both of them through
        deep = isinstance(error, RecursionError)
        words = "lists or tables nested too deeply" if deep else "a number too long"
        return _nothing(file), (Problem(file, "", f"holds {words}"),)
    report = Report(file, locate(text))
    configuration = _decode(document, kinds, report)
    configuration = _with_whole_paths(configuration, path.absolute().parent)
    for place, words in check(configuration):
        if not report.touches(place):
            report.wrong(place, words)
    if not is_timezone(configuration.gateway.timezone):  # was reported
        gateway = structs.replace(configuration.gateway, timezone="")
        configuration = structs.replace(configuration, gateway=gateway)
    return configuration, report.problems()


class _Unreadable(Exception):  # noqa: N818 - it says what the file is
    """A file cannot be read. *line* is 0 where it is not about a line."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.line = line


def _read(path: FilePath) -> str:
    """Return the text of a file, without a byte order mark. Raises _Unreadable."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        cure = "portway init writes one to begin with"
        raise _Unreadable(f"there is no such file; {cure}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or error
        raise _Unreadable(f"cannot be read: {why}") from error
    if len(data) > LARGEST:
        raise _Unreadable(f"is larger than {LARGEST >> 20} MiB; no configuration is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _Unreadable("is not UTF-8 text; save it as UTF-8", line) from error


def _syntax_problem(message: str, text: str, file: str) -> Problem:
    at = _AT.search(message)
    words = message[: at.start()] if at else message
    line = int(at[1]) if at and at[1] else text.rstrip().count("\n") + 1
    column = f" in column {at[2]}" if at and at[2] else ""
    cure = next((cure for begin, cure in _CURES.items() if words.startswith(begin)), "")
    words = _TABLE.sub(lambda match: f"[{match[1].replace(_COMMA, '.')}]", words)
    said = f"{words[:1].lower()}{words[1:]}{column}"
    return Problem(f"{file}:{line}", "", f"no TOML: {said}{cure and f'; {cure}'}")


def _nothing(file: str) -> Configuration:
    """Return a configuration that serves nobody."""
    return Configuration(
        path=file,
        gateway=Gateway(),
        listeners=(),
        rules=(),
        ledger=Ledger(),
        limits=Limits(),
    )


def _decode(document: dict[str, Any], kinds: Kinds, report: Report) -> Configuration:
    refuse_others(document, _TABLES, (), report)
    gateway = document.get("gateway", {})
    ledger = document.get("ledger", {})
    limits = document.get("limits", {})
    logins = document.get("login", {})
    ca = document.get("ca", {})
    return Configuration(
        path=report.file,
        gateway=decode_struct(Gateway, gateway, ("gateway",), report) or Gateway(),
        listeners=tuple(_decode_listeners(document, kinds, report)),
        rules=tuple(decode_rules(document, report)),
        groups=tuple(decode_groups(document, report)),
        ledger=decode_struct(Ledger, ledger, ("ledger",), report) or Ledger(),
        limits=decode_struct(Limits, limits, ("limits",), report) or Limits(),
        lists=tuple(decode_lists(document, report)),
        logins=decode_struct(Logins, logins, ("login",), report) or Logins(),
        ca=decode_struct(Ca, ca, ("ca",), report) or Ca(),
    )


def _decode_listeners(
    document: dict[str, Any], kinds: Kinds, report: Report
) -> Iterator[Listener]:
    tables = read_table(document.get("listen", {}), ("listen",), report)
    if tables is None:
        return
    if not tables:
        text = "no listener, and so nothing to do; add a table such as [listen.ftp]"
        report.wrong(("listen",), text)
    for name, value in tables.items():
        path: Path = ("listen", name)
        table = read_table(value, path, report)
        if table is None:
            continue
        listener = _decode_listener(table, path, kinds, report)
        if listener is not None:
            yield listener


def _decode_listener(
    table: dict[str, object], path: Path, kinds: Kinds, report: Report
) -> Listener | None:
    """Return the listener, if it is known of which protocol it is."""
    name = str(path[-1])
    _check_name(name, path, report)
    for key, example in _MUST:
        if key not in table:
            report.wrong((*path, key), f"is missing; write {key} = {example}")
    found = decode_fields(_LISTENER_FIELDS, table, path, report)
    protocol = found.get("protocol", "")
    kind = kinds.get(protocol)
    if kind is None:
        if protocol:
            known = " or ".join(map(quoted, kinds))
            text = f"must be {known}, not {quoted(protocol)}{nearest(protocol, kinds)}"
            report.wrong((*path, "protocol"), text)
        return None
    own = structs.fields(kind)
    known_keys = [field.encode_name for field in (*_LISTENER_FIELDS, *own)]
    refuse_others(table, known_keys, path, report)
    settings = decode_fields(own, table, path, report)
    if any(field.required and field.name not in settings for field in own):
        return None
    where = report.where(path)
    found.setdefault("address", ())  # was reported
    return Listener(name=name, where=where, settings=kind(**settings), **found)


def _check_name(name: str, path: Path, report: Report) -> None:
    try:
        empty = not read_text(name).strip()
    except ValueError as error:
        report.wrong(path, str(error))
        return
    if empty:
        report.wrong(path, "a listener needs a name, as in [listen.ftp]")


def _with_whole_paths(configuration: Configuration, folder: FilePath) -> Configuration:
    """Return it with relative paths taken from *folder*, where its file lies."""
    gateway, ledger = configuration.gateway, configuration.ledger
    return structs.replace(
        configuration,
        gateway=structs.replace(gateway, state=_whole(gateway.state, folder)),
        ledger=structs.replace(
            ledger,
            file=tuple(
                structs.replace(one, path=_whole(one.path, folder))
                for one in ledger.file
            ),
        ),
        listeners=tuple(
            structs.replace(
                one,
                settings=one.settings.with_whole_paths(
                    lambda path: _whole(path, folder)
                ),
            )
            for one in configuration.listeners
        ),
        lists=tuple(
            structs.replace(one, path=_whole(one.path, folder))
            for one in configuration.lists
        ),
        logins=_with_whole_login_paths(configuration.logins, folder),
    )


def _with_whole_login_paths(logins: Logins, folder: FilePath) -> Logins:
    htpasswd, ldap, pam = logins.htpasswd, logins.ldap, logins.pam
    return structs.replace(
        logins,
        htpasswd=htpasswd
        and structs.replace(htpasswd, path=_whole(htpasswd.path, folder)),
        ldap=ldap and structs.replace(ldap, ca=_whole(ldap.ca, folder)),
        pam=pam and structs.replace(pam, folder=_whole(pam.folder, folder)),
    )


def _whole(path: str, folder: FilePath) -> str:
    """Return *path* from the root; with its ``~`` still if no home folder is known."""
    if not path.strip():
        return path
    try:
        return str(folder / FilePath(path).expanduser())
    except RuntimeError:
        return path
