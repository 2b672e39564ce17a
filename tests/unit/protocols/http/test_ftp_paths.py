"""The paths of ftp:// URLs: what the server is asked for, and what the rules see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.protocols.http.ftp_paths import FtpPath, read_path
from portway.protocols.http.wire import BadMessage


@pytest.mark.parametrize(
    ("path", "argument", "view", "folder"),
    [
        (b"/", b"", b"/", True),
        (b"/a", b"a", b"/a", False),
        (b"/a/b/", b"a/b", b"/a/b", True),
        (b"/%2Fetc/x", b"/etc/x", b"/etc/x", False),
        (b"/%2fetc/", b"/etc", b"/etc", True),
        (b"/%2F", b"/", b"/", True),
        (b"//etc/x", b"etc/x", b"/etc/x", False),
        (b"/a%20b%3Bc", b"a b;c", b"/a%20b;c", False),
        (b"/a?b", b"a?b", b"/a%3Fb", False),
        (b"/a%3Fb%25", b"a?b%", b"/a%3Fb%25", False),
        (b"/a/../b/./c", b"b/c", b"/b/c", False),
        (b"/a/%2e%2E/b", b"b", b"/b", False),
        (b"/../../b", b"b", b"/b", False),
        (b"/a/..", b"", b"/", True),
        (b"/%FF", b"\xff", b"/%FF", False),
        (b"/~joe", b"./~joe", b"/~joe", False),
        (b"/-x", b"./-x", b"/-x", False),
        (b"/%20x", b"./ x", b"/%20x", False),
        (b"/a%zz", b"a%zz", b"/a%25zz", False),
    ],
)
def test_paths(path: bytes, argument: bytes, view: bytes, folder: bool) -> None:
    found = read_path(path)
    assert (found.argument, found.view, found.folder) == (argument, view, folder)


def test_types() -> None:
    assert read_path(b"/a;type=A") == FtpPath((b"a",), type="a")
    assert read_path(b"/a;TYPE=i") == FtpPath((b"a",), type="i")
    assert read_path(b"/a;type=d") == FtpPath((b"a",), folder=True, type="d")
    assert read_path(b"/a;b=c") == FtpPath((b"a;b=c",))
    assert read_path(b"/a;type=a/b") != FtpPath((b"a",), type="a")


@pytest.mark.parametrize(
    "path",
    [
        b"/a%0Ab",
        b"/a%0D",
        b"/%00",
        b"/a%2Fb",
        b"/pub/..%2Fsecret",
        b"/%2F%2Fetc",
        b"/a/%2Fb",
        b"/pub/..%5Csecret",
        b"/a;type=x",
        b"/a;type=",
    ],
)
def test_what_hides_something_is_refused(path: bytes) -> None:
    with pytest.raises(BadMessage) as error:
        read_path(path)
    assert error.value.status == 400


def test_links() -> None:
    found = read_path(b"/%2Fa%20b/c/")
    assert found.link == b"/%2F/a%20b/c/"
    assert found.parent.link == b"/%2F/a%20b/"
    assert found.parent.parent.link == b"/%2F/"
    assert read_path(b"/a").parent.link == b"/"


@given(st.binary(max_size=64).filter(lambda path: b"?" not in path))
def test_the_server_gets_what_the_rules_see(path: bytes) -> None:
    try:
        found = read_path(b"/" + path)
    except BadMessage:
        return
    assert b".." not in found.parts
    assert not set(b"\r\n\0") & set(found.argument)
    again = read_path(found.link)
    assert again.parts == found.parts
    assert again.rooted == found.rooted
