"""Log files on a real disk, and in places that are none."""

import json
import os
from pathlib import Path

import pytest
from tests.ledger.records import record

from portway.config.schema import LogFile
from portway.ledger.files import LogFiles
from portway.model import Outcome
from portway.units import Size


def names(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_each_record_that_ended_is_a_line(tmp_path: Path) -> None:
    lines, transfers = tmp_path / "requests.json", tmp_path / "xferlog"
    files = LogFiles(
        [LogFile(path=str(lines)), LogFile(path=str(transfers), format="xferlog")], None
    )
    files.write([record(id="A"), record(id="B", outcome=Outcome.OPEN)])
    files.write([record(id="C", action="list", method="LIST")])
    files.close()
    assert names(lines) == ["A", "C"]
    assert len(transfers.read_text().splitlines()) == 1
    assert lines.stat().st_mode & 0o007 == 0
    assert files.missed == {str(lines): 0, str(transfers): 0}


def test_it_appends_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"id":"A"}\n')
    files = LogFiles([LogFile(path=str(path))], None)
    files.write([record(id="B")])
    files.close()
    assert names(path) == ["A", "B"]


def test_after_reopen_a_renamed_file_gets_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "log"
    files = LogFiles([LogFile(path=str(path))], None)
    files.write([record(id="A")])
    old = path.rename(tmp_path / "log.1")
    files.write([record(id="B")])
    files.reopen()
    files.write([record(id="C")])
    files.close()
    assert (names(old), names(path)) == (["A", "B"], ["C"])


def test_a_file_that_fails_is_counted_logged_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, good = tmp_path / "folder" / "log", tmp_path / "good"
    files = LogFiles([LogFile(path=str(path)), LogFile(path=str(good))], None)
    assert files.problems() == [f"{path}: No such file or directory"]
    files.write([record(id="A"), record(id="B")])
    files.write([record(id="C")])
    assert files.missed[str(path)] == 3
    assert caplog.messages == ["logfile.failing"]
    path.parent.mkdir()
    files.write([record(id="D")])
    files.close()
    assert names(path) == ["D"]
    assert names(good) == ["A", "B", "C", "D"]
    assert files.problems() == []


def test_a_pipe_that_nobody_reads_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    files = LogFiles([LogFile(path=str(path))], None)
    files.write([record()])
    assert files.missed == {str(path): 1}
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for number in range(300):
            files.write([record(number) for _ in range(17)])
        assert files.missed[str(path)] > 1
        data = bytearray()
        while True:
            try:
                data += os.read(reader, 1 << 20)
            except BlockingIOError:
                break
        before = data.count(b"\n")
        files.write([record(id="last")])
        data += os.read(reader, 1 << 20)
    finally:
        os.close(reader)
        files.close()
    # a line that was begun is ended first, so that none is torn
    found = [json.loads(line) for line in data.decode().splitlines()]
    assert found[-1]["id"] == "last"
    assert len(found) > before
    assert len(found) + files.missed[str(path)] == 300 * 17 + 2


def test_a_reader_that_leaves_a_pipe_is_a_failure_like_others(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    files = LogFiles([LogFile(path=str(path))], None)
    files.write([record()])
    os.close(reader)
    files.write([record(), record()])
    assert files.missed == {str(path): 2}
    files.close()


def test_a_file_that_is_large_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    files = LogFiles([LogFile(path=str(path), rotate=Size(4000), rotated=3)], None)
    given = [f"{number:04}" for number in range(60)]
    for name in given:
        files.write([record(id=name)])
    files.close()
    old = [tmp_path / f"log.{number}" for number in (3, 2, 1)]
    found = [name for one in (*old, path) if one.exists() for name in names(one)]
    assert found == given[-len(found) :]
    assert len(found) >= 20
    assert all(one.stat().st_size >= 4000 for one in old)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        *("log", "log.1", "log.2", "log.3")
    ]


def test_a_file_that_cannot_be_rotated_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log"
    (tmp_path / "log.1" / "in the way").mkdir(parents=True)
    files = LogFiles([LogFile(path=str(path), rotate=Size(500), rotated=1)], None)
    given = [f"{number:04}" for number in range(9)]
    for name in given:
        files.write([record(id=name)])
    files.close()
    assert names(path) == given
    assert set(caplog.messages) == {"logfile.failing"}


def test_a_full_disk_is_counted(tmp_path: Path) -> None:
    files = LogFiles([LogFile(path="/dev/full")], None)
    files.write([record()])
    files.close()
    assert files.missed == {"/dev/full": 1}
