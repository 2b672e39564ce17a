"""`upstream.via`, as it is written: what is taken, and what is refused at start."""

from pathlib import Path

import pytest

from portway.errors import ConfigurationError
from portway.prepare import prepare
from portway.protocols.ftp.settings import FtpSettings

TABLE = """\
[listen.other]
protocol = "ftp"
address = "127.0.0.1:2100"

[listen.wide]
protocol = "ftp"
address = "0.0.0.0:2200"
login = "required"

[listen.door]
protocol = "ftp"
address = "localhost:2121"

[listen.door.upstream]
"""


def problems(tmp_path: Path, upstream: str) -> list[str]:
    """Return what is wrong with *upstream*, without where."""
    path = tmp_path / "portway.toml"
    path.write_text(TABLE + upstream)
    try:
        prepare(path)
    except ConfigurationError as error:
        return [f"{one.key}: {one.text}" for one in error.problems]
    return []


@pytest.mark.parametrize(
    "upstream",
    [
        'via = "socks5://10.0.0.1"',
        'via = "socks5://10.0.0.1"\ndata = "active"',
        'via = "socks4://u@10.0.0.1"\ndata = "active"',
        'via = "ftp://10.0.0.1"\ndata = "active"',
        'via = "http://10.0.0.1"\ndata = "passive"',
        'via = "http://127.0.0.1:2122"',
        'via = "ftp://10.0.0.1:2200"',  # as far as can be told before it is dialled
    ],
)
def test_what_is_taken(tmp_path: Path, upstream: str) -> None:
    assert problems(tmp_path, upstream) == []


@pytest.mark.parametrize(
    ("upstream", "key", "words"),
    [
        ('via = "http://10.0.0.1"\ndata = "active"', "data", "lets no server connect"),
        ('via = "socks5h://10.0.0.1"\ndata = "active"', "data", "who connects"),
        ('via = "socks4a://10.0.0.1"\ndata = "active"', "data", "who connects"),
        ('via = "https://10.0.0.1"', "via", "must begin with one of"),
        ('via = "socks5://u:topsecret@10.0.0.1"', "via", "not written here"),
        ('via_password = "env:HOME"', "via_password", "is for nobody"),
        ('via = "ftp://127.0.0.1:2100"', "via", "our own listen.other"),
        ('via = "ftp://localhost:2121"', "via", "our own listen.door"),
        ('via = "ftp://127.0.0.1:2121"', "via", "our own listen.door"),
        ('via = "ftp://127.0.0.1:2200"', "via", "our own listen.wide"),
        ('via = "ftp://localhost:2200"', "via", "our own listen.wide"),
    ],
)
def test_what_is_refused(tmp_path: Path, upstream: str, key: str, words: str) -> None:
    [problem] = problems(tmp_path, upstream)
    assert problem.startswith(f"listen.door.upstream.{key}: ")
    assert words in problem
    assert "topsecret" not in problem


def test_a_secret_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "topsecret")
    path = tmp_path / "portway.toml"
    path.write_text(
        TABLE + 'via = "socks5://fu@10.0.0.1"\nvia_password = "env:PROXY_PASSWORD"\n'
    )
    settings = prepare(path).configuration.listeners[-1].settings
    assert isinstance(settings, FtpSettings)
    parent = settings.upstream.parent
    assert parent is not None
    assert parent.credentials is not None
    assert parent.credentials.password == "topsecret"
    assert "topsecret" not in repr(settings) + repr(parent)
