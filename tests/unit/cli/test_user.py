"""``portway user`` on a real file of accounts; a terminal where it asks one."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from portway.cli.main import main
from portway.users import local
from portway.users.directory import Verification
from portway.users.local import AccountFile

USER = [sys.executable, "-c", "import portway.cli.main as m; m.run()", "user"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("PORTWAY_CONFIG", raising=False)
    return tmp_path / "portway"


@pytest.fixture
def accounts(state: Path) -> AccountFile:
    return AccountFile(state / local.NAME)


class Runner:
    """Runs the command with *typed* as its standard input."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str, typed: bytes = b"") -> tuple[int, str, str]:
        source = io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8")
        self._monkeypatch.setattr(sys, "stdin", source)
        try:
            code = main(["user", *words])
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(monkeypatch, capsys)


def test_an_account_from_its_making_to_its_end(
    run: Runner, accounts: AccountFile
) -> None:
    assert run("list") == (0, "", "")
    assert run("add", "alice", typed=b"won der\r\nmore\n") == (0, "", "")
    assert accounts.verify("alice", "won der") is Verification.OK
    assert run("passwd", "alice", typed="été".encode()) == (0, "", "")
    assert accounts.verify("alice", "été") is Verification.OK
    assert run("add", "bob", typed=b"x\n")[0] == 0
    assert run("list") == (0, "alice\nbob\n", "")
    code, out, _ = run("list", "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"name": "alice", "enabled": True},
        {"name": "bob", "enabled": True},
    ]
    assert run("remove", "alice") == (0, "", "")
    assert run("list") == (0, "bob\n", "")


def test_a_name_that_exists_and_one_that_does_not(
    run: Runner, accounts: AccountFile
) -> None:
    accounts.add("alice", "wonder")
    code, _, err = run("add", "alice", typed=b"x\n")
    assert (code, err.count("\n")) == (1, 1)
    assert "'alice' exists" in err
    for command in ("passwd", "remove"):
        code, _, err = run(command, "bob", typed=b"x\n")
        assert (code, err.count("\n")) == (1, 1)
        assert "no account 'bob'" in err
    assert accounts.verify("alice", "wonder") is Verification.OK


@pytest.mark.parametrize("typed", [b"", b"\n", b"\r\n", b"\xff\xfe\n"])
def test_no_password_no_account(
    run: Runner, accounts: AccountFile, typed: bytes
) -> None:
    code, _, err = run("add", "alice", typed=typed)
    assert (code, err.count("\n")) == (1, 1)
    assert "nothing was changed" in err
    assert not accounts.knows("alice")


@pytest.mark.parametrize("name", ["a:b", "a@b", "", "x" * 65, "a\nb", "\udcff"])
def test_names_that_no_account_may_have(run: Runner, name: str) -> None:
    code, _, err = run("add", "--", name, typed=b"x\n")
    assert (code, err.count("\n")) == (2, 1)


def test_what_comes_later_is_not_offered(run: Runner) -> None:
    for words in (("--group", "g"), ("--role", "admin")):
        code, _, err = run("add", *words, "alice", typed=b"x\n")
        assert (code, err.count("\n")) == (2, 1)


def test_a_file_that_is_damaged_is_one_line(run: Runner, state: Path) -> None:
    state.mkdir()
    (state / local.NAME).write_bytes(b"no accounts " * 999)
    for words in (("list",), ("add", "alice"), ("remove", "alice")):
        code, _, err = run(*words, typed=b"x\n")
        assert (code, err.count("\n")) == (1, 1)
        assert str(state / local.NAME) in err


@pytest.mark.parametrize(
    ("again", "code"), [("wonder", 0), ("other", 1)], ids=["same", "another"]
)
def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(
    accounts: AccountFile, again: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*USER, "add", "alice"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    answers = [b"wonder\n", f"{again}\n".encode()]
    with child:
        while True:
            try:
                data = os.read(ours, 1024)
            except OSError:  # the child has closed its terminal
                break
            shown += data
            if answers and data.rstrip().endswith(b":"):
                os.write(ours, answers.pop(0))
    os.close(ours)
    assert child.returncode == code
    assert not answers
    assert b"wonder" not in shown
    assert accounts.knows("alice") is (code == 0)
