import json
from pathlib import Path

import pytest

from portway.cli.main import main
from portway.users.accounts import NAME, Account, AccountFile

RIGHT = """\
[gateway]
state = "/tmp/no/such/state"
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
    """Write *text* to a file; what this machine's own gateway keeps does not count."""
    path = folder / "p.toml"
    if "[gateway]" not in text:
        text += f'\n[gateway]\nstate = "{folder / "state"}"\n'
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
    assert lines[:2] == [f"{path}: no problems.", "State: /tmp/no/such/state"]
    assert lines[4] == (
        "  door: ftp on 192.168.1.1:2121 and 127.0.0.1:2121, for other machines too; "
        "only after a login to the proxy"
    )
    first, second = lines[-5:-3]
    assert first.startswith("  1. ")
    assert "user:bob" in first
    assert f"{path}:7" in first
    assert second.startswith("  2. ")
    assert "Ask us." in second
    assert lines[-3:-1] == ["", "Warnings:"]
    assert 'no account "bob"' in lines[-1]


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
    door, first, second, warning = map(json.loads, capsys.readouterr().out.splitlines())
    assert door == {
        "listener": "door",
        "where": f"{path}:3",
        "protocol": "ftp",
        "address": ["192.168.1.1:2121", "127.0.0.1:2121"],
        "mode": "forward",
        "login": "required",
        "servers": [],
    }
    assert (first["rule"], first["where"]) == ("readers", f"{path}:7")
    assert (second["rule"], second["where"]) == ("rule 2", f"{path}:12")
    assert warning["key"] == "rules[0].who"


FARM = """\
[listen.farm]
protocol = "ftp"
mode = "reverse"
address = "0.0.0.0:2121"
servers = ["10.0.0.11", "ftp2.lan:2121"]
[[listen.farm.route]]
who = ["user:alice", "group:lap"]
servers = ["10.0.0.20", "10.0.0.11"]
[group.lab]
members = ["user:bob"]
[[rules]]
then = "allow"
"""


def test_a_farm_is_told_with_its_servers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, FARM.replace("lap", "lab"))
    assert main(["check", "-c", path]) == 0
    assert (
        "  farm: ftp on 0.0.0.0:2121, reverse to 10.0.0.11:21 or ftp2.lan:2121 or "
        "10.0.0.20:21, for other machines too; no login to the proxy"
    ) in capsys.readouterr().out.splitlines()


def test_a_route_for_nobody_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, FARM)
    assert main(["check", "-c", path]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}:7: listen.farm.route[0].who: ")
    assert 'did you mean "lab"' in line


GROUPED = """\
[gateway]
state = "state"
[listen.x]
protocol = "ftp"
address = "127.0.0.1:2121"
[group.lab]
members = [
  "10.0.0.0/8",
  "user:bob",
]
[group.staff]
[[rules]]
who = ["group:lab"]
then = "allow"
limit = { rate = "5 Mbit/s" }
[[rules]]
name = "again"
who = ["group:lab"]
do = "read"
then = "deny"
"""


def test_groups_and_limits_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GROUPED)
    AccountFile(tmp_path / "state" / NAME).add(Account("bob"), "secret")
    assert main(["check", "-c", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = lines.index("Groups:")
    assert lines[groups + 1 : groups + 3] == [
        f"  lab: 2 members, and whose account belongs to it ({path}:6)",
        f"  staff: whose account belongs to it ({path}:11)",
    ]
    (rule,) = [line for line in lines if line.startswith("  1. ")]
    assert rule.endswith('for group "lab"; 5 Mbit/s for each user')


def test_a_rule_that_never_matches_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GROUPED.replace('  "user:bob",\n', ""))
    assert main(["check", "-c", path]) == 0
    *_, head, unnamed, warning = capsys.readouterr().out.splitlines()
    assert head == "Warnings:"
    assert unnamed.startswith(f"  {path}:11: rules[0].limit: has limits and no name")
    assert warning.startswith(f'  {path}:15: rules[1]: "again" never matches')
    assert main(["check", "--json", "-c", path]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["where"], last["key"]) == (f"{path}:15", "rules[1]")
    assert '"again" never matches' in last["warning"]


def test_a_user_who_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GROUPED)
    (tmp_path / "state").mkdir()
    assert main(["check", "-c", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f'{path}:9: group.lab.members: there is no account "bob"; '
        'make it with "portway user add bob"\n'
    )


def test_where_the_gateway_never_ran_it_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GROUPED)
    assert main(["check", "-c", path]) == 0
    assert f"  {path}:9: group.lab.members: there is no account" in (
        capsys.readouterr().out
    )
    assert not (tmp_path / "state").exists()


def test_where_accounts_cannot_be_read_users_are_not_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GROUPED)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / NAME).write_bytes(b"no database")
    assert main(["check", "-c", path]) == 0
    assert "no account" not in capsys.readouterr().out


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
