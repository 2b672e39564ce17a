from ipaddress import ip_address

import pytest

from portway.net.guard import fold, is_inside, is_inside_name

INSIDE = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1
    127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.170 192.168.0.1
    198.18.0.1 198.19.255.255 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::2 ::127.0.0.1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 64:ff9b::10.0.0.1
    64:ff9b::7f00:1 64:ff9b:1::1 64:ff9b:1::cb00:7101 100::1 1fff::1 2001::1
    2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2002:a00:1::1 2002:7f00:1::
    2002:c0a8:101:1::1 4000::1 fc00::1 fd00::1 fdff:ffff::1 fe80::1 fe80::1%eth0 febf::1
    fec0::1 ff02::1 ff0e::1
"""

OUTSIDE = """
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
    169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.2.1
    192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.100.7 203.0.113.7
    223.255.255.255 ::ffff:203.0.113.7 64:ff9b::203.0.113.7 2001:1::1 2001:2:1::1
    2001:db8::1 2002:cb00:7107::1 2000:: 2a00::1 3fff::1 3fff:ffff::1
"""


@pytest.mark.parametrize("text", INSIDE.split())
def test_inside(text: str) -> None:
    assert is_inside(ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE.split())
def test_outside(text: str) -> None:
    assert not is_inside(ip_address(text))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("::10.0.0.1", "::10.0.0.1"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_what_is_mapped_is_ipv4(text: str, folded: str) -> None:
    assert fold(ip_address(text)) == ip_address(folded)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("localhost", True),
        ("x.localhost", True),
        ("nas.local", True),
        ("router.home.arpa", True),
        ("db.internal", True),
        ("ftp.example.org", False),
        ("mylocalhost", False),
        ("local.example.org", False),
    ],
)
def test_names_that_lead_inside(name: str, *, inside: bool) -> None:
    assert is_inside_name(name) is inside
