"""What can be wrong between keys, each of which is right by itself.

Not here: single values (values.py), and what the words of a rule mean (policy.compile).
Invariant: nothing is changed, and nothing is opened but the time zone database.
"""

from collections.abc import Iterator
from zoneinfo import ZoneInfo, available_timezones

from msgspec.structs import asdict

from portway.config.locate import Path
from portway.config.report import nearest, quoted
from portway.config.schema import (
    Configuration,
    Gateway,
    KeepFor,
    Ledger,
    Listener,
    LogFile,
    Logins,
    Rule,
)
from portway.config.stores import SQLITE
from portway.model import Endpoint
from portway.units import Seconds

LEAST_LEDGER = 16 << 20  # bytes
LEAST_LOG = 64 << 10
MOST_ROTATED = 1000

Found = Iterator[tuple[Path, str]]  # the key, and what is wrong with it


def check(configuration: Configuration) -> Found:
    """Yield what is wrong."""
    yield from _check_gateway(configuration.gateway)
    yield from _check_listeners(configuration.listeners)
    for place, rule in enumerate(configuration.rules):
        yield from _check_rule(rule, ("rules", place))
    yield from _check_ledger(configuration.ledger)
    yield from _check_logins(configuration.logins)
    for here, text in configuration.ca.problems():
        yield ("ca", *here), text
    for key in configuration.limits.__struct_fields__:
        if getattr(configuration.limits, key) < 1:
            yield ("limits", key), "at least 1; no limit can be switched off"


def is_loopback(endpoint: Endpoint) -> bool:
    """Tell whether only this machine can reach *endpoint*."""
    address = endpoint.address
    return endpoint.host == "localhost" if address is None else address.is_loopback


def _check_gateway(gateway: Gateway) -> Found:
    if not gateway.name.strip():
        yield ("gateway", "name"), "is empty; leave it out, or give the gateway a name"
    if not gateway.state.strip():
        yield ("gateway", "state"), "is empty; name a folder that we may write to"
    elif gateway.state.startswith("~"):
        yield ("gateway", "state"), "no home folder is known; write the whole path"
    if not is_timezone(gateway.timezone):
        hint = nearest(gateway.timezone, available_timezones())
        text = f"no such time zone as {quoted(gateway.timezone)}"
        yield ("gateway", "timezone"), text + (hint or '; one is "Europe/Paris"')


def is_timezone(name: str) -> bool:
    """Tell whether *name* is a time zone; the empty one is the machine's."""
    if not name:
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no relative path; a folder
        return False
    return True


def _check_listeners(listeners: tuple[Listener, ...]) -> Found:
    taken: list[tuple[Endpoint, str]] = []
    for listener in listeners:
        path: Path = ("listen", listener.name)
        if not listener.address:
            text = 'is empty; name at least one, as in "127.0.0.1:2121"'
            yield (*path, "address"), text
        for place, endpoint in enumerate(listener.address):
            other = next((at for at in taken if _clash(endpoint, at[0])), None)
            if other is not None:
                text = f"{endpoint} is taken by {other[0]} of listen.{other[1]}"
                yield (*path, "address", place), f"{text}; choose another port"
            taken.append((endpoint, listener.name))
        for wrong in listener.settings.problems(listener):
            yield (*path, *key_path(wrong.key)), wrong.text
        for key, hop in listener.settings.next_hops:
            back = next((one for one in listeners if _leads_to(hop, one)), None)
            if back is not None:
                text = f"{hop} is our own listen.{back.name}; name another"
                yield (*path, *key.split(".")), text


def key_path(key: str) -> Path:
    """Return the parts of a `Wrong.key`; digits are a place in a list."""
    return tuple(int(part) if part.isdigit() else part for part in key.split("."))


def _leads_to(hop: Endpoint, listener: Listener) -> bool:
    """Tell whether who dials *hop* comes in by *listener*, for sure."""
    for door in listener.address:
        if hop.port == door.port:
            wild = door.address is not None and door.address.is_unspecified
            both_here = is_loopback(hop) and is_loopback(door)
            if hop.host == door.host or (wild and is_loopback(hop)):
                return True
            if both_here and "localhost" in {hop.host, door.host}:
                return True
    return False


