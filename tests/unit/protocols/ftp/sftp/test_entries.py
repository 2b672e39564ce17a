"""Lines of listings made of what an SFTP server says."""

import stat

import pytest

from portway.protocols.ftp.sftp.entries import (
    LATEST,
    Entry,
    facts_line,
    list_line,
    shown_name,
    time_value,
)

NOW = 1_700_000_000  # 14 November 2023, 22:13:20 UTC
FILE = stat.S_IFREG | 0o640


def test_a_line_of_list() -> None:
    entry = Entry(b"a name", FILE, 1234, NOW - 86400, "joe", "users", 2)
    assert list_line(entry, NOW) == (
        b"-rw-r-----    2 joe      users            1234 Nov 13 22:13 a name\r\n"
    )


@pytest.mark.parametrize(
    ("age", "date"),
    [
        (0, b"Nov 14 22:13"),
        (-3600, b"Nov 14 23:13"),
        (-2 * 86400, b"Nov 16  2023"),  # in the future
        (400 * 86400, b"Oct 10  2022"),
        (10**12, b"Jan  1  1970"),
        (-(10**12), b"Dec 31  9999"),
    ],
)
def test_dates(age: int, date: bytes) -> None:
    line = list_line(Entry(b"x", FILE, 0, NOW - age), NOW)
    assert line.endswith(b" " + date + b" x\r\n")


def test_a_server_that_says_nothing_of_its_files() -> None:
    entry = Entry(b"x")
    assert list_line(entry, NOW).startswith(b"-rw-r--r--    1 0        0 ")
    assert facts_line(entry) == b" x\r\n"


@pytest.mark.parametrize("owner", ["", "two words", "line\r\nend", "é"])
def test_owners_shift_no_columns(owner: str) -> None:
    line = list_line(Entry(b"x", FILE, 5, NOW, owner, owner), NOW)
    assert len(line.split()) == 9
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    ("mode", "facts"),
    [
        (FILE, b"type=file;size=5;modify=20231114221320;UNIX.mode=0640; x\r\n"),
        (
            stat.S_IFDIR | 0o1777,
            b"type=dir;modify=20231114221320;UNIX.mode=01777; x\r\n",
        ),
        (
            stat.S_IFLNK | 0o777,
            b"type=OS.unix=slink:;size=5;modify=20231114221320;UNIX.mode=0777; x\r\n",
        ),
        (
            stat.S_IFIFO | 0o600,
            b"type=OS.unix=other;size=5;modify=20231114221320;UNIX.mode=0600; x\r\n",
        ),
    ],
)
def test_facts(mode: int, facts: bytes) -> None:
    assert facts_line(Entry(b"x", mode, 5, NOW)) == facts


def test_names_stay_in_their_line_and_folder() -> None:
    every = bytes(range(256))
    shown = shown_name(every)
    assert len(shown) == 256
    assert not set(shown) & {*range(32), 0x7F, ord("/")}
    assert shown[0x80:] == every[0x80:]


@pytest.mark.parametrize("seconds", [-1, 0, LATEST, 2**64 - 1])
def test_times_have_fourteen_digits(seconds: int) -> None:
    assert len(time_value(seconds)) == 14
