"""The file that configures browsers."""

import pytest

from portway.protocols.http.own import write_pac
from portway.protocols.http.settings import Pac

BEGIN = """\
function FindProxyForURL(url, host) {
  host = host.toLowerCase();
  if (isPlainHostName(host)) return "DIRECT";
"""


def test_all_goes_by_the_proxy() -> None:
    pac = write_pac(Pac(), "proxy.test:3128", secure=False)
    assert pac == BEGIN + '  return "PROXY proxy.test:3128";\n}\n'


def test_the_ways_in_their_order() -> None:
    pac = write_pac(Pac(socks="p:1080", fallback=True), "p:3128", secure=True)
    assert '  return "HTTPS p:3128; SOCKS5 p:1080; DIRECT";\n' in pac


@pytest.mark.parametrize(
    ("word", "test"),
    [
        ("example.org", 'host === "example.org" || dnsDomainIs(host, ".example.org")'),
        ("*.Lan", 'host === "lan" || dnsDomainIs(host, ".lan")'),
        ("print*.lan", 'shExpMatch(host, "print*.lan")'),
        (
            "10.0.0.0/8",
            (
                r"/^\d+\.\d+\.\d+\.\d+$/.test(host)"
                ' && isInNet(host, "10.0.0.0", "255.0.0.0")'
            ),
        ),
        (
            "fd00::/8",
            (
                'typeof isInNetEx === "function" && host.indexOf(":") >= 0'
                ' && isInNetEx(host, "fd00::/8")'
            ),
        ),
    ],
)
def test_what_is_reached_directly(word: str, test: str) -> None:
    pac = write_pac(Pac(direct=(word,)), "p:1", secure=False)
    assert f'  if ({test}) return "DIRECT";\n' in pac


def test_no_name_is_resolved() -> None:
    """That would stall a browser; an address in a URL is no name."""
    words = ("example.org", "10.0.0.0/8", "*.lan", "fd00::/8")
    pac = write_pac(Pac(direct=words), "p:1", secure=False)
    assert "dnsResolve" not in pac
    assert "isResolvable" not in pac
