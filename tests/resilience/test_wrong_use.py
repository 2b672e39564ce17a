"""Commands that are used wrongly: one line that says what to do, and the right code."""

from pathlib import Path

import pytest
from tests.resilience.running import one_line, portway

GOOD = """\
[gateway]
state = "state"
[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:0"
[[rules]]
then = "allow"
"""

# The words of a command, its exit code, and a word that its one line must hold.
COMMANDS: list[tuple[str, int, str]] = [
    ("nothing-of-ours", 2, "nothing-of-ours"),
    ("--nothing", 2, "--nothing"),
    ("serve --nothing", 2, "--nothing"),
    ("serve -c", 2, "-c"),
    ("serve -c missing.toml", 2, "missing.toml"),
    ("serve -c .", 2, "."),
    ("serve -c garbage.toml", 2, "garbage.toml:1"),
    ("serve -c bytes.toml", 2, "bytes.toml"),
    ("serve -c empty.toml", 2, "empty.toml"),
    ("serve -c good.toml --loop fast", 2, "--loop"),
    ("serve -c good.toml more", 2, "more"),
    ("check -c missing.toml", 2, "missing.toml"),
    ("check -c garbage.toml", 2, "garbage.toml:1"),
    ("check -c bytes.toml", 2, "bytes.toml"),
    ("check -c unknown.toml", 2, "unknown.toml:8"),
    ("check -c later.toml", 2, "not available in this version"),
    ("check more", 2, "more"),
    ("reload -c missing.toml", 2, "missing.toml"),
    ("reload -c good.toml", 1, "portway serve"),
    ("init good.toml", 2, "good.toml"),
    ("init nowhere/new.toml", 1, "nowhere"),
    ("init a b", 2, "b"),
    ("log -c missing.toml", 2, "missing.toml"),
    ("log -c good.toml --nothing", 2, "--nothing"),
    ("log -c good.toml --since yesterday", 2, "--since"),
    ("log -c good.toml --from nobody", 2, "--from"),
    ("log -c good.toml --limit many", 2, "--limit"),
    ("log -c good.toml --limit -1", 2, "--limit"),
    ("log -c good.toml --format pretty", 2, "--format"),
    ("log -c good.toml --verdict perhaps", 2, "--verdict"),
    ("explain -c good.toml", 2, "METHOD"),
    ("explain -c good.toml STOR", 2, "URL"),
    ("explain -c good.toml STOR nowhere", 2, "URL"),
    ("explain -c good.toml STOR gopher://h/", 2, "URL"),
    ("explain -c good.toml FETCH ftp://h/x", 2, "FETCH"),
    ("explain -c good.toml --from nobody STOR ftp://h/x", 2, "--from"),
    ("explain -c good.toml --at noon STOR ftp://h/x", 2, "--at"),
    ("user -c good.toml", 2, "-c"),
    ("user add -c good.toml", 2, "NAME"),
    ("user add -c missing.toml alice", 2, "missing.toml"),
    ("user add -c good.toml a@b", 2, "a@b"),
    ("user passwd -c good.toml nobody", 1, "nobody"),
    ("user remove -c good.toml nobody", 1, "nobody"),
    ("user add -c good.toml alice", 1, "empty password"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "garbage.toml").write_text("this is = no [toml\n")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\0\x80" * 100)
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "unknown.toml").write_text(GOOD + "becuase = 'x'\n")
    later = GOOD.replace('"ftp"', '"ftp"\nmode_z = true')
    (tmp_path / "later.toml").write_text(later)
    return tmp_path


@pytest.mark.parametrize(("words", "code", "word"), COMMANDS)
def test_wrong_use(words: str, code: int, word: str, folder: Path) -> None:
    status, output = portway(folder, *words.split())
    line = one_line(output)
    assert status == code, line
    assert word in line
    assert len(line) < 400


@pytest.mark.parametrize("name", ["state/ledger.db", "state/accounts.db"])
def test_files_that_are_none_of_ours(name: str, folder: Path) -> None:
    path = folder / name
    path.parent.mkdir()
    path.write_bytes(b"no database " * 1000)
    words = "log" if "ledger" in name else "user list"
    status, output = portway(folder, *words.split(), "-c", "good.toml")
    assert status == 1
    assert str(Path(name).name) in one_line(output)


def test_right_use_of_nothing_yet(folder: Path) -> None:
    """Before the first start there are no records and no accounts, and no errors."""
    for words in ("user list", "log --json"):
        status, output = portway(folder, *words.split(), "-c", "good.toml")
        assert (status, output) in {(0, ""), (1, output)}
        assert "Traceback" not in output
        assert len(output.splitlines()) <= 1


def test_every_problem_at_once(folder: Path) -> None:
    text = GOOD.replace("127.0.0.1:0", "nowhere:0").replace("allow", "maybe")
    (folder / "two.toml").write_text(text)
    for command in ("check", "serve"):
        status, output = portway(folder, command, "-c", "two.toml")
        assert status == 2
        assert "Traceback" not in output
        lines = output.splitlines()
        assert [line.split(":")[0].rpartition("/")[2] for line in lines] == [
            "two.toml",
            "two.toml",
        ]
