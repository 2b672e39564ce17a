import msgspec

from portway.cli.sessions import HEAD, as_object, cells, distinct, table
from portway.control import LiveSession

ONE = LiveSession(
    id="01KAQ3ZZZZ0000000000000AAA",
    listener="ftp",
    protocol="ftp",
    client="fd00::7",
    client_port=40_000,
    since=1_795_428_000.0,
    user="alice",
    host="ftp.example.org",
    port=21,
    method="RETR",
    path="/pub/a b",
    bytes_down=20_480,
    rule="staff",
)


def test_ids_are_as_short_as_they_can_be_and_tell_the_time() -> None:
    assert distinct([]) == 10
    assert distinct(["A" * 26]) == 10
    assert distinct(["A" * 26, "A" * 14 + "B" * 12]) == 15
    assert distinct(["A" * 26, "A" * 26]) == 26


def test_a_session_is_one_row() -> None:
    row = cells(ONE, 10, None)
    assert row[0] == "01KAQ3ZZZZ"
    assert row[2:] == (
        *("ftp", "[fd00::7]:40000", "alice", "ftp.example.org:21"),
        *("0", "20.0K", "staff", "RETR /pub/a b"),
    )


def test_what_is_not_there_is_a_dash() -> None:
    bare = LiveSession("0" * 26, "ftp", "ftp", "10.0.0.7", 1, 0.0)
    assert cells(bare, 10, None)[4:] == ("-", "-", "0", "0", "-", "-")


def test_columns_stand_below_each_other_and_nothing_acts_on_a_terminal() -> None:
    evil = msgspec.structs.replace(ONE, path="/\x1b[2J\n", user="a much longer name")
    rows = [cells(one, 10, None) for one in (ONE, evil)]
    head, first, second = table(HEAD, rows)
    assert "\x1b" not in second
    assert "\n" not in second
    assert {line.index(word) for line, word in ((head, "RULE"), (first, "staff"))} == {
        second.index("staff")
    }


def test_json_tells_the_time_as_the_log_does() -> None:
    found = as_object(ONE, None)
    assert str(found["since"]).startswith("2026-11-23T")
    assert found["bytes_down"] == 20_480
