"""LIST, in the forms that servers have."""

from datetime import UTC, date, datetime

import pytest

from portway.protocols.ftp.entries import Entry, Item, Kind, Text
from portway.protocols.ftp.listing import Listing

NOW = datetime(2024, 3, 10, 12, 0, tzinfo=UTC)


def read(*lines: bytes, now: datetime = NOW) -> list[Item]:
    listing = Listing(now)
    found = [listing.read(line) for line in lines]
    found.append(listing.end())
    return [item for item in found if item is not None]


def at(  # noqa: PLR0917 - a date has so many
    year: int, month: int, day: int, hour: int, minute: int, second: int = 0
) -> datetime:
    """Return a moment by the server's own clock."""
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone


UNIX = {
    b"-rw-r--r--   1 ann  staff   1024 Jan 12 10:30 a.txt": Entry(
        b"a.txt", Kind.FILE, 1024, at(2024, 1, 12, 10, 30), 0o644
    ),
    b"-rw-r--r--   1 ann  staff   1024 Dec 12  2019 a b  c.txt": Entry(
        b"a b  c.txt", Kind.FILE, 1024, date(2019, 12, 12), 0o644
    ),
    b"-rw-r--r--   1 ann  staff   7 Jan 12 10:30  led": Entry(
        b" led", Kind.FILE, 7, at(2024, 1, 12, 10, 30), 0o644
    ),
    b"-rw-r--r-- 1 ann 1024 Jan 12 10:30 no group": Entry(
        b"no group", Kind.FILE, 1024, at(2024, 1, 12, 10, 30), 0o644
    ),
    b"-rw-r--r-- 1 Ann Bee Domain Users 1024 12 Jan 2020 day first": Entry(
        b"day first", Kind.FILE, 1024, date(2020, 1, 12), 0o644
    ),
    b"-rw------- 1 ann staff 1024 2024-01-12 10:30 iso": Entry(
        b"iso", Kind.FILE, 1024, at(2024, 1, 12, 10, 30), 0o600
    ),
    b"-rw-------+ 1 a s 5 2024-01-12 10:30:15.000000000 +0200 full": Entry(
        b"full", Kind.FILE, 5, at(2024, 1, 12, 10, 30, 15), 0o600
    ),
    b"drwxrwsr-t  2 ann staff 4096 Feb 29  2020 sub": Entry(
        b"sub", Kind.FOLDER, 4096, date(2020, 2, 29), 0o3775
    ),
    b"lrwxrwxrwx 1 ann staff 7 Jan 12 10:30 new -> ../a -> b": Entry(
        b"new", Kind.LINK, 7, at(2024, 1, 12, 10, 30), 0o777, b"../a -> b"
    ),
    b"crw-rw-rw- 1 root root 1, 3 Jan 12 10:30 null": Entry(
        b"null", Kind.OTHER, None, at(2024, 1, 12, 10, 30), 0o666
    ),
    b"-rw-r--r-- 1 ann staff 5368709120 Jan  2 10:30 5 Jan 12 10:30 x": Entry(
        b"5 Jan 12 10:30 x", Kind.FILE, 5368709120, at(2024, 1, 2, 10, 30), 0o644
    ),
    b"-rw-r--r-- 1 ann staff 1 Jan 12 10:30 \xff\xfe": Entry(
        b"\xff\xfe", Kind.FILE, 1, at(2024, 1, 12, 10, 30), 0o644
    ),
}
OTHERS = {
    b"05-01-23  10:30AM       <DIR>          a folder": Entry(
        b"a folder", Kind.FOLDER, None, at(2023, 5, 1, 10, 30)
    ),
    b"05-01-2023  12:05AM           1,024 a b.txt": Entry(
        b"a b.txt", Kind.FILE, 1024, at(2023, 5, 1, 0, 5)
    ),
    b"05-01-98  12:05PM                 7  led": Entry(
        b" led", Kind.FILE, 7, at(1998, 5, 1, 12, 5)
    ),
    b"2023-05-01  22:30            12 iso": Entry(
        b"iso", Kind.FILE, 12, at(2023, 5, 1, 22, 30)
    ),
    b"05-01-23  10:30PM    <JUNCTION>     here [D:\\there]": Entry(
        b"here", Kind.LINK, None, at(2023, 5, 1, 22, 30), None, b"D:\\there"
    ),
    b"+i8388621.29609,m824255902,/,\tdev x": Entry(
        b"dev x",
        Kind.FOLDER,
        None,
        datetime(1996, 2, 13, 23, 58, 22, tzinfo=UTC),
    ),
    b"+m825718503,r,s280,up644,\tindex.html": Entry(
        b"index.html",
        Kind.FILE,
        280,
        datetime(1996, 3, 1, 22, 15, 3, tzinfo=UTC),
        0o644,
    ),
    b"d [R----F--] supervisor            512       Jan 16 18:53    login": Entry(
        b"login", Kind.FOLDER, 512, at(2024, 1, 16, 18, 53)
    ),
    b"- [RWCEAFMS] rhesus             214059       Oct 20 2021    cx.exe": Entry(
        b"cx.exe", Kind.FILE, 214059, date(2021, 10, 20)
    ),
    b"README.TXT;2   5/9  12-MAR-2023 10:30:07  [GROUP,OWNER]  (RWED,RWED,RE,)": Entry(
        b"README.TXT;2", Kind.FILE, 2560, at(2023, 3, 12, 10, 30, 7), 0o750
    ),
    b"CORE.DIR;1     1     8-SEP-1996 16:09  [SYSTEM]  (RWE,RWE,RE,RE)": Entry(
        b"CORE", Kind.FOLDER, None, at(1996, 9, 8, 16, 9), 0o755
    ),
}


