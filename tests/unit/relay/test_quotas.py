from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from portway.model import Per, Period, Quota, Reason
from portway.relay.limiter import Forgetful
from portway.relay.quotas import Allowance, Calendar, Key, Row

PARIS = ZoneInfo("Europe/Paris")
KEY = Key("students", 0, "user:alice")
DAY = 86_400


class Clock:
    def __init__(self, text: str, zone: ZoneInfo = PARIS) -> None:
        self.zone = zone
        self.set(text)

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=self.zone).timestamp()

    def __call__(self) -> float:
        return self.now


def allowance(clock: Clock, size: int = 1000, period: Period = Period.DAY) -> Allowance:
    calendar = Calendar(clock, clock.zone)
    return Allowance(KEY, Per.USER, Quota(size, period), calendar, Forgetful())


def use(quota: Allowance, count: int) -> None:
    quota.reserve(count)
    quota.charge(count)


@pytest.mark.parametrize(
    ("now", "period", "start", "end"),
    [
        ("2026-11-23 10:00", Period.DAY, "2026-11-23", "2026-11-24"),
        ("2026-11-23 00:00", Period.DAY, "2026-11-23", "2026-11-24"),
        ("2026-03-29 12:00", Period.DAY, "2026-03-29", "2026-03-30"),  # 23 hours
        ("2026-10-25 12:00", Period.DAY, "2026-10-25", "2026-10-26"),  # 25
        ("2026-11-23 10:00", Period.WEEK, "2026-11-23", "2026-11-30"),  # a Monday
        ("2026-11-29 23:59", Period.WEEK, "2026-11-23", "2026-11-30"),
        ("2026-12-31 10:00", Period.WEEK, "2026-12-28", "2027-01-04"),
        ("2026-02-28 10:00", Period.MONTH, "2026-02-01", "2026-03-01"),
        ("2028-02-29 10:00", Period.MONTH, "2028-02-01", "2028-03-01"),
        ("2026-12-31 23:59", Period.MONTH, "2026-12-01", "2027-01-01"),
    ],
)
def test_a_period_is_the_zones(now: str, period: Period, start: str, end: str) -> None:
    clock = Clock(now)
    around = Calendar(clock, PARIS).around(clock(), period)
    assert around == (Clock(start)(), Clock(end)())


def test_it_is_renewed_when_its_period_ends_and_not_before() -> None:
    clock = Clock("2026-11-23 23:59:59")
    quota = allowance(clock)
    use(quota, 1000)
    assert quota.left() == 0
    clock.set("2026-11-24 00:00")
    assert quota.left() == 1000
    assert quota.used == 0


def test_it_is_renewed_once_after_a_long_time() -> None:
    clock = Clock("2026-11-23 12:00")
    quota = allowance(clock)
    use(quota, 1000)
    clock.set("2026-12-25 12:00")
    assert quota.left() == 1000
    use(quota, 400)
    clock.set("2026-12-25 23:00")
    assert quota.left() == 600


def test_a_clock_that_is_set_back_renews_nothing() -> None:
    clock = Clock("2026-11-24 00:00:01")
    quota = allowance(clock)
    use(quota, 1000)
    for moment in ("2026-11-23 23:59:59", "2026-11-24 00:00:01", "2026-11-24 23:59:59"):
        clock.set(moment)
        assert quota.left() == 0
    clock.set("2026-11-25 00:00")
    assert quota.left() == 1000


def test_a_clock_that_was_far_ahead_does_not_shut_out_for_years() -> None:
    clock = Clock("2099-01-01 12:00")
    quota = allowance(clock)
    use(quota, 1000)
    clock.set("2026-11-23 12:00")
    assert quota.left() == 0
    clock.set("2026-11-24 00:00")
    assert quota.left() == 1000


def test_what_is_granted_is_nobody_elses() -> None:
    quota = allowance(Clock("2026-11-23 12:00"))
    quota.reserve(700)
    assert (quota.left(), quota.free()) == (1000, 300)
    quota.charge(500)
    assert (quota.left(), quota.free()) == (500, 300)
    quota.give_back(200)
    assert (quota.left(), quota.free()) == (500, 500)


def test_a_smaller_quota_may_be_used_up_already() -> None:
    quota = allowance(Clock("2026-11-23 12:00"))
    use(quota, 700)
    quota.allowed = 500
    assert quota.left() == 0
    quota.allowed = 2000
    assert quota.left() == 1300


@pytest.mark.parametrize(
    ("period", "words"),
    [
        (Period.DAY, "1 kB a day; it is renewed at 00:00"),
        (Period.WEEK, "1 kB a week; it is renewed on Monday at 00:00"),
        (Period.MONTH, "1 kB a month; it is renewed on 2026-12-01 at 00:00"),
    ],
)
def test_a_refusal_says_when_there_is_more(period: Period, words: str) -> None:
    refused = allowance(Clock("2026-11-23 12:00"), period=period).refusal()
    assert refused.reason is Reason.QUOTA
    assert refused.because == f"quota used up: {words}"


def test_it_is_needed_while_it_is_used_and_a_day_longer() -> None:
    clock = Clock("2026-11-23 12:00")
    quota = allowance(clock)
    assert quota.is_idle()
    quota.reserve(10)
    assert not quota.is_idle()
    quota.charge(10)
    assert not quota.is_idle()
    clock.now = quota.ends + DAY
    assert not quota.is_idle()
    clock.now += 1
    assert quota.is_idle()


def test_a_row_brings_it_back() -> None:
    clock = Clock("2026-11-23 12:00")
    quota = allowance(clock)
    use(quota, 300)
    again = Allowance.restored(quota.row(), Calendar(clock, PARIS), Forgetful())
    assert again.row() == quota.row()
    assert again.left() == 700
    clock.set("2026-11-24 12:00")
    late = Allowance.restored(quota.row(), Calendar(clock, PARIS), Forgetful())
    assert late.left() == 1000


def test_a_row_of_no_known_period_is_refused() -> None:
    row = Row("r", 0, "m", "decade", "user", 1, 2, 3, 4)
    with pytest.raises(ValueError, match="decade"):
        Allowance.restored(row, Calendar(Clock("2026-11-23"), PARIS), Forgetful())
