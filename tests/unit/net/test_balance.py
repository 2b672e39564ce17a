from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.model import Endpoint
from portway.net.balance import DOWN_TIME, Balance, Farm

SERVERS = [Endpoint(f"10.0.0.{n}", 21) for n in range(1, 6)]
EVERY: list[Balance] = ["round-robin", "least-sessions", "random", "source", "user"]


def first(farm: Farm, key: str = "", now: float = 0.0) -> Endpoint:
    return farm.order(key, now)[0].at


def test_each_has_its_turn() -> None:
    farm = Farm(SERVERS, "round-robin")
    found = [first(farm) for _ in range(10)]
    assert Counter(found) == dict.fromkeys(SERVERS, 2)
    assert found[:5] == found[5:]


def test_the_least_busy_is_first() -> None:
    farm = Farm(SERVERS, "least-sessions")
    for server in farm.servers:
        server.sessions = 3
    farm.servers[2].sessions = 1
    assert {first(farm) for _ in range(20)} == {SERVERS[2]}


def test_equals_share_what_comes() -> None:
    farm = Farm(SERVERS, "least-sessions")
    for _ in range(50):
        farm.order("", 0.0)[0].sessions += 1
    assert [server.sessions for server in farm.servers] == [10] * 5


def test_of_two_chosen_by_chance_the_less_busy_is_first() -> None:
    farm = Farm(SERVERS, "random")
    farm.servers[0].sessions = 100
    assert SERVERS[0] not in {first(farm) for _ in range(200)}


@pytest.mark.parametrize("balance", ["source", "user"])
@settings(deadline=None)
@given(st.text(max_size=20), st.sets(st.integers(0, 4), max_size=4))
def test_only_who_is_with_a_server_that_falls_moves(
    balance: Balance, key: str, fallen: set[int]
) -> None:
    farm = Farm(SERVERS, balance)
    before = first(farm, key)
    for number in fallen:
        farm.servers[number].up = False
    after = first(farm, key)
    assert after not in [SERVERS[number] for number in fallen]
    if SERVERS.index(before) not in fallen:
        assert after == before


def test_users_are_spread_over_all() -> None:
    farm = Farm(SERVERS, "user")
    found = Counter(first(farm, f"user{n}") for n in range(1000))
    assert all(120 < count < 280 for count in found.values())


@pytest.mark.parametrize("balance", EVERY)
def test_who_failed_gets_nobody_for_a_while(balance: Balance) -> None:
    farm = Farm(SERVERS, balance)
    farm.failed(farm.servers[0], now=100.0)
    assert all(len(farm.order("x", 100.0 + n)) == 4 for n in range(int(DOWN_TIME)))
    assert len(farm.order("x", 100.0 + DOWN_TIME)) == 5


@pytest.mark.parametrize("balance", EVERY)
def test_nobody_may_be_left(balance: Balance) -> None:
    farm = Farm(SERVERS, balance)
    for server in farm.servers:
        server.up = False
    assert farm.order("x", 0.0) == []


def test_probes_take_a_server_out_and_back_in() -> None:
    farm = Farm(SERVERS, "round-robin")
    server = farm.servers[0]

    def probe(*, well: bool) -> bool:
        return farm.probed(server, well=well, fall=3, rise=2)

    assert [probe(well=False) for _ in range(4)] == [False, False, True, False]
    assert not server.up
    assert [probe(well=True), probe(well=False), probe(well=True)] == [False] * 3
    assert not server.up
    assert probe(well=True)
    assert server.up
    farm.failed(server, now=0.0)
    probe(well=True)
    assert server.lives(0.0)


def test_a_reload_keeps_what_is_known_of_a_server() -> None:
    old, new = Farm(SERVERS, "random"), Farm(SERVERS[1:], "user")
    old.servers[1].sessions = 7
    new.share({server.at: server for server in old.servers})
    assert [server.at for server in new.servers] == SERVERS[1:]
    assert new.servers[0].sessions == 7
