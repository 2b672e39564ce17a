"""The RADIUS source against a real freeradius, and against answers that are forged."""

import asyncio
import hashlib
import hmac
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.accounts.asking import OK, UNKNOWN, WRONG, login, said, why_not
from tests.accounts.servers import LONG, SHARED, FreeRadius, free_port

from portway.config.secret import Secret
from portway.config.sources import Radius
from portway.model import Endpoint
from portway.users.asking import SECONDS
from portway.users.radius import RadiusSource

Make = Callable[..., RadiusSource]


@pytest.fixture
def made(freeradius: FreeRadius) -> Iterator[Make]:
    sources = []

    def make(seconds: float = SECONDS, **words: object) -> RadiusSource:
        known: dict[str, object] = {
            "servers": (Endpoint("127.0.0.1", freeradius.port),),
            "secret": Secret(SHARED),
        }
        source = RadiusSource(Radius(**{**known, **words}), seconds=seconds)  # type: ignore[arg-type]
        sources.append(source)
        return source

    yield make
    for source in sources:
        source.close()


async def test_right_and_wrong(made: Make) -> None:
    source = made()
    assert await said(source, "joe") is OK
    assert await said(source, "joe", "S3CRET") is WRONG
    assert await said(source, "nobody") is WRONG  # it cannot be told
    assert await source.knows("joe") is None


async def test_utf8_and_long_passwords(made: Make) -> None:
    source = made()
    assert await said(source, "zoë", "pässword") is OK
    assert await said(source, "long", LONG) is OK
    assert await said(source, "long", LONG[:-1]) is WRONG
    assert await said(source, "long", LONG + "x") is WRONG
    assert await said(source, "long", LONG * 100) is WRONG


@pytest.mark.parametrize("password", ["", "s3cret\0", "\0", "s3cret\udcff"])
async def test_passwords_that_cannot_be(made: Make, password: str) -> None:
    assert await said(made(), "joe", password) is WRONG


@pytest.mark.parametrize(
    "name",
    [
        "*",
        "joe)(uid=*",
        "%{User-Name}",
        "joe%00",
        "joe\0",
        "joe\r\n",
        "x" * 64,
        "x" * 65,
        "x" * 300,
        "",
        " joe",
    ],
    ids=ascii,
)
async def test_hostile_names(made: Make, name: str) -> None:
    assert await said(made(), name) in {WRONG, UNKNOWN}


async def test_groups(made: Make) -> None:
    assert (await login(made(), "joe")).groups == frozenset()
    assert (await login(made(groups="class"), "joe")).groups == {"staff", "night shift"}
    assert (await login(made(groups="filter-id"), "joe")).groups == {"clerks"}


async def test_the_name_is_the_one_of_the_answer(made: Make) -> None:
    assert (await login(made(), "alias")).user == "joe"


async def test_a_challenge_is_a_no(made: Make) -> None:
    assert await said(made(), "challenged") is WRONG


@pytest.mark.parametrize("name", ["unsigned"])
async def test_an_answer_must_be_signed(made: Make, name: str) -> None:
    """CVE-2024-3596: what MD5 alone protects can be made from a reject."""
    assert "no Message-Authenticator" in await why_not(made(seconds=0.5), name)


async def test_another_secret(made: Make) -> None:
    """freeradius drops a request whose Message-Authenticator is wrong."""
    assert "no answer in time" in await why_not(
        made(secret=Secret("another"), seconds=0.5)
    )


async def test_the_next_server(made: Make, freeradius: FreeRadius) -> None:
    good = Endpoint("127.0.0.1", freeradius.port)
    refusing = Endpoint("127.0.0.1", free_port(socket.SOCK_DGRAM))
    async with asyncio.timeout(10):  # nobody waits for one that is not there
        source = made(servers=(refusing, good), seconds=30)
        assert await said(source, "joe") is OK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent = Endpoint(*deaf.getsockname())
        async with asyncio.timeout(10):
            assert await said(made(servers=(silent, good), seconds=1), "joe") is OK


