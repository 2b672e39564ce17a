"""Pages of ours: what is wrong, in the form that the client asks for.

HTML, ``application/problem+json`` (RFC 9457) or plain text, by Accept.

Not here: what they say (answers.py), and own templates. Invariant: all that is put into
a page is escaped; a page loads nothing and runs nothing.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from time import gmtime, strftime

import msgspec

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42em;margin:3em auto;"
    "padding:0 1em;color:#1c1c1c;background:#fff}"
    "h1{font-size:1.4em}dt{float:left;clear:left;width:7em;color:#666}"
    "dd{margin-left:8em;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1c1c1c}"
    "dt{color:#999}}"
)
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE: tuple[tuple[bytes, bytes], ...] = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", POLICY.encode()),
)
MOST = 512  # signs of a host, or of an administrator's words


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says; all but *status*, *title* and *text* may be empty.

    *time* is in seconds since the epoch.
    """

    status: int
    title: str
    text: str
    time: float
    host: str = ""
    action: str = ""
    because: str = ""
    record: str = ""
    contact: str = ""
    gateway: str = ""

    @property
    def rows(self) -> Sequence[tuple[str, str]]:
        """What is known beside the text, each with its word."""
        time = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(self.time))
        rows = (
            ("because", self.because[:MOST]),
            ("host", self.host[:MOST]),
            ("action", self.action),
            ("time", time),
            ("record", self.record),
            ("contact", self.contact[:MOST]),
            ("gateway", self.gateway[:MOST]),
        )
        return [(word, value) for word, value in rows if value]


def render(page: Page, accept: bytes | None) -> tuple[bytes, bytes]:
    """Return the media type, and the page in it, for a client's *accept*."""
    kind = preferred(accept)
    if kind == "html":
        return b"text/html; charset=utf-8", _html(page).encode()
    if kind == "json":
        return b"application/problem+json", _json(page)
    return b"text/plain; charset=utf-8", _text(page).encode()


def preferred(accept: bytes | None) -> str:
    """Return ``html``, ``json`` or ``text``. RFC 9110, section 12.5.1.

    What names nothing of it gets text: that is a program, or a person at a terminal.
    """
    best, found = 0.0, "text"
    for part in (accept or b"").lower().decode("latin-1").split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        kind = _KINDS.get(media)
        if kind is not None and (quality := _quality(parameters)) > best:
            best, found = quality, kind
    return found


_KINDS = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/json": "json",
    "application/problem+json": "json",
    "text/plain": "text",
}


def _quality(parameters: Sequence[str]) -> float:
    for one in parameters:
        if one.startswith("q="):
            try:
                return min(max(float(one[2:8]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def document(title: str, body: str) -> str:
    """Return a whole document of HTML; *body* is HTML already, *title* is not."""
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def _html(page: Page) -> str:
    rows = "".join(
        f"<dt>{escape(word)}</dt><dd>{escape(value)}</dd>\n"
        for word, value in page.rows
    )
    body = (
        f"<h1>{page.status} {escape(page.title)}</h1>\n"
        f"<p>{escape(page.text)}</p>\n<dl>\n{rows}</dl>"
    )
    return document(f"{page.status} {page.title}", body)


def _json(page: Page) -> bytes:
    problem = {"status": page.status, "title": page.title, "detail": page.text}
    return msgspec.json.encode(problem | dict(page.rows)) + b"\n"


def _text(page: Page) -> str:
    lines = [f"{page.status} {page.title}", "", plain(page.text)]
    lines += [f"{word}: {plain(value)}" for word, value in page.rows]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return *text* as one line that no terminal takes for anything else."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
