"""Whatever a peer puts into a record, its line reads back as that record."""

import csv
import json
import re
from datetime import datetime
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.records import BASE, NOON

from portway.ledger.bounds import clean
from portway.ledger.formats import (
    CSV_FIELDS,
    combined_line,
    csv_line,
    json_line,
    squid_line,
    xferlog_line,
)
from portway.model import Outcome, Record

TEXTS = [
    name
    for name, kind in Record.__annotations__.items()
    if kind is str and name not in {"protocol", "action", "mode"}
]
DANGER = st.text(st.sampled_from(" \t\r\n\0\x1b\x7f\x9b\u2028\u202e\"'\\%,;[]{}=-aé"))
PEERS = st.one_of(
    st.text(max_size=60),
    DANGER,
    st.binary(max_size=60).map(lambda data: data.decode(errors="surrogateescape")),
)
ANY_RECORD = st.builds(
    lambda texts, moved, outcome, facts, action, duration: BASE._replace(
        **dict(zip(TEXTS, texts, strict=True)),
        bytes_down=moved,
        outcome=outcome,
        facts=facts,
        action=action,
        time=NOON,
        duration=duration,
    ),
    st.lists(PEERS, min_size=len(TEXTS), max_size=len(TEXTS)),
    st.integers(0, 2**62),
    st.sampled_from(Outcome),
    st.dictionaries(st.sampled_from(["claimed", "agent", "referer", "x"]), PEERS),
    st.sampled_from(["read", "write", "delete", "list", "connect", "manage"]),
    st.integers(0, 10**8).map(lambda ms: ms / 1000),
)
ACTS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def one_line(line: str) -> None:
    assert not ACTS.search(line)
    assert line.splitlines() == [line]
    line.encode()


@given(ANY_RECORD)
def test_json_reads_back_as_the_record(given_record: Record) -> None:
    expected = clean(given_record)
    line = json_line(expected, None)
    one_line(line)
    found = json.loads(line)
    names = set(Record._fields)
    facts = {name: found.pop(name) for name in found.keys() - names - {"duration_ms"}}
    time = datetime.fromisoformat(found.pop("time")).timestamp()
    duration = found.pop("duration_ms") / 1000
    outcome = Outcome(found.pop("outcome"))
    found.setdefault("id", "")
    read = Record(**found, time=time, duration=duration, outcome=outcome, facts=facts)
    known = {name: text for name, text in expected.facts.items() if text}
    assert read == expected._replace(facts=known)


@given(ANY_RECORD)
def test_csv_has_all_fields_in_one_line(given_record: Record) -> None:
    line = csv_line(clean(given_record), None)
    one_line(line)
    (row,) = csv.reader([line])
    assert len(row) == len(CSV_FIELDS)
    assert row[CSV_FIELDS.index("bytes_down")] == str(given_record.bytes_down)
    assert not any(text.startswith(("=", "+", "@")) for text in row)


XFERLOG = re.compile(
    r"(?P<time>\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}) (?P<seconds>\d+)"
    r" (?P<client>\S+) (?P<bytes>\d+) (?P<name>\S+) [ab] _ (?P<direction>[iod])"
    r" [ar] (?P<login>\S+) ftp 0 (?P<user>\S+) (?P<state>[ci])"
)


@given(ANY_RECORD)
def test_xferlog_has_eighteen_words_whatever_they_hold(given_record: Record) -> None:
    line = xferlog_line(given_record, None)
    moves = given_record.action in {"read", "write", "delete"}
    if not moves or given_record.outcome is Outcome.REFUSED:
        assert line is None
        return
    assert line is not None
    one_line(line)
    found = XFERLOG.fullmatch(line)
    assert found
    assert len(line.split()) == 18
    moved = given_record.bytes_up + given_record.bytes_down
    assert int(found["bytes"]) == moved
    assert (found["state"] == "c") is (given_record.outcome is Outcome.OK)
    assert datetime.strptime(f"{found['time']} +0000", "%a %b %d %H:%M:%S %Y %z")


SQUID = re.compile(
    r"\d+\.\d{3} [ \d]{5,}\d (\S+) ([A-Z_]+)/(\d{3}) (\d+) (\S+) (\S+) (\S+)"
    r" ([A-Z_]+)/(\S+) (\S+)"
)


@given(ANY_RECORD)
def test_squid_has_ten_words_and_they_read_back(given_record: Record) -> None:
    expected = clean(given_record)
    line = squid_line(expected, None)
    one_line(line)
    assert line.isascii()
    found = SQUID.fullmatch(line)
    assert found
    assert int(found[4]) == expected.bytes_down
    if "%" not in expected.user:
        assert unquote(found[7]) == (expected.user or "-")


COMBINED = re.compile(
    r"(.*) - ([^ ]+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    r'"((?:[^"\\]|\\.)*) HTTP/1\.1" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)"'
    r' "((?:[^"\\]|\\.)*)"'
)


@given(ANY_RECORD)
def test_combined_parts_its_fields_whatever_they_hold(given_record: Record) -> None:
    expected = clean(given_record)
    line = combined_line(expected, None)
    one_line(line)
    found = COMBINED.fullmatch(line)
    assert found
    for number, name in ((6, "referer"), (7, "agent")):
        escaped = re.sub(
            rb"\\(?:x([0-9a-f]{2})|(.))",
            lambda m: bytes([int(m[1], 16)]) if m[1] else m[2],
            found[number].encode(),
        )
        assert escaped.decode() == expected.facts.get(name, "-")
