"""Payload to and from an SFTP server."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
import pytest_asyncio
from asyncssh import SFTPServer
from tests.sftp.world import Talk, everything, logged_in, serving

BIG = os.urandom(5_000_011)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest_asyncio.fixture
async def talk(folder: Path) -> AsyncIterator[Talk]:
    async with serving(folder) as server, logged_in(server) as talk:
        yield talk


@pytest.mark.parametrize("size", [0, 1, 131071, 131072, 131073, len(BIG)])
async def test_there_and_back(talk: Talk, folder: Path, size: int) -> None:
    assert (await talk.store("STOR file", BIG[:size]))[0] == 226
    assert (folder / "file").read_bytes() == BIG[:size]
    data, last = await talk.fetch("RETR file")
    assert last[0] == 226
    assert data == BIG[:size]


async def test_from_the_middle(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(BIG)
    assert (await talk.say("REST 3000000"))[0] == 350
    data, last = await talk.fetch("RETR file")
    assert (data == BIG[3_000_000:], last[0]) == (True, 226)
    data, _ = await talk.fetch("RETR file")
    assert data == BIG  # the offset was for one transfer
    await talk.say(f"REST {len(BIG)}")
    assert (await talk.fetch("RETR file"))[0] == b""
    await talk.say(f"REST {len(BIG) + 1}")
    assert (await talk.fetch("RETR file"))[1][0] == 554


async def test_an_upload_goes_on(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")
    await talk.say("REST 4")
    assert (await talk.store("STOR file", b"abc"))[0] == 226
    assert (folder / "file").read_bytes() == b"0123abc789"
    assert (await talk.store("APPE file", b"!"))[0] == 226
    assert (await talk.store("APPE other", b"?"))[0] == 226
    assert (folder / "file").read_bytes() == b"0123abc789!"
    assert (folder / "other").read_bytes() == b"?"
    assert (await talk.store("STOR file", b"x"))[0] == 226
    assert (folder / "file").read_bytes() == b"x"


async def test_a_name_of_the_servers_choice(talk: Talk, folder: Path) -> None:
    leg = await talk.leg()
    code, text = await talk.say("STOU")
    assert code == 150
    await leg.send(b"x")
    await leg.send_eof()
    assert (await talk.reply())[0] == 226
    leg.close()
    name = text.removeprefix("150 FILE: ").strip()
    assert (folder / name).read_bytes() == b"x"


async def test_text(talk: Talk, folder: Path) -> None:
    await talk.say("TYPE A")
    assert (await talk.store("STOR file", b"one\r\ntwo\r\nthree"))[0] == 226
    assert (folder / "file").read_bytes() == b"one\ntwo\nthree"
    assert (await talk.fetch("RETR file"))[0] == b"one\r\ntwo\r\nthree"
    assert (await talk.say("REST 2"))[0] == 504


async def test_what_cannot_be_fetched(talk: Talk, folder: Path) -> None:
    (folder / "sub").mkdir()
    assert (await talk.fetch("RETR nothing"))[1][0] == 550
    assert (await talk.fetch("RETR sub"))[1][0] == 550
    assert (await talk.fetch("RETR"))[1][0] == 501
    assert (await talk.store("STOR sub", b""))[0] >= 450
    assert (await talk.store("STOR no/such/folder", b""))[0] == 550


async def test_an_upload_that_is_cut_is_no_success(talk: Talk, folder: Path) -> None:
    leg = await talk.leg()
    assert (await talk.say("STOR file"))[0] == 150
    await leg.send(b"half")
    leg.abort()
    assert (await talk.reply())[0] == 426
    assert (folder / "file").read_bytes() == b"half"
    assert (await talk.say("NOOP"))[0] == 200


async def test_a_download_that_nobody_wants(talk: Talk, folder: Path) -> None:
    (folder / "file").write_bytes(BIG)
    leg = await talk.leg()
    assert (await talk.say("RETR file"))[0] == 150
    leg.abort()
    assert (await talk.reply())[0] == 426
    assert (await talk.fetch("RETR file"))[0] == BIG


@pytest.mark.parametrize("urgent", [b"", b"\xff\xf4\xff\xf2"])
async def test_abort(talk: Talk, folder: Path, urgent: bytes) -> None:
    (folder / "file").write_bytes(BIG)
    leg = await talk.leg()
    assert (await talk.say("RETR file"))[0] == 150
    await talk.control.send_urgent(urgent + b"ABOR\r\n")
    assert (await talk.reply())[0] == 426
    assert await talk.reply() == (226, "226 Aborted.\n")
    leg.close()
    assert (await talk.fetch("RETR file"))[0] == BIG


async def test_commands_behind_a_transfer_keep_their_place(
    talk: Talk, folder: Path
) -> None:
    (folder / "file").write_bytes(BIG)
    leg = await talk.leg()
    await talk.send("RETR file\r\nNOOP\r\nPWD")
    assert (await talk.reply())[0] == 150
    assert await everything(leg) == BIG
    leg.close()
    codes = [(await talk.reply())[0] for _ in range(3)]
    assert codes == [226, 200, 257]


async def test_a_slow_client_slows_the_server_down(tmp_path: Path) -> None:
    reads = 0

    class Counting(SFTPServer):
        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            nonlocal reads
            reads += size
            return BIG[:size]

    async with serving(tmp_path / "root", files=Counting) as server:
        (server.folder / "file").touch()
        os.truncate(server.folder / "file", 10**9)
        async with logged_in(server) as talk:
            leg = await talk.leg()
            assert (await talk.say("RETR file"))[0] == 150
            before = -1
            while reads != before:
                before = reads
                await asyncio.sleep(0.2)
            assert reads < 16_000_000
            leg.close()


async def test_a_server_that_reads_short(tmp_path: Path) -> None:
    class Short(SFTPServer):
        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            return BIG[offset : offset + min(size, 70_001)]

    async with serving(tmp_path / "root", files=Short) as server:
        (server.folder / "file").touch()
        os.truncate(server.folder / "file", len(BIG))
        async with logged_in(server) as talk:
            data, last = await talk.fetch("RETR file")
            assert (data == BIG, last[0]) == (True, 226)


async def test_a_file_that_is_longer_than_it_said(tmp_path: Path) -> None:
    """As those under /proc are: their size is 0."""

    class Longer(SFTPServer):
        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            return BIG[offset : offset + size]

    async with serving(tmp_path / "root", files=Longer) as server:
        (server.folder / "file").touch()
        async with logged_in(server) as talk:
            data, last = await talk.fetch("RETR file")
            assert (data == BIG, last[0]) == (True, 226)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncssh.SFTPPermissionDenied("no"), 550),
        (asyncssh.SFTPFailure("it broke\r\n226 fake"), 451),
    ],
)
async def test_a_write_that_fails(
    tmp_path: Path, error: asyncssh.SFTPError, code: int
) -> None:
    class Full(SFTPServer):
        async def write(self, file_obj: object, offset: int, data: bytes) -> int:
            raise error

    async with (
        serving(tmp_path / "root", files=Full) as server,
        logged_in(server) as talk,
    ):
        leg = await talk.leg()
        assert (await talk.say("STOR file"))[0] == 150
        await leg.send(b"x" * 1000)
        await leg.send_eof()
        got, text = await talk.reply()
        assert (got, text.count("\n")) == (code, 1)
        leg.close()
        assert (await talk.say("NOOP"))[0] == 200


async def test_a_read_that_fails_in_the_middle(tmp_path: Path) -> None:
    class Broken(SFTPServer):
        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            if offset > 1_000_000:
                raise asyncssh.SFTPFailure("bad sector")
            return BIG[offset : offset + size]

    async with serving(tmp_path / "root", files=Broken) as server:
        (server.folder / "file").touch()
        os.truncate(server.folder / "file", len(BIG))
        async with logged_in(server) as talk:
            leg = await talk.leg()
            assert (await talk.say("RETR file"))[0] == 150
            data = await everything(leg)
            assert BIG.startswith(data)
            code, text = await talk.reply()
            assert (code, "bad sector" in text) == (550, True)
            leg.close()
