"""What a request is for: hosts, URLs, and the paths that rules see."""

import pytest

from portway.model import Endpoint
from portway.protocols.http.authority import (
    Form,
    Target,
    format_authority,
    read_authority,
    read_host,
    read_target,
    rules_path,
    target_at,
)
from portway.protocols.http.wire import BadMessage


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.Org.", "example.org"),
        ("a_b-c.x--y", "a_b-c.x--y"),
        ("localhost", "localhost"),
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4.", "1.2.3.4"),
        ("1.2.3.example", "1.2.3.example"),
        ("0x.example", "0x.example"),
        ("[::1]", "::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("xn--hst-sna.example", "xn--hst-sna.example"),
        ("a" * 63, "a" * 63),
    ],
)
def test_a_host_is_read(text: str, host: str) -> None:
    assert read_host(text) == read_host(text.encode()) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        ".a",
        "a..b",
        "a..",
        "a b",
        "a%62",
        "a\0",
        "a\n",
        "a/b",
        "a@b",
        "a:b",
        "::1",
        "[",
        "[]",
        "[::1",
        "[a]",
        "[1.2.3.4]",
        "[fe80::1%eth0]",
        "127.1",
        "1",
        "0x7f.1",
        "a.0x7f",
        "a.0x",
        "0177.0.0.1",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.04",
        "a" * 64,
        ".".join(["a" * 62] * 5),
        "h\xf6st",
        "\uff11.2.3.4",
        "\u2488",
        "kelvin\u212a",
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError):
        read_host(text)
    with pytest.raises(ValueError):
        read_host(text.encode())


def test_names_beyond_ascii_are_for_some_doors_alone() -> None:
    assert read_host("B\xdcCHER.example", idna=True) == "xn--bcher-kva.example"
    assert read_host("b\xfccher.example".encode(), idna=True) == "xn--bcher-kva.example"
    for text in (
        "\uff11\uff12\uff17.1",
        "a\u3002\u3002b",
        "\u2100.example",
        "\xfc" * 300,
    ):
        with pytest.raises(ValueError):
            read_host(text, idna=True)
    with pytest.raises(ValueError):
        read_host(b"b\xfccher", idna=True)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (b"h", Endpoint("h", 80)),
        (b"h:8080", Endpoint("h", 8080)),
        (b"[::1]", Endpoint("::1", 80)),
        (b"[::1]:65535", Endpoint("::1", 65535)),
    ],
)
def test_an_authority_is_read_and_written(text: bytes, endpoint: Endpoint) -> None:
    assert read_authority(text, 80) == endpoint
    assert format_authority(endpoint.host, endpoint.port, "http") == text


def test_a_url_is_read() -> None:
    target = read_target("GET", b"HTTP://Example.ORG:81/a%2fb/../c?d=/e")
    path = b"/a%2fb/../c?d=/e"
    assert target == Target(Form.ABSOLUTE, "http", "example.org", 81, path)
    assert target.authority == b"example.org:81"
    assert target.endpoint == Endpoint("example.org", 81)
    assert target.view == "/c"


@pytest.mark.parametrize(
    ("text", "scheme", "port", "path"),
    [
        (b"http://h", "http", 80, b"/"),
        (b"https://h?x", "https", 443, b"/?x"),
        (b"ftp://h/", "ftp", 21, b"/"),
        (b"ftps://h//a;type=i", "ftps", 990, b"//a;type=i"),
        (b"http://h/@b:c", "http", 80, b"/@b:c"),
        (b"http://h?@b", "http", 80, b"/?@b"),
    ],
)
def test_schemes_have_ports(text: bytes, scheme: str, port: int, path: bytes) -> None:
    assert read_target("GET", text) == Target(Form.ABSOLUTE, scheme, "h", port, path)
    assert read_target("GET", text).authority == b"h"


def test_the_other_forms() -> None:
    assert read_target("GET", b"//a?b") == Target(Form.ORIGIN, path=b"//a?b")
    asterisk = read_target("OPTIONS", b"*")
    assert (asterisk.form, asterisk.path, asterisk.view) == (Form.ASTERISK, b"*", "*")
    tunnel = read_target("CONNECT", b"[::1]:443")
    assert tunnel == Target(Form.AUTHORITY, "", "::1", 443)
    assert tunnel.authority == b"[::1]:443"
    assert tunnel.view == ""
    whole = read_target("OPTIONS", b"http://h")
    assert (whole.form, whole.path) == (Form.ABSOLUTE, b"*")
    assert read_target("OPTIONS", b"http://h/").path == b"/"


def test_a_login_is_for_ftp_alone() -> None:
    target = read_target("GET", b"ftp://j%C3%B6e@corp:p%40%3a@h:2121/x")
    assert (target.user, target.password) == ("j\xf6e@corp", "p@:")
    assert target.endpoint == Endpoint("h", 2121)
    assert "p@:" not in repr(target)
    assert read_target("GET", b"ftp://joe@h/").password is None
    assert read_target("GET", b"ftp://joe:@h/").password == ""
    assert read_target("GET", b"ftp://:pw@h/").user == ""
    assert read_target("GET", b"ftp://%ff@h/").user == "\udcff"
    for text in (b"http://u@h/", b"https://@h/", b"ftp://u%0d%0aX@h/", b"ftp://%00@h/"):
        with pytest.raises(BadMessage) as raised:
            read_target("GET", text)
        assert raised.value.status == 400


def test_host_names_the_target_where_the_path_stands_alone() -> None:
    target = target_at("https", b"H:8443", b"/a")
    assert target == Target(Form.ORIGIN, "https", "h", 8443, b"/a")
    assert target_at("http", b"h", b"/").port == 80
    for host in (b"", b"u@h", b"a,b", b"h:0"):
        with pytest.raises(BadMessage):
            target_at("http", host, b"/")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        (b"/", "/"),
        (b"/a", "/a"),
        (b"/a?b=/../c", "/a"),
        (b"/%41%7e%2D%5f%2e", "/A~-_."),
        (b"/a%2fb%20%3f", "/a%2Fb%20%3F"),
        (b"/a/./b/../c", "/a/c"),
        (b"/a/%2e%2E/c", "/c"),
        (b"/../../a", "/a"),
        (b"/a/..", "/"),
        (b"/a/.", "/a"),
        (b"//a///b/", "/a/b"),
        (b"/a/...", "/a/..."),
        (b"/%C3%BC", "/\xfc"),
        (b"/\xc3\xbc", "/\xfc"),
        (b"/\xff%FF", "/%FF%FF"),
        (b"/%2541", "/%2541"),
        (b"/%", "/%"),
        (b"/%4", "/%4"),
        (b"/%00%0a", "/%00%0A"),
        (b"/a;b=/../c", "/c"),
    ],
)
def test_one_path_has_one_form_for_rules(path: bytes, seen: str) -> None:
    assert rules_path(path) == seen
