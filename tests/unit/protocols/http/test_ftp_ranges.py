"""Range, Content-Range, and the dates beside them."""

from datetime import UTC, datetime, timedelta

import pytest

from portway.protocols.http.ftp_ranges import (
    Span,
    UnsatisfiableError,
    format_content_range,
    format_date,
    is_unmodified,
    may_be_part,
    read_content_range,
    read_range,
)
from portway.protocols.http.wire import BadMessage

WHEN = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
DATE = b"Wed, 01 May 2024 10:30:00 GMT"


@pytest.mark.parametrize(
    ("field", "span"),
    [
        (None, None),
        (b"bytes=0-", Span(0, 100)),
        (b"bytes=10-19", Span(10, 20)),
        (b"BYTES = 10 - 900", Span(10, 100)),
        (b"bytes=-7", Span(93, 100)),
        (b"bytes=-700", Span(0, 100)),
        (b"bytes=-", None),
        (b"bytes=5-4", None),
        (b"bytes=1-2,4-5", None),
        (b"bytes=a-b", None),
        (b"bytes=" + b"9" * 99 + b"-", None),
        (b"items=1-2", None),
    ],
)
def test_ranges(field: bytes | None, span: Span | None) -> None:
    assert read_range(field, 100) == span


@pytest.mark.parametrize("field", [b"bytes=100-", b"bytes=100-200", b"bytes=-0"])
def test_ranges_that_cannot_be_had(field: bytes) -> None:
    with pytest.raises(UnsatisfiableError):
        read_range(field, 100)


def test_no_part_of_an_empty_file_can_be_had() -> None:
    for field in (b"bytes=0-", b"bytes=-5"):
        with pytest.raises(UnsatisfiableError):
            read_range(field, 0)


def test_what_an_upload_has() -> None:
    assert read_content_range(b"bytes 4-6/7") == Span(4, 7)
    assert read_content_range(b"bytes 4-6/*") == Span(4, 7)
    for field in (b"", b"bytes 4-6", b"bytes */7", b"bytes 6-4/7", b"bytes 4-6/6"):
        with pytest.raises(BadMessage):
            read_content_range(field)


def test_a_span_is_written_as_it_is_read() -> None:
    span = Span(10, 20)
    assert span.length == 10
    assert format_content_range(span, 100) == b"bytes 10-19/100"
    assert read_content_range(format_content_range(span, 100)) == span


def test_dates() -> None:
    second = timedelta(seconds=1)
    assert format_date(WHEN) == DATE
    assert is_unmodified(DATE, WHEN)
    assert is_unmodified(DATE, WHEN - second)
    assert not is_unmodified(DATE, WHEN + second)
    assert not is_unmodified(DATE, None)
    assert not is_unmodified(None, WHEN)
    for field in (b"", b"yesterday", b"x" * 99, b"\xff"):
        assert not is_unmodified(field, WHEN)
    assert may_be_part(None, None)
    assert may_be_part(DATE, WHEN)
    assert not may_be_part(DATE, WHEN - second)
    assert not may_be_part(b'"tag"', WHEN)
