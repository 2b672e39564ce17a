from collections.abc import Callable

import pytest

from portway.config.amounts import read_count, read_pace, read_quota, read_speed
from portway.model import Period, Quota


@pytest.mark.parametrize(
    ("read", "value", "amount"),
    [
        (read_speed, "5 Mbit/s", 625_000.0),
        (read_speed, "1 MB/s", 1_000_000.0),
        (read_speed, "1 kbit/s", 125.0),
        (read_count, 10, 10),
        (read_pace, 60, 60),
        (read_pace, "60", 60),
        (read_pace, "60/min", 60),
        (read_pace, " 60 / Minute ", 60),
        (read_quota, "2 GB/day", Quota(2 * 10**9, Period.DAY)),
        (read_quota, "2 GiB / Week", Quota(2 << 30, Period.WEEK)),
        (read_quota, "500 MB/month", Quota(5 * 10**8, Period.MONTH)),
    ],
)
def test_what_is_read(
    read: Callable[[object], object], value: object, amount: object
) -> None:
    assert read(value) == amount


@pytest.mark.parametrize(
    ("read", "value", "cure"),
    [
        (read_speed, "5 parsecs", '"parsecs" is no unit here; use one of'),
        (read_speed, "5 Mbps", 'write "Mbit/s"'),
        (read_speed, "5 MB", "MB/s"),
        (read_speed, "-5 MB/s", "a number and a unit"),
        (read_speed, "0 MB/s", 'write then = "deny"'),
        (read_speed, "1 bit/s", "1 kbit/s is the least"),
        (read_speed, 5, 'text with a unit, as in "5 Mbit/s"'),
        (read_count, 0, 'write then = "deny"'),
        (read_count, -1, "from 0 upwards"),
        (read_count, True, "a whole number without quotes"),
        (read_count, "10", "a whole number without quotes"),
        (read_pace, "60/s", "requests are counted a minute"),
        (read_pace, "60/h", 'write it like "60/min"'),
        (read_pace, "60/", 'write it like "60/min"'),
        (read_pace, "many", 'write it like "60/min"'),
        (read_pace, "-1/min", 'write it like "60/min"'),
        (read_pace, "0/min", 'write then = "deny"'),
        (read_pace, 1_000_001, "1000000 a minute are the most"),
        (read_pace, 1.5, "a whole number"),
        (read_quota, "2 GB/fortnight", 'these are: "day", "week", "month"'),
        (read_quota, "2 GB/moth", 'did you mean "month"?'),
        (read_quota, "2 GB", "needs a period"),
        (read_quota, "2/day", "needs a unit"),
        (read_quota, "2 Gbit/day", "is no unit here"),
        (read_quota, "2 GB/s/day", "is no unit here"),
        (read_quota, "-2 GB/day", "a number and a unit"),
        (read_quota, "0 GB/day", 'write then = "deny"'),
        (read_quota, 5, 'as in "2 GB/day", not a number'),
        (read_quota, "2 GB/\x1b[31m", "control character"),
    ],
)
def test_what_is_no_amount_and_the_cure(
    read: Callable[[object], object], value: object, cure: str
) -> None:
    with pytest.raises(ValueError) as raised:
        read(value)
    assert cure in str(raised.value)
    assert str(raised.value).isprintable()
