from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from tests.unit.config.kinds import Inner, Needy, Settings

from portway.config.decode import decode_struct
from portway.config.locate import Path
from portway.config.report import Report
from portway.model import Endpoint
from portway.units import Seconds

HERE: Path = ("listen", "x")


def decode(table: object) -> tuple[Settings | None, list[str]]:
    report = Report("p.toml", {})
    found = decode_struct(Settings, table, HERE, report)
    return found, [f"{one.key}: {one.text}" for one in report.problems()]


def test_an_empty_table_is_the_defaults() -> None:
    assert decode({}) == (Settings(), [])


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("text", "x", "x"),
        ("flag", True, True),
        ("number", 3, 3),
        ("seconds", "5m", 300.0),
        ("size", "2 KiB", 2048),
        ("rate", "1 kB/s", 1000.0),
        ("source", "::1", ip_address("::1")),
        ("peers", ["10.0.0.0/8"], (ip_network("10.0.0.0/8"),)),
        ("peers", "10.0.0.1", (ip_network("10.0.0.1"),)),
        ("peers", [], ()),
        ("server", "[::1]:21", Endpoint("::1", 21)),
        ("ports", "5-6", range(5, 7)),
        ("colour", "green", "green"),
        ("words", "one", ("one",)),
        ("words", ["one", "two"], ("one", "two")),
        ("inner", {"depth": 3}, Inner(depth=3)),
    ],
)
def test_each_type(key: str, value: object, result: object) -> None:
    found, problems = decode({key: value})
    assert problems == []
    assert getattr(found, key) == result


def test_everything_wrong_is_reported_and_the_rest_is_read() -> None:
    table: dict[str, Any] = {
        "text": 1,
        "number": "7",
        "size": "9 XB",
        "peers": ["10.0.0.0/8", "x", 3],
        "words": 5,
        "colour": "gren",
        "inner": {"depth": False, "wait": "2s", "dept": 1},
        "flags": True,
        "flag": True,
    }
    found, problems = decode(table)
    assert found == Settings(flag=True, inner=Inner(wait=Seconds(2.0)))
    assert [one.partition(": ")[0] for one in problems] == [
        "listen.x.flags",
        "listen.x.text",
        "listen.x.number",
        "listen.x.size",
        "listen.x.peers[1]",
        "listen.x.peers[2]",
        "listen.x.colour",
        "listen.x.words",
        "listen.x.inner.dept",
        "listen.x.inner.depth",
    ]
    assert 'listen.x.flags: unknown key; did you mean "flag"?' in problems


@pytest.mark.parametrize("value", [3, "x", [], [{}], None])
def test_no_table(value: object) -> None:
    found, problems = decode(value)
    assert found is None
    assert problems[0].startswith("listen.x: must be a table, not ")


def test_a_missing_key_is_named() -> None:
    report = Report("p.toml", {HERE: 4})
    assert decode_struct(Needy, {}, HERE, report) is None
    assert list(map(str, report.problems())) == [
        "p.toml:4: listen.x.must: is missing; it must be given"
    ]


def test_what_is_still_to_come_is_told_from_what_is_unknown() -> None:
    _, problems = decode({"zzz": [], "mode_z": "x"})
    assert problems == [
        "listen.x.zzz: unknown key",
        "listen.x.mode_z: not available in this version",
    ]
