"""``portway user`` on a real file of accounts; a terminal where it asks one."""

import io
import json
import os
import pty
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from portway.cli.main import main
from portway.users import accounts as module
from portway.users.accounts import Account, AccountFile, Role
from portway.users.directory import Verification

USER = [sys.executable, "-c", "import portway.cli.main as m; m.run()", "user"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("PORTWAY_CONFIG", raising=False)
    return tmp_path / "portway"


@pytest.fixture
def accounts(state: Path) -> AccountFile:
    return AccountFile(state / module.NAME)


def is_right(accounts: AccountFile, name: str, password: str) -> bool:
    found = accounts.verify(name, password, time.time())
    return found.verification is Verification.OK


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
    assert is_right(accounts, "alice", "won der")
    assert run("passwd", "alice", typed="été".encode()) == (0, "", "")
    assert is_right(accounts, "alice", "été")
    assert run("add", "bob", typed=b"x\n")[0] == 0
    assert run("list") == (0, "alice\nbob\n", "")
    code, out, _ = run("list", "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"name": name, "enabled": True, "role": "user", "groups": [], "expires": None}
        for name in ("alice", "bob")
    ]
    assert run("remove", "alice") == (0, "", "")
    assert run("list") == (0, "bob\n", "")


def test_a_name_that_exists_and_one_that_does_not(
    run: Runner, accounts: AccountFile
) -> None:
    accounts.add(Account("alice"), "wonder")
    code, _, err = run("add", "alice", typed=b"x\n")
    assert (code, err.count("\n")) == (1, 1)
    assert "'alice' exists" in err
    for words in (("passwd",), ("remove",), ("change", "--disable")):
        code, _, err = run(*words, "bob", typed=b"x\n")
        assert (code, err.count("\n")) == (1, 1)
        assert "no account 'bob'" in err
    assert is_right(accounts, "alice", "wonder")


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


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """A configuration with two groups, in a time zone of its own."""
    path = tmp_path / "portway.toml"
    path.write_text(
        f'[gateway]\nstate = "{state}"\ntimezone = "Europe/Paris"\n'
        '[listen.x]\nprotocol = "ftp"\naddress = "127.0.0.1:2121"\n'
        "[group.lab]\nmembers = []\n[group.staff]\nmembers = []\n"
    )
    monkeypatch.setenv("PORTWAY_CONFIG", str(path))


@pytest.mark.usefixtures("configured")
def test_groups_role_and_expiry(run: Runner, accounts: AccountFile) -> None:
    words = ("--group", "staff", "--group", "lab", "--role", "admin")
    code = run("add", *words, "--expires", "2099-12-31", "alice", typed=b"x\n")[0]
    assert code == 0
    paris = datetime(2100, 1, 1, tzinfo=ZoneInfo("Europe/Paris")).timestamp()
    (alice,) = accounts.accounts()
    assert alice == Account(
        "alice", True, Role.ADMIN, paris, frozenset({"lab", "staff"})
    )
    line = "alice  groups lab, staff  role admin  expires 2100-01-01 00:00\n"
    assert run("list") == (0, line, "")
    assert json.loads(run("list", "--json")[1]) == {
        "name": "alice",
        "enabled": True,
        "role": "admin",
        "groups": ["lab", "staff"],
        "expires": "2100-01-01T00:00:00+01:00",
    }
    less = ("--no-group", "lab", "--role", "user", "--expires", "never", "--disable")
    assert run("change", *less, "alice") == (0, "", "")
    assert run("list")[1] == "alice  groups staff  disabled\n"
    assert run("change", "--enable", "--expires", "2020-01-01 12:00", "alice")[0] == 0
    assert run("list")[1] == "alice  groups staff  expired 2020-01-01 12:00\n"
    assert not is_right(accounts, "alice", "x")


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--group", "labs"), 'no group "labs"; did you mean "lab"?'),
        (("--group", "x"), 'no group "x"; those declared are lab, staff'),
        (("--expires", "soon"), "no time; write"),
        (("--expires", "2026-02-30"), "no time; write"),
        (("--expires", "9 parsecs"), "no time; write"),
        (("--group", "lab", "--no-group", "lab"), "to be joined and left"),
        ((), "nothing to change"),
    ],
)
def test_changes_that_make_no_sense(
    run: Runner, accounts: AccountFile, words: tuple[str, ...], said: str
) -> None:
    accounts.add(Account("alice"), "wonder")
    code, _, err = run("change", *words, "alice")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert accounts.accounts() == [Account("alice")]


@pytest.mark.usefixtures("configured")
def test_a_group_that_is_declared_no_more_can_be_left(
    run: Runner, accounts: AccountFile
) -> None:
    accounts.add(Account("alice", groups=frozenset({"old"})), "wonder")
    assert run("change", "--no-group", "old", "alice") == (0, "", "")
    assert accounts.accounts() == [Account("alice")]


def test_without_groups_none_can_be_joined(run: Runner) -> None:
    code, _, err = run("add", "--group", "lab", "alice", typed=b"x\n")
    assert (code, err.count("\n")) == (2, 1)
    assert "those declared are none" in err


def test_a_file_that_is_damaged_is_one_line(run: Runner, state: Path) -> None:
    state.mkdir()
    (state / module.NAME).write_bytes(b"no accounts " * 999)
    for words in (("list",), ("add", "alice"), ("remove", "alice")):
        code, _, err = run(*words, typed=b"x\n")
        assert (code, err.count("\n")) == (1, 1)
        assert str(state / module.NAME) in err


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
