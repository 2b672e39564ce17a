"""TLS with servers, as it is written: what is taken, and what is refused at start."""

import ssl
from pathlib import Path

import pytest
from tests.certificates import issue

from portway.errors import ConfigurationError
from portway.prepare import prepare
from portway.protocols.ftp.settings import FtpSettings

TABLE = """\
[listen.door]
protocol = "ftp"
address = "localhost:2121"

[listen.door.upstream]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration to be written, beside whose file lie certificates."""
    issue(tmp_path)
    return tmp_path / "portway.toml"


def problems(path: Path, upstream: str) -> list[str]:
    """Return what is wrong with *upstream*, from the line number on."""
    path.write_text(TABLE + upstream)
    try:
        prepare(path)
    except ConfigurationError as error:
        folder = str(path.parent)
        return [
            str(one).removeprefix(f"{path}:").replace(f"{folder}/", "")
            for one in error.problems
        ]
    return []


@pytest.mark.parametrize(
    "upstream",
    [
        "",
        'tls = "off"\nverify = false',
        'tls = "try"',
        'tls = "required"\nca = "ca.pem"\ntls_name = "x.example.org"\ntls_min = "1.0"',
        'tls = "implicit"\ncertificate = "certificate.pem"\nkey = "key.pem"',
        'tls = "required"\nverify = false\nprot = "client"\ntls_eof = "strict"',
    ],
)
def test_taken(upstream: str, path: Path) -> None:
    assert not problems(path, upstream)


NOBODY = 'is for nobody; write tls = "required" too, or "try"'
NO_PAIR = "no certificate and key in PEM that can be used"
NOT_THERE = "none.pem: No such file or directory"


@pytest.mark.parametrize(
    ("upstream", "key", "text"),
    [
        ('ca = "ca.pem"', "ca", NOBODY),
        ('tls_name = "x"', "tls_name", NOBODY),
        (
            'key = "key.pem"\ntls = "try"',
            "key",
            "belongs to a certificate; name that too",
        ),
        (
            'ca = "ca.pem"\ntls = "try"\nverify = false',
            "ca",
            "checks no server while verify = false; take one of them out",
        ),
        ('ca = "none.pem"\ntls = "try"', "ca", NOT_THERE),
        ('ca = "key.pem"\ntls = "try"', "ca", "key.pem: no certificates in PEM"),
        (
            'key = "none.pem"\ntls = "try"\ncertificate = "certificate.pem"',
            "key",
            NOT_THERE,
        ),
        (
            'certificate = "ca.pem"\ntls = "try"',
            "certificate",
            f"ca.pem: {NO_PAIR}",
        ),
    ],
)
def test_refused(upstream: str, key: str, text: str, path: Path) -> None:
    assert problems(path, upstream) == [f"6: listen.door.upstream.{key}: {text}"]


def test_paths_are_those_beside_the_file(path: Path) -> None:
    path.write_text(TABLE + 'tls = "required"\nca = "ca.pem"')
    prepared = prepare(path)
    settings = prepared.configuration.listeners[0].settings
    assert isinstance(settings, FtpSettings)
    assert settings.upstream.ca == str(path.parent / "ca.pem")
    context = prepared.contexts["door"].connect
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_without_tls_there_is_nothing_to_make(path: Path) -> None:
    path.write_text(TABLE)
    assert prepare(path).contexts["door"].connect is None
