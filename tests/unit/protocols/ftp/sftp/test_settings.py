"""The keys of a door that has SFTP."""

from pathlib import Path

import asyncssh
import pytest

from portway.config.schema import Listener
from portway.errors import Refused
from portway.model import Endpoint, Reason
from portway.protocols.ftp.dialects import SftpEndpoint
from portway.protocols.ftp.settings import FtpSettings, Upstream
from portway.protocols.ftp.sftp.trust import wrong_files
from portway.protocols.ftp.sftp.way import SftpWay

FTP, SFTP = Endpoint("h.test", 21), SftpEndpoint("h.test", 22)


def problems(upstream: Upstream) -> list[tuple[str, str]]:
    settings = FtpSettings(upstream=upstream)
    listener = Listener(
        name="ftp",
        where="x:1",
        protocol="ftp",
        address=(Endpoint("127.0.0.1", 2121),),
        settings=settings,
    )
    return [(key, text) for key, text in settings.problems(listener)]


@pytest.mark.parametrize(
    ("upstream", "key"),
    [
        (Upstream(protocol="sftp"), "upstream.host_keys"),
        (Upstream(host_key_policy="pin"), "upstream.host_keys"),
        (Upstream(ssh_key="key"), "upstream.ssh_key"),
        (
            Upstream(protocol="sftp", host_keys="/dev/null", tls="required"),
            "upstream.tls",
        ),
        (
            Upstream(protocol="sftp", host_keys="/dev/null", via="ftp://p:2121"),
            "upstream.via",
        ),
    ],
)
def test_what_is_wrong(upstream: Upstream, key: str) -> None:
    assert [found for found, _ in problems(upstream)] == [key]


def test_what_is_right() -> None:
    assert problems(Upstream()) == []
    assert problems(Upstream(protocol="sftp", host_keys="/dev/null")) == []
    keys = "/dev/null"
    assert problems(Upstream(host_keys=keys, host_key_policy="pin")) == []


def test_a_key_with_a_password_is_refused_with_its_name(tmp_path: Path) -> None:
    key = tmp_path / "key"
    made = asyncssh.generate_private_key("ssh-ed25519")
    made.write_private_key(str(key), "pkcs8-pem", passphrase="x")
    (found,) = wrong_files(Upstream(host_keys="/dev/null", ssh_key=str(key)))
    assert found.key == "upstream.ssh_key"
    assert found.text.startswith(f"{key}: ")


@pytest.mark.parametrize("words", [None, b"\xff\n", b"host\n"])
def test_host_keys_of_no_use(tmp_path: Path, words: bytes | None) -> None:
    file = tmp_path / "known_hosts"
    if words is not None:
        file.write_bytes(words)
    (found,) = wrong_files(Upstream(host_keys=str(file)))
    assert found.key == "upstream.host_keys"
    assert found.text.startswith(f"{file}: ")


def test_a_new_file_may_be_pinned_into(tmp_path: Path) -> None:
    new = str(tmp_path / "new")
    assert wrong_files(Upstream(host_keys=new, host_key_policy="pin")) == []
    assert wrong_files(Upstream()) == []


def test_a_door_without_host_keys_dials_no_ssh_server() -> None:
    way = SftpWay(FtpSettings())
    assert way.to(FTP) is None
    with pytest.raises(Refused) as caught:
        way.to(SFTP)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_which_servers_are_reached_by_sftp() -> None:
    both = SftpWay(FtpSettings(upstream=Upstream(host_keys="/dev/null")))
    assert both.to(FTP) is None
    assert both.to(SFTP) is not None
    only = Upstream(protocol="sftp", host_keys="/dev/null")
    assert SftpWay(FtpSettings(upstream=only)).to(FTP) is not None
    assert only.default_port == 22
