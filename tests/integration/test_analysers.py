"""Our log files, read by the programs that people read such files with."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.ledger.records import record

from portway.config.schema import LogFile
from portway.ledger.files import LogFiles
from portway.model import Outcome, Record

PEERS = Path(__file__).parents[2] / ".peers"
GOACCESS = PEERS / "goaccess/usr/bin/goaccess"
CALAMARIS = PEERS / "calamaris/usr/bin/calamaris"

# As goaccess.conf has it, without syslog's words in front of each line.
SQUID = ["--log-format=%x.%^ %~%L %h %^/%s %b %m %U", "--datetime-format=%s"]

Values = dict[str, object]

# What the world's worst names look like, beside plain ones.
NASTY = [
    '/in/a "b".zip',
    "/наука/ä.pdf",
    "/a\\b%20c",
    "/x\n\x1b[2J\u202e",
    "/caf\udce9",
]


def given() -> list[Record]:
    """Return 20 downloads, 10 uploads, 5 refusals, 3 failures and 2 that were cut."""
    denied: Values = {"outcome": Outcome.REFUSED, "verdict": "deny", "reason": "rule"}
    upload: Values = {
        "method": "STOR",
        "action": "write",
        "bytes_up": 500,
        "bytes_down": 0,
    }
    failed: Values = {"outcome": Outcome.FAILED, "status": "550", "bytes_down": 0}
    cut: Values = {"outcome": Outcome.CUT}
    kinds: list[Values] = [
        *[{}] * 20,
        *[upload] * 10,
        *[denied | {"bytes_down": 0}] * 5,
        *[failed] * 3,
        *[cut] * 2,
    ]
    return [
        record(
            number,
            path=NASTY[number % len(NASTY)],
            user=["alice", "b o b", ""][number % 3],
            url=f"ftp://ftp.example.org/{number}/a%22b.zip",
            client=["10.0.0.7", "2001:db8::7"][number % 2],
            **kind,
        )
        for number, kind in enumerate(kinds)
    ]


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """The records in a file of each format."""
    paths = {name: tmp_path / name for name in ("squid", "combined", "xferlog")}
    settings = [
        LogFile(path=str(path), format=name)  # type: ignore[arg-type]
        for name, path in paths.items()
    ]
    files = LogFiles(settings, None)
    files.write(given())
    files.close()
    return paths


def run(words: Sequence[str], given_text: str = "") -> str:
    libraries = ":".join(map(str, (PEERS / "goaccess/usr/lib").glob("*-linux-gnu")))
    done = subprocess.run(
        words,
        check=False,
        input=given_text,
        capture_output=True,
        text=True,
        timeout=15,
        env={**os.environ, "LD_LIBRARY_PATH": libraries, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def goaccess(path: Path, *options: str) -> dict[str, dict[str, object]]:
    """Return goaccess' own account of the file *path*."""
    report = path.with_suffix(".json")
    run([str(GOACCESS), str(path), "--no-global-config", *options, "-o", str(report)])
    text = report.read_text(errors="replace")  # it decodes what we escaped
    found: dict[str, dict[str, object]] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("name", "options", "moved"),
    [
        ("combined", ["--log-format=COMBINED"], 22 * 10_240 + 10 * 500),
        ("squid", SQUID, 22 * 10_240),
    ],
)
def test_goaccess_takes_every_line(
    written: dict[str, Path], name: str, options: list[str], moved: int
) -> None:
    general = goaccess(written[name], *options)["general"]
    assert general["total_requests"] == 40
    assert general["valid_requests"] == 40
    assert general["failed_requests"] == 0
    assert general["bandwidth"] == moved


def test_goaccess_knows_the_outcomes(written: dict[str, Path]) -> None:
    report = goaccess(written["combined"], "--log-format=COMBINED")
    data = report["status_codes"]["data"]
    assert isinstance(data, list)
    items = [item for one in data for item in one["items"]]
    counts = {item["data"][:3]: item["hits"]["count"] for item in items}
    assert counts == {"200": 32, "403": 5, "404": 3}


def test_goaccess_reads_transfers(written: dict[str, Path]) -> None:
    """The layout of xferlog, field by field, as xferlog(5) has it."""
    layout = "--log-format=%^ %d %~%^ %t %^ %T %h %b %U %^ %^ %^ %^ %^ %^ %^ %e %^"
    lines = written["xferlog"].read_text().splitlines()
    assert len(lines) == 35
    assert all(len(line.split()) == 18 for line in lines)
    general = goaccess(
        written["xferlog"], layout, "--date-format=%b", "--time-format=%H:%M:%S"
    )["general"]
    assert general["failed_requests"] == 0
    assert general["valid_requests"] == 35


def test_calamaris_takes_squids_form(written: dict[str, Path]) -> None:
    report = run(["perl", str(CALAMARIS), "-a"], written["squid"].read_text())
    assert re.search(r"lines parsed\W+lines\W+40\b", report), report
    assert re.search(r"invalid lines\W+lines\W+0\b", report), report
    assert re.search(r"^GET\s+30\b", report, re.MULTILINE), report
    assert re.search(r"^PUT\s+10\b", report, re.MULTILINE), report
