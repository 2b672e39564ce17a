"""A record as a line of each log format: protocols.md, section 10.2.

Not here: which records are asked for, and where lines go. Invariant: a record is one
line, whatever a peer put into it, and no field can pass for another one.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from operator import attrgetter
from urllib.parse import quote

import msgspec

from portway.escapes import STRANGE, decodable
from portway.model import Action, Outcome, Reason, Record

Write = Callable[[Record, tzinfo | None], str | None]

# The order of a JSON line's fields; those that are no field of a record are facts.
_ORDER = (
    "id time duration_ms first_byte_ms session seq protocol listener mode client "
    "client_port mac user by groups claimed method upstream_method action url host "
    "port path address source via tls_client tls_server tls_name verified intercepted "
    "verdict rule rule_at reason because outcome status error side ended_by bytes_up "
    "bytes_down limited_ms type filename size offset hash scan server_login agent "
    "referer mail dns"
)
ORDER = tuple(_ORDER.split())
_FIELDS = frozenset(Record._fields)
_TAKEN = _FIELDS | {"duration_ms"}
_NAMES = tuple(sorted(_FIELDS - {"facts", "duration"}))
_NEVER_EMPTY = frozenset({"duration_ms", "bytes_up", "bytes_down"})
_ORDERED = frozenset(ORDER)
_known = attrgetter(*_NAMES)

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_YEAR = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = tuple(_YEAR.split())

_CONTROL = re.compile(f"[\x00-\x1f{STRANGE}]")
_CONTROL_OR_BLANK = re.compile(rf"[\s\x00-\x20{STRANGE}]")
_CONTROL_OR_QUOTE = re.compile(f'[\x00-\x1f"\\\\{STRANGE}]')
_JSON_ESCAPE = re.compile(rf'\\["\\bfnrt]|[{STRANGE}]')
_JSON_SHORT = {r"\b": 8, r"\f": 12, r"\n": 10, r"\r": 13, r"\t": 9}
_SQUID_SAFE = "".join(map(chr, range(0x21, 0x7F))).translate({34: None, 92: None})


def local(seconds: float, zone: tzinfo | None) -> datetime:
    """Return a moment since the epoch as it is in *zone*; None is the machine's."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone)


def shown(text: str) -> str:
    r"""Return *text* for a terminal, with what could act on it as ``\uXXXX``."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", decodable(text))


# json: one object a line, empty fields left out.


def json_line(record: Record, zone: tzinfo | None) -> str:
    """Return *record* as a JSON object; the facts stand among its fields.

    A fact of a field's name would be a fault; it is shown as ``fact_NAME``.
    """
    known = dict(zip(_NAMES, _known(record), strict=True))
    known["time"] = local(record.time, zone).isoformat(timespec="milliseconds")
    known["duration_ms"] = round(record.duration * 1000)
    facts = {
        f"fact_{name}" if name in _TAKEN else name: text
        for name, text in record.facts.items()
        if text
    }
    given = facts | known
    ordered = {
        name: value
        for name in ORDER
        if (value := given.get(name)) or name in _NEVER_EMPTY
    }
    for name in sorted(facts.keys() - _ORDERED):
        ordered[name] = facts[name]
    try:
        line = msgspec.json.encode(ordered).decode()
    except UnicodeEncodeError:  # bytes that were no UTF-8
        clean = {decodable(k): decodable(str(v)) for k, v in ordered.items()}
        numbers = {k: v for k, v in ordered.items() if isinstance(v, int)}
        line = msgspec.json.encode(clean | numbers).decode()
    if line.isascii() and "\\" not in line and "\x7f" not in line:
        return line  # as most are: it takes a tenth of the time
    return _JSON_ESCAPE.sub(_json_escape, line)


def _json_escape(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 1:
        return f"\\u{ord(text):04x}"
    number = _JSON_SHORT.get(text)
    return text if number is None else f"\\u{number:04x}"


# xferlog: file transfers and deletions. wu-ftpd's xferlog(5).


def xferlog_line(record: Record, zone: tzinfo | None) -> str | None:
    """Return *record* as an xferlog line; None if it is no transfer nor deletion.

    The facts read: ``type``, ``ascii`` or else binary, and ``anonymous``, the password
    that came with an anonymous login.
    """
    direction = _direction(record)
    if direction is None or record.outcome is Outcome.REFUSED:
        return None
    end = local(record.time + record.duration, zone)
    name = record.path if record.mode == "reverse" else f"/{record.host}{record.path}"
    login = record.server_login
    anonymous = login.lower() in {"anonymous", "ftp"}
    said = record.facts.get("anonymous") or login if anonymous else login
    words = (
        str(max(1, round(record.duration))),
        _word(record.client),
        str(record.bytes_up + record.bytes_down),
        _word(name),
        "a" if record.facts.get("type") == "ascii" else "b",
        "_",
        direction,
        "a" if anonymous else "r",
        _word(said),
        "ftp",
        "0",
        _word(record.user),
        "c" if record.outcome is Outcome.OK else "i",
    )
    when = f"{_DAYS[end.weekday()]} {_MONTHS[end.month - 1]} {end.day:2} {end:%H:%M:%S}"
    return f"{when} {end.year:04} {' '.join(words)}"


def _direction(record: Record) -> str | None:
    if record.protocol != "ftp":
        return None
    if record.action == Action.WRITE:
        return "i"
    if record.action == Action.READ:
        return "o"
    return "d" if record.action == Action.DELETE else None


def _word(text: str) -> str:
    return _CONTROL_OR_BLANK.sub("_", decodable(text)) or "*"


# squid and combined: analysers of both get the words of HTTP.


def squid_line(record: Record, zone: tzinfo | None) -> str:
    """Return *record* as a line of Squid's native access.log."""
    del zone  # the format counts seconds since the epoch
    end = round((record.time + record.duration) * 1000)
    method, url = _request(record)
    status = _status(record)
    address = record.facts.get("via") or record.address
    kind = record.facts.get("type", "")
    way = "FIRSTUP_PARENT" if record.facts.get("via") else "HIER_DIRECT"
    words = (
        f"{end // 1000}.{end % 1000:03}",
        f"{round(record.duration * 1000):6}",
        _squid(record.client),
        f"{_squid_code(record)}/{status:03}",
        str(record.bytes_down),
        _squid(method),
        _squid(url),
        _squid(record.user),
        f"{way}/{_squid(address)}" if address else "HIER_NONE/-",
        _squid(kind if "/" in kind else ""),
    )
    return " ".join(words)


