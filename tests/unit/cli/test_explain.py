import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from portway.cli.explain import read_time
from portway.cli.main import main

CONFIGURATION = """\
[gateway]
timezone = "Europe/Paris"
[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:2121"
[[rules]]
name = "no programs"
who = ["user:alice"]
do = ["write"]
to = ["ftp.example.org/in/*.exe"]
when = "Mon-Fri 08:00-12:00"
then = "deny"
because = "No programs, please."
[[rules]]
do = "ftp:SIZE"
then = "deny"
[[rules]]
name = "lab"
to = "198.51.100.0/24"
do = "read"
then = "deny"
[[rules]]
name = "LAN"
who = "10.0.0.0/8"
then = "allow"
"""
DOOR = "x.toml"


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / DOOR).write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORTWAY_CONFIG", DOOR)


def ask(*words: str, at: str = "2026-11-23 10:00") -> int:
    return main(["explain", "--from", "10.0.0.7", "--at", at, *words])


def said(capsys: pytest.CaptureFixture[str], *words: str, at: str = "") -> list[str]:
    assert ask(*words, at=at or "2026-11-23 10:00") == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_the_rule_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    url = "ftp://ftp.example.org/in/a.exe"
    question, *answer = said(capsys, "--user", "alice", "STOR", url)
    asked = "alice at 10.0.0.7 asks for STOR ftp://ftp.example.org:21/in/a.exe"
    assert question == f"{asked} on Mon 2026-11-23 10:00"
    assert answer == [
        f'denied by "no programs" ({DOOR}:6)',
        "  because: No programs, please.",
    ]


def test_why_earlier_rules_did_not_match(capsys: pytest.CaptureFixture[str]) -> None:
    url = "ftp://ftp.example.org/in/a.exe"
    later = "2026-11-23 13:00"
    inside = "denied: it is inside, and no rule matches that names it"
    when = f"Mon {later} is not in Mon-Fri 08:00-12:00"
    assert said(capsys, "--user", "alice", "stor", url, at=later)[1:] == [
        f'if ftp.example.org is outside: allowed by "LAN" ({DOOR}:22)',
        f"if ftp.example.org is inside: {inside}",
        "passed over:",
        f'  "no programs" ({DOOR}:6): when: {when}',
        f'  "rule 2" ({DOOR}:14): do: ftp:STOR, which is write, is not among ftp:SIZE',
        f'  "lab" ({DOOR}:17): do: ftp:STOR, which is write, is not among read',
    ]


def test_a_name_is_not_resolved(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "RETR", "ftp://ftp.example.org/a")
    assert lines[1] == (
        "It depends on the address of ftp.example.org, which --address gives:"
    )
    assert lines[2] == f'if ftp.example.org is outside: allowed by "LAN" ({DOOR}:22)'


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("198.51.100.7", f'denied by "lab" ({DOOR}:17)'),
        ("203.0.113.7", f'allowed by "LAN" ({DOOR}:22)'),
        ("127.0.0.1", "denied: it is inside, and no rule matches that names it"),
        ("::ffff:127.0.0.1", "denied: it is inside, and no rule matches that names it"),
    ],
)
def test_an_address_may_be_given(
    capsys: pytest.CaptureFixture[str], address: str, answer: str
) -> None:
    lines = said(capsys, "--address", address, "RETR", "ftp://ftp.example.org/a")
    assert lines[1] == answer


