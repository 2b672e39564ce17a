import json
from pathlib import Path

import pytest

from portway.cli.main import main

TEXT = """\
[listen.door]
protocol = "ftp"
address = "127.0.0.1:2121"

[list.games]
path = "games"
bad_lines = "skip"

[list.gone]
path = "gone"

[[rules]]
to = ["@games", "@gone"]
then = "allow"
"""


def write(folder: Path, games: str, gone: str | None) -> str:
    path = folder / "portway.toml"
    path.write_text(TEXT)
    (folder / "games").write_text(games)
    if gone is not None:
        (folder / "gone").write_text(gone)
    return str(path)


def test_what_is_in_the_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a.example\nb.example\n10.0.0.0/8\nno domain\n", "")
    assert main(["check", "-c", path]) == 0
    out = capsys.readouterr().out
    assert (
        "List @games: 2 domains and 1 network; 1 line left out, "
        'the first is 4: "no domain" is no domain\n'
    ) in out
    assert "List @gone: nothing\n" in out
    assert "to list @games (3 entries) or list @gone (0 entries)" in out
    assert main(["check", "--json", "-c", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    objects = [one for one in map(json.loads, lines) if "list" in one]
    assert objects[0] == {
        "list": "games",
        "where": f"{path}:6",
        "path": str(tmp_path / "games"),
        "domains": 2,
        "networks": 1,
        "left_out": 1,
    }


def test_all_that_is_wrong_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "", None)
    text = TEXT.replace('"@gone"', '"@goner"').replace('"skip"', '"refuse"')
    Path(path).write_text(text)
    (tmp_path / "games").write_text("a.example\n\nno domain\n")
    assert main(["check", "-c", path]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f'{tmp_path}/games:3: list.games: "no domain" is no domain',
        f"{path}:10: list.gone.path: there is no such file: {tmp_path}/gone",
        f'{path}:13: rules[0].to: there is no list "@goner"; did you mean "@gone"?',
    ]
