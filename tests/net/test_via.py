"""Reaching on through a proxy, which here says what the test lets it say."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.wires import Wire

from portway.errors import UpstreamError
from portway.model import Credentials, Endpoint, Reason, Side
from portway.net.stream import Stream
from portway.protocols.http import via as http
from portway.protocols.socks import via as socks

TARGET = Endpoint("ftp.example.org", 21)
LOGIN = Credentials("joe", "secret")

Hop = Callable[[Stream, Endpoint, Credentials | None], Awaitable[None]]


async def through(
    hop: Hop,
    script: list[tuple[bytes, bytes]],
    *,
    login: Credentials | None = None,
    behind: bytes = b"220 hello\r\n",
    size: int = 65536,
) -> bytes:
    """Go through *hop*: the proxy hears and says each pair, then the server speaks.

    What the proxy says comes in pieces of *size*. Returns what is read behind it.
    """
    with Wire(Side.SERVER) as wire:

        async def proxy() -> None:
            for number, (heard, said) in enumerate(script):
                if heard:
                    assert await wire.hear(len(heard)) == heard
                last = number == len(script) - 1
                words = said + behind if last else said
                for start in range(0, len(words), size):
                    await wire.say(words[start : start + size])
                    await asyncio.sleep(0)

        proxying = asyncio.get_running_loop().create_task(proxy())
        try:
            await hop(wire.stream, TARGET, login)
            found = b""
            while len(found) < len(behind):
                found += await wire.stream.receive()
            return found
        finally:
            await proxying


NAMED = b"\3\x0fftp.example.org\0\x15"
BOUND = b"\5\0\0\1\xc0\0\2\1\x04\x00"


@pytest.mark.parametrize("size", [1, 65536])
async def test_socks_5_without_a_login(size: int) -> None:
    script = [(b"\5\1\0", b"\5\0"), (b"\5\1\0" + NAMED, BOUND)]
    assert await through(socks.connect_5, script, size=size) == b"220 hello\r\n"


async def test_socks_5_with_a_login_and_a_name_in_the_reply() -> None:
    script = [
        (b"\5\2\0\2", b"\5\2"),
        (b"\1\3joe\6secret", b"\1\0"),
        (b"\5\1\0" + NAMED, b"\5\0\0\3\4host\0\0"),
    ]
    found = await through(socks.connect_5, script, login=LOGIN)
    assert found == b"220 hello\r\n"


@pytest.mark.parametrize("size", [1, 65536])
async def test_socks_4a(size: int) -> None:
    asked = b"\4\1\0\x15\0\0\0\1joe\0ftp.example.org\0"
    script = [(asked, b"\0\x5a\0\0\0\0\0\0")]
    found = await through(socks.connect_4, script, login=LOGIN, size=size)
    assert found == b"220 hello\r\n"


@pytest.mark.parametrize("size", [1, 7, 65536])
async def test_http(size: int) -> None:
    asked = (
        b"CONNECT ftp.example.org:21 HTTP/1.1\r\nHost: ftp.example.org:21\r\n"
        b"Proxy-Authorization: Basic am9lOnNlY3JldA==\r\n\r\n"
    )
    script = [(asked, b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")]
    found = await through(http.connect, script, login=LOGIN, size=size)
    assert found == b"220 hello\r\n"


ASKED = b"\5\1\0" + NAMED


@pytest.mark.parametrize(
    ("hop", "script", "reason", "words"),
    [
        (socks.connect_5, [(b"\5\1\0", b"\5\xff")], Reason.VIA, "another login"),
        (
            socks.connect_5,
            [(b"\5\1\0", b"HTTP/1.1 400")],
            Reason.VIA,
            "not speak SOCKS",
        ),
        (
            socks.connect_5,
            [(b"\5\1\0", b"\5\0"), (ASKED, b"\5\5\0\1\0\0\0\0\0\0")],
            Reason.REFUSED,
            "connection refused",
        ),
        (
            socks.connect_5,
            [(b"\5\1\0", b"\5\0"), (ASKED, b"\5\xee\0\1\0\0\0\0\0\0")],
            Reason.VIA,
            "it could not",
        ),
        (
            socks.connect_5,
            [(b"\5\1\0", b"\5\0"), (ASKED, b"\5\0\0\7\0\0\0\0\0\0")],
            Reason.VIA,
            "no known kind",
        ),
        (socks.connect_4, [(b"", b"\0\x5b\0\0\0\0\0\0")], Reason.VIA, "it could not"),
        (socks.connect_4, [(b"", b"SSH-2.0-x")], Reason.VIA, "not speak SOCKS"),
        (
            http.connect,
            [(b"", b"HTTP/1.1 407 Authenticate\r\n\r\n")],
            Reason.VIA,
            "refuses the login",
        ),
        (
            http.connect,
            [(b"", b"HTTP/1.0 502 Bad Gateway\r\n\r\n")],
            Reason.UNREACHABLE,
            "502",
        ),
        (http.connect, [(b"", b"220 ftp ready\r\n\r\n")], Reason.VIA, "not speak HTTP"),
        (http.connect, [(b"", b"x" * 70_000)], Reason.VIA, "has no end"),
    ],
)
async def test_what_a_proxy_refuses_is_told(
    hop: Hop, script: list[tuple[bytes, bytes]], reason: Reason, words: str
) -> None:
    with pytest.raises(UpstreamError, match=words) as caught:
        await through(hop, script, behind=b"")
    assert caught.value.reason is reason


@pytest.mark.parametrize("hop", [socks.connect_5, socks.connect_4, http.connect])
async def test_a_proxy_that_leaves_is_told(hop: Hop) -> None:
    with Wire(Side.SERVER) as wire:
        wire.end()
        with pytest.raises(UpstreamError, match="it closed the connection"):
            await hop(wire.stream, TARGET, None)
