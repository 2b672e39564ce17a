import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import msgspec
import pytest
from tests.fds import open_files

from portway import control
from portway.control import NAME, Answer, Call, Control, ControlError, request, stream


class Number(msgspec.Struct, frozen=True):
    number: int


async def echo(call: Call) -> Answer:
    if call.command == "fail":
        raise RuntimeError(call.command)
    if call.command == "count":
        for number in range(int(call.arguments["to"])):
            await call.give(Number(number))
    return Answer(done=call.command != "dance", lines=(call.command, str(call.uid)))


@asynccontextmanager
async def served(state: Path) -> AsyncIterator[Control]:
    before = open_files()["socket"]
    server = Control(echo)
    await server.listen(state)
    try:
        yield server
    finally:
        await server.close()
        await asyncio.sleep(0.01)  # a transport closes in the next turn
    assert open_files()["socket"] == before


class Peer:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line + b"\n")
        return await self.reader.readline()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@asynccontextmanager
async def peer(state: Path) -> AsyncIterator[Peer]:
    made = Peer(*await asyncio.open_unix_connection(state / NAME))
    try:
        yield made
    finally:
        await made.close()


async def test_a_request_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path):
        answer = await asyncio.to_thread(request, tmp_path, "reload")
        assert answer == Answer(done=True, lines=("reload", str(os.geteuid())))
        other = await asyncio.to_thread(request, tmp_path, "dance")
        assert not other.done


async def test_items_come_one_by_one(tmp_path: Path) -> None:
    async with served(tmp_path):
        asking = stream(tmp_path, "count", {"to": "3"}, Number)
        found = await asyncio.to_thread(list, asking)
    assert found == [Number(0), Number(1), Number(2)]


async def test_many_requests_on_one_connection(tmp_path: Path) -> None:
    async with served(tmp_path), peer(tmp_path) as asker:
        line = b'{"version":1,"command":"count","arguments":{"to":"1"}}'
        for _ in range(3):
            assert await asker.ask(line) == b'{"item":{"number":0}}\n'
            answer = msgspec.json.decode(await asker.reader.readline())
            assert answer["done"] is True
            assert answer["lines"][0] == "count"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"GET / HTTP/1.1", "request"),
        (b'{"command":1}', "request"),
        (b'{"command":"kick","arguments":{"id":"\xff"}}', "request"),
        (b"[" * 30_000, "request"),
        (b'{"command":"x","arguments":[]}', "request"),
        (b'{"command":"status","version":2}', "version"),
        (b'{"command":"fail"}', "internal"),
    ],
)
async def test_what_is_asked_wrongly_is_answered(
    line: bytes, fault: str, tmp_path: Path
) -> None:
    async with served(tmp_path), peer(tmp_path) as asker:
        answer = msgspec.json.decode(await asker.ask(line), type=Answer)
        assert (answer.done, answer.fault) == (False, fault)
        assert b'"done":true' in await asker.ask(b'{"command":"reload"}')


async def test_only_its_owner_may_ask(tmp_path: Path) -> None:
    async with served(tmp_path):
        mode = stat.S_IMODE((tmp_path / NAME).stat().st_mode)
        assert mode == 0o600


async def test_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "user_of", lambda _: os.geteuid() + 1)
    async with served(tmp_path):
        answer = await asyncio.to_thread(request, tmp_path, "reload")
        assert (answer.done, answer.fault) == (False, "refused")


async def test_a_second_gateway_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path):
        with pytest.raises(ControlError, match="another gateway"):
            await Control(echo).listen(tmp_path)


async def test_what_a_dead_gateway_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / NAME))
    async with served(tmp_path):
        answer = await asyncio.to_thread(request, tmp_path, "reload")
        assert answer.done


async def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with pytest.raises(ControlError, match="choose a shorter one"):
        await Control(echo).listen(deep)


async def test_an_endless_line_ends_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path), peer(tmp_path) as asker:
        answer = await asker.ask(b"x" * (control.LONGEST_REQUEST + 1))
        assert msgspec.json.decode(answer, type=Answer).fault == "request"
        with suppress(ConnectionResetError):  # what it did not read any more
            assert await asker.reader.read() == b""


async def test_who_says_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "BETWEEN_REQUESTS", 0.05)
    async with served(tmp_path), peer(tmp_path) as asker:
        asker.writer.write(b'{"command":')
        with suppress(ConnectionResetError):
            assert await asker.reader.read() == b""


async def test_who_reads_nothing_is_let_go_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TO_READ", 0.1)
    async with served(tmp_path) as server:
        with closing(socket.socket(socket.AF_UNIX)) as slow:
            slow.connect(str(tmp_path / NAME))
            slow.sendall(b'{"command":"count","arguments":{"to":"1000000"}}\n')
            answer = await asyncio.to_thread(request, tmp_path, "reload")
            assert answer.done
            while server._talks:
                await asyncio.sleep(0.01)


async def test_there_are_only_so_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CONNECTIONS", 1)
    async with served(tmp_path), peer(tmp_path) as asker:
        assert b'"done":true' in await asker.ask(b'{"command":"reload"}')
        answer = await asyncio.to_thread(request, tmp_path, "reload")
        assert (answer.done, answer.fault) == (False, "busy")


async def test_closing_ends_those_who_talk(tmp_path: Path) -> None:
    async with served(tmp_path) as server, peer(tmp_path) as asker:
        await asker.ask(b'{"command":"reload"}')
        await server.close()
        assert await asker.reader.read() == b""


def test_without_a_gateway_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="portway serve"):
        request(tmp_path, "reload")
