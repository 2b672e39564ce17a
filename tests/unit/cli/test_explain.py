import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from portway.cli.explain import read_time
from portway.cli.main import main
from portway.users.accounts import NAME, Account, AccountFile

CONFIGURATION = """\
[gateway]
state = "state"
timezone = "Europe/Paris"
[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:2121"
[group.lab]
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
    # nothing is said of where it leads, as nobody goes there
    asked = "alice at 10.0.0.7 asks for STOR ftp://ftp.example.org:21/in/a.exe"
    assert question == f"{asked} on Mon 2026-11-23 10:00"
    assert answer == [
        f'denied by "no programs" ({DOOR}:8)',
        "  because: No programs, please.",
    ]


def test_why_earlier_rules_did_not_match(capsys: pytest.CaptureFixture[str]) -> None:
    url = "ftp://ftp.example.org/in/a.exe"
    later = "2026-11-23 13:00"
    inside = "denied: it is inside, and no rule matches that names it"
    when = f"Mon {later} is not in Mon-Fri 08:00-12:00"
    assert said(capsys, "--user", "alice", "stor", url, at=later)[1:] == [
        f'if ftp.example.org is outside: allowed by "LAN" ({DOOR}:24)',
        f"if ftp.example.org is inside: {inside}",
        "destination: judged by the address that the name leads to; see --address",
        "passed over:",
        f'  "no programs" ({DOOR}:8): when: {when}',
        f'  "rule 2" ({DOOR}:16): do: ftp:STOR, which is write, is not among ftp:SIZE',
        f'  "lab" ({DOOR}:19): do: ftp:STOR, which is write, is not among read',
    ]


def test_a_name_is_not_resolved(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "RETR", "ftp://ftp.example.org/a")
    assert lines[1] == (
        "It depends on the address of ftp.example.org, which --address gives:"
    )
    assert lines[2] == f'if ftp.example.org is outside: allowed by "LAN" ({DOOR}:24)'


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("198.51.100.7", f'denied by "lab" ({DOOR}:19)'),
        ("203.0.113.7", f'allowed by "LAN" ({DOOR}:24)'),
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
    assert (found["rule"], found["rule_at"]) == ("LAN", f"{DOOR}:24")
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
        (["RETR", "gopher://h"], "ftp://"),
        (["RETR", "h"], "ftp://"),
        (["RETR", "ftp://"], "ftp://"),
        (["RETR", "ftp://h:x"], "is not a URL"),
        (["RETR", "ftp://[::1"], "is not a URL"),
        (["--from", "h", "RETR", "ftp://h"], "is not an IPv4 or IPv6 address"),
        (["--address", "h", "RETR", "ftp://h"], "is not an IPv4 or IPv6 address"),
        (["--address", "::1", "RETR", "ftp://1.2.3.4"], "hosts that are named"),
        (["--group", "lap", "RETR", "ftp://h"], 'no group "lap"; did you mean "lab"?'),
        (["--group", "zzz", "RETR", "ftp://h"], "add [group.zzz]"),
        (["--mac", "00:11", "RETR", "ftp://h"], "is not a MAC address"),
        (["--at", "2026-03-29 02:30", "RETR", "ftp://h"], "never comes"),
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
    assert capsys.readouterr().err.startswith(f"{DOOR}:29: rules[4].who: ")


LIMITED = """\
[gateway]
state = "state"
[listen.ftp]
protocol = "ftp"
address = ["127.0.0.1:2121", "localhost:2122", "0.0.0.0:2123"]
[group.lab]
members = ["10.0.9.0/24", "group:year7", "mac:00:11:22:33:44:55"]
[group.year7]
[group.staff]
[[rules]]
name = "staff"
who = "group:staff"
to = ["*", "inside"]
then = "allow"
[[rules]]
name = "lab"
who = ["group:lab"]
then = "allow"
limit = [
  { rate = "5 Mbit/s", quota = ["2 GB/day", "20 GB/month"] },
  { connections = 10, per = "group" },
]
"""
OUT = ("--address", "203.0.113.7", "RETR", "ftp://ftp.example.org/a")


@pytest.fixture
def limited(tmp_path: Path) -> Path:
    (tmp_path / DOOR).write_text(LIMITED)
    return tmp_path / "state"


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("words", "who", "member"),
    [
        (["--user", "bob", "--group", "lab"], 'bob (group "lab") at 10.0.0.7', "user"),
        (["--group", "year7"], '10.0.0.7 (group "year7"), without', "client"),
        (["--from", "10.0.9.1"], "10.0.9.1, without", "client"),
        (["--mac", "00-11-22-33-44-55"], "10.0.0.7 (00:11:22:33:44:55),", "client"),
    ],
)
def test_the_limits_that_would_apply(
    capsys: pytest.CaptureFixture[str], words: list[str], who: str, member: str
) -> None:
    question, *answer = said(capsys, *words, *OUT)
    assert question.startswith(who)
    whose = {"user": 'user "bob"', "client": f"client {who.partition(' ')[0]}"}
    assert answer[:4] == [
        f'allowed by "lab" ({DOOR}:15)',
        (
            f"  limit: 5 Mbit/s and 2 GB a day and 20 GB a month for "
            f"{whose[member].rstrip(',')}"
        ),
        '  limit: 10 connections for group "lab"',
        "destination: outside",
    ]


@pytest.mark.usefixtures("limited")
def test_who_is_not_in_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--user", "bob", *OUT)
    assert lines[1] == "denied: no rule matches"
    assert lines[-2:] == [
        f'  "staff" ({DOOR}:10): who: bob at 10.0.0.7 is not in group "staff"',
        (
            f'  "lab" ({DOOR}:15): who: bob at 10.0.0.7 is not in group "lab"; '
            "its MAC address is not known"
        ),
    ]


def test_a_local_accounts_groups_are_looked_up(
    capsys: pytest.CaptureFixture[str], limited: Path
) -> None:
    file = AccountFile(limited / NAME)
    file.add(Account("jos\u00e9", groups=frozenset({"staff"})), "secret")
    lines = said(capsys, "--user", "jose\u0301", *OUT)
    assert lines[0].startswith('jos\u00e9 (group "staff") at 10.0.0.7')
    assert lines[1] == f'allowed by "staff" ({DOOR}:10)'
    (limited / NAME).write_bytes(b"no database")
    assert main(["explain", "-c", DOOR, "--user", "jos\u00e9", *OUT]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "denied: no rule matches"
    assert f"{limited / NAME} cannot be read, so no group" in err


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("url", "answer", "destination"),
    [
        ("ftp://127.0.0.1:2121", "leads back to the gateway", "a listener of the"),
        ("ftp://127.0.0.1:2122", "leads back to the gateway", "a listener of the"),
        ("ftp://127.0.0.1:2123", "leads back to the gateway", "a listener of the"),
        ("ftp://[::1]:2122", "leads back to the gateway", "a listener of the"),
        ("ftp://127.0.0.1:21", "allowed by", "inside: reached only where"),
        ("ftp://192.168.1.1", "allowed by", "inside: reached only where"),
        ("ftp://203.0.113.7", "allowed by", "outside"),
    ],
)
def test_what_the_guard_says_of_a_destination(
    capsys: pytest.CaptureFixture[str], url: str, answer: str, destination: str
) -> None:
    lines = said(capsys, "--group", "staff", "CONNECT", url)
    assert answer in lines[1]
    assert lines[2].startswith(f"destination: {destination}")


@pytest.mark.usefixtures("limited")
def test_everything_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = said(
        capsys, "--json", "--user", "bob", "--group", "lab", "--group", "year7", *OUT
    )
    found = json.loads(line)
    assert found["group"] == "lab"
    assert found["limits"] == [
        {
            "bounds": ["5 Mbit/s", "2 GB a day", "20 GB a month"],
            "per": "user",
            "member": 'user "bob"',
        },
        {"bounds": ["10 connections"], "per": "group", "member": 'group "lab"'},
    ]
    assert found["destination"] == "outside"
    assert found["request"] == {
        "time": datetime.fromisoformat("2026-11-23 10:00").timestamp(),
        "protocol": "ftp",
        "client": "10.0.0.7",
        "mac": "",
        "user": "bob",
        "groups": ["lab", "year7"],
        "method": "RETR",
        "action": "read",
        "host": "ftp.example.org",
        "port": 21,
        "address": "203.0.113.7",
        "path": "/a",
    }


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
