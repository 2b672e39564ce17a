"""Files of SQLite that are private, and set aside when they are damaged."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portway.databases import (
    PRIVATE,
    SUFFIXES,
    is_damage,
    keep_private,
    make_private,
    set_aside,
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_there_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make_private(path)
    assert mode(path) == PRIVATE
    path.write_text("x")
    make_private(path)
    assert path.read_text() == "x"


def test_all_that_belongs_to_it_is_taken_from_others(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    keep_private(path)  # nothing is there
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").touch(0o644)
    keep_private(path)
    assert {mode(one) for one in tmp_path.iterdir()} == {PRIVATE}


def test_all_of_it_goes_under_names_that_are_free(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    names = set()
    for number in range(3):
        for suffix in SUFFIXES:
            Path(f"{path}{suffix}").write_text(f"{number}{suffix}")
        names.add(set_aside(path))
    assert not path.exists()
    assert len([*tmp_path.iterdir()]) == 9
    assert sorted(Path(f"{name}-wal").read_text() for name in names) == [
        "0-wal",
        "1-wal",
        "2-wal",
    ]


def test_only_a_file_that_is_wrong_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        for words in ("nonsense", "SELECT * FROM nothing"):
            with pytest.raises(sqlite3.Error) as caught:
                connection.execute(words)
            assert not is_damage(caught.value)
    assert not is_damage(OSError("disk full"))
    path.write_bytes(b"no database " * 100)
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute("SELECT * FROM sqlite_schema")
        assert is_damage(caught.value)
