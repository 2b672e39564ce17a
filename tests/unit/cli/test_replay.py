"""``portway replay`` on a real ledger."""

import json
from pathlib import Path

import pytest
from tests.ledger.records import record

from portway.cli.main import main
from portway.ledger import store
from portway.ledger.store import SqliteStore
from portway.model import Outcome

NEW = """
[gateway]
state = "{state}"
timezone = "UTC"

[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:2121"

[[rules]]
name = "no zips"
do = ["read"]
to = ["*/pub/*.zip"]
then = "deny"
because = "Take the tar."

[[rules]]
name = "all the rest"
then = "allow"
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    ledger = SqliteStore(folder / store.NAME)
    ledger.open()
    no = {"outcome": Outcome.REFUSED, "verdict": "deny"}
    ledger.write(
        [
            record(0, session="A", user="alice"),
            record(1, session="A", user="alice", path="/b.tar", method="RETR"),
            record(2, session="B", user="bob", path="/pub/\x1b[2J.zip"),
            record(3, session="C", rule="", reason="default", path="/x", **no),
            record(4, session="D", rule="", reason="login-wrong", **no),
        ]
    )
    ledger.close()
    return folder


@pytest.fixture
def new(tmp_path: Path, state: Path) -> Path:
    path = tmp_path / "new.toml"
    path.write_text(NEW.replace("{state}", str(state)))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["replay", "--since", "2026-11-01", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_words(capsys: pytest.CaptureFixture[str], new: Path) -> None:
    code, out, err = run(capsys, "-c", str(new))
    assert (code, err) == (0, "")
    head, rest = out.split("\n\n", 1)
    assert head.splitlines() == [
        "5 requests from 2026-11-23 10:00 to 2026-11-23 10:00",
        "         0  the same",
        "         2  newly denied",
        "         1  newly allowed",
        "         1  allowed by another rule",
        "         1  not compared",
    ]
    assert (
        f'newly denied: by "no zips" ({new}:10); were allowed by "staff" '
        "(portway.toml:48)\n  2 requests, 2 clients, 1 host\n"
        "  11-23 10:00:00 alice RETR ftp://ftp.example.org/pub/a.zip\n"
    ) in rest
    assert (
        f'newly allowed: by "all the rest" ({new}:17); were denied by no rule' in rest
    )
    assert "1 request were refused by something else than a rule: login-wrong 1" in rest
    assert "Not known: what limits" in rest
    assert "\x1b" not in out


def test_json(capsys: pytest.CaptureFixture[str], new: Path) -> None:
    code, out, err = run(capsys, "-c", str(new), "--json")
    assert (code, err) == (0, "")
    *changes, summary = map(json.loads, out.splitlines())
    assert [one["change"] for one in changes] == [
        *("denied", "allowed-by-another-rule", "denied", "allowed"),
    ]
    first = changes[0]
    assert first["then"] == {
        "verdict": "allow",
        "rule": "staff",
        "rule_at": "portway.toml:48",
        "reason": "",
    }
    assert first["now"] == {
        "verdict": "deny",
        "rule": "no zips",
        "rule_at": f"{new}:10",
        "reason": "rule",
        "because": "Take the tar.",
    }
    assert summary["requests"] == 5
    assert (summary["denied"], summary["allowed"], summary["same"]) == (2, 1, 0)
    assert summary["not_compared"] == {"other": {"login-wrong": 1}}


def test_filters_are_those_of_the_log(
    capsys: pytest.CaptureFixture[str], new: Path
) -> None:
    code, out, _ = run(capsys, "-c", str(new), "--json", "--user", "bob")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["requests"] == 1


def test_another_ledger_may_be_named(
    capsys: pytest.CaptureFixture[str], new: Path, state: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(NEW.replace("{state}", str(tmp_path / "empty")))
    code, _, err = run(capsys, "-c", str(other))
    assert (code, err.count("\n")) == (1, 1)
    for words in (["--against", str(new)], ["--state", str(state)]):
        code, out, _ = run(capsys, "-c", str(other), *words)
        assert code == 0
        assert out.startswith("5 requests")
    both = ["--against", str(new), "--state", str(state)]
    assert run(capsys, "-c", str(other), *both)[0] == 2


def test_nothing_recorded_is_said(
    capsys: pytest.CaptureFixture[str], new: Path
) -> None:
    code, out, _ = run(capsys, "-c", str(new), "--until", "2026-11-02")
    assert code == 0
    assert "longer --since" in out


def test_a_wrong_configuration_is_told_as_ever(
    capsys: pytest.CaptureFixture[str], new: Path
) -> None:
    new.write_text(new.read_text() + '\ncolour = "red"\n')
    code, _, err = run(capsys, "-c", str(new))
    assert code == 2
    assert "colour" in err
