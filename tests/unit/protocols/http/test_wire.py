"""HTTP heads: what is read out of them, and what every refusal says."""

import os
import subprocess
import sys
from pathlib import Path

import httptools
import pytest

import portway
from portway.model import Reason, Side
from portway.protocols.http import wire
from portway.protocols.http.wire import (
    REQUEST,
    RESPONSE,
    TOLERANT,
    BadMessage,
    RequestHead,
    ResponseHead,
    find_head,
    parse_request,
    parse_response,
    read_fields,
)

GET = b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_request_is_read() -> None:
    head = parse_request(
        b"REPORT http://h/a?b HTTP/1.0\r\nHost:h\r\nX_Y: \t a b \t\r\nEmpty:\r\n\r\n"
    )
    fields = ((b"Host", b"h"), (b"X_Y", b"a b"), (b"Empty", b""))
    assert head == RequestHead("REPORT", b"http://h/a?b", 0, fields)
    assert head.keys == [b"host", b"x-y", b"empty"]
    assert head.known == {b"host": b"h", b"x_y": b"a b", b"empty": b""}


def test_several_fields_of_one_name_are_one_list() -> None:
    head = RequestHead("GET", b"/", 1, ((b"Via", b"a"), (b"X", b""), (b"VIA", b"b")))
    assert head.known == {b"via": b"a, b", b"x": b""}
    assert head.keys == [b"via", b"x", b"via"]
    assert RequestHead("GET", b"/").known == {}


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: x\r\n",
    ],
)
def test_fields_are_read_whatever_they_say_of_framing(fields: bytes) -> None:
    block = b"HTTP/1.1 200 OK\r\nHost: h\r\n" + fields + b"\r\n"
    lines = fields.decode().splitlines()
    read = [f"{n.decode()}: {v.decode()}" for n, v in parse_response(block).fields]
    assert read == ["Host: h", *lines]


def test_llhttp_has_a_say_in_syntax_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it refuses, and what it sees otherwise, is read by ourselves."""
    expected = parse_request(GET)

    class Blind:
        def __init__(self, protocol: object) -> None:
            pass

        def feed_data(self, data: bytes) -> None:
            pass

    monkeypatch.setattr(httptools, "HttpRequestParser", Blind)
    assert parse_request(GET) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b" X: y\r\n", "folded"),
        (b"X : y\r\n", "blank before the colon"),
        (b"X\r\n", "no token"),
        (b"X: \x01\r\n", "control byte"),
        (b"X: a\nY: b\r\n", "bare CR or LF"),
    ],
)
def test_a_refusal_says_what_is_wrong(words: bytes, said: str) -> None:
    with pytest.raises(BadMessage, match=said) as raised:
        parse_request(b"GET / HTTP/1.1\r\nHost: h\r\n" + words + b"\r\n")
    assert raised.value.status == 400
    assert raised.value.reason is Reason.SYNTAX
    with pytest.raises(BadMessage, match=said) as raised:
        parse_response(b"HTTP/1.1 200 OK\r\nX: y\r\n" + words + b"\r\n")
    assert raised.value.status == 502
    assert raised.value.side is Side.SERVER
    assert raised.value.reason is Reason.PROTOCOL


@pytest.mark.parametrize("block", [b"", b"X: y", b"X: y\r\n", b"X: y\r\n\r\n\r\n"])
def test_fields_have_an_end(block: bytes) -> None:
    with pytest.raises(BadMessage, match="end"):
        read_fields(block, Side.CLIENT)


def test_a_head_is_found_where_it_ends() -> None:
    assert find_head(GET) == len(GET)
    assert find_head(GET + GET) == len(GET)
    assert find_head(b"\r\n" + GET) == len(GET) + 2
    for size in range(len(GET)):
        assert find_head(GET[:size]) == -1
    assert find_head(bytearray(GET), len(GET) - 1) == len(GET)


def test_the_limits_are_to_the_byte() -> None:
    line = b"GET /%b HTTP/1.1" % (b"a" * (REQUEST.line - len("GET / HTTP/1.1")))
    fields = b"Host: h\r\nX: %b\r\n\r\n" % (b"b" * (REQUEST.fields - 16))
    assert (len(line), len(fields)) == (REQUEST.line, REQUEST.fields)
    whole = line + b"\r\n" + fields
    assert find_head(whole) == len(whole)
    assert find_head(whole[:-1]) == -1
    longer = line.replace(b"/", b"/a", 1) + b"\r\n" + fields
    for part in (longer, longer[: REQUEST.line + 3]):
        with pytest.raises(BadMessage) as raised:
            find_head(part)
        assert (raised.value.status, raised.value.reason) == (414, Reason.TOO_LONG)
    longer = line + b"\r\n" + fields.replace(b"b", b"bb", 1)
    for part in (longer, longer[:-4] + b"bbbb"):
        with pytest.raises(BadMessage) as raised:
            find_head(part)
        assert (raised.value.status, raised.value.reason) == (431, Reason.TOO_LONG)


def test_a_reply_is_read() -> None:
    head = parse_response(b"HTTP/1.1 404 Not  Found\r\nX: y\r\n\r\n")
    assert head == ResponseHead(404, b"Not  Found", 1, ((b"X", b"y"),))
    assert parse_response(b"HTTP/1.0 200\r\n\r\n") == ResponseHead(200, b"", 0)


def test_an_old_device_may_end_its_lines_in_lf() -> None:
    block = b"HTTP/1.1 200 OK\nX: y\r\nZ: z\n\n"
    with pytest.raises(BadMessage):
        find_head(block, 0, RESPONSE)
    for end in (b"", b"body\r\n\r\n"):
        assert find_head(block + end, 0, TOLERANT) == len(block)
    for size in range(len(block)):
        assert find_head(block[:size], 0, TOLERANT) == -1
    head = parse_response(block, tolerant=True)
    assert head.fields == ((b"X", b"y"), (b"Z", b"z"))
    mixed = b"HTTP/1.1 200 OK\r\nX: y\n\r\nbody"
    assert find_head(mixed, 0, TOLERANT) == len(mixed) - 4
    with pytest.raises(BadMessage, match="bare CR"):
        parse_response(b"HTTP/1.1 200 OK\nX: a\rb\n\n", tolerant=True)


def test_nothing_is_loaded_that_does_io() -> None:
    modules = ["wire", "framing", "chunks", "fields", "authority"]
    unwanted = ["asyncio", "socket", "_socket", "ssl", "_ssl", "select", "logging"]
    imports = ", ".join(f"portway.protocols.http.{name}" for name in modules)
    program = f"import sys, {imports}; "
    program += f"print(*(m for m in {unwanted} if m in sys.modules))"
    folders = [Path(portway.__file__).parents[1], Path(httptools.__file__).parents[1]]
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == []


def test_every_method_is_a_token() -> None:
    for method in wire._METHODS:
        assert parse_request(GET.replace(b"GET", method)).method == method.decode()


def test_a_cr_and_an_lf_apart_are_no_line_end() -> None:
    for side in Side:
        with pytest.raises(BadMessage, match="bare CR or LF"):
            read_fields(b"X: a\rY: b\nZ: c\r\n\r\n", side)
