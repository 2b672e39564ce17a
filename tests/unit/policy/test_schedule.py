from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from portway.policy.schedule import Schedule, Span, read_spans

PARIS = ZoneInfo("Europe/Paris")


def covers(text: str, moment: str) -> bool:
    schedule = Schedule((text,), read_spans(text), UTC)
    return schedule.covers_local(datetime.fromisoformat(moment))


# 2026-11-23 is a Monday.
@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (
            "Mon-Fri 08:00-12:00, 13:00-16:00",
            ["2026-11-23 08:00", "2026-11-23 11:59:59", "2026-11-27 13:00"],
            ["2026-11-23 07:59:59", "2026-11-23 12:00", "2026-11-28 09:00"],
        ),
        ("Sat", ["2026-11-28 00:00", "2026-11-28 23:59"], ["2026-11-29 00:00"]),
        ("Sat, Sun", ["2026-11-28 12:00", "2026-11-29 12:00"], ["2026-11-30 00:00"]),
        ("fri-MONDAY", ["2026-11-27 01:00", "2026-11-23 01:00"], ["2026-11-26 01:00"]),
        (
            "22:00-06:00",
            ["2026-11-23 22:00", "2026-11-23 05:59", "2026-11-23 23:59"],
            ["2026-11-23 06:00", "2026-11-23 21:59"],
        ),
        (
            "Fri 22:00-06:00",
            ["2026-11-27 22:00", "2026-11-28 05:59"],
            ["2026-11-27 05:00", "2026-11-28 06:00", "2026-11-28 22:00"],
        ),
        (
            "Sun 22:00-06:00",
            ["2026-11-22 23:00", "2026-11-23 03:00"],
            ["2026-11-22 03:00"],
        ),
        ("22:00-24:00", ["2026-11-23 23:59"], ["2026-11-23 00:00"]),
        ("22:00-00:00", ["2026-11-23 23:59"], ["2026-11-23 00:00"]),
        (
            "Mon 08:00-09:00, Tue 10:00-11:00",
            ["2026-11-23 08:30", "2026-11-24 10:30"],
            ["2026-11-23 10:30", "2026-11-24 08:30"],
        ),
        (
            "Mon, Wed 10:00 - 12:00",
            ["2026-11-23 10:00", "2026-11-25 10:00"],
            ["2026-11-24 10:00"],
        ),
        (
            "2026-12-24..2027-01-02",
            ["2026-12-24 00:00", "2027-01-02 23:59"],
            ["2026-12-23 23:59", "2027-01-03 00:00"],
        ),
        (
            "2026-12-24 .. 2026-12-31 Mon-Fri 8:00-9:00",
            ["2026-12-25 08:00"],
            ["2026-12-26 08:00", "2027-01-01 08:00", "2026-12-25 09:00"],
        ),
        (
            "2026-12-24 22:00-06:00",
            ["2026-12-24 22:00", "2026-12-25 05:00"],
            ["2026-12-24 05:00", "2026-12-25 22:00"],
        ),
    ],
)
def test_when_a_schedule_holds(
    text: str, inside: list[str], outside: list[str]
) -> None:
    for moment in inside:
        assert covers(text, moment), moment
    for moment in outside:
        assert not covers(text, moment), moment


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("Mon-Fry", '"fry" is no day'),
        ("8-12", '"8-12" is neither days'),
        ("08:00", "neither days"),
        ("25:00-26:00", "00:00 to 24:00"),
        ("08:60-09:00", "00:00 to 24:00"),
        ("24:00-06:00", "00:00 to 24:00"),
        ("08:00-08:00", "for the whole day, leave it out"),
        ("2026-02-30", "no such date"),
        ("2026-12-24..2026-12-23", "ends before it begins"),
        (
            "08:00-12:00, 16:00-13:00",
            (
                '"16:00-13:00" ends before it begins; over midnight it would run into '
                '"08:00-12:00"'
            ),
        ),
        ("Mon-Fri 16:00-09:00, 08:00-10:00", '"16:00-09:00" ends before it begins'),
        ("2026-12-24..2026-12-25 12:00-09:00, 08:00-10:00", "swap its times"),
    ],
)
def test_what_is_no_schedule(text: str, cure: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_spans(text)
    assert cure in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "22:00-06:00",
        "12:00-11:00",
        "06:00-07:00, 22:00-06:00",
        "22:00-00:00, 00:00-06:00",
        "Sat 22:00-09:00, 08:00-10:00",  # the day after is another one
        "Mon, Wed 22:00-09:00, 08:00-10:00",
        "2026-12-24 22:00-09:00, 08:00-10:00",
        "22:00-06:00, Sat 05:00-07:00",  # of another span
    ],
)
def test_what_may_run_over_midnight(text: str) -> None:
    assert read_spans(text)


