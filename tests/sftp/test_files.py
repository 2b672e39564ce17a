"""What an FTP client does with the files of an SFTP server."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.sftp.world import Talk, logged_in, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest_asyncio.fixture
async def talk(folder: Path) -> AsyncIterator[Talk]:
    async with serving(folder) as server, logged_in(server) as talk:
        yield talk


async def test_where_the_client_is(talk: Talk, folder: Path) -> None:
    (folder / 'a "b"' / "c").mkdir(parents=True)
    assert (await talk.say("PWD")) == (257, '257 "/" is where you are.\n')
    assert (await talk.say('CWD a "b"'))[0] == 250
    assert (await talk.say("PWD"))[1].startswith('257 "/a ""b""" ')
    assert (await talk.say("CWD c"))[0] == 250
    assert (await talk.say("CDUP"))[0] == 250
    assert (await talk.say("PWD"))[1].startswith('257 "/a ""b""" ')
    assert (await talk.say("CWD nowhere"))[0] == 550
    assert (await talk.say("PWD"))[1].startswith('257 "/a ""b""" ')


async def test_a_file_is_no_directory(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    assert await talk.say("CWD file") == (550, "550 Not a directory.\n")


async def test_directories_come_and_go(talk: Talk, folder: Path) -> None:
    assert await talk.say("MKD new") == (257, '257 "/new" was made.\n')
    assert (folder / "new").is_dir()
    assert (await talk.say("MKD new"))[0] == 550
    assert (await talk.say("MKD"))[0] == 501
    assert (await talk.say("RMD new"))[0] == 250
    assert not (folder / "new").exists()
    assert (await talk.say("RMD new"))[0] == 550


async def test_names_are_bytes(talk: Talk, folder: Path) -> None:
    name = b"caf\xe9 \xff \xc3\xa9"
    assert await talk.store(b"STOR " + name.replace(b"\xff", b"\xff\xff"), b"x") == (
        226,
        "226 Transfer complete.\n",
    )
    assert [os.fsencode(file.name) for file in folder.iterdir()] == [name]
    data, _ = await talk.fetch("NLST")
    assert data == name + b"\r\n"


async def test_sizes_and_times(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"12345")
    os.utime(folder / "file", (1_000_000_000, 1_000_000_000))
    assert await talk.say("SIZE file") == (213, "213 5\n")
    assert await talk.say("MDTM file") == (213, "213 20010909014640\n")
    assert (await talk.say("MFMT 20200102030405 file"))[0] == 213
    assert (folder / "file").stat().st_mtime == 1_577_934_245
    assert (folder / "file").stat().st_atime == 1_000_000_000
    assert (await talk.say("SIZE /"))[0] == 550
    assert (await talk.say("TYPE A"))[0] == 200
    assert (await talk.say("SIZE file"))[0] == 550


@pytest.mark.parametrize("time", ["2020", "20201302030405", "2020010203040x"])
async def test_a_time_that_is_none(talk: Talk, time: str) -> None:
    assert (await talk.say(f"MFMT {time} file"))[0] == 501


async def test_renaming_is_over_what_is_there(talk: Talk, folder: Path) -> None:
    (folder / "old").write_bytes(b"new")
    (folder / "place").write_bytes(b"old")
    assert (await talk.say("RNTO place"))[0] == 503
    assert (await talk.say("RNFR nothing"))[0] == 550
    assert (await talk.say("RNFR old"))[0] == 350
    assert (await talk.say("RNTO place"))[0] == 250
    assert (folder / "place").read_bytes() == b"new"


async def test_deleting(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    assert (await talk.say("DELE file"))[0] == 250
    assert await talk.say("DELE file") == (550, "550 No such file or directory.\n")
    assert (await talk.say("DELE"))[0] == 501


async def test_permissions(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    assert (await talk.say("SITE CHMOD 640 file"))[0] == 200
    assert (folder / "file").stat().st_mode & 0o777 == 0o640
    assert (await talk.say("SITE CHMOD rwx file"))[0] == 501
    assert (await talk.say("SITE EXEC x"))[0] == 504


async def test_listings(talk: Talk, folder: Path) -> None:
    (folder / "sub").mkdir()
    for name in ("a.txt", "b.txt", "c.bin"):
        (folder / "sub" / name).write_bytes(b"123")
    data, last = await talk.fetch("LIST -la sub")
    assert last[0] == 226
    assert sorted(line[-5:] for line in data.splitlines()) == [
        b"a.txt",
        b"b.txt",
        b"c.bin",
    ]
    assert all(line.startswith(b"-rw") for line in data.splitlines())
    data, _ = await talk.fetch("NLST sub")
    assert sorted(data.split()) == [b"sub/a.txt", b"sub/b.txt", b"sub/c.bin"]
    data, _ = await talk.fetch("NLST sub/*.txt")
    assert sorted(data.split()) == [b"sub/a.txt", b"sub/b.txt"]
    data, _ = await talk.fetch("NLST sub/a.txt")
    assert data == b"sub/a.txt\r\n"
    data, _ = await talk.fetch("MLSD sub")
    assert len(data.splitlines()) == 3
    assert all(line.startswith(b"type=file;size=3;mod") for line in data.splitlines())


async def test_listings_of_what_is_not_there(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    assert (await talk.fetch("LIST nothing"))[1][0] == 550
    assert await talk.fetch("NLST *.none") == (b"", (226, "226 Transfer complete.\n"))
    assert (await talk.fetch("MLSD file"))[1][0] == 501


async def test_a_listing_in_the_reply(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"12")
    code, text = await talk.say("STAT file")
    assert code == 213
    assert text.splitlines()[1].endswith(" file")
    code, text = await talk.say("MLST file")
    assert code == 250
    assert text.splitlines()[1].startswith(" type=file;size=2;modify=")
    assert text.splitlines()[1].endswith("; /file")


async def test_names_that_would_break_a_listing(talk: Talk, folder: Path) -> None:
    (folder / "evil\r\n-rw-r--r-- 1 0 0 9 Jan 1 00:00 fake").write_bytes(b"")
    for verb in ("LIST", "NLST", "MLSD"):
        data, _ = await talk.fetch(verb)
        assert data.count(b"\r\n") == 1
        assert b"evil??-rw" in data


async def test_a_big_folder_comes_whole(talk: Talk, folder: Path) -> None:
    names = [f"file-{number:05}" for number in range(3000)]
    for name in names:
        (folder / name).touch()
    data, last = await talk.fetch("NLST")
    assert last[0] == 226
    assert sorted(data.decode().split()) == names


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("NOOP", 200),
        ("SYST", 215),
        ("STRU F", 200),
        ("STRU R", 504),
        ("MODE S", 200),
        ("MODE B", 504),
        ("TYPE E", 504),
        ("OPTS UTF8 ON", 200),
        ("OPTS X", 501),
        ("ALLO 1000", 202),
        ("REST x", 501),
        ("ABOR", 225),
        ("WHAT", 502),
        ("STAT", 211),
        ("RETR x", 425),
    ],
)
async def test_what_is_answered(talk: Talk, line: str, code: int) -> None:
    assert (await talk.say(line))[0] == code


async def test_features(talk: Talk) -> None:
    code, text = await talk.say("FEAT")
    assert code == 211
    assert " REST STREAM\n" in text
    assert " MLST type*;" in text
