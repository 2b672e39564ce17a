import os
from pathlib import Path

import pytest
from tests.unit.config.kinds import KINDS

from portway.config.load import parse
from portway.config.schema import ListFile
from portway.listfiles import ListFiles


@pytest.fixture
def files() -> ListFiles:
    return ListFiles()


def wanted(path: Path, **keys: str) -> ListFile:
    where = "x.toml:3"
    return ListFile(name="games", where=where, path=str(path), **keys)  # type: ignore[arg-type]


def test_what_has_not_changed_is_not_read_again(
    files: ListFiles, tmp_path: Path
) -> None:
    path = tmp_path / "games"
    path.write_text("a.example\n")
    file = wanted(path)
    lists, problems = files.read([file])
    assert problems == ()
    assert len(lists["games"]) == 1
    assert files.read([file])[0]["games"] is lists["games"]
    path.write_text("a.example\nb.example\n")
    assert len(files.read([file])[0]["games"]) == 2


def test_a_change_is_seen_once_the_file_rests(files: ListFiles, tmp_path: Path) -> None:
    path = tmp_path / "games"
    path.write_text("a.example\n")
    file = wanted(path)
    files.read([file])
    assert files.changed([file]) == ()
    path.write_text("a.example\nb.ex")
    assert files.changed([file]) == ()
    path.write_text("a.example\nb.example\n")
    assert files.changed([file]) == ()
    assert files.changed([file]) == (file,)
    assert files.changed([file]) == (file,)  # nobody has read it yet
    files.read([file])
    assert files.changed([file]) == ()


def test_a_file_put_in_the_place_of_another_is_a_change(
    files: ListFiles, tmp_path: Path
) -> None:
    path, other = tmp_path / "games", tmp_path / "new"
    path.write_text("a.example\n")
    other.write_text("b.example\n")
    stamp = path.stat()
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    file = wanted(path)
    files.read([file])
    other.rename(path)
    assert files.changed([file]) == ()
    assert files.changed([file]) == (file,)
    assert "b.example" in files.read([file])[0]["games"].domains


def test_a_file_that_is_missing(files: ListFiles, tmp_path: Path) -> None:
    path = tmp_path / "games"
    lists, [problem] = files.read([wanted(path)])
    assert lists == {}
    assert str(problem) == (f"x.toml:3: list.games.path: there is no such file: {path}")
    path.write_text("a.example\n")
    assert files.read([wanted(path)])[1] == ()


@pytest.mark.parametrize("name", ["folder", "pipe", "folder/in/nothing", "a\0b"])
def test_what_is_no_file(files: ListFiles, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    _, [problem] = files.read([wanted(tmp_path / name)])
    assert problem.where == "x.toml:3"
    assert "no such file" in problem.text or "no regular file" in problem.text


def test_bad_lines_are_named_by_the_file_and_the_line(
    files: ListFiles, tmp_path: Path
) -> None:
    path = tmp_path / "games"
    path.write_text("a.example\n" + "no domain\n" * 12)
    lists, problems = files.read([wanted(path)])
    assert lists == {}
    texts = [*map(str, problems)]
    assert texts[0] == f'{path}:2: list.games: "no domain" is no domain'
    assert texts[9].startswith(f"{path}:11: ")
    more = (
        'and 2 more lines that are no entries; bad_lines = "skip" leaves bad lines out'
    )
    assert texts[10:] == [f"{path}: list.games: {more}"]


def test_bad_lines_can_be_left_out(files: ListFiles, tmp_path: Path) -> None:
    path = tmp_path / "games"
    path.write_text("a.example\nno domain\n")
    lists, problems = files.read([wanted(path, bad_lines="skip")])
    assert problems == ()
    assert (len(lists["games"]), lists["games"].bad_lines) == (1, 1)


def test_a_format_is_part_of_what_is_known(files: ListFiles, tmp_path: Path) -> None:
    path = tmp_path / "games"
    path.write_text("a.example\n")
    assert not files.read([wanted(path)])[1]
    assert files.read([wanted(path, format="networks")])[1]


def test_lists_that_nobody_wants_any_more_are_forgotten(
    files: ListFiles, tmp_path: Path
) -> None:
    path = tmp_path / "games"
    path.write_text("a.example\n")
    first = files.read([wanted(path)])[0]["games"]
    files.keep([wanted(path)])
    assert files.read([wanted(path)])[0]["games"] is first
    files.keep([])
    assert files.read([wanted(path)])[0]["games"] is not first


def test_a_file_larger_than_a_block(files: ListFiles, tmp_path: Path) -> None:
    path = tmp_path / "games"
    path.write_text("".join(f"host{n}.example\n" for n in range(5000)))
    lists, _ = files.read([wanted(path)])
    assert len(lists["games"]) == 5000
    assert all(f"host{n}.example" in lists["games"].domains for n in range(5000))


# The tables of the configuration.

HEAD = '[listen.x]\nprotocol = "test"\naddress = "127.0.0.1:0"\n'


def tables(text: str) -> tuple[tuple[ListFile, ...], list[str]]:
    text = text if text.startswith("list =") else HEAD + text
    configuration, problems = parse(text, Path("/etc/x.toml"), KINDS)
    return configuration.lists, [str(problem) for problem in problems]


def test_a_path_begins_at_the_configuration() -> None:
    lists, problems = tables('[list.games]\npath = "lists/games.txt"')
    assert problems == []
    [found] = lists
    assert (found.name, found.path) == ("games", "/etc/lists/games.txt")
    assert found.where == "/etc/x.toml:5"
    assert (found.format, found.bad_lines) == ("auto", "refuse")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[list.games]", "4: list.games.path: is missing; it must be given"),
        ('[list.games]\npath = " "', "5: list.games.path: is empty; name the file"),
        ('[list.games]\npath = "x"\nform = 1', "6: list.games.form: unknown key"),
        ('[list.games]\npath = "x"\nformat = "csv"', "6: list.games.format: must be"),
        ('[list."a b"]\npath = "x"', '4: list."a b": "a b" is no name for a list'),
        ("list = 3\n" + HEAD, "1: list: must be a table, not a number"),
        ('[list]\ngames = "x"', "5: list.games: must be a table, not text"),
    ],
)
def test_tables_that_are_wrong(text: str, problem: str) -> None:
    _, [found] = tables(text)
    assert found.startswith(f"/etc/x.toml:{problem}")
