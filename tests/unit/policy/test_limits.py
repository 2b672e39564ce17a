import pytest
from tests.unit.policy.asking import asked

from portway.model import Limit, Per, Period, Quota
from portway.policy.limits import bounds, member, speed


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (625_000.0, "5 Mbit/s"),
        (1_000_000.0, "1 MB/s"),
        (125.0, "1 kbit/s"),
        (12_500_000.0, "100 Mbit/s"),
        (100_000.0, "100 kB/s"),
        (125.125, "1001 bit/s"),
        (1024.0, "1 KiB/s"),
    ],
)
def test_a_speed_is_said_by_its_smallest_number(rate: float, words: str) -> None:
    assert speed(rate) == words


def test_everything_that_a_limit_sets_is_said() -> None:
    limit = Limit(
        rate=625_000.0,
        up=1_000_000.0,
        down=2_000_000.0,
        quotas=(Quota(2 * 10**9, Period.DAY), Quota(3 << 30, Period.MONTH)),
        connections=1,
        requests=60,
    )
    assert bounds(limit) == [
        "5 Mbit/s",
        "1 MB/s up",
        "2 MB/s down",
        "2 GB a day",
        "3 GiB a month",
        "1 connection",
        "60 requests a minute",
    ]
    assert bounds(Limit()) == []


@pytest.mark.parametrize(
    ("per", "user", "words"),
    [
        (Per.USER, "alice", 'user "alice"'),
        (Per.USER, "", "client 10.0.0.7"),
        (Per.CLIENT, "alice", "client 10.0.0.7"),
        (Per.GROUP, "alice", 'group "lab"'),
        (Per.GROUP, "", 'group "lab"'),
        (Per.RULE, "alice", "all whom the rule allows, together"),
    ],
)
def test_whose_a_limit_is(per: Per, user: str, words: str) -> None:
    assert member(Limit(per=per), asked(user=user), "lab") == words