def _squid(text: str) -> str:
    return quote(decodable(text), safe=_SQUID_SAFE) or "-"


def _squid_code(record: Record) -> str:
    way = "UDP" if record.protocol in {"dns", "udp"} else "TCP"
    if record.rule == "own-page":
        return "NONE_NONE"
    if record.outcome is Outcome.REFUSED:
        return f"{way}_DENIED"
    if record.outcome in {Outcome.CUT, Outcome.LOST}:
        return f"{way}_MISS_ABORTED"
    if record.facts.get("cached"):
        return f"{way}_HIT"
    return "TCP_TUNNEL" if record.action == Action.CONNECT else f"{way}_MISS"


def combined_line(record: Record, zone: tzinfo | None) -> str:
    """Return *record* as a line of the combined log format of web servers."""
    start = local(record.time, zone)
    day = f"{start.day:02}/{_MONTHS[start.month - 1]}/{start.year:04}"
    method, url = _request(record)
    moved = record.bytes_up + record.bytes_down
    agent, referer = (record.facts.get(name, "-") for name in ("agent", "referer"))
    user = _combined(record.user).replace(" ", r"\x20") or "-"
    return (
        f"{_combined(record.client) or '-'} - {user} "
        f"[{day}:{start:%H:%M:%S %z}] "
        f'"{_combined(method)} {_combined(url)} HTTP/1.1" '
        f'{_status(record)} {moved or "-"} "{_combined(referer)}" "{_combined(agent)}"'
    )


def _combined(text: str) -> str:
    return _CONTROL_OR_QUOTE.sub(_combined_escape, decodable(text))


def _combined_escape(found: re.Match[str]) -> str:
    if found[0] in {'"', "\\"}:
        return f"\\{found[0]}"
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode())


_METHODS = {
    "read": "GET",
    "list": "GET",
    "resolve": "GET",
    "write": "PUT",
    "delete": "DELETE",
    "connect": "CONNECT",
}
_OTHER_METHODS = {
    "MKD": "MKCOL",
    "XMKD": "MKCOL",
    "RNTO": "MOVE",
    "BIND": "CONNECT",
    "LOGIN": "POST",
}


def _request(record: Record) -> tuple[str, str]:
    """Return method and URL in the words of HTTP."""
    method = record.method
    if record.protocol != "http":
        known = _METHODS.get(record.action, "POST")
        method = _OTHER_METHODS.get(method, known)
    if method == "CONNECT" and record.host:
        host = f"[{record.host}]" if ":" in record.host else record.host
        return method, f"{host}:{record.port}"
    return method or "-", record.url or "-"


_STATUS = {
    Reason.LOGIN: 407,
    Reason.LOGIN_WRONG: 407,
    Reason.CONNECTIONS: 429,
    Reason.RATE: 429,
    Reason.QUOTA: 429,
    Reason.BUSY: 429,
    Reason.CONNECT_TIMEOUT: 504,
    Reason.TIMEOUT: 504,
    Reason.IDLE: 504,
}


def _status(record: Record) -> int:
    """Return the outcome as a status of HTTP."""
    if record.protocol == "http" and record.status.isdecimal():
        return int(record.status[:3])
    known = next((_STATUS[r] for r in _STATUS if r == record.reason), 0)
    if record.outcome is Outcome.REFUSED:
        return known or 403
    if record.outcome is Outcome.FAILED:
        return known or (404 if record.status == "550" else 502)
    return 206 if record.facts.get("offset", "0") != "0" else 200


# csv: for spreadsheets; all fields, the empty ones too. RFC 4180.

CSV_FIELDS = Record._fields
_FORMULA = ("=", "+", "-", "@")


def csv_line(record: Record, zone: tzinfo | None) -> str:
    """Return all of *record* as comma-separated values."""
    values = {name: getattr(record, name) for name in CSV_FIELDS}
    values["time"] = local(record.time, zone).isoformat(timespec="milliseconds")
    values["duration"] = f"{record.duration:.3f}"
    values["facts"] = msgspec.json.encode(dict(record.facts)).decode()
    return _csv_row([_harmless(shown(str(values[name]))) for name in CSV_FIELDS])


def _harmless(text: str) -> str:
    """Return *text* so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv_row(texts: Iterable[str]) -> str:
    """Return *texts* as one line, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(texts)
    return line.getvalue()


CSV_HEAD = _csv_row(CSV_FIELDS)


FORMATS: Mapping[str, Write] = {
    "json": json_line,
    "xferlog": xferlog_line,
    "squid": squid_line,
    "combined": combined_line,
}