async def test_down_and_back(made: Make, folder: Path) -> None:
    own = FreeRadius(folder)
    own.start()
    source = made(servers=(Endpoint("127.0.0.1", own.port),))
    try:
        assert await said(source, "joe") is OK
        own.stop()
        assert "refused" in await why_not(source)
        own.start()
        assert await said(source, "joe") is OK
    finally:
        own.stop()


# A server of ours, which forges.

Forge = Callable[[bytes], bytes]


def forger(*answers: Forge, at_once: bool = False) -> Endpoint:
    """Return where each request is answered by the next of *answers*.

    *at_once*: where the first is answered by all of them.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)

    def serve() -> None:
        with sock:
            for count, answer in enumerate(answers):
                if not (at_once and count):
                    asked, client = sock.recvfrom(4096)
                if made := answer(asked):
                    sock.sendto(made, client)

    threading.Thread(target=serve, daemon=True).start()
    return Endpoint(*sock.getsockname())


def signed(
    asked: bytes, code: int = 2, secret: bytes = SHARED.encode(), more: bytes = b""
) -> bytes:
    """Return an answer as RFC 2865 and RFC 3579 want it."""
    size = 20 + 18 + len(more)
    head = bytes((code, asked[1])) + size.to_bytes(2, "big")
    blank = head + asked[4:20] + b"\x50\x12" + bytes(16) + more
    mark = b"\x50\x12" + hmac.digest(secret, blank, "md5") + more
    return sealed(asked, head, mark, secret)


def sealed(asked: bytes, head: bytes, attributes: bytes, secret: bytes) -> bytes:
    digest = hashlib.md5(head + asked[4:20] + attributes + secret).digest()
    return head + digest + attributes


async def test_a_request_that_is_lost_is_sent_again(made: Make) -> None:
    server = forger(lambda _: b"", signed)
    assert await said(made(servers=(server,)), "joe") is OK


def bare(asked: bytes) -> bytes:
    """An accept as servers sent it for decades."""
    return sealed(asked, bytes((2, asked[1], 0, 20)), b"", SHARED.encode())


def marked_wrong(asked: bytes) -> bytes:
    head = bytes((2, asked[1], 0, 38))
    return sealed(asked, head, b"\x50\x12" + bytes(16), SHARED.encode())


@pytest.mark.parametrize(
    "forged",
    [
        bare,
        marked_wrong,
        lambda asked: signed(asked, secret=b"guessed"),
        lambda asked: signed(asked)[:-1] + b"\0",
        lambda asked: signed(bytes((1, asked[1] ^ 1)) + asked[2:]),
        lambda asked: signed(asked, code=1),
        lambda asked: signed(asked[:4] + bytes(16)),
        lambda asked: signed(asked)[:30],
        lambda asked: signed(asked, more=b"\x01\x00"),
        lambda asked: signed(asked, more=b"\x01"),
        lambda asked: b"\x02",
        lambda asked: asked,
    ],
    ids=[
        *("bare", "marked", "guessed", "changed", "other", "code", "replayed", "cut"),
        *("empty attribute", "cut attribute", "short", "echo"),
    ],
)
async def test_a_forged_yes_is_none(made: Make, forged: Forge) -> None:
    """It does not even keep the real answer from being heard."""
    server = forger(forged, lambda asked: signed(asked, code=3), at_once=True)
    assert await said(made(servers=(server,)), "joe") is WRONG


async def test_nothing_but_a_request_for_a_login_goes_out(made: Make) -> None:
    seen = []

    def look(asked: bytes) -> bytes:
        seen.append(asked)
        return signed(asked)

    assert await said(made(servers=(forger(look),)), "joe") is OK
    (asked,) = seen
    assert b"s3cret" not in asked
    assert asked[0] == 1
    assert asked[20:22] == b"\x50\x12"  # the Message-Authenticator, first of all
    blank = asked[:22] + bytes(16) + asked[38:]
    assert hmac.digest(SHARED.encode(), blank, "md5") == asked[22:38]
