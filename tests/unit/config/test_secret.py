"""Secrets: by reference only, and never to be seen."""

import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from portway.config.decode import decode_struct
from portway.config.report import Report
from portway.config.secret import Secret, read_secret

WORDS = "hunter2 é"


class Table(Struct, frozen=True, kw_only=True):
    password: Secret | None = None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{WORDS}\n")
    path.chmod(0o600)
    return path


def test_it_shows_in_nothing() -> None:
    secret = Secret(WORDS)
    assert secret.reveal() == WORDS
    holders = (secret, [secret], Table(password=secret), {"x": secret})
    shown = [repr(each) + str(each) + f"{each}" for each in holders]
    shown += [f"{secret:>20}", f"{secret!r}", "%s" % secret]  # noqa: UP031 - one more way
    shown += [pickle.loads(pickle.dumps(secret)).reveal()]
    shown += [copy.copy(secret).reveal(), copy.deepcopy(secret).reveal()]
    for encode in (json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError) as caught:
            encode(secret)
        shown.append(str(caught.value))
    assert not any("hunter2" in text for text in shown)
    assert not hasattr(secret, "__dict__")


def test_it_can_be_compared_and_not_hashed() -> None:
    assert Secret(WORDS) == Secret(WORDS)
    assert Secret(WORDS) != Secret("other")
    assert Secret(WORDS) != WORDS
    with pytest.raises(TypeError):
        hash(Secret(WORDS))


def test_from_a_file(file: Path) -> None:
    assert read_secret(f"file:{file}").reveal() == WORDS
    file.write_bytes(b" two\nlines \xff\r\n")
    assert read_secret(f"file:{file}").reveal() == " two\nlines \udcff"


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDAP_PASSWORD", WORDS)
    assert read_secret("env:LDAP_PASSWORD").reveal() == WORDS


def test_from_systemd(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    file.chmod(0o400)
    assert read_secret("credential:secret").reveal() == WORDS
    for name in ("../secret", "a/b", "", ".."):
        with pytest.raises(ValueError, match="no name of a credential"):
            read_secret(f"credential:{name}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601])
def test_a_file_that_others_may_use_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ValueError, match=f"open to others.*chmod 600 {file}"):
        read_secret(f"file:{file}")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("hunter2", "secrets are not written here"),
        ("hunter2:x", "secrets are not written here"),
        ("", "secrets are not written here"),
        (7, "not a number"),
        ("file:hunter2", "the whole path"),
        ("file:/no/such/file", "cannot be read: No such file"),
        ("file:/no\0such", "cannot be read"),
        ("file:/", "cannot be read: Is a directory"),
        ("env:NO_SUCH_VARIABLE", "the environment has no"),
        ("credential:x", "LoadCredential=x"),
    ],
)
def test_what_is_no_reference(
    written: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    report = Report("p.toml", {})
    assert decode_struct(Table, {"password": written}, ("login",), report) == Table()
    (problem,) = report.problems()
    assert problem.key == "login.password"
    assert words in problem.text
    assert "\n" not in problem.text
    if isinstance(written, str) and not written.startswith("file:"):
        assert "hunter2" not in problem.text


def test_an_empty_or_a_huge_file_is_a_mistake(file: Path) -> None:
    file.write_bytes(b"\n")
    with pytest.raises(ValueError, match="is empty"):
        read_secret(f"file:{file}")
    file.write_bytes(b"x" * 5000)
    with pytest.raises(ValueError, match="larger than"):
        read_secret(f"file:{file}")
