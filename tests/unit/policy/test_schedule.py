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
    ],
)
def test_what_is_no_schedule(text: str, cure: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_spans(text)
    assert cure in str(raised.value)


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


def test_the_day_is_that_of_the_time_zone() -> None:
    tuesday = read_spans("Tue")
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC).timestamp()
    assert Schedule(("Tue",), tuesday, PARIS).covers(late)
    assert not Schedule(("Tue",), tuesday, UTC).covers(late)


def test_without_a_zone_it_is_the_machines() -> None:
    noon = datetime.fromisoformat("2026-11-24 12:00").timestamp()
    assert Schedule(("12:00-12:01",), read_spans("12:00-12:01"), None).covers(noon)
