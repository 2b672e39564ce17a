from ipaddress import ip_address

import pytest

from portway.net import pinned
from portway.net.pinned import DAY, HOUR, Pinned

CLIENT, OTHER = ip_address("10.0.0.7"), ip_address("10.0.0.8")


def test_three_in_an_hour_count_for_a_day() -> None:
    memory = Pinned()
    assert not memory.rejected(CLIENT, "a.test", 0)
    assert not memory.rejected(CLIENT, "a.test", 10)
    assert not memory.is_pinned(CLIENT, "a.test", 10)
    assert memory.rejected(CLIENT, "a.test", HOUR - 1)
    assert memory.is_pinned(CLIENT, "a.test", HOUR)
    assert not memory.is_pinned(OTHER, "a.test", HOUR)
    assert not memory.is_pinned(CLIENT, "b.test", HOUR)
    assert memory.listed(HOUR) == [(CLIENT, "a.test", HOUR - 1)]
    assert memory.is_pinned(CLIENT, "a.test", HOUR - 2 + DAY)
    assert not memory.is_pinned(CLIENT, "a.test", HOUR - 1 + DAY)
    assert memory.listed(2 * DAY) == []


def test_three_in_more_than_an_hour_do_not() -> None:
    memory = Pinned()
    for hour in range(6):
        assert not memory.rejected(CLIENT, "a.test", hour * HOUR / 2)


def test_servers_that_ask() -> None:
    memory = Pinned()
    memory.asks("a.test", 443, 0)
    assert memory.is_asking("a.test", 443, DAY - 1)
    assert not memory.is_asking("a.test", 8443, 1)
    assert not memory.is_asking("a.test", 443, DAY)


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "MOST", 4)
    memory = Pinned()
    for number in range(20):
        for _ in range(3):
            memory.rejected(CLIENT, f"{number}.test", 0)
        memory.asks(f"{number}.test", 443, 0)
    assert [host for _, host, _ in memory.listed(1)] == [
        f"{n}.test" for n in range(16, 20)
    ]
    assert not memory.is_asking("15.test", 443, 1)
    assert memory.is_asking("16.test", 443, 1)
