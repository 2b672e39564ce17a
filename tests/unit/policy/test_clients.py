from ipaddress import ip_network

import pytest
from tests.unit.policy.asking import asked

from portway.policy.clients import By, Client, Clients, Group, read_client, read_mac


@pytest.mark.parametrize(
    ("word", "by", "name"),
    [
        ("*", By.EVERYONE, ""),
        ("user:alice", By.USER, "alice"),
        ("user:a:b", By.USER, "a:b"),
        ("user:jose\u0301", By.USER, "jos\u00e9"),
        ("group:lab", By.GROUP, "lab"),
        ("mac:00:11:22:33:44:55", By.MAC, "00:11:22:33:44:55"),
        ("mac:00-11-22-AA-bb-CC", By.MAC, "00:11:22:aa:bb:cc"),
    ],
)
def test_how_a_word_is_read(word: str, by: By, name: str) -> None:
    assert read_client(word) == Client(word, by, name)


def test_addresses_are_networks() -> None:
    client = read_client("10.0.0.0-10.0.0.2")
    assert client.by is By.NETWORK
    assert client.networks == (ip_network("10.0.0.0/31"), ip_network("10.0.0.2"))


@pytest.mark.parametrize(
    ("word", "cure"),
    [
        ("alice", 'a user is written "user:alice", a group "group:alice"'),
        ("user: ", 'write "user:alice"'),
        ("group:", 'write "group:lab"'),
        ("mac:", "is not a MAC address"),
        ("mac:001122334455", 'write it like "mac:00:11:22:33:44:55"'),
        ("mac:00:11-22:33:44:55", "is not a MAC address"),
        ("mac:00:11:22:33:44:5g", "is not a MAC address"),
        ("00:11:22:33:44:55", 'written "mac:00:11:22:33:44:55"'),
        ("Group:lab", "is not an IPv4 or IPv6 address"),
    ],
)
def test_what_is_no_client(word: str, cure: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_client(word)
    assert cure in str(raised.value)


def test_a_mac_address_is_trimmed() -> None:
    assert read_mac(" 00:11:22:33:44:55 ") == "00:11:22:33:44:55"


def test_nobody_is_in_an_empty_group() -> None:
    group = Group("lab")
    assert not group.has(asked(user="bob", mac="00:11:22:33:44:55"))
    assert not group.has(asked())
    assert group.has(asked(groups=("lab",)))


def test_which_group_a_client_is_in() -> None:
    words = [read_client(word) for word in ("group:a", "user:bob", "group:b")]
    inner = Group("a", [read_client("user:eve")])
    clients = Clients(words, {"a": inner, "b": Group("b", [read_client("10.0.0.7")])})
    assert clients.group_of(asked(user="eve")) == "a"
    assert clients.group_of(asked()) == "b"
    assert clients.group_of(asked(client="10.0.0.8", user="bob")) == ""
    assert clients.include(asked(client="10.0.0.8", user="bob"))
    assert not clients.include(asked(client="10.0.0.8"))
