from ipaddress import ip_address

import pytest

from portway.admission import Admission
from portway.config.schema import Limits


def admission(**limits: int) -> Admission:
    return Admission(Limits(**limits))


def test_one_address_may_hold_so_many_connections() -> None:
    door = admission(per_client=2)
    client, other = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    assert [door.enter(client) for _ in range(3)] == [True, True, False]
    assert door.enter(other)
    door.leave(client)
    assert door.enter(client)


def test_one_network_of_ipv6_may_hold_so_many() -> None:
    door = admission(per_client=2, per_network6=3)
    inside = [ip_address(f"2001:db8:0:1::{n:x}") for n in range(1, 5)]
    assert [door.enter(one) for one in inside] == [True, True, True, False]
    assert door.enter(ip_address("2001:db8:0:2::1"))


def test_all_together_may_hold_so_many_loopback_too() -> None:
    door = admission(connections=2, per_client=1)
    loopback = ip_address("127.0.0.1")
    assert [door.enter(loopback) for _ in range(3)] == [True, True, False]
    door.leave(loopback)
    assert door.enter(loopback)


@pytest.mark.parametrize("client", ["192.0.2.1", "2001:db8::1", "127.0.0.1"])
def test_nothing_is_kept_of_clients_that_left(client: str) -> None:
    door = admission()
    address = ip_address(client)
    for _ in range(3):
        assert door.enter(address)
    for _ in range(3):
        door.leave(address)
    assert door.total == 0
    assert not door._clients
    assert not door._networks
