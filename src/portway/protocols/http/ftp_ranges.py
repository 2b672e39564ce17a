"""Parts of files: Range, Content-Range, and the dates that go with them.

RFC 9110, sections 13 and 14. Not here: how a server is asked for a part. Invariant:
what cannot be served as one part of a file whose size is known is served whole.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from portway.model import Side
from portway.protocols.http.wire import BadMessage

_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE)
_CONTENT_RANGE = re.compile(
    rb"\s*bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file from *start* to before *end*; None: to wherever it ends."""

    start: int
    end: int | None

    @property
    def length(self) -> int | None:
        """How many bytes that is, if it is known."""
        return None if self.end is None else self.end - self.start


class UnsatisfiableError(Exception):
    """The range begins behind the end of the file."""


def read_range(field: bytes | None, size: int) -> Span | None:
    """Return the part that *field* asks for; None: the whole file is to be sent.

    Raises UnsatisfiableError.
    """
    found = _RANGE.fullmatch(field or b"")
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        last = int(found[2])
        if not last or not size:
            raise UnsatisfiableError
        return Span(max(size - last, 0), size)
    start = int(found[1])
    end = int(found[2]) + 1 if found[2] else size
    if end <= start and found[2]:
        return None  # no range at all: RFC 9110, section 14.1.1
    if start >= size:
        raise UnsatisfiableError
    return Span(start, min(end, size))


def read_content_range(field: bytes) -> Span:
    """Return which part of a file a request has with it. Raises BadMessage, 400."""
    found = _CONTENT_RANGE.fullmatch(field)
    if found is None:
        raise BadMessage(Side.CLIENT, 400, "a Content-Range that is none")
    start, end = int(found[1]), int(found[2]) + 1
    if end <= start or (found[3] != b"*" and int(found[3]) < end):
        raise BadMessage(Side.CLIENT, 400, "a Content-Range that cannot be")
    return Span(start, end)


def format_content_range(span: Span, size: int) -> bytes:
    """Return what says which part of a file of *size* bytes follows."""
    return b"bytes %d-%d/%d" % (span.start, (span.end or size) - 1, size)


def format_date(moment: datetime) -> bytes:
    """Return *moment*, in UTC, as a field has it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode("ascii")


def read_date(field: bytes | None) -> datetime | None:
    """Return the moment that *field* names, if it is one."""
    if not field or len(field) > 64:
        return None
    try:
        moment = parsedate_to_datetime(field.decode("latin-1"))
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def is_unmodified(since: bytes | None, modified: datetime | None) -> bool:
    """Say whether a file is as it was at the date *since*, as far as is known."""
    date = read_date(since)
    return date is not None and modified is not None and modified <= date


def may_be_part(if_range: bytes | None, modified: datetime | None) -> bool:
    """Say whether a part still fits what the client has. RFC 9110, section 13.1.5."""
    if if_range is None:
        return True
    return modified is not None and read_date(if_range) == modified
