import json
from zoneinfo import ZoneInfo

import pytest
from tests.ledger.records import record

from portway.ledger.formats import (
    FORMATS,
    combined_line,
    json_line,
    shown,
    squid_line,
    xferlog_line,
)
from portway.model import Outcome, Reason

PARIS = ZoneInfo("Europe/Paris")


def test_json_has_its_fields_in_order_and_no_empty_ones() -> None:
    line = json_line(record(id="01KA", error=""), PARIS)
    assert line == (
        '{"id":"01KA","time":"2026-11-23T11:00:00.000+01:00","duration_ms":1500,'
        '"session":"01KAQ0000000000000000000AA","seq":3,"protocol":"ftp",'
        '"listener":"ftp","mode":"forward","client":"10.0.0.7","client_port":40000,'
        '"user":"alice","by":"password","method":"RETR","action":"read",'
        '"url":"ftp://ftp.example.org/pub/a.zip","host":"ftp.example.org","port":21,'
        '"path":"/pub/a.zip","address":"203.0.113.7","source":"192.0.2.1",'
        '"verdict":"allow","rule":"staff","rule_at":"portway.toml:48","outcome":"ok",'
        '"status":"226","bytes_up":0,"bytes_down":10240,"server_login":"joe",'
        '"client_data":"passive","server_data":"active"}'
    )


def test_json_escapes_what_acts_on_a_terminal() -> None:
    path = '/a\n\x1b[2J\x7f\x9b\u2028\u202eb\\"é'
    line = json_line(record(path=path, facts={}), None)
    assert r'"/a\u000a\u001b[2J\u007f\u009b\u2028\u202eb\\\"é"' in line
    assert json.loads(line)["path"] == path


def test_json_shows_bytes_that_are_no_utf8() -> None:
    path = b"/caf\xe9".decode(errors="surrogateescape")
    assert '"/caf%E9"' in json_line(record(path=path), None)


def test_no_fact_takes_the_place_of_a_field() -> None:
    found = json.loads(json_line(record(facts={"user": "mallory"}), None))
    assert found["user"] == "alice"
    assert found["fact_user"] == "mallory"


def test_xferlog_of_a_download() -> None:
    assert xferlog_line(record(), PARIS) == (
        "Mon Nov 23 11:00:01 2026 2 10.0.0.7 10240 /ftp.example.org/pub/a.zip b _ o r "
        "joe ftp 0 alice c"
    )


def test_xferlog_of_a_cut_upload_without_a_user() -> None:
    given = record(
        86400 * 12,
        duration=0.1,
        method="STOR",
        action="write",
        path="/in/ä b\n.txt",
        user="",
        server_login="anonymous",
        outcome=Outcome.CUT,
        bytes_up=7,
        bytes_down=0,
        facts={"type": "ascii", "anonymous": "me@example.org"},
    )
    assert xferlog_line(given, PARIS) == (
        "Sat Dec  5 11:00:00 2026 1 10.0.0.7 7 /ftp.example.org/in/ä_b_.txt a _ i a "
        "me@example.org ftp 0 * i"
    )


def test_xferlog_of_a_deletion_behind_a_reverse_door() -> None:
    given = record(method="DELE", action="delete", mode="reverse", bytes_down=0)
    line = xferlog_line(given, PARIS)
    assert line is not None
    assert " 0 /pub/a.zip b _ d r joe ftp 0 alice c" in line


@pytest.mark.parametrize(
    "values",
    [
        {"method": "LIST", "action": "list"},
        {"method": "MKD", "action": "manage"},
        {"method": "CONNECT", "action": "connect"},
        {"method": "RETR", "outcome": Outcome.REFUSED},
        {"method": "GET", "protocol": "http"},
    ],
)
def test_xferlog_leaves_out_what_moved_no_file(values: dict[str, str]) -> None:
    assert xferlog_line(record(**values), PARIS) is None


def test_squid() -> None:
    assert squid_line(record(), PARIS) == (
        "1795428001.500   1500 10.0.0.7 TCP_MISS/200 10240 GET "
        "ftp://ftp.example.org/pub/a.zip alice HIER_DIRECT/203.0.113.7 -"
    )
    refused = record(
        method="STOR",
        action="write",
        user='a "b\\é%20',
        outcome=Outcome.REFUSED,
        bytes_down=0,
        address="",
    )
    assert " 10.0.0.7 TCP_DENIED/403 0 PUT " in squid_line(refused, None)
    assert squid_line(refused, None).endswith(" a%20%22b%5C%C3%A9%20 HIER_NONE/- -")


def test_squid_of_a_tunnel_and_through_a_parent() -> None:
    given = record(
        method="CONNECT",
        action="connect",
        host="2001:db8::1",
        facts={"via": "p.example", "type": "text/html"},
    )
    line = squid_line(given, None)
    assert "TCP_TUNNEL/200 10240 CONNECT [2001:db8::1]:21 alice" in line
    assert line.endswith("FIRSTUP_PARENT/p.example text/html")


def test_combined() -> None:
    assert combined_line(record(), PARIS) == (
        '10.0.0.7 - alice [23/Nov/2026:11:00:00 +0100] "GET '
        'ftp://ftp.example.org/pub/a.zip HTTP/1.1" 200 10240 "-" "-"'
    )
    given = record(
        user="a b", method="DELE", action="delete", url='ftp://h/"\\\n', bytes_down=0
    )
    assert combined_line(given, PARIS) == (
        r'10.0.0.7 - a\x20b [23/Nov/2026:11:00:00 +0100] "DELETE '
        r'ftp://h/\"\\\x0a HTTP/1.1" 200 - "-" "-"'
    )


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"facts": {"offset": "100"}}, 206),
        ({"facts": {"offset": "0"}}, 200),
        ({"outcome": Outcome.REFUSED, "reason": "rule"}, 403),
        ({"outcome": Outcome.REFUSED, "reason": Reason.LOGIN_WRONG}, 407),
        ({"outcome": Outcome.REFUSED, "reason": "quota"}, 429),
        ({"outcome": Outcome.FAILED, "status": "550"}, 404),
        ({"outcome": Outcome.FAILED, "status": "425"}, 502),
        ({"outcome": Outcome.FAILED, "reason": "connect-timeout"}, 504),
    ],
)
def test_outcomes_in_the_words_of_http(values: dict[str, object], status: int) -> None:
    assert f'HTTP/1.1" {status} ' in combined_line(record(**values), None)


@pytest.mark.parametrize(
    ("method", "action", "word"),
    [
        ("NLST", "list", "GET"),
        ("APPE", "write", "PUT"),
        ("RMD", "delete", "DELETE"),
        ("MKD", "manage", "MKCOL"),
        ("RNTO", "manage", "MOVE"),
        ("SITE", "manage", "POST"),
    ],
)
def test_methods_in_the_words_of_http(method: str, action: str, word: str) -> None:
    assert f'"{word} ftp://' in combined_line(
        record(method=method, action=action), None
    )


def test_formats_are_those_of_the_configuration() -> None:
    assert set(FORMATS) == {"json", "xferlog", "squid", "combined"}


def test_shown_is_harmless_to_a_terminal() -> None:
    assert shown("a\x1b[2J\u202eé b") == r"a\u001b[2J\u202eé b"
