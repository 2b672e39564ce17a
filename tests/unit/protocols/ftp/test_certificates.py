"""The keys of TLS with clients, as they are written, and the files that they name."""

from pathlib import Path

import pytest
from tests.certificates import issue

from portway.errors import ConfigurationError
from portway.prepare import Prepared, prepare
from portway.protocols.ftp.settings import FtpSettings

TABLE = """\
[gateway]
state = "state"

[listen.door]
protocol = "ftp"
address = "127.0.0.1:2121"
"""


def read(folder: Path, keys: str) -> Prepared:
    path = folder / "portway.toml"
    path.write_text(TABLE + keys)
    return prepare(path)


def problems(folder: Path, keys: str) -> list[str]:
    """Return what is wrong with *keys*, each with its line, counted from them."""
    try:
        read(folder, keys)
    except ConfigurationError as error:
        before = TABLE.count("\n")
        return [
            f"{int(one.where.rpartition(':')[2]) - before}: {one.key}: {one.text}"
            for one in error.problems
        ]
    return []


def test_paths_are_taken_from_where_the_file_lies(tmp_path: Path) -> None:
    issue(tmp_path / "pem")
    prepared = read(
        tmp_path,
        'tls = "required"\ncertificate = "pem/certificate.pem"\n'
        'key = "pem/key.pem"\nclient_ca = "pem/ca.pem"\n',
    )
    (listener,) = prepared.configuration.listeners
    settings = listener.settings
    assert isinstance(settings, FtpSettings)
    assert settings.key == str(tmp_path / "pem/key.pem")
    contexts = prepared.contexts["door"]
    assert contexts.accept is not None
    assert contexts.fresh is not None
    assert contexts.fresh() is not contexts.accept


def test_without_tls_nothing_is_made(tmp_path: Path) -> None:
    contexts = read(tmp_path, "").contexts["door"]
    assert (contexts.accept, contexts.connect, contexts.fresh) == (None, None, None)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            'tls = "explicit"\n',
            (
                "door.certificate: is missing; "
                'tls = "explicit" needs a file in PEM to show clients'
            ),
        ),
        (
            'certificate = "pem/certificate.pem"\n',
            (
                "door.certificate: is for nobody; "
                'write tls = "explicit" too, or "required"'
            ),
        ),
        (
            'tls = "implicit"\ncertificate = "none.pem"\n',
            "door.certificate: {}/none.pem: No such file or directory",
        ),
        (
            'tls = "implicit"\ncertificate = "pem/certificate.pem"\nkey = "none.pem"\n',
            "door.key: {}/none.pem: No such file or directory",
        ),
        (
            (
                'tls = "implicit"\nkey = "other/key.pem"\n'
                'certificate = "pem/certificate.pem"\n'
            ),
            (
                "door.key: {0}/other/key.pem: the key does not belong to "
                "{0}/pem/certificate.pem"
            ),
        ),
        (
            'tls = "implicit"\nkey = "pem/key.pem"\ncertificate = "portway.toml"\n',
            (
                "door.certificate: {}/portway.toml: no certificate and key in PEM "
                "that can be used"
            ),
        ),
        (
            (
                'tls = "implicit"\nkey = "pem/key.pem"\nclient_ca = "portway.toml"\n'
                'certificate = "pem/certificate.pem"\n'
            ),
            "door.client_ca: {}/portway.toml: no certificates in PEM",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    keys: str, told: str, tmp_path: Path
) -> None:
    issue(tmp_path / "pem")
    issue(tmp_path / "other")
    (found,) = problems(tmp_path, keys)
    line, _, rest = found.partition(": ")
    assert rest == "listen." + told.format(tmp_path)
    key = told.partition(":")[0].removeprefix("door.")
    lines = [row.partition(" ")[0] for row in keys.splitlines()]
    wanted = lines.index(key) + 1 if key in lines else 1 - TABLE.count("[listen")
    assert int(line) == wanted or key not in lines


def test_two_doors_each_with_its_own(tmp_path: Path) -> None:
    issue(tmp_path / "pem")
    shown = 'certificate = "pem/certificate.pem"\nkey = "pem/key.pem"\n'
    more = f'[listen.b]\nprotocol = "ftp"\naddress = "127.0.0.1:2122"\n{shown}'
    keys = f'tls = "implicit"\n{shown}{more}tls = "explicit"\nccc = true\n'
    contexts = read(tmp_path, keys).contexts
    assert contexts["door"].accept is not contexts["b"].accept
