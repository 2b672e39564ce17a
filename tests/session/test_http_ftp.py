"""ftp:// through an HTTP door: what is asked of the server, and what is answered."""

import asyncio
import json
import logging
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.session.ftpd import Ftpd, serving
from tests.session.peers import Peer
from tests.session.socks import Scene, door
from tests.session.stage import EVERYTHING, rule

from portway.protocols.http import ftp_folders
from portway.protocols.http.settings import HttpSettings

ANY = HttpSettings(ports=("*",))
FILE = bytes(range(256)) * 40


@asynccontextmanager
async def scene_of(server: Ftpd, **keys: object) -> AsyncIterator[Scene]:
    keys.setdefault("settings", ANY)
    async with (
        door(protocol="http", **keys) as scene,  # type: ignore[arg-type]
        serving(scene.port, server),
    ):
        try:
            yield scene
        finally:
            scene.close()
            await scene.over()
            scene.services.idle.close()


def request(
    scene: Scene, path: str, method: str = "GET", *fields: str, login: str = ""
) -> bytes:
    at = f"127.0.0.1:{scene.port.number}"
    lines = [f"{method} ftp://{login}{at}{path} HTTP/1.1", f"Host: {at}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


Answer = tuple[int, dict[bytes, bytes], bytes]


async def head_of(client: Peer) -> tuple[int, dict[bytes, bytes]]:
    line = await client.line()
    fields = {}
    while one := await client.line():
        name, _, value = one.partition(b": ")
        fields[name.lower()] = value
    return int(line.split(b" ")[1]), fields


async def exactly(client: Peer, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await client.hear()
    client._held = data[count:]
    return data[:count]


async def answer_of(client: Peer, method: str = "GET") -> Answer:
    """Return a whole answer. Raises Ended where it is not."""
    status, fields = await head_of(client)
    if method == "HEAD" or status in {204, 304}:
        return status, fields, b""
    if b"content-length" in fields:
        return status, fields, await exactly(client, int(fields[b"content-length"]))
    body = b""
    while size := int(await client.line(), 16):
        body += (await exactly(client, size + 2))[:size]
    assert await client.line() == b""
    return status, fields, body


async def ask(
    scene: Scene, path: str, method: str = "GET", *fields: str, login: str = ""
) -> Answer:
    client = await scene.arrive(request(scene, path, method, *fields, login=login))
    answer = await answer_of(client, method)
    client.close()
    await scene.over()
    return answer


# Fetching.


async def test_a_file_is_fetched() -> None:
    async with scene_of(Ftpd({b"a/b c.tar.gz": FILE})) as scene:
        status, fields, body = await ask(scene, "/a/b%20c.tar.gz")
        assert (status, body) == (200, FILE)
        assert fields[b"content-type"] == b"application/gzip"
        assert fields[b"last-modified"] == b"Wed, 01 May 2024 10:30:00 GMT"
        assert fields[b"accept-ranges"] == b"bytes"
        (record,) = scene.records
        assert record.url == f"ftp://127.0.0.1:{scene.port.number}/a/b%20c.tar.gz"
        assert (record.method, record.action, record.status) == ("GET", "read", "200")
        assert (record.outcome.value, record.bytes_down) == ("ok", len(FILE))
        assert (record.protocol, record.server_login) == ("http", "anonymous")


async def test_head_asks_for_no_data() -> None:
    server = Ftpd({b"a.txt": FILE})
    async with scene_of(server) as scene:
        status, fields, _ = await ask(scene, "/a.txt", "HEAD")
        assert (status, fields[b"content-length"]) == (200, b"%d" % len(FILE))
        assert fields[b"content-type"] == b"text/plain"
        assert server.verbs[2:] == ["TYPE", "SIZE", "MDTM"]


async def test_an_empty_file_and_one_of_a_byte() -> None:
    async with scene_of(Ftpd({b"none": b"", b"one": b"x"})) as scene:
        assert (await ask(scene, "/none"))[::2] == (200, b"")
        assert (await ask(scene, "/one"))[::2] == (200, b"x")


async def test_what_has_not_changed_is_not_sent() -> None:
    async with scene_of(Ftpd({b"a": FILE})) as scene:
        for date, expected in (("01", 304), ("02", 304), ("30 Apr", 200)):
            day = date if " " in date else f"{date} May"
            field = f"If-Modified-Since: Wed, {day} 2024 10:30:00 GMT"
            assert (await ask(scene, "/a", "GET", field))[0] == expected


async def cut(server: Ftpd, scene: Scene, words: bytes) -> bytes:
    """Return what comes of a body before the connection is reset."""
    server.hold = asyncio.Event()
    client = await scene.arrive(words)
    assert (await head_of(client))[0] == 200
    server.hold.set()
    rest, how = await client.the_rest()
    assert how == "reset"
    await scene.over()
    record = scene.records[-1]
    assert (record.outcome.value, record.side) == ("cut", "server")
    return rest


@pytest.mark.parametrize(
    ("end", "sent", "told"),
    [
        (b"426 cut\r\n", None, len(FILE) - 1),
        (b"451 x\r\n", 100, 100),
        (b"226\r\n", 100, 100),
    ],
)
async def test_a_file_that_was_cut_never_looks_whole(
    end: bytes, sent: int | None, told: int
) -> None:
    server = Ftpd({b"a": FILE}, end=end, sent=sent)
    async with scene_of(server) as scene:
        assert len(await cut(server, scene, request(scene, "/a"))) <= told


async def test_neither_does_one_whose_size_is_unknown() -> None:
    server = Ftpd({b"a": FILE}, end=b"426 cut\r\n", replies={"SIZE": b"500 ?\r\n"})
    async with scene_of(server) as scene:
        for version in (b"1.1", b"1.0"):
            words = request(scene, "/a").replace(b"HTTP/1.1", b"HTTP/" + version)
            rest = await cut(server, scene, words)
            assert not rest.endswith(b"0\r\n\r\n")
        server.end = b"226 ok\r\n"
        assert (await ask(scene, "/a"))[2] == FILE
        words = request(scene, "/a").replace(b"HTTP/1.1", b"HTTP/1.0")
        client = await scene.arrive(words)
        rest, how = await client.the_rest()
        assert (rest.partition(b"\r\n\r\n")[2], how) == (FILE, "eof")


async def test_what_was_cut_before_it_began_is_refused() -> None:
    async with scene_of(Ftpd({b"a": b""}, end=b"426 cut\r\n")) as scene:
        assert (await ask(scene, "/a"))[0] == 502


async def test_a_file_that_has_grown_since_is_sent_as_it_was() -> None:
    server = Ftpd({b"a": FILE}, replies={"SIZE": b"213 100\r\n"})
    async with scene_of(server) as scene:
        client = await scene.arrive(request(scene, "/a"))
        assert (await client.the_rest())[1] == "reset"  # its size was wrong
        server.replies = {}
        client = await scene.arrive(request(scene, "/a"))
        assert (await answer_of(client))[2] == FILE
        client.close()


# Parts.


async def test_a_part_in_the_middle_is_ended_by_abor() -> None:
    server = Ftpd({b"a": FILE})
    async with scene_of(server) as scene:
        status, fields, body = await ask(scene, "/a", "GET", "Range: bytes=10-19")
        assert (status, body) == (206, FILE[10:20])
        assert fields[b"content-range"] == b"bytes 10-19/%d" % len(FILE)
        assert b"REST 10" in server.asked
        assert server.verbs[-1] == "ABOR"
        assert (await ask(scene, "/a"))[2] == FILE
        assert server.sessions == 1  # it was fit for more


@pytest.mark.parametrize(
    ("field", "status", "body"),
    [
        ("bytes=10240-", 416, None),
        ("bytes=10230-", 206, FILE[10230:]),
        ("bytes=-7", 206, FILE[-7:]),
        ("bytes=0-", 206, FILE),
        ("bytes=0-0", 206, FILE[:1]),
        ("bytes=5-1", 200, FILE),
        ("bytes=1-2,5-6", 200, FILE),
        ("lines=1-2", 200, FILE),
    ],
)
async def test_ranges(field: str, status: int, body: bytes | None) -> None:
    async with scene_of(Ftpd({b"a": FILE})) as scene:
        found = await ask(scene, "/a", "GET", f"Range: {field}")
        assert found[0] == status
        if body is not None:
            assert found[2] == body
        else:
            assert found[1][b"content-range"] == b"bytes */10240"


async def test_a_part_that_cannot_be_had_is_all_of_it() -> None:
    for replies in ({"REST": b"502 no\r\n"}, {"SIZE": b"502 no\r\n"}):
        async with scene_of(Ftpd({b"a": FILE}, replies=replies)) as scene:
            found = await ask(scene, "/a", "GET", "Range: bytes=10-")
            assert found[::2] == (200, FILE)
    async with scene_of(Ftpd({b"a": FILE})) as scene:
        stale = "If-Range: Wed, 01 May 2024 10:29:59 GMT"
        found = await ask(scene, "/a", "GET", "Range: bytes=10-", stale)
        assert found[0] == 200
        fresh = "If-Range: Wed, 01 May 2024 10:30:00 GMT"
        found = await ask(scene, "/a", "GET", "Range: bytes=10-", fresh)
        assert found[::2] == (206, FILE[10:])


# Storing.


async def test_a_file_is_stored() -> None:
    server = Ftpd()
    async with scene_of(server) as scene:
        for expected in (201, 204):
            words = request(scene, "/a", "PUT", f"Content-Length: {len(FILE)}")
            client = await scene.arrive(words + FILE)
            assert (await head_of(client))[0] == expected
            assert server.stored == {b"a": FILE}
            server.files = server.stored
            client.close()
        await scene.over()
        assert [record.bytes_up for record in scene.records] == [len(FILE)] * 2
        assert [record.method for record in scene.records] == ["PUT", "PUT"]


async def test_a_client_that_waits_for_a_100_gets_it_once_the_server_is_ready() -> None:
    server = Ftpd()
    async with scene_of(server) as scene:
        fields = ("Transfer-Encoding: chunked", "Expect: 100-continue")
        client = await scene.arrive(request(scene, "/a", "PUT", *fields))
        assert (await head_of(client))[0] == 100
        assert server.verbs[-1] == "STOR"
        await client.say(b"3\r\nabc\r\n0\r\n\r\n")
        assert (await head_of(client))[0] == 201
        server.replies["STOR"] = b"553 no\r\n"
        await client.say(request(scene, "/b", "PUT", *fields))
        assert (await head_of(client))[0] == 403
        client.close()


async def test_an_upload_that_breaks_off_is_reset() -> None:
    server = Ftpd()
    async with scene_of(server) as scene:
        for how in ("reset", "close"):
            words = request(scene, "/a", "PUT", "Content-Length: 1000")
            client = await scene.arrive(words + b"some of it")
            while server.verbs.count("STOR") < 1 + (how == "close"):
                await client.silent(0.01)
            await client.silent(0.05)
            (client.reset if how == "reset" else client.end)()
            await scene.over()
            assert server.stored == {}
        while server.resets < 2:
            await scene.port.nobody_comes(0.01)
        assert {record.outcome.value for record in scene.records} == {"cut"}
        assert server.sessions == 2


@pytest.mark.parametrize(
    ("field", "asked", "stored"),
    [
        ("bytes 4-6/7", [b"APPE a"], b"xyz"),
        ("bytes 2-4/*", [b"REST 2", b"STOR a"], b"01xyz"),
        ("bytes 0-2/3", [b"STOR a"], b"xyz"),
    ],
)
async def test_an_upload_goes_on(field: str, asked: list[bytes], stored: bytes) -> None:
    server = Ftpd({b"a": b"0123"})
    async with scene_of(server) as scene:
        fields = (f"Content-Range: {field}", "Content-Length: 3")
        client = await scene.arrive(request(scene, "/a", "PUT", *fields) + b"xyz")
        assert (await head_of(client))[0] == 204
        client.close()
        assert server.asked[-len(asked) :] == asked
        assert server.stored == {b"a": stored}


async def test_a_part_that_does_not_fit_is_refused() -> None:
    server = Ftpd({b"a": b"0123"})
    async with scene_of(server) as scene:
        for field in ("bytes 4-9/10", "bytes 4-3/9", "bytes 4-6/5", "4-6"):
            fields = (f"Content-Range: {field}", "Content-Length: 3")
            words = request(scene, "/a", "PUT", *fields) + b"xyz"
            client = await scene.arrive(words)
            assert (await head_of(client))[0] == 400
            client.close()
        assert server.stored == {}


async def test_a_server_that_has_no_room_says_so() -> None:
    async with scene_of(Ftpd(end=b"452 full\r\n")) as scene:
        found = await scene.arrive(
            request(scene, "/a", "PUT", "Content-Length: 3") + b"abc"
        )
        assert (await head_of(found))[0] == 507


# What servers refuse.


BAD = ("/a%2Fb", "/a%0d%0aDELE%20b", "/a;type=x")
ODD = ("POST", "PROPFIND", "PATCH")


@pytest.mark.parametrize(
    ("method", "path", "replies", "status"),
    [
        ("GET", "/none", {}, 404),
        ("GET", "/none", {"RETR": b"550 Permission denied\r\n"}, 403),
        ("GET", "/none", {"RETR": b"450 busy\r\n"}, 502),
        ("GET", "/none", {"RETR": b"425 no data\r\n"}, 502),
        ("GET", "/none", {"RETR": b"421 too long\r\n"}, 503),
        ("GET", "/none", {"TYPE": b"500 what\r\n"}, 502),
        ("GET", "/none", {"EPSV": b"500 what\r\n"}, 502),
        ("GET", "/none/", {}, 404),
        ("GET", "/none/", {"MLSD": b"501 what\r\n"}, 404),
        ("HEAD", "/none", {}, 404),
        ("HEAD", "/none/", {}, 404),
        ("GET", "/none", {"PASS": b"530 no\r\n"}, 401),
        ("GET", "/none", {"PASS": b"332 account\r\n"}, 403),
        ("GET", "/none", {"USER": b"532 account\r\n"}, 403),
        ("PUT", "/none", {"STOR": b"553 no\r\n"}, 403),
        ("PUT", "/none", {"STOR": b"552 full\r\n"}, 507),
        ("PUT", "/no/where", {"STOR": b"550 no\r\n"}, 409),
        ("PATCH", "/none/", {}, 405),
        ("DELETE", "/none", {"DELE": b"550 no\r\n"}, 404),
        ("DELETE", "/some/", {"RMD": b"550 not empty\r\n"}, 409),
        ("DELETE", "/", {}, 403),
        ("DELETE", "/there", {}, 204),
        ("DELETE", "/there/", {}, 204),
        ("MKCOL", "/new", {}, 201),
        ("MKCOL", "/some/", {"MKD": b"550 exists\r\n"}, 405),
        ("MKCOL", "/no/where", {"MKD": b"550 no\r\n"}, 409),
        ("POST", "/a", {}, 405),
        ("PROPFIND", "/a", {}, 405),
        ("GET", "/a%2Fb", {}, 400),
        ("GET", "/a%0d%0aDELE%20b", {}, 400),
        ("GET", "/a;type=x", {}, 400),
    ],
)
async def test_statuses(
    method: str, path: str, replies: dict[str, bytes], status: int
) -> None:
    server = Ftpd(replies=replies, folders={b"some"})
    async with scene_of(server) as scene:
        found, fields, body = await ask(scene, path, method)
        assert found == status
        assert (b"allow" in fields) == (status == 405)
        assert b"550" not in body
        (record,) = scene.records
        assert record.status == str(status)
        assert (record.outcome.value != "ok") == (
            status in {502, 503} or path in BAD or method in ODD
        )


async def test_a_server_that_does_not_want_anybody() -> None:
    for greeting in (b"421 full\r\n", b"550 go away\r\n", b""):
        async with scene_of(Ftpd(greeting=greeting)) as scene:
            assert (await ask(scene, "/a"))[0] == 503
    async with scene_of(Ftpd({b"a": b"x"}, greeting=b"220-a\r\n220 b\r\n")) as scene:
        assert (await ask(scene, "/a"))[0] == 200


async def test_a_server_that_is_not_there() -> None:
    async with door(protocol="http", settings=ANY) as scene:
        words = request(scene, "/a")
        scene.port.close()
        client = await scene.arrive(words)
        status, fields, _ = await answer_of(client)
        assert (status, b"connection_refused" in fields[b"proxy-status"]) == (502, True)


async def test_a_folder_without_its_slash() -> None:
    async with scene_of(Ftpd(folders={b"a", b"/r/b"})) as scene:
        for path, where in (("/a", b"/a/"), ("/%2fr/b", b"/%2F/r/b/")):
            for method in ("GET", "HEAD"):
                status, fields, _ = await ask(scene, path, method)
                assert (status, fields[b"location"]) == (301, where)


# Logins, and rules.


async def test_who_the_client_is_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = Ftpd({b"a": b"x"})
    async with scene_of(server) as scene:
        pair = b64encode(b"ann:b:c@nary").decode()
        field = f"Authorization: Basic {pair}"
        assert (await ask(scene, "/a", "GET", field, login="joe:other@"))[0] == 200
        assert server.asked[:2] == [b"USER ann", b"PASS b:c@nary"]
        found = await ask(scene, "/a", login="j%40oe:c%40nary@")
        assert found[0] == 200
        assert b"USER j@oe" in server.asked
        assert b"PASS c@nary" in server.asked
        status, fields, _ = await ask(scene, "/a", login="joe@")
        at = f"127.0.0.1:{scene.port.number}"
        assert status == 401
        assert fields[b"www-authenticate"] == f'Basic realm="ftp://{at}"'.encode()
        server.replies = {"PASS": b"530 joe with c@nary is wrong\r\n"}
        found = await ask(scene, "/a", login="joe:c@nary@")
        assert found[0] == 401
        assert b"c@nary" not in found[2]
        assert "c@nary" not in repr(scene.records) + caplog.text
        await ask(scene, "/a%0a", login="joe:c@nary@")
        assert "c@nary" not in repr(scene.records) + caplog.text


async def test_a_login_with_a_line_end_is_refused() -> None:
    server = Ftpd()
    async with scene_of(server) as scene:
        pair = b64encode(b"ann\r\nDELE a:b").decode()
        field = f"Authorization: Basic {pair}"
        assert (await ask(scene, "/a", "GET", field))[0] == 400
        assert (await ask(scene, "/a", login="a%0aDELE%20b:c@"))[0] == 400
        assert server.sessions == 0


async def test_rules_are_asked_before_anything_is_dialled() -> None:
    refusals = [
        rule("deny", do="ftp:STOR"),
        rule("deny", do="http:DELETE"),
        rule("deny", to="127.0.0.1/secret/*"),
        EVERYTHING,
    ]
    server = Ftpd({b"a": b"x"})
    async with scene_of(server, rules=tuple(refusals)) as scene:
        assert (await ask(scene, "/a", "PUT", "Content-Length: 0"))[0] == 403
        assert (await ask(scene, "/a", "DELETE"))[0] == 403
        for path in ("/secret/x", "/%2Fsecret/x", "/a/../secret/x", "//secret/x"):
            assert (await ask(scene, path))[0] == 403
        assert server.sessions == 0
        assert {record.reason for record in scene.records} == {"rule"}
        assert (await ask(scene, "/a"))[0] == 200


async def test_ports_are_the_doors() -> None:
    server = Ftpd({b"a": b"x"})
    settings = HttpSettings(ports=("21",))
    async with scene_of(server, settings=settings) as scene:
        assert (await ask(scene, "/a"))[0] == 403
        assert server.sessions == 0


# Connections that wait.


async def test_a_connection_is_used_again_for_the_same_login_alone() -> None:
    server = Ftpd({b"a": b"x"})
    async with scene_of(server) as scene:
        for login in ("", "", "joe:one@", "joe:one@", "joe:two@"):
            assert (await ask(scene, "/a", login=login))[0] == 200
        assert server.sessions == 3
        assert server.verbs.count("PASS") == 3


async def test_a_connection_that_has_gone_bad_is_not() -> None:
    server = Ftpd({b"a": b"x"})
    async with scene_of(server) as scene:
        assert (await ask(scene, "/a"))[0] == 200
        server.replies = {"NOOP": b"421 bye\r\n"}
        assert (await ask(scene, "/a"))[0] == 200
        assert server.sessions == 2


# Folders.

LIST = (
    b"total 3\r\n"
    b"drwxr-xr-x 2 a b 4096 Jan 12 2020 sub dir\r\n"
    b"-rw-r--r-- 1 a b 12 Jan 12 2020 <script>\"&'.txt\r\n"
    b"-rw-r--r-- 1 a b 12 Jan 12 2020 \xe2\x80\xaex\xff\x1b;type=a\r\n"
    b"what <i>is</i> that\r\n"
)
OLD = {"FEAT": b"500 what?\r\n"}


async def test_a_folder_as_html() -> None:
    server = Ftpd(folders={b"d"}, listing=LIST, replies=OLD)
    async with scene_of(server) as scene:
        status, fields, body = await ask(scene, "/d/", "GET", "Accept: text/html")
        text = body.decode()
        assert status == 200
        assert fields[b"content-type"] == b"text/html; charset=utf-8"
        assert b"default-src 'none'" in fields[b"content-security-policy"]
        links = re.findall(r'href="([^"]*)"', text)
        assert links == [
            "/",
            "./sub%20dir/",
            "./%3Cscript%3E%22%26%27.txt",
            "./%E2%80%AEx%FF%1B%3Btype%3Da",
        ]
        assert "&lt;script&gt;&quot;&amp;&#x27;.txt</a>" in text
        assert "what &lt;i&gt;is&lt;/i&gt; that" in text
        assert not set("\u202e\x1b") & set(text)
        (record,) = scene.records
        assert (record.action, record.bytes_down) == ("list", len(LIST))


async def test_a_folder_as_json_and_as_names() -> None:
    facts = b"type=file;size=7;modify=20240501103000;UNIX.mode=0640; a b\r\n"
    more = b"type=cdir; .\r\ntype=dir; sub\r\nodd"
    server = Ftpd(folders={b"d"}, listing=facts + more)
    async with scene_of(server) as scene:
        _, fields, body = await ask(scene, "/d/", "GET", "Accept: application/json")
        assert fields[b"content-type"] == b"application/json"
        assert json.loads(body) == [
            {
                "name": "a b",
                "type": "file",
                "size": 7,
                "modified": "2024-05-01T10:30:00Z",
                "mode": "0640",
            },
            {
                "name": "sub",
                "type": "directory",
                "size": None,
                "modified": None,
                "mode": None,
            },
            {"type": "text", "text": "odd"},
        ]
        assert (await ask(scene, "/d;type=d"))[2] == b"a b\nsub\nodd\n"
        assert server.sessions == 1
        server.listing = b""
        found = await ask(scene, "/d/", "GET", "Accept: application/json")
        assert json.loads(found[2]) == []


async def test_a_folder_that_was_cut_has_no_end() -> None:
    server = Ftpd(folders={b"d"}, listing=LIST, replies=OLD, end=b"426 cut\r\n")
    async with scene_of(server) as scene:
        for accept in ("text/html", "application/json"):
            words = request(scene, "/d/", "GET", f"Accept: {accept}")
            assert b"0\r\n\r\n" not in await cut(server, scene, words)


async def test_a_folder_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Ftpd(folders={b"d"}, listing=LIST, replies=OLD)
    bounds = (("MOST", 2), ("MOST_BYTES", 100), ("LINE", 30))
    async with scene_of(server) as scene:
        for name, bound in bounds:
            with monkeypatch.context() as patch:
                patch.setattr(ftp_folders, name, bound)
                client = await scene.arrive(request(scene, "/d/"))
                assert (await client.the_rest())[1] == "reset"
        server.listing = b"x" * 9000
        client = await scene.arrive(request(scene, "/d/"))
        assert (await client.the_rest())[1] == "reset"


async def test_a_client_that_goes_ends_the_servers_side() -> None:
    server = Ftpd({b"a": FILE * 4096})
    async with scene_of(server) as scene:
        client = await scene.arrive(request(scene, "/a"))
        await head_of(client)
        client.reset()
        await scene.over()
        while not server.resets:
            await scene.port.nobody_comes(0.01)
        assert scene.records[0].outcome.value == "cut"
