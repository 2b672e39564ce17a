"""Where the ledger is kept: ``sqlite``, or the URL of a PostgreSQL database.

Not here: opening it. Invariant: a URL that was read holds no password, and what is said
of one that was refused holds no part of it.
"""

import re
from typing import NewType
from urllib.parse import parse_qsl, unquote, urlsplit

from portway.config.report import quoted
from portway.config.values import BadValueError, kind_of, read_text

StoreAt = NewType("StoreAt", str)

SQLITE = StoreAt("sqlite")
LIKE = '"postgresql://user@host/database"'
# Which of libpq's parameters may stand behind the ``?``: where to, and how safely.
PARAMETERS = frozenset(
    {
        *("host", "hostaddr", "port", "user", "dbname", "target_session_attrs"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslsni"),
        *("ssl_min_protocol_version", "channel_binding", "require_auth"),
        *("gssencmode", "krbsrvname", "passfile", "connect_timeout"),
        *("application_name", "load_balance_hosts"),
    }
)
_SCHEMES = ("postgresql", "postgres")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(:[0-9]{1,5})?")


def read_store(value: object) -> StoreAt:
    """Take ``"sqlite"``, or the URL of a database. Raises ValueError."""
    if not isinstance(value, str):
        raise BadValueError(f'"sqlite", or a URL, not {kind_of(value)}')
    text = read_text(value)
    if text == SQLITE:
        return SQLITE
    if text.partition(":")[0] not in _SCHEMES:
        shown = "" if "@" in text else f", not {quoted(text)}"
        raise BadValueError(f'must be "sqlite", or a URL like {LIKE}{shown}')
    try:
        parts = urlsplit(text)
        words = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError:
        raise BadValueError(f"is no URL; write it like {LIKE}") from None
    user, _, hosts = parts.netloc.rpartition("@")
    if ":" in user or any(name in {"password", "sslpassword"} for name, _ in words):
        cure = 'take it out, and write password = "file:/path" beside it'
        raise BadValueError(f"a password is not written here; {cure}")
    if "@" in user or not all(_HOST.fullmatch(host) for host in hosts.split(",")):
        raise BadValueError(f"is no URL with a host; write it like {LIKE}")
    if parts.fragment or not text.startswith(f"{parts.scheme}://"):
        raise BadValueError(f"is no URL of a database; write it like {LIKE}")
    names = dict(words)
    if not parts.path.strip("/") and not names.get("dbname"):
        raise BadValueError(f"names no database; write it like {LIKE}")
    for name in names:
        if name not in PARAMETERS:
            known = "sslmode=verify-full is, for one"
            raise BadValueError(f"{quoted(name)} is no parameter we know; {known}")
    return StoreAt(text)


def label(url: str) -> str:
    """Return what people are told of *url*: the host and the database."""
    parts = urlsplit(url)
    names = dict(parse_qsl(parts.query))
    hosts = parts.netloc.rpartition("@")[2] or names.get("host", "")
    database = unquote(parts.path.strip("/")) or names.get("dbname", "")
    return f"postgresql://{hosts}/{database}"
