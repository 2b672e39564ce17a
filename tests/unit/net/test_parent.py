"""The URL of a parent: read, or refused with a reason that holds no secret."""

import pytest

from portway.model import Credentials, Endpoint
from portway.net.parent import METHODS, PORTS, Parent, read_parent


@pytest.mark.parametrize("scheme", PORTS)
def test_the_port_is_the_usual_one(scheme: str) -> None:
    method = METHODS[0] if scheme == "ftp" else ""
    at = Endpoint("10.0.0.1", PORTS[scheme])
    assert read_parent(f"{scheme}://10.0.0.1") == Parent(scheme, at, None, method)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("http://proxy.example.org:8080/", Endpoint("proxy.example.org", 8080)),
        ("http://Proxy.Example.org.:8080", Endpoint("proxy.example.org", 8080)),
        ("socks5h://[fd00::1]:9", Endpoint("fd00::1", 9)),
    ],
)
def test_where_it_is(text: str, at: Endpoint) -> None:
    assert read_parent(text).at == at


def test_a_login_is_a_user_there_and_a_password_elsewhere() -> None:
    parent = read_parent("socks5://jo%40x:@10.0.0.1".replace(":@", "@"), "s3cret")
    assert parent.credentials == Credentials("jo@x", "s3cret")
    assert "s3cret" not in repr(parent) + str(parent)
    assert str(parent) == "socks5://10.0.0.1:1080"


def test_what_an_ftp_parent_wants_to_hear() -> None:
    for method in METHODS:
        parent = read_parent(f"ftp://fu@10.0.0.1:2121?method={method}", "fp")
        assert parent.method == method
    assert read_parent("ftp://10.0.0.1").method == "user@host"


@pytest.mark.parametrize(
    ("scheme", "resolves", "binds"),
    [
        ("socks5", False, True),
        ("socks5h", True, True),
        ("socks4", False, True),
        ("socks4a", True, True),
        ("http", True, False),
        ("ftp", True, False),
    ],
)
def test_what_a_parent_can_do(scheme: str, resolves: bool, binds: bool) -> None:
    parent = read_parent(f"{scheme}://10.0.0.1")
    assert (parent.resolves, parent.binds) == (resolves, binds)


@pytest.mark.parametrize(
    ("text", "password", "words"),
    [
        ("", None, "must begin with one of"),
        ("10.0.0.1:1080", None, "must begin with one of"),
        ("https://10.0.0.1", None, "must begin with one of"),
        ("socks5://", None, "names no proxy"),
        ("socks5://10.0.0.1:0", None, "a port is from 1 to 65535"),
        ("socks5://10.0.0.1:70000", None, "no URL of a host and a port"),
        ("socks5://no host", None, "neither a name nor an address"),
        ("socks5://b\u00fccher.example", None, "neither a name nor an address"),
        ("socks5://[::1", None, "no URL of a host and a port"),
        ("socks5://10.0.0.1/x", None, "names no proxy"),
        ("socks5://u:topsecret@10.0.0.1", None, "a password is not written here"),
        ("socks5://u:@10.0.0.1", None, "a password is not written here"),
        ("socks5://u@10.0.0.1", None, "via_password"),
        ("socks5://10.0.0.1", "topsecret", "has no user"),
        ("socks4://u@10.0.0.1", "topsecret", "SOCKS 4 knows no password"),
        ("socks5://u@10.0.0.1", "topsecret\nUSER x", "a sign that none has"),
        ("socks5://u%0d@10.0.0.1", "topsecret", "no name has"),
        ("http://10.0.0.1?method=open", None, "only ftp:// has a method"),
        ("ftp://10.0.0.1?method=x", None, "method= and one of"),
        ("ftp://10.0.0.1?method=open&x=1", None, "method= and one of"),
        ("ftp://10.0.0.1?method=joined", None, "needs a user"),
    ],
)
def test_what_is_no_parent(text: str, password: str | None, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_parent(text, password)
    assert words in str(caught.value)
    assert "topsecret" not in str(caught.value)