def test_a_line_is_read_into_spans() -> None:
    first, second = read_spans("Mon-Tue 08:00-12:00, 22:00-06:00, Sun")
    assert first == Span(frozenset({0, 1}), (), ((480, 720), (1320, 360)))
    assert second == Span(frozenset({6}))


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-03-29T00:59:59+00:00", False),  # 01:59:59; the next second is 03:00
        ("2026-03-29T01:00:00+00:00", False),
        ("2026-10-25T00:00:00+00:00", True),  # 02:00, summer time
        ("2026-10-25T00:59:00+00:00", True),
        ("2026-10-25T01:00:00+00:00", True),  # 02:00 again, winter time
        ("2026-10-25T02:00:00+00:00", False),
        ("2026-07-01T00:30:00+00:00", True),
        ("2026-01-01T00:30:00+00:00", False),
        ("2026-01-01T01:30:00+00:00", True),
    ],
)
def test_times_are_those_of_a_clock_on_the_wall(moment: str, *, inside: bool) -> None:
    schedule = Schedule(("02:00-03:00",), read_spans("02:00-03:00"), PARIS)
    assert schedule.covers(datetime.fromisoformat(moment).timestamp()) is inside


NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


@pytest.mark.parametrize(
    ("zone", "text", "begins", "ends", "minutes"),
    [
        # forward: 02:00 becomes 03:00, on a Sunday
        (PARIS, "01:30-03:30", "2026-03-29T00:30", "2026-03-29T01:30", 60),
        (PARIS, "Sat 22:00-06:00", "2026-03-28T21:00", "2026-03-29T04:00", 7 * 60),
        (PARIS, "2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00", 23 * 60),
        # back: 03:00 becomes 02:00
        (PARIS, "01:30-03:30", "2026-10-24T23:30", "2026-10-25T02:30", 3 * 60),
        (PARIS, "Sat 22:00-06:00", "2026-10-24T20:00", "2026-10-25T05:00", 9 * 60),
        (PARIS, "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00", 25 * 60),
        # forward: 02:00 becomes 03:00; back: 02:00 becomes 01:00
        (NEW_YORK, "01:00-04:00", "2026-03-08T06:00", "2026-03-08T08:00", 2 * 60),
        (NEW_YORK, "00:30-02:00", "2026-11-01T04:30", "2026-11-01T07:00", 150),
        (NEW_YORK, "Sun", "2026-03-08T05:00", "2026-03-09T04:00", 23 * 60),
        (NEW_YORK, "Sun", "2026-11-01T04:00", "2026-11-02T05:00", 25 * 60),
        # half an hour: 02:00 becomes 02:30; 02:00 becomes 01:30
        (LORD_HOWE, "01:30-03:00", "2026-10-03T15:00", "2026-10-03T16:00", 60),
        (LORD_HOWE, "01:30-02:30", "2026-04-04T14:30", "2026-04-04T16:00", 90),
        (LORD_HOWE, "Sun", "2026-10-03T13:30", "2026-10-04T13:00", 23 * 60 + 30),
        (LORD_HOWE, "Sun", "2026-04-04T13:00", "2026-04-05T13:30", 24 * 60 + 30),
    ],
)
def test_the_clocks_are_changed(
    zone: ZoneInfo, text: str, begins: str, ends: str, minutes: int
) -> None:
    """It holds for all of a stretch, in UTC, and for no minute around it."""
    schedule = Schedule((text,), read_spans(text), zone)
    first = datetime.fromisoformat(begins).replace(tzinfo=UTC).timestamp()
    end = datetime.fromisoformat(ends).replace(tzinfo=UTC).timestamp()
    assert (end - first) / 60 == minutes
    assert all(schedule.covers(first + 60 * n) for n in range(minutes))
    for before_or_after in (first - 60, first - 0.5, end, end + 59.5):
        assert not schedule.covers(before_or_after)


def test_the_day_is_that_of_the_time_zone() -> None:
    tuesday = read_spans("Tue")
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC).timestamp()
    assert Schedule(("Tue",), tuesday, PARIS).covers(late)
    assert not Schedule(("Tue",), tuesday, UTC).covers(late)


def test_without_a_zone_it_is_the_machines() -> None:
    noon = datetime.fromisoformat("2026-11-24 12:00").timestamp()
    assert Schedule(("12:00-12:01",), read_spans("12:00-12:01"), None).covers(noon)
