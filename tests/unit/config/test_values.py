from collections.abc import Callable
from datetime import UTC, date, datetime, time
from ipaddress import ip_address, ip_network

import pytest

from portway.config import values
from portway.model import Endpoint

Reader = Callable[[object], object]


def choice(value: object) -> str:
    return values.read_choice(value, ("allow", "deny"))


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (values.read_text, "", ""),
        (values.read_text, "caf\u00e9 \u65e5", "caf\u00e9 \u65e5"),
        (values.read_flag, True, True),
        (values.read_number, 0, 0),
        (choice, "deny", "deny"),
        (values.read_address, "192.0.2.1", ip_address("192.0.2.1")),
        (values.read_address, "2001:DB8::1", ip_address("2001:db8::1")),
        (values.read_address, "[2001:db8::1]", ip_address("2001:db8::1")),
        (values.read_address, "::ffff:192.0.2.1", ip_address("192.0.2.1")),
        (values.read_network, "10.0.0.0/8", ip_network("10.0.0.0/8")),
        (values.read_network, "10.0.0.1", ip_network("10.0.0.1/32")),
        (values.read_network, "2001:db8::/32", ip_network("2001:db8::/32")),
        (values.read_endpoint, "127.0.0.1:2121", Endpoint("127.0.0.1", 2121)),
        (values.read_endpoint, "[::]:2121", Endpoint("::", 2121)),
        (values.read_endpoint, "[2001:DB8:0::1]:0", Endpoint("2001:db8::1", 0)),
        (values.read_endpoint, "LocalHost:21", Endpoint("localhost", 21)),
        (values.read_ports, "50000-50999", range(50000, 51000)),
        (values.read_ports, "50000 - 50000", range(50000, 50001)),
        (values.read_ports, "65535", range(65535, 65536)),
        (values.read_seconds, "5m", 300.0),
        (values.read_size, "64 KiB", 65536),
        (values.read_rate, "8 bit/s", 1.0),
    ],
)
def test_a_value_is_read(read: Reader, value: object, result: object) -> None:
    assert read(value) == result


@pytest.mark.parametrize(
    ("read", "value", "cure"),
    [
        (values.read_text, 3, "text in quotes is expected, not a number"),
        (values.read_text, "a\r\nb", "holds the control character '\\r'"),
        (values.read_text, "a\x85", "holds the control character '\\x85'"),
        (values.read_flag, "yes", "true or false, without quotes, not text"),
        (values.read_number, "7", "a whole number without quotes, not text"),
        (values.read_number, True, "not true or false"),
        (values.read_number, 1.5, "a whole number"),
        (values.read_number, -1, "from 0 upwards"),
        (values.read_number, 1 << 100, "within reason"),
        (choice, "alow", 'or "deny", not "alow"; did you mean "allow"?'),
        (choice, 3, 'must be "allow" or "deny", not a number'),
        (values.read_address, "localhost", '"localhost" is no IPv4 or IPv6 address'),
        (values.read_address, "10.0.0.1:21", "is no IPv4 or IPv6 address"),
        (values.read_address, "fe80::1%eth0", "zones cannot be used"),
        (values.read_network, "10.0.0.5/8", 'the network is "10.0.0.0/8"'),
        (values.read_network, "10.0.0.0-10.0.0.9", 'write it like "192.168.1.0/24"'),
        (values.read_endpoint, ":2121", '"0.0.0.0:2121" and "[::]:2121"'),
        (values.read_endpoint, "192.168.1.1", 'as in "192.168.1.1:2121"'),
        (values.read_endpoint, "[::1]", "needs a port"),
        (values.read_endpoint, "::1:2121", "needs brackets"),
        (values.read_endpoint, "", "needs a port"),
        (values.read_endpoint, "[::1]:x", "a port is a number"),
        (values.read_endpoint, "127.0.0.1:65536", "a port is a number"),
        (values.read_endpoint, "127.0.0.1:\u0663", "a port is a number"),
        (values.read_endpoint, "gw.example.org:21", "write an address of this machine"),
        (values.read_endpoint, "[fe80::1%eth0]:21", "zones cannot be used"),
        (values.read_endpoint, 2121, "text in quotes is expected"),
        (values.read_ports, "50999-50000", "ports go upwards"),
        (values.read_ports, "0-10", "ports go upwards"),
        (values.read_ports, "1-65536", "ports go upwards"),
        (values.read_ports, "a-b", "is no range of ports"),
        (values.read_ports, 50000, "write ports in quotes"),
        (values.read_seconds, 30, 'text with a unit, as in "30s", not a number'),
        (values.read_size, ["1 B"], 'as in "64 KiB", not a list'),
        (values.read_rate, {}, 'as in "5 Mbit/s", not a table'),
    ],
)
def test_a_wrong_value_names_its_cure(read: Reader, value: object, cure: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(value)
    assert cure in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_number_too_long_to_be_shown_is_not_shown() -> None:
    for read in (values.read_ports, values.read_number, values.read_text):
        with pytest.raises(ValueError, match=r"quotes|reason"):
            read(1 << 60_000)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (date(2026, 1, 1), "a date or a time"),
        (datetime(2026, 1, 1, tzinfo=UTC), "a date or a time"),
        (time(1), "a date or a time"),
        (1.5, "a number"),
        ({}, "a table"),
        (None, "this"),
    ],
)
def test_values_have_names(value: object, words: str) -> None:
    assert values.kind_of(value) == words
