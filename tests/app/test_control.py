import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from portway.control import NAME, Answer, ControlError, Request, listen, request


async def echo(asked: Request) -> Answer:
    return Answer(done=asked.command == "reload", lines=(asked.command,))


async def test_a_request_is_answered(tmp_path: Path) -> None:
    server = await listen(tmp_path, echo)
    async with server:
        answer = await asyncio.to_thread(request, tmp_path, "reload")
        assert answer == Answer(done=True, lines=("reload",))
        other = await asyncio.to_thread(request, tmp_path, "dance")
        assert other == Answer(done=False, lines=("dance",))


async def test_only_its_owner_may_ask(tmp_path: Path) -> None:
    async with await listen(tmp_path, echo):
        mode = stat.S_IMODE((tmp_path / NAME).stat().st_mode)
        assert mode == 0o600


async def test_a_second_gateway_is_refused(tmp_path: Path) -> None:
    async with await listen(tmp_path, echo):
        with pytest.raises(ControlError, match="another gateway"):
            await listen(tmp_path, echo)


async def test_what_a_dead_gateway_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / NAME))
    async with await listen(tmp_path, echo):
        answer = await asyncio.to_thread(request, tmp_path, "reload")
        assert answer.done


async def test_garbage_is_no_request(tmp_path: Path) -> None:
    async with await listen(tmp_path, echo):
        reader, writer = await asyncio.open_unix_connection(tmp_path / NAME)
        writer.write(os.urandom(64).replace(b"\n", b"") + b"\n")
        assert b'"done":false' in await reader.readline()
        writer.close()
        await writer.wait_closed()


def test_without_a_gateway_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="portway serve"):
        request(tmp_path, "reload")
