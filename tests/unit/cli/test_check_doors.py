"""What check says of doors beside their addresses."""

from pathlib import Path

import pytest
from tests.certificates import issue

from portway.cli.main import main

DOOR = """
[gateway]
state = "state"
[listen.x]
protocol = "ftp"
address = "127.0.0.1:2121"
tls = "required"
certificate = "certificate.pem"
key = "key.pem"
[listen.x.upstream]
"""


def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> list[str]:
    issue(tmp_path)
    (tmp_path / "p.toml").write_text(text)
    assert main(["check", "-c", str(tmp_path / "p.toml")]) == 0
    return capsys.readouterr().out.splitlines()


def test_tls_and_the_next_proxy_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = 'tls = "required"\nvia = "socks5://10.0.0.1:1080"\n'
    lines = said(tmp_path, capsys, DOOR + keys)
    (line,) = (line for line in lines if line.startswith("  x: "))
    assert line.endswith(
        "; TLS with clients required; TLS with servers required; "
        "on by socks5://10.0.0.1:1080"
    )
    assert "Warnings:" not in lines


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ("verify = false", "listen.x.upstream.verify: false: whoever stands between"),
        ('prot = "clear"', 'listen.x.upstream.prot: "clear": TLS covers logins'),
    ],
)
def test_what_is_hardly_wanted_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: str, warning: str
) -> None:
    lines = said(tmp_path, capsys, f'{DOOR}tls = "required"\n{keys}\n')
    assert any(warning in line for line in lines), lines


def test_clear_clients_whose_prot_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clear = "\n".join(
        line
        for line in DOOR.splitlines()
        if not line.startswith(("tls", "certificate", "key"))
    )
    keys = '\ntls = "required"\nprot = "client"\n'
    lines = said(tmp_path, capsys, clear + keys)
    assert any("TLS covers logins, and no data" in line for line in lines)


def test_a_key_that_is_none_is_blamed_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issue(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    (tmp_path / "p.toml").write_text(DOOR)
    assert main(["check", "-c", str(tmp_path / "p.toml")]) == 2
    assert f"listen.x.key: {tmp_path}/key.pem: no private key in PEM" in (
        capsys.readouterr().err
    )
