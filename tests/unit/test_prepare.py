from pathlib import Path

import pytest

from portway.cli.main import main
from portway.errors import ConfigurationError
from portway.prepare import prepare
from portway.users.roster import account_names

TEXT = """\
[gateway]
state = "state"
[listen.x]
protocol = "ftp"
address = "127.0.0.1:0"
[group.lab]
members = ["group:lab"]
[[rules]]
name = "a"
who = ["user:bob", "group:lap"]
do = ["ftp:QUIT", "ftp:AUTH"]
then = "allow"
limit = { quota = "2 GB/fortnight" }
[[rules]]
name = "a"
when = "08:00-12:00, 16:00-13:00"
then = "allow"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "p.toml"
    found.write_text(TEXT)
    return found


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        prepare(path, accounts=account_names)
    found = (str(problem) for problem in raised.value.problems)
    return sorted(text.removeprefix(f"{path}:").partition(": ")[0] for text in found)


def test_everything_wrong_with_a_policy_is_told_at_once(path: Path) -> None:
    assert problems(path) == ["10", "10", "11", "11", "13", "15", "16", "7"]


def test_without_accounts_users_are_not_looked_up(path: Path) -> None:
    path.write_text(
        TEXT.partition("[group")[0] + '[[rules]]\nwho = "user:bob"\nthen = "allow"\n'
    )
    assert prepare(path).rules.rules[0].who.users == {"bob"}
    assert problems(path) == ["7"]


def test_serve_refuses_a_user_who_does_not_exist(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(
        TEXT.partition("[group")[0] + '[[rules]]\nwho = "user:bob"\nthen = "allow"\n'
    )
    assert main(["serve", "-c", str(path)]) == 2
    assert capsys.readouterr().err.startswith(
        f'{path}:7: rules[0].who: there is no account "bob"'
    )
