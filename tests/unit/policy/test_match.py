from ipaddress import ip_address, ip_network
from time import process_time

import pytest

from portway.model import Access, Action
from portway.policy.match import (
    Names,
    Place,
    Prefixes,
    read_networks,
    read_path,
    read_target,
)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.0.0.7", "10.0.0.7/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.4.1-10.0.4.9", "10.0.4.1/32 10.0.4.2/31 10.0.4.4/30 10.0.4.8/31"),
        ("10.0.4.0 - 10.0.4.255", "10.0.4.0/24"),
        ("fd00::1", "fd00::1/128"),
        ("fd00::/8", "fd00::/8"),
        ("fd00::-fd00::f", "fd00::/124"),
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks(text: str, networks: str) -> None:
    assert read_networks(text) == tuple(map(ip_network, networks.split()))


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("10.0.0.5/8", 'write "10.0.0.0/8"'),
        ("10.0.0.0/33", "not a network"),
        ("10.0.0", "not an IPv4 or IPv6 address"),
        ("010.0.0.1", "not an IPv4 or IPv6 address"),
        ("10.0.0.9-10.0.0.1", "goes from an address up"),
        ("10.0.0.1-fd00::1", "goes from an address up"),
        ("fe80::1%eth0", "leave out the zone"),
        ("", "not an IPv4 or IPv6 address"),
    ],
)
def test_what_is_no_network(text: str, cure: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_networks(text)
    assert cure in str(raised.value)


def test_prefixes_find_every_network_around_an_address() -> None:
    known = {
        ip_network("0.0.0.0/0"): "v4",
        ip_network("10.0.0.0/8"): "ten",
        ip_network("10.0.0.7/32"): "seven",
        ip_network("::/0"): "v6",
        ip_network("fd00::/8"): "ours",
    }
    prefixes = Prefixes(known)
    for text in (
        "10.0.0.7",
        "10.1.0.0",
        "9.0.0.1",
        "::ffff:10.0.0.7",
        "fd12::",
        "fe80::",
    ):
        address = getattr(ip_address(text), "ipv4_mapped", None) or ip_address(text)
        around = [word for network, word in known.items() if address in network]
        assert sorted(prefixes.find(ip_address(text))) == sorted(around)


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("example.org", "example.org", "www.example.org xexample.org example.org.x"),
        ("*.example.org", "a.example.org a.b.example.org", "example.org xexample.org"),
        (
            "ftp*.x.org",
            "ftp.x.org ftp1.x.org ftp-a.x.org",
            "ftp.a.x.org aftp.x.org x.org",
        ),
        ("*ftp.x.org", "ftp.x.org myftp.x.org", "ftp.a.x.org ftp1.x.org"),
        ("*.x", "a.x a.b.x", "x"),
        ("srv*", "srv srv1", "srv1.x a.srv"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "munchen.de"),
    ],
)
def test_names(pattern: str, fits: str, others: str) -> None:
    names = Names({read_target(pattern).name: True})
    for host in fits.split():
        assert names.find(host) == [True], host
    for host in (*others.split(), ""):
        assert names.find(host) == [], host


def test_a_host_may_fit_many_names() -> None:
    patterns = ("a.b.x", "*.b.x", "a*.b.x", "*b.x", "*.x", "*.a.b.x", "b.x")
    found = Names({pattern: pattern for pattern in patterns}).find("a.b.x")
    assert sorted(found) == ["*.b.x", "*.x", "a*.b.x", "a.b.x"]


