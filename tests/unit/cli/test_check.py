import json
from pathlib import Path

import pytest

from portway.cli.main import main

RIGHT = """\
[gateway]
state = "/tmp/state"
[listen.door]
protocol = "ftp"
address = ["192.168.1.1:2121", "127.0.0.1:2121"]
login = "required"
[[rules]]
name = "readers"
who = "user:bob"
do = "read"
then = "allow"
[[rules]]
then = "deny"
because = "Ask us."
"""
WRONG = """\
[listen.door]
protocol = "ftp"
adress = "127.0.0.1:2121"
[[rules]]
who = "bob"
then = "allow"
"""


def write(folder: Path, text: str) -> str:
    path = folder / "p.toml"
    path.write_text(text)
    return str(path)


def test_what_is_right_is_said_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, RIGHT)
    assert main(["check", "-c", path]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[:2] == [f"{path}: no problems.", "State: /tmp/state"]
    assert lines[4] == (
        "  door: ftp on 192.168.1.1:2121 and 127.0.0.1:2121, for other machines too; "
        "only after a login to the proxy"
    )
    first, second = lines[-2:]
    assert first.startswith("  1. ")
    assert "user:bob" in first
    assert f"{path}:7" in first
    assert second.startswith("  2. ")
    assert "Ask us." in second


def test_everything_wrong_is_said_each_on_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, WRONG)
    assert main(["check", "-c", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[:2] == [
        f'{path}:1: listen.door.address: is missing; write address = "127.0.0.1:2121"',
        f'{path}:3: listen.door.adress: unknown key; did you mean "address"?',
    ]
    assert len(lines) == 3  # and what policy.compile says of "bob"
    assert lines[2].startswith(f"{path}:5: rules[0].who: ")


def test_the_environment_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTWAY_CONFIG", write(tmp_path, WRONG))
    assert main(["check"]) == 2
    assert "listen.door.adress" in capsys.readouterr().err


def test_the_embedded_default_is_right(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTWAY_CONFIG", raising=False)
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "  ftp: ftp on 127.0.0.1:2121, for this machine alone; no login" in out


def test_no_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[listen.x]\nprotocol = "ftp"\naddress = "0.0.0.0:2121"\n'
    assert main(["check", "-c", write(tmp_path, text)]) == 0
    assert capsys.readouterr().out.endswith("\nNo rules: every request is denied.\n")


def test_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, RIGHT)
    assert main(["check", "--json", "-c", path]) == 0
    door, first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert door == {
        "listener": "door",
        "where": f"{path}:3",
        "protocol": "ftp",
        "address": ["192.168.1.1:2121", "127.0.0.1:2121"],
        "mode": "forward",
        "login": "required",
    }
    assert (first["rule"], first["where"]) == ("readers", f"{path}:7")
    assert (second["rule"], second["where"]) == ("rule 2", f"{path}:12")


def test_problems_as_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, WRONG)
    assert main(["check", "--json", "-c", path]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    problems = [json.loads(line) for line in out.splitlines()]
    assert problems[1] == {
        "problem": 'unknown key; did you mean "address"?',
        "key": "listen.door.adress",
        "where": f"{path}:3",
    }
