from pathlib import Path

import pytest

from portway.cli.main import main
from portway.config.load import STARTER, embedded


def test_the_starter_is_written_and_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edge.toml"
    assert main(["init", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"Wrote {path}. Read it, then: portway check -c {path}\n"
    )
    text = path.read_text(encoding="utf-8")
    assert "portway check -c edge.toml" in text
    assert text.replace("edge.toml", "portway.toml") == embedded(STARTER)
    assert main(["check", "-c", str(path)]) == 0


def test_portway_toml_is_the_usual_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert (tmp_path / "portway.toml").read_text(encoding="utf-8") == embedded(STARTER)


def test_a_file_that_exists_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "portway.toml"
    path.write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["init", str(path)])
    assert ended.value.code == 2
    assert path.read_text() == "mine"
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"portway: {path}: exists, and is left as it is; name another file\n"
    )


def test_a_link_to_nowhere_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "portway.toml"
    path.symlink_to(tmp_path / "other.toml")
    with pytest.raises(SystemExit):
        main(["init", str(path)])
    assert not (tmp_path / "other.toml").exists()


def test_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no" / "portway.toml"
    assert main(["init", str(path)]) == 1
    assert capsys.readouterr().err == f"portway: {path}: No such file or directory\n"