@pytest.mark.parametrize(
    ("method", "url", "shown"),
    [
        ("RETR", "ftp://198.51.100.7/a", "RETR ftp://198.51.100.7:21/a"),
        ("CONNECT", "ftp://host:2121", "CONNECT ftp://host:2121"),
        ("LOGIN", "ftp://host/x", "CONNECT ftp://host:21"),
        ("SIZE", "ftp://host/x", "SIZE ftp://host:21/x"),
        ("RETR", "ftp://[fd00::1]/x", "RETR ftp://[fd00::1]:21/x"),
        ("RETR", "ftp://[::ffff:1.2.3.4]/x", "RETR ftp://1.2.3.4:21/x"),
        ("RETR", "FTP://bob:pw@HOST.:2/x", "RETR ftp://host:2/x"),
        ("RETR", "ftp://münchen.de/x", "RETR ftp://xn--mnchen-3ya.de:21/x"),
        ("RETR", "ftp://h/a/../b%20c%FF?d#e", "RETR ftp://h:21/b c%FF?d#e"),
        ("RETR", "ftp://h/%1b[31m", "RETR ftp://h:21/\\u001b[31m"),
    ],
)
def test_how_a_url_is_read(
    capsys: pytest.CaptureFixture[str], method: str, url: str, shown: str
) -> None:
    first, *_ = said(capsys, method, url)
    assert first == (
        f"10.0.0.7, without a login, asks for {shown} on Mon 2026-11-23 10:00"
    )


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = said(capsys, "--json", "RETR", "ftp://ftp.example.org/a")
    found = json.loads(line)
    assert found["verdict"] == "allow"
    assert (found["rule"], found["rule_at"]) == ("LAN", f"{DOOR}:22")
    assert found["certain"] is False
    assert found["if_inside"]["verdict"] == "deny"
    assert found["if_inside"]["reason"] == "inside"
    assert [passed["key"] for passed in found["passed_over"]] == ["who", "do", "to"]


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["STRO", "ftp://h"], 'did you mean "STOR"?'),
        (["XYZZY", "ftp://h"], "those are"),
        (["SYST", "ftp://h"], "has no method"),
        (["RETR", "http://h"], "ftp://"),
        (["RETR", "h"], "ftp://"),
        (["RETR", "ftp://"], "ftp://"),
        (["RETR", "ftp://h:x"], "is not a URL"),
        (["RETR", "ftp://[::1"], "is not a URL"),
        (["--from", "h", "RETR", "ftp://h"], "is not an IPv4 or IPv6 address"),
        (["--address", "h", "RETR", "ftp://h"], "is not an IPv4 or IPv6 address"),
        (["--address", "::1", "RETR", "ftp://1.2.3.4"], "hosts that are named"),
        (["--at", "noon", "RETR", "ftp://h"], 'write "2026-11-23 10:00"'),
        (["--at", "0001-01-01", "RETR", "ftp://h"], 'write "2026-11-23 10:00"'),
        (["RETR"], "Missing argument"),
    ],
)
def test_wrong_usage(
    capsys: pytest.CaptureFixture[str], words: list[str], cure: str
) -> None:
    assert ask(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert cure in err
    assert err.count("\n") == 1


def test_a_password_in_a_url_is_never_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for place in ("bob:canary@h", "bob:canary@h:x", "bob:canary", "bob:canary@[::"):
        ask("RETR", f"ftp://{place}")
        ask("RETR", f"http://{place}")
        assert "canary" not in "".join(capsys.readouterr())


def test_a_wrong_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (tmp_path / DOOR).open("a") as file:
        file.write('[[rules]]\nwho = "bob"\nthen = "allow"\n')
    assert ask("RETR", "ftp://h") == 2
    assert capsys.readouterr().err.startswith(f"{DOOR}:27: rules[4].who: ")


def test_the_embedded_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTWAY_CONFIG")
    assert main(["explain", "CONNECT", "ftp://127.0.0.1:2122"]) == 0
    assert 'allowed by "this machine"' in capsys.readouterr().out


def test_a_time_is_of_the_gateway_unless_it_says_otherwise() -> None:
    paris = ZoneInfo("Europe/Paris")
    nine = datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp()
    assert read_time("2026-11-23 10:00", paris) == nine
    assert read_time("2026-11-23T09:00Z", paris) == nine
    assert read_time("2026-11-23 04:00-05:00", None) == nine