@pytest.mark.parametrize("line", [*UNIX, *OTHERS])
def test_a_line_is_read(line: bytes) -> None:
    assert read(line) == [(UNIX | OTHERS)[line]]


def test_a_time_without_a_year_is_of_the_year_before_tomorrow() -> None:
    def year(day: bytes) -> int | None:
        (item,) = read(b"-rw-r--r-- 1 a s 1 %b x" % day)
        assert isinstance(item, Entry)
        return None if item.modified is None else item.modified.year

    assert year(b"Mar 10 11:59") == 2024
    assert year(b"Mar 11 11:59") == 2024  # its clock may be ahead of ours
    assert year(b"Mar 12 10:30") == 2023
    assert year(b"Dec 31 23:59") == 2023
    assert year(b"Feb 29 10:30") == 2024
    assert year(b"Feb 31 10:30") is None
    found = read(b"-rw-r--r-- 1 a s 1 Feb 29 1:00 x", now=datetime(2023, 5, 1))  # noqa: DTZ001 - any
    assert isinstance(found[0], Entry)
    assert found[0].modified == at(2020, 2, 29, 1, 0)


def test_totals_the_folder_itself_and_blank_lines_are_passed_over() -> None:
    lines = (
        b"total 12",
        b"drwxr-xr-x 2 a s 4096 Jan 12 10:30 .",
        b"drwxr-xr-x 2 a s 4096 Jan 12 10:30 ..",
        b"",
    )
    assert read(*lines) == []


def test_a_line_that_is_not_understood_is_kept() -> None:
    for line in (b"hello  world", b"-rw-r--r--", b"total", b"\x00", b"x;1 y"):
        assert read(line) == [Text(line)]


def test_vms_breaks_long_lines() -> None:
    found = read(
        b"Directory DISK$USER:[ANONYMOUS]",
        b"",
        b"A_VERY_LONG_NAME_FOR_A_FILE.TXT;1",
        b"               3/3  12-MAR-2023 10:30:07  [A,B]  (RWED,RWED,RE,)",
        b"LOST.TXT;1",
        b"nothing of it",
        b"LAST.TXT;1",
        b"Total of 3 files, 17/20 blocks.",
    )
    name = b"A_VERY_LONG_NAME_FOR_A_FILE.TXT;1"
    assert found[:2] == [
        Entry(name, Kind.FILE, 1536, at(2023, 3, 12, 10, 30, 7), 0o750),
        Text(b"LOST.TXT;1 nothing of it"),
    ]
    assert found[2] == Text(b"LAST.TXT;1 Total of 3 files, 17/20 blocks.")
    assert read(b"LAST.TXT;1") == [Text(b"LAST.TXT;1")]


def test_mvs_says_first_what_its_lines_are() -> None:
    sets = read(
        b"Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname",
        b"WPTA01 3290   2004/03/04  1    3  FB      80  3125  PO  ACEN.RSF",
        b"WPTA01 3290   **NONE**    1    3  FB      80  3125  PS  'A.LOG'",
        b"Migrated                                                OLD.DATA",
        b"Pseudo Directory                                        MORE",
        b"something else",
    )
    assert sets == [
        Entry(b"ACEN.RSF", Kind.FOLDER, None, date(2004, 3, 4)),
        Entry(b"A.LOG", Kind.FILE),
        Entry(b"OLD.DATA", Kind.FILE),
        Entry(b"MORE", Kind.FOLDER),
        Text(b"something else"),
    ]
    members = read(
        b" Name     VV.MM   Created       Changed      Size  Init   Mod   Id",
        b"MEMBER1   01.03 2002/09/12 2002/10/11 09:37    11    11     0 KIL001",
        b"MEMBER2",
        b"not a member",
    )
    assert members == [
        Entry(b"MEMBER1", Kind.FILE, None, at(2002, 10, 11, 9, 37)),
        Entry(b"MEMBER2", Kind.FILE),
        Text(b"not a member"),
    ]


def test_a_line_made_to_be_slow_is_not() -> None:
    for line in (
        b"-rw-r--r-- " + b"1 " * 30000,
        b"-rw-r--r-- " + b" " * 60000,
        b"-rw-r--r-- " + b"1" * 60000,
        b"-rw-r--r-- " + b"1," * 30000,
        b"d [R----F--] " + b"1 Jan 1 " * 8000,
        b"A" * 60000 + b";1",
        b"+" + b"s1," * 20000 + b"\t",
        b"05-01-23  10:30AM " + b"1" * 60000,
    ):
        read(line[:8192])


@pytest.mark.parametrize(
    ("words", "month"),
    [
        ("7. Mär 2024", 3),
        ("7 Mrz  2024", 3),
        ("Mai  7  2024", 5),
        ("Okt  7  2024", 10),
        ("7. Dez 2024", 12),
        ("févr.  7  2024", 2),
        ("7 juil. 2024", 7),
        ("août  7  2024", 8),
        ("déc.  7  2024", 12),
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_months_in_german_and_french(words: str, month: int, coding: str) -> None:
    line = b"-rw-r--r-- 1 joe users 12 %b a file" % words.encode(coding)
    found = Listing(NOW).read(line)
    assert isinstance(found, Entry)
    assert (found.name, found.size) == (b"a file", 12)
    assert found.modified == date(2024, month, 7)
