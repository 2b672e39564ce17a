"""``portway log`` on a real ledger; as a process where signals and pipes matter."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
from tests.ledger.records import NOON, record

from portway.cli.log import amount, cells, columns, moment
from portway.cli.main import main
from portway.ledger import store
from portway.ledger.store import SqliteStore
from portway.model import Outcome

PARIS = ZoneInfo("Europe/Paris")
LOG = [sys.executable, "-c", "import portway.cli.main as m; m.run()", "log"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("PORTWAY_CONFIG", raising=False)
    return tmp_path / "portway"


@pytest.fixture
def ledger(state: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(state / store.NAME)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def filled(ledger: SqliteStore) -> SqliteStore:
    denied = {"outcome": Outcome.REFUSED, "verdict": "deny", "reason": "inside"}
    ledger.write(
        [
            record(0, session="A", user="alice"),
            record(
                1, session="B", user="", action="list", method="LIST", path="/\x1b[2J"
            ),
            record(2, session="C", user="bob", client="10.1.0.1", rule="", **denied),
        ]
    )
    return ledger


def run(
    capsysbinary: pytest.CaptureFixture[bytes], *words: str
) -> tuple[int, str, str]:
    code = main(["log", *words])
    out, err = capsysbinary.readouterr()
    return code, out.decode(), err.decode()


def test_no_ledger_yet_is_one_line(
    capsysbinary: pytest.CaptureFixture[bytes], state: Path
) -> None:
    code, out, err = run(capsysbinary)
    assert (code, out) == (1, "")
    assert err == (
        f"portway: {state / store.NAME}: no ledger yet; "
        'it begins with the first "portway serve"\n'
    )


def test_the_table(
    capsysbinary: pytest.CaptureFixture[bytes], filled: SqliteStore
) -> None:
    code, out, err = run(capsysbinary)
    assert (code, err) == (0, "")
    head, first, second, third = out.splitlines()
    assert head.split() == [
        *("TIME", "CLIENT", "USER", "METHOD", "URL"),
        *("BYTES", "SECS", "RESULT", "RULE"),
    ]
    assert first.split()[2:] == [
        *("10.0.0.7", "alice", "RETR", "ftp://ftp.example.org/pub/a.zip"),
        *("10.0K", "1.5", "ok", "staff"),
    ]
    assert second.split()[3] == "-"
    assert third.split()[-2:] == ["refused", "(inside)"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--user", "alice"], ["A"]),
        (["--from", "10.0.0.0/16"], ["A", "B"]),
        (["--from", "10.1.0.1"], ["C"]),
        (["--host", "*.example.org", "--limit", "2"], ["B", "C"]),
        (["--verdict", "deny"], ["C"]),
        (["--protocol", "http"], []),
        (["--method", "list"], ["B"]),
        (["--path", "/pub/*"], ["A", "C"]),
        (["ORG/pub/A"], ["A", "C"]),
        (["ftp://ftp.example.org/pub", "bo"], ["C"]),
        (["nothing of it"], []),
        (["--since", "2026-11-23T10:00:01", "--until", "2026-11-23 10:00:02Z"], ["B"]),
        (["--limit", "0"], []),
    ],
)
def test_filters(
    capsysbinary: pytest.CaptureFixture[bytes],
    filled: SqliteStore,
    words: list[str],
    expected: list[str],
) -> None:
    code, out, err = run(capsysbinary, "--json", *words)
    assert (code, err) == (0, "")
    assert [json.loads(line)["session"] for line in out.splitlines()] == expected


def test_csv(capsysbinary: pytest.CaptureFixture[bytes], filled: SqliteStore) -> None:
    _, out, _ = run(capsysbinary, "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["session"] for row in rows] == ["A", "B", "C"]
    assert rows[0]["time"] == "2026-11-23T10:00:00.000+00:00"
    assert rows[1]["path"] == r"/\u001b[2J"


@pytest.mark.parametrize(
    ("style", "count"), [("xferlog", 1), ("squid", 3), ("combined", 3), ("json", 3)]
)
def test_formats(
    capsysbinary: pytest.CaptureFixture[bytes],
    filled: SqliteStore,
    style: str,
    count: int,
) -> None:
    _, out, _ = run(capsysbinary, "--format", style)
    assert len(out.splitlines()) == count


@pytest.mark.parametrize(
    "words",
    [
        ["--from", "10.0.0"],
        ["--since", "yesterday"],
        ["--until", "1"],
        ["--limit", "-1"],
    ],
)
def test_what_is_asked_wrongly(
    capsysbinary: pytest.CaptureFixture[bytes], filled: SqliteStore, words: list[str]
) -> None:
    code, out, err = run(capsysbinary, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words[0] in err


def test_moments() -> None:
    assert moment("", 0.0, None, "since") is None
    assert moment("1h", NOON, None, "since") == NOON - 3600
    assert moment("7d", NOON, None, "since") == NOON - 7 * 86_400
    assert moment("2026-11-23 11:00", 0.0, PARIS, "since") == NOON
    assert moment("2026-11-23T10:00:00Z", 0.0, PARIS, "since") == NOON
    day = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    assert moment("2026-11-23", 0.0, UTC, "since") == day
    with pytest.raises(click.BadParameter, match="so long ago"):
        moment("7 apples", 0.0, None, "since")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0K"),
        (10_240, "10.0K"),
        (500 << 20, "500M"),
        (3 << 40, "3.0T"),
    ],
)
def test_amounts(count: int, text: str) -> None:
    assert amount(count) == text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_table_fits_the_terminal(width: int) -> None:
    given = record(
        url="ftp://ftp.example.org/" + "a" * 300, rule="uploads of the whole staff"
    )
    line = columns(cells(given, UTC), width)
    assert len(line) <= width
    assert "…" in line
    short = columns(cells(record(), UTC), 100)
    assert "ftp://ftp.example.org" in short
    assert short.endswith("staff")


def test_nothing_in_a_table_acts_on_a_terminal() -> None:
    line = columns(cells(record(url="ftp://h/\x1b[2J\u202e\n"), UTC), None)
    assert r"ftp://h/\u001b[2J\u202e\u000a" in line


def test_follow_shows_what_comes_and_ends_quietly(filled: SqliteStore) -> None:
    child = subprocess.Popen(
        [*LOG, "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child, child.stdout as out, child.stderr as err:
        before = [json.loads(out.readline())["session"] for _ in range(3)]
        filled.write([record(9, id="D", outcome=Outcome.OPEN)])
        started = json.loads(out.readline())
        filled.write([record(9, id="D", user="")])
        ended = json.loads(out.readline())
        os.kill(child.pid, signal.SIGINT)
        assert out.read() == ""
        assert err.read() == ""
    assert child.returncode == 0
    assert before == ["A", "B", "C"]
    assert (started["id"], started["outcome"]) == ("D", "open")
    assert (ended["id"], ended["outcome"]) == ("D", "ok")


def test_a_reader_that_has_seen_enough(ledger: SqliteStore) -> None:
    ledger.write([record(number / 1000) for number in range(5000)])
    child = subprocess.Popen(
        [*LOG, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child, child.stderr as err:
        child.stdout.readline()
        child.stdout.close()
        assert err.read() == b""
    assert child.returncode == 0


def test_a_reader_that_was_never_there(filled: SqliteStore) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(LOG, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
