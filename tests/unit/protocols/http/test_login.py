"""Logins as Basic has them, and those that are remembered."""

from base64 import b64encode

import pytest

from portway.model import Credentials
from portway.protocols.http import login
from portway.protocols.http.login import Logins, read_basic
from portway.users.directory import Verification, Verified

BOB = Verified(Verification.OK, "bob", source="local")


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


@pytest.mark.parametrize(
    ("field", "user", "password"),
    [
        (basic(b"bob:right"), "bob", "right"),
        (basic(b"bob:a:b"), "bob", "a:b"),
        (basic(b"bob:"), "bob", ""),
        (basic("jürgen:ß".encode()), "jürgen", "ß"),
        (basic("jürgen:ß".encode("latin-1")), "jürgen", "ß"),
        (b"bAsIc  " + b64encode(b"bob:x"), "bob", "x"),
    ],
)
def test_logins(field: bytes, user: str, password: str) -> None:
    assert read_basic(field) == Credentials(user, password)


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic Ym9i",
        b"Bearer abc",
        basic(b":x"),
        basic(b"bob:" + b"x" * 5000),
    ],
)
def test_no_logins(field: bytes) -> None:
    assert read_basic(field) is None


def test_a_login_is_known_for_its_time() -> None:
    logins = Logins()
    assert logins.known(b"x", 0.0) is None
    until = logins.keep(b"x", BOB, 100.0)
    assert until == 400.0
    assert logins.known(b"x", 399.0) == (BOB, 400.0)
    assert logins.known(b"y", 399.0) is None
    assert logins.known(b"x", 400.0) is None
    assert len(logins) == 0


def test_a_login_is_forgotten() -> None:
    logins = Logins()
    logins.keep(b"x", BOB, 0.0)
    logins.forget(b"x")
    logins.forget(b"y")
    assert logins.known(b"x", 1.0) is None


def test_there_is_a_bound_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "MOST", 3)
    logins = Logins()
    for number in range(5):
        logins.keep(b"secret%d" % number, BOB, 0.0)
    assert len(logins) == 3
    assert logins.known(b"secret4", 1.0)
    assert "secret" not in repr(logins._kept)
