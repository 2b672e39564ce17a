"""``portway ca``: what it shows and exports, and that it never shows a key."""

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509

from portway.cli.main import main
from portway.net.authority import open_authority

CONFIG = """
[gateway]
name = "edge"
state = "{state}"
[listen.web]
protocol = "http"
address = "127.0.0.1:3128"
[ca]
permitted = ["example.org", "10.0.0.0/8"]
[[rules]]
who = ["127.0.0.1"]
then = "allow"
intercept = true
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "portway.toml"
    file.write_text(CONFIG.format(state=tmp_path / "state"))
    return file


def run(*words: str) -> int:
    try:
        return main(["ca", *words])
    except SystemExit as ended:
        return int(ended.code or 0)


def test_there_is_none_yet(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", str(path)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("portway: there is no certificate authority yet; ")
    assert err.count("\n") == 1
    assert not (path.parent / "state").exists()


def test_it_is_made_once_and_shown(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-c", str(path), "--make") == 0
    first = capsys.readouterr().out
    folder = path.parent / "state" / "ca"
    assert f"certificate: {folder / 'certificate.pem'}\n" in first
    assert "subject:     CN=Portway CA edge " in first
    assert "for:         example.org, 10.0.0.0/8\n" in first
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert run("-c", str(path), "--make") == 0
    assert capsys.readouterr().out == first
    assert run("-c", str(path)) == 0
    assert capsys.readouterr().out == first
    # it is the one that the gateway takes
    open_authority(path.parent / "state", "edge", ("10.0.0.0/8", "example.org"), 1.8e9)


def test_as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", str(path), "--make", "--json") == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    found = json.loads(line)
    assert sorted(found) == [
        *("begins", "ends", "fingerprint", "path", "permitted", "subject")
    ]
    assert found["permitted"] == ["example.org", "10.0.0.0/8"]
    assert len(found["fingerprint"]) == 95


def test_exports(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("-c", str(path), "--make") == 0
    shown = capfdbinary.readouterr().out
    made = set()
    for form, load in (
        ("pem", x509.load_pem_x509_certificate),
        ("der", x509.load_der_x509_certificate),
    ):
        assert run("-c", str(path), "--export", form) == 0
        out, err = capfdbinary.readouterr()
        assert err == b""
        made.add(load(out))
        assert b"PRIVATE" not in out
    assert len(made) == 1
    assert b"PRIVATE" not in shown


def test_it_needs_no_key(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", str(path), "--make") == 0
    (path.parent / "state" / "ca" / "key.pem").unlink()
    assert run("-c", str(path), "--json") == 0
    assert run("-c", str(path), "--export", "pem") == 0
    capsys.readouterr()


def test_what_goes_wrong(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", str(path), "--json", "--export", "pem") == 2
    assert run("-c", str(path), "--make") == 0
    certificate = path.parent / "state" / "ca" / "certificate.pem"
    certificate.write_text("nothing")
    capsys.readouterr()
    assert run("-c", str(path)) == 1
    assert capsys.readouterr().err == (
        f"portway: {certificate}: no certificate in PEM\n"
    )


@pytest.mark.parametrize(
    ("permitted", "why"),
    [
        ('["*.example.org"]', '"example.org" is one, and stands for all below'),
        ('[".example.org"]', '"example.org" is one, and stands for all below'),
        ('["EXAMPLE.org"]', '"example.org" is one'),
        ('["10.0.0.7"]', 'is a network; write "10.0.0.7/32"'),
        ('["example.org", "example.org"]', "is there twice"),
        ('["exa mple.org"]', "neither a domain"),
        ('["1.2.3"]', "neither a domain"),
        ('[""]', "neither a domain"),
    ],
)
def test_what_cannot_be_permitted(
    path: Path, capsys: pytest.CaptureFixture[str], permitted: str, why: str
) -> None:
    text = path.read_text()
    path.write_text(text.replace('["example.org", "10.0.0.0/8"]', permitted))
    assert main(["check", "-c", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"{path}:9: ca.permitted" in err
    assert why in err
