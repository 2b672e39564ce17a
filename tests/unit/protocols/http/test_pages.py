"""Pages of ours: their form, and that nothing in them is more than text."""

import json

import pytest

from portway.protocols.http.pages import POLICY, STYLE, Page, plain, preferred, render

EVIL = "<script>alert(1)</script>\r\n\x1b[31m"
PAGE = Page(
    status=403,
    title="Forbidden",
    text="No.",
    time=0.0,
    host=EVIL,
    action="read",
    because=EVIL,
    record="01ABC",
    contact="help@example.org",
    gateway="edge",
)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text"),
        (b"*/*", "text"),
        (b"text/html,application/xhtml+xml,*/*;q=0.8", "html"),
        (b"application/json", "json"),
        (b"application/problem+json", "json"),
        (b"text/html;q=0.1, application/json;q=0.5", "json"),
        (b"text/html;q=0, text/plain", "text"),
        (b"text/html;q=nonsense", "text"),
        (b"TEXT/HTML", "html"),
        (b"\xff;q=;,,;=", "text"),
    ],
)
def test_the_form_that_is_preferred(accept: bytes | None, kind: str) -> None:
    assert preferred(accept) == kind


def test_html_is_escaped() -> None:
    media, page = render(PAGE, b"text/html")
    assert media == b"text/html; charset=utf-8"
    assert b"<script" not in page
    assert b"&lt;script&gt;" in page
    assert STYLE.encode() in page
    assert "'unsafe" not in POLICY


def test_json_is_a_problem() -> None:
    media, page = render(PAGE, b"application/json")
    assert media == b"application/problem+json"
    assert json.loads(page) == {
        "status": 403,
        "title": "Forbidden",
        "detail": "No.",
        "because": EVIL,
        "host": EVIL,
        "action": "read",
        "time": "1970-01-01T00:00:00Z",
        "record": "01ABC",
        "contact": "help@example.org",
        "gateway": "edge",
    }


def test_text_moves_no_cursor() -> None:
    media, page = render(PAGE, None)
    assert media == b"text/plain; charset=utf-8"
    assert b"\x1b" not in page
    assert b"\r" not in page
    assert page.startswith(b"403 Forbidden\n\nNo.\n")
    assert plain("a\nb\u202ec") == "a?b?c"


def test_what_is_not_known_has_no_row() -> None:
    page = Page(status=404, title="Not Found", text="x", time=0.0)
    assert [word for word, _ in page.rows] == ["time"]


def test_words_of_any_length_are_cut() -> None:
    page = Page(status=403, title="x", text="x", time=0.0, because="y" * 5000)
    assert len(dict(page.rows)["because"]) == 512
