"""The facts of MLSD and MLST, and the time of MDTM."""

from datetime import UTC, datetime

from portway.protocols.ftp.entries import (
    Entry,
    Kind,
    Text,
    number,
    parse_facts,
    parse_timestamp,
)

WHEN = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)


def test_a_line_of_facts_is_read() -> None:
    line = b"Type=file;SIZE=1024;modify=20240501103000.123;UNIX.mode=0644; a b "
    assert parse_facts(line) == Entry(b"a b ", Kind.FILE, 1024, WHEN, 0o644)
    assert parse_facts(b"type=dir;sizd=4096; sub") == Entry(b"sub", Kind.FOLDER)
    assert parse_facts(b" bare") == Entry(b"bare", Kind.OTHER)


def test_a_link_says_where_it_leads() -> None:
    line = b"type=OS.unix=slink:/there;modify=20240501103000; here"
    assert parse_facts(line) == Entry(b"here", Kind.LINK, None, WHEN, None, b"/there")
    assert parse_facts(b"type=OS.unix=symlink; x") == Entry(b"x", Kind.LINK)


def test_a_folder_lists_itself_and_its_parent() -> None:
    for line in (b"type=cdir; .", b"type=pdir; ..", b"type=dir; ..", b"type=cdir; /a"):
        assert parse_facts(line) is None
    found = parse_facts(b"type=cdir; /a", listed=False)
    assert found == Entry(b"/a", Kind.FOLDER)


def test_what_are_no_facts_is_kept() -> None:
    for line in (b"", b"name", b"-rw-r--r-- 1 a b", b"type=file;"):
        assert parse_facts(line) == Text(line)


def test_odd_facts_are_none() -> None:
    line = b"type=file;size=-1;modify=2024;unix.mode=9; x"
    assert parse_facts(line) == Entry(b"x", Kind.FILE)
    assert number(b"9" * 4000) is None


def test_times_are_in_utc() -> None:
    assert parse_timestamp(b"20240501103000") == WHEN
    assert parse_timestamp(b"20240501102960") == datetime(
        2024, 5, 1, 10, 29, 59, tzinfo=UTC
    )
    for text in (b"", b"20241301000000", b"202405011030", b"20240501103000Z"):
        assert parse_timestamp(text) is None
