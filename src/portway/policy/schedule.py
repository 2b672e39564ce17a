"""When a rule holds: ``"Mon-Fri 08:00-12:00, 13:00-16:00"``.

Not here: the time; it is an argument. Invariant: what is compared is what a clock on
the wall of the gateway's time zone shows, so that an hour which daylight saving skips
never comes, and one which it repeats comes twice.

A line is a list of spans. A span is days (``Mon``, ``Mon-Fri``, ``Sat, Sun``), dates
(``2026-12-24``, ``2026-12-24..2027-01-02``), both or neither, and then times, none for
the whole day. ``22:00-06:00`` runs over midnight and belongs to the day that it begins
on. The end of a time is not part of it, the end of days and dates is.

That a time ends before it begins can be a slip. It is taken for one where its part that
lies after midnight would run into another time of the same span.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERY_DAY = frozenset(range(7))
MIDNIGHT = 24 * 60  # minutes

_TIMES = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_DATES = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")
_DAYS = re.compile(r"([a-z]+)(?:-([a-z]+))?")
_SPACED = re.compile(r"\s*(-|\.\.)\s*")
_NAMES = {name: number for number, day in enumerate(DAYS) for name in (day, day[:3])}


@dataclass(frozen=True, slots=True)
class Span:
    """Days of the week, within dates if there are any, at times if there are any.

    *days* counts from Monday, 0. *dates* are first and last day as proleptic ordinals.
    *times* are minutes of the day: the first and the one after the last; a last that
    is not after the first lies on the next day.
    """

    days: frozenset[int] = EVERY_DAY
    dates: tuple[tuple[int, int], ...] = ()
    times: tuple[tuple[int, int], ...] = ()

    def covers(self, day: int, minute: int) -> bool:
        """Say whether *minute* of *day*, an ordinal, is in the span."""
        if not self.times:
            return self._has(day)
        for first, end in self.times:
            since_today = first <= minute and (minute < end or end < first)
            since_yesterday = minute < end < first
            if since_today and self._has(day):
                return True
            if since_yesterday and self._has(day - 1):
                return True
        return False

    @property
    def has_two_days_in_a_row(self) -> bool:
        """Whether it holds on a day after one on which it holds."""
        if self.dates and all(first == last for first, last in self.dates):
            ordinals = {first for first, _ in self.dates}
            return any(day + 1 in ordinals for day in ordinals)
        return any((day + 1) % 7 in self.days for day in self.days)

    def _has(self, day: int) -> bool:
        if (day - 1) % 7 not in self.days:  # ordinal 1 was a Monday
            return False
        return not self.dates or any(a <= day <= b for a, b in self.dates)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The spans of a rule, in a time zone; None is the machine's.

    *text* is how they were written.
    """

    text: tuple[str, ...]
    spans: tuple[Span, ...]
    zone: tzinfo | None

    def covers(self, now: float) -> bool:
        """Say whether *now*, in seconds since the epoch, is in any of the spans."""
        return self.covers_local(datetime.fromtimestamp(now, self.zone))

    def covers_local(self, moment: datetime) -> bool:
        """Say whether *moment*, local to the schedule's zone, is in a span."""
        day, minute = moment.toordinal(), moment.hour * 60 + moment.minute
        return any(span.covers(day, minute) for span in self.spans)


def read_spans(text: str) -> tuple[Span, ...]:
    """Read one line of a schedule. Raises ValueError, which names the cure."""
    words = _SPACED.sub(r"\1", text.lower()).replace(",", " ").split()
    if not words:
        raise ValueError('it is empty: write "Mon-Fri 08:00-12:00", or leave it out')
    spans: list[Span] = []
    days: set[int] = set()
    dates: list[tuple[int, int]] = []
    times: list[tuple[int, int]] = []
    for word in words:
        if found := _TIMES.fullmatch(word):
            times.append(_times(word, found.groups()))
            continue
        if times:  # days after times begin a span
            spans.append(_span(days, dates, times))
            days, dates, times = set(), [], []
        if found := _DATES.fullmatch(word):
            dates.append(_dates(word, found[1], found[2] or found[1]))
        elif found := _DAYS.fullmatch(word):
            days.update(_days(found[1], found[2] or found[1]))
        else:
            raise ValueError(
                f'"{word}" is neither days ("Mon-Fri"), times ("08:00-12:00") '
                'nor dates ("2026-12-24..2027-01-02")'
            )
    return (*spans, _span(days, dates, times))


def _span(
    days: set[int], dates: Iterable[tuple[int, int]], times: Iterable[tuple[int, int]]
) -> Span:
    span = Span(frozenset(days) or EVERY_DAY, tuple(dates), tuple(times))
    _refuse_slips(span)
    return span


def _refuse_slips(span: Span) -> None:
    """Raise ValueError for a time that runs over midnight and into another one."""
    if not span.has_two_days_in_a_row:
        return
    for first, end in span.times:
        for other, other_end in span.times:
            over_midnight = 0 < end < first
            if over_midnight and other < end and (other, other_end) != (first, end):
                raise ValueError(
                    f'"{_clock(first)}-{_clock(end)}" ends before it begins; over '
                    f'midnight it would run into "{_clock(other)}-{_clock(other_end)}"'
                    ": swap its times, or end it earlier"
                )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _times(word: str, numbers: tuple[str, ...]) -> tuple[int, int]:
    hour, minute, end_hour, end_minute = map(int, numbers)
    first, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or first >= MIDNIGHT or end > MIDNIGHT:
        raise ValueError(f'"{word}": times go from 00:00 to 24:00')
    if first == end:
        raise ValueError(f'"{word}" is no time at all: for the whole day, leave it out')
    return first, end


def _dates(word: str, first: str, last: str) -> tuple[int, int]:
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        raise ValueError(f'"{word}": there is no such date') from error
    if end < begin:
        raise ValueError(f'"{word}" ends before it begins')
    return begin.toordinal(), end.toordinal()


def _days(first: str, last: str) -> Iterable[int]:
    for name in (first, last):
        if name not in _NAMES:
            raise ValueError(f'"{name}" is no day: write Mon Tue Wed Thu Fri Sat Sun')
    begin, end = _NAMES[first], _NAMES[last]
    return ((begin + n) % 7 for n in range((end - begin) % 7 + 1))