@pytest.mark.parametrize(
    ("text", "place", "what", "port", "path"),
    [
        ("*", Place.OUTSIDE, "", 0, None),
        ("*:21", Place.OUTSIDE, "", 21, None),
        ("*/secret/*", Place.OUTSIDE, "", 0, "/secret/*"),
        ("inside", Place.INSIDE, "", 0, None),
        ("Inside:21", Place.INSIDE, "", 21, None),
        ("FTP.Example.org.", Place.NAME, "ftp.example.org", 0, None),
        ("münchen.de", Place.NAME, "xn--mnchen-3ya.de", 0, None),
        ("ftp.example.org:2121", Place.NAME, "ftp.example.org", 2121, None),
        ("ftp.example.org/In/*.exe", Place.NAME, "ftp.example.org", 0, "/In/*.exe"),
        ("h:21/a:b:c@d", Place.NAME, "h", 21, "/a:b:c@d"),
        ("h/", Place.NAME, "h", 0, "/"),
        ("web-1", Place.NAME, "web-1", 0, None),
        ("10.0.0.7", Place.NETWORK, "10.0.0.7/32", 0, None),
        ("10.0.0.7:21", Place.NETWORK, "10.0.0.7/32", 21, None),
        ("10.0.0.7/in/*", Place.NETWORK, "10.0.0.7/32", 0, "/in/*"),
        ("10.0.0.0/8", Place.NETWORK, "10.0.0.0/8", 0, None),
        ("10.0.0.0/8:21/in", Place.NETWORK, "10.0.0.0/8", 21, "/in"),
        ("10.0.0.0/8/in", Place.NETWORK, "10.0.0.0/8", 0, "/in"),
        ("10.0.0.0-10.0.0.3", Place.NETWORK, "10.0.0.0/30", 0, None),
        ("fd00::1", Place.NETWORK, "fd00::1/128", 0, None),
        ("fd00::/8", Place.NETWORK, "fd00::/8", 0, None),
        ("[fd00::1]:21", Place.NETWORK, "fd00::1/128", 21, None),
        ("[fd00::/8]:21/in", Place.NETWORK, "fd00::/8", 21, "/in"),
    ],
)
def test_targets(
    text: str, place: Place, what: str, port: int, path: str | None
) -> None:
    target = read_target(text)
    assert (target.text, target.place, target.port) == (text, place, port)
    assert (target.name or " ".join(map(str, target.networks))) == what
    assert (target.path.text if target.path else None) == path


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "not a host, a network"),
        (".", "not a host name"),
        ("a..b", "not a host name"),
        ("a b", "not a host name"),
        ("*.", None),
        ("**.x", "not a host name"),
        ("10.*", '"10.0.0.0/8"'),
        ("ftp.*.org", "first label only"),
        ("web.1", "not an IPv4 or IPv6 address"),
        ("127.1", "not an IPv4 or IPv6 address"),
        ("10.0.0.5/24", 'write "10.0.0.0/24"'),
        ("h:0", "1 to 65535"),
        ("h:65536", "1 to 65535"),
        ("h:x", "1 to 65535"),
        ("h:", "1 to 65535"),
        ("h:٣", "1 to 65535"),
        ("fd00::1/in", "in brackets"),
        ("[ftp.example.org]", "not an IPv4 or IPv6 address"),
        ("[fd00::1", "1 to 65535"),
        ("/secret/*", '"*/secret/*" for any host'),
        ("outside", 'write "*"'),
        ("ftp://bob:pw@h/", "the host and what is behind it only"),
        ("bob:pw@h", "the host and what is behind it only"),
        ("h/in/", '"/in/**" is all that lies below'),
        ("h/a//b", "no two in a row"),
        ("h/a**b", "stands alone"),
        ("h/../x", 'leave out "." and ".."'),
    ],
)
def test_what_is_no_target(text: str, cure: str | None) -> None:
    if cure is None:
        read_target(text)
        return
    with pytest.raises(ValueError) as raised:
        read_target(text)
    assert cure in str(raised.value)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        (
            "/in/*.exe",
            "/in/a.exe /in/.exe",
            "/in/a/b.exe /in/a.EXE /in/a.exe/b /x/in/a.exe",
        ),
        ("/in/*", "/in/a", "/in /in/a/b /"),
        ("/in/**", "/in/a /in/a/b/c", "/in /input/a"),
        ("/**", "/ /a /a/b", ""),
        ("/*", "/a", "/ /a/b"),
        ("/", "/", "/a"),
        ("/**/*.exe", "/a.exe /in/a.exe /a/b/c.exe", "/a.exe/b /exe"),
        ("/**/secret/**", "/secret/a /a/b/secret/c/d", "/secret /a/secret /secrets/a"),
        ("/a/**/b/c", "/a/b/c /a/x/b/c /a/b/b/c /a/b/x/b/c", "/a/b/x/c /a/c /b/c"),
        ("/**/a/b/**/c", "/a/b/c /a/a/b/x/c /x/a/a/b/c", "/a/x/b/c"),
        ("/**/a/**/b", "/a/b /ab/a/b /a/ab/b", "/ab/b /a/ab"),
        ("/a/**/**/b", "/a/b /a/x/b", "/a"),
        ("/log-????.txt", "/log-2026.txt", "/log-26.txt /log-a/bc.txt"),
        ("/a*b*c", "/abc /aXbXc /abcbc", "/ab /acb /abcd /a/bc /ab/c"),
        ("/a.b", "/a.b", "/aXb"),
        ("/[x]+(", "/[x]+(", "/x"),
    ],
)
def test_paths(pattern: str, fits: str, others: str) -> None:
    regex = read_path(pattern).regex
    for path in fits.split():
        assert regex.fullmatch(path), path
    for path in (*others.split(), "", "/in\n/x"):
        assert not regex.fullmatch(path) or (pattern == "/**" and path), path


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("/in/2026/*.exe", "/in/2026"),
        ("/in/a.exe", "/in/a.exe"),
        ("/in?/x", ""),
        ("/**/x", ""),
        ("/", ""),
    ],
)
def test_the_folder_is_what_stands_before_a_wildcard(pattern: str, folder: str) -> None:
    assert read_path(pattern).folder == folder


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/*a*a*a*a*a*a*b", "/" + "a" * 8000),
        ("/**/*a*a*a*/**/*a*a*a*/**/b", "/aaaa" * 1600),
        ("/**/a/**/a/**/a/**/a/**/b", "/a" * 4000),
        ("/**/*x*x*x*/*x*x*x*/b", "/xxxxxxxxxx" * 700),
        ("/**/?*?*?*?*/c", "/" + "d" * 8000),
    ],
)
def test_no_path_takes_long(pattern: str, path: str) -> None:
    regex = read_path(pattern).regex
    start = process_time()
    assert not regex.fullmatch(path)
    assert process_time() - start < 0.5


def test_a_target_takes_a_port_and_a_path() -> None:
    access = Access(
        protocol="ftp",
        client=ip_address("10.0.0.7"),
        user="",
        action=Action.READ,
        method="RETR",
        host="h",
        port=21,
        path="/in/a",
    )
    for text in ("h", "h:21", "h/in/*", "h:21/in/a", "*:21"):
        assert read_target(text).takes(access), text
    for text in ("h:22", "h/out/*", "h:22/in/a", "*:22"):
        assert not read_target(text).takes(access), text
