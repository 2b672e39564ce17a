"""Servers that are named as ``sftp://``."""

import pytest

from portway.model import Endpoint
from portway.protocols.ftp.dialects import (
    BadTarget,
    Context,
    SftpEndpoint,
    candidates,
    split_place,
)

ANY = Context(("joined", "acct", "user@host"), login="optional")


@pytest.mark.parametrize(
    ("argument", "place"),
    [
        (b"sftp://host.test", SftpEndpoint("host.test", 22)),
        (b"SFTP://Host.test:2222", SftpEndpoint("host.test", 2222)),
        (b"sftp://[2001:db8::1]:2222", SftpEndpoint("2001:db8::1", 2222)),
        (b"sftp://192.0.2.1 2222", SftpEndpoint("192.0.2.1", 2222)),
    ],
)
def test_a_place(argument: bytes, place: SftpEndpoint) -> None:
    assert split_place(argument) == place
    assert split_place(argument, 990) == place
    assert isinstance(split_place(argument), SftpEndpoint)


def test_it_is_another_place_than_that_of_an_ftp_server() -> None:
    assert SftpEndpoint("host.test", 21) != Endpoint("host.test", 21)
    assert not isinstance(split_place(b"host.test"), SftpEndpoint)


@pytest.mark.parametrize(
    "argument",
    [
        b"sftp://",
        b"sftp://host/",
        b"sftp://host/path",
        b"sftp:/host",
        b"sftp://sftp://host",
        b"ftp://host",
        b"sftp://127.1",
        b"sftp:// host",
    ],
)
def test_no_place(argument: bytes) -> None:
    with pytest.raises(BadTarget):
        split_place(argument)


@pytest.mark.parametrize(
    ("argument", "method"),
    [
        (b"joe@fu@sftp://host.test", "joined"),
        (b"joe@sftp://host.test fu", "acct"),
        (b"joe@sftp://host.test", "user@host"),
    ],
)
def test_in_a_dialect(argument: bytes, method: str) -> None:
    found = {one.method: one for one in candidates(argument, ANY)}
    assert found[method].place == SftpEndpoint("host.test", 22)
