"""What a folder of an FTP server looks like: as HTML, as JSON, or as bare names.

Not here: the lines that servers send (ftp.listing). Invariant: whatever a server says
is escaped as text, and percent-encoded as a link; a page loads and runs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html import escape
from urllib.parse import quote_from_bytes

import msgspec

from portway.protocols.ftp.entries import Entry, Kind, Text
from portway.protocols.http import pages
from portway.protocols.http.ftp_paths import FtpPath

_BODY = "\0"


@dataclass(frozen=True, slots=True)
class Form:
    """How a folder is shown: *begin*, *row* for each entry, *between* them, *end*."""

    media: bytes
    begin: bytes
    row: Callable[[Entry | Text], bytes]
    between: bytes
    end: bytes


def form_of(path: FtpPath, host: str, accept: bytes | None) -> Form:
    """Return how the client wants the folder *path* of *host* to be shown."""
    if path.type == "d":
        return Form(b"text/plain; charset=utf-8", b"", _bare, b"", b"")
    if pages.preferred(accept) == "json":
        return Form(b"application/json", b"[", _object, b",\n", b"]\n")
    begin, end = _frame(path, host)
    return Form(b"text/html; charset=utf-8", begin, _row, b"", end)


def readable(text: bytes) -> str:
    """Return *text* for eyes: nothing in it turns a line around, or ends it."""
    return "".join(
        sign if sign.isprintable() else "\ufffd"
        for sign in text.decode("utf-8", "replace")
    )


def _frame(path: FtpPath, host: str) -> tuple[bytes, bytes]:
    where = readable(b"/".join((b"", *path.parts, b"")))
    title = f"{host}{where}"
    up = ""
    if path.parts:
        link = escape(path.parent.link.decode("ascii"))
        up = f'<p><a href="{link}">Parent folder</a></p>\n'
    body = (
        f"<h1>{escape(title)}</h1>\n{up}"
        "<table><thead><tr><th>Name</th><th>Size</th><th>Changed</th></tr></thead>\n"
        f"<tbody>\n{_BODY}</tbody></table>"
    )
    begin, _, end = pages.document(title, body).partition(_BODY)
    return begin.encode(), end.encode()


def _row(item: Entry | Text) -> bytes:
    if isinstance(item, Text):
        return f'<tr><td colspan="3">{escape(readable(item.line))}</td></tr>\n'.encode()
    slash = "/" if item.kind is Kind.FOLDER else ""
    link = quote_from_bytes(item.name, safe="") + slash
    name = escape(readable(item.name)) + slash
    size = "" if item.size is None or slash else str(item.size)
    return (
        f'<tr><td><a href="./{link}">{name}</a></td><td>{size}</td>'
        f"<td>{_when(item.modified) or ''}</td></tr>\n"
    ).encode()


def _object(item: Entry | Text) -> bytes:
    if isinstance(item, Text):
        return msgspec.json.encode({"type": "text", "text": readable(item.line)})
    return msgspec.json.encode(
        {
            "name": item.name.decode("utf-8", "replace"),
            "type": item.kind.value,
            "size": item.size,
            "modified": _when(item.modified),
            "mode": None if item.mode is None else f"{item.mode:04o}",
        }
    )


def _bare(item: Entry | Text) -> bytes:
    return (item.line if isinstance(item, Text) else item.name) + b"\n"


def _when(modified: date | None) -> str | None:
    """Return *modified*, ISO 8601, as exact as it is; ``Z`` where it is in UTC."""
    if isinstance(modified, datetime) and modified.tzinfo is not None:
        return modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return None if modified is None else modified.isoformat()