def _clash(one: Endpoint, other: Endpoint) -> bool:
    """Tell whether the kernel refuses to listen on both."""
    if one.port != other.port or one.port == 0:
        return False
    if one.host == other.host:
        return True
    first, second = one.address, other.address
    if first is None or second is None:  # localhost is a loopback of each family
        known = first or second
        return known is not None and (known.is_unspecified or str(known) in _LOOPBACK)
    if first.version != second.version:
        return False
    return first.is_unspecified or second.is_unspecified


_LOOPBACK = {"127.0.0.1", "::1"}


def _check_rule(rule: Rule, path: Path) -> Found:
    for key in ("who", "do", "to", "when"):
        if key in rule.lines and not getattr(rule, key):
            yield (
                (*path, key),
                f'is empty, and matches nothing; leave "{key}" out for any',
            )
    others = [word for word in rule.who if not word.startswith("group:")]
    if others and any(limit.per == "group" for limit in rule.limit):
        text = f'per = "group", but {quoted(others[0])} is no group; name groups in who'
        yield (*path, "limit"), f"{text}, and nothing else"


def _check_logins(logins: Logins) -> Found:
    sources = logins.sources
    if not sources:
        yield ("login", "sources"), 'is empty; name one at least, as in ["local"]'
    for place, name in enumerate(sources):
        if name in sources[:place]:
            text = f"{quoted(name)} is named twice; it is asked once"
            yield ("login", "sources", place), text
    for name in ("htpasswd", "ldap", "radius", "pam"):
        settings = getattr(logins, name)
        if settings is None:
            if name in sources:
                text = f"is missing; it says how {quoted(name)} is asked"
                yield ("login", name), text
            continue
        if name not in sources:
            cure = f"add {quoted(name)} to sources, or take the table out"
            yield ("login", name), f"is not asked; {cure}"
        for key, text in settings.problems():
            yield ("login", name, *key), text


def _check_ledger(ledger: Ledger) -> Found:
    if ledger.store == SQLITE and ledger.password is not None:
        text = "is for a PostgreSQL store; write its URL as store, or take it out"
        yield ("ledger", "password"), text
    if ledger.keep < Seconds(60):
        yield ("ledger", "keep"), 'at least a minute, as in "90d"'
    for protocol, seconds in asdict(ledger.keep_for or KeepFor()).items():
        if seconds is not None and seconds > ledger.keep:
            text = "longer than keep; nothing is kept longer, so make keep longer"
            yield ("ledger", "keep_for", protocol), text
    if ledger.anonymise is not None and ledger.anonymise >= ledger.keep:
        text = "not before keep ends, when it is deleted anyway; make it shorter"
        yield ("ledger", "anonymise"), text
    if ledger.store != SQLITE and ledger.max_size is not None:
        text = "PostgreSQL keeps its own house; take it out, and make keep shorter"
        yield ("ledger", "max_size"), text
    elif ledger.max_size is not None and ledger.max_size < LEAST_LEDGER:
        yield ("ledger", "max_size"), 'at least "16 MiB"; a day may take as much'
    paths: set[str] = set()
    for place, file in enumerate(ledger.file):
        here: Path = ("ledger", "file", place, "path")
        if not file.path.strip():
            yield here, "is empty; name the file to write to"
        elif file.path.startswith("~"):
            yield here, "no home folder is known; write the whole path"
        elif file.path in paths:
            yield here, f"{quoted(file.path)} is written to already; name another file"
        paths.add(file.path)
        if file.rotate is not None and file.rotate < LEAST_LOG:
            text = 'at least "64 KiB"; else files come and go with every request'
            yield ("ledger", "file", place, "rotate"), text
        if file.rotated != LogFile(path="").rotated and file.rotate is None:
            text = 'counts what "rotate" leaves behind; write rotate = "100 MB" too'
            yield ("ledger", "file", place, "rotated"), text
        if not 1 <= file.rotated <= MOST_ROTATED:
            text = f"from 1 to {MOST_ROTATED} files"
            yield ("ledger", "file", place, "rotated"), text
