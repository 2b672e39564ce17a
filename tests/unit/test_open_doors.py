"""What is an open proxy, and what is none."""

from pathlib import Path

import pytest

from portway.errors import ConfigurationError
from portway.prepare import prepare

LAN = 'who = ["10.0.0.0/8"]'
HALVES = 'who = ["0.0.0.0/1", "128.0.0.0/1"]'
RANGE = 'who = "0.0.0.0-255.255.255.255"'


def rule(*keys: str, then: str = "allow") -> str:
    return "\n".join(("[[rules]]", *keys, f'then = "{then}"', ""))


def problems(tmp_path: Path, address: str, login: str, rules: str) -> list[str]:
    (tmp_path / "nets").write_text("# all\n0.0.0.0/0\n")
    (tmp_path / "few").write_text("10.0.0.0/8\n192.168.0.0/16\n")
    text = f"""
[gateway]
state = "state"
[listen.x]
protocol = "ftp"
address = "{address}"
login = "{login}"
{rules}
[group.all]
members = ["group:inner"]
[group.inner]
members = ["::/0"]
[group.lab]
members = ["10.0.0.0/8"]
[list.nets]
path = "nets"
[list.few]
path = "few"
"""
    path = tmp_path / "p.toml"
    path.write_text(text)
    try:
        prepare(path)
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("address", "login", "rules", "is_open"),
    [
        ("127.0.0.1:21", "none", rule(), False),
        ("127.9.9.9:21", "none", rule(), False),
        ("[::1]:21", "none", rule(), False),
        ("localhost:21", "none", rule(), False),
        ("0.0.0.0:21", "none", rule(), True),
        ("192.168.1.1:21", "none", rule(), True),
        ("[::]:21", "none", rule(), True),
        ("0.0.0.0:21", "optional", rule(), True),
        ("0.0.0.0:21", "required", rule(), False),
        ("0.0.0.0:21", "none", "", False),
        ("0.0.0.0:21", "none", rule(then="deny"), False),
        ("0.0.0.0:21", "none", rule(LAN), False),
        ("0.0.0.0:21", "none", rule('who = ["10.0.0.0/8", "*"]'), True),
        ("0.0.0.0:21", "none", rule('who = ["0.0.0.0/0"]'), True),
        ("0.0.0.0:21", "none", rule(HALVES), True),
        ("0.0.0.0:21", "none", rule('who = ["0.0.0.0/1"]'), True),
        ("0.0.0.0:21", "none", rule(RANGE), True),
        ("0.0.0.0:21", "none", rule('who = "@nets"'), True),
        ("0.0.0.0:21", "none", rule('who = "@few"'), False),
        ("0.0.0.0:21", "none", rule('who = "group:all"'), True),
        ("0.0.0.0:21", "none", rule('who = "group:lab"'), False),
        # one rule that limits does not make up for another one that does not
        ("0.0.0.0:21", "none", rule(LAN) + rule('name = "all"'), True),
        ("0.0.0.0:21", "none", rule(LAN, then="deny") + rule(), True),
        # what is published to everyone is no open proxy
        ("0.0.0.0:21", "none", rule('to = "ftp.example.org"'), False),
        ("0.0.0.0:21", "none", rule('to = ["ftp.example.org", "*:21"]'), True),
        ("0.0.0.0:21", "none", rule('to = "0.0.0.0/0"'), True),
        ("0.0.0.0:21", "none", rule('to = "@few"'), False),
        ("0.0.0.0:21", "none", rule('to = "@nets"'), True),
    ],
)
def test_an_open_proxy_is_never_an_accident(
    tmp_path: Path, address: str, login: str, rules: str, *, is_open: bool
) -> None:
    found = problems(tmp_path, address, login, rules)
    assert bool(found) is is_open, found
    for text in found:
        assert text.startswith(f"{tmp_path}/p.toml:6: listen.x.address: an open proxy")
        assert "limit its who" in text


def test_the_rule_is_named(tmp_path: Path) -> None:
    rules = rule(LAN) + rule('name = "guests"')
    (text,) = problems(tmp_path, "0.0.0.0:2121", "none", rules)
    assert '0.0.0.0:2121 can be reached from other machines, and "guests"' in text


def test_a_wrong_rule_may_be_the_one_that_limits(tmp_path: Path) -> None:
    rules = rule("who = 3") + rule()
    (text,) = problems(tmp_path, "0.0.0.0:2121", "none", rules)
    assert "must be a list, not a number" in text
