"""FTP servers behind an HTTP door that break off, stand still, or say odd things."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.session.peers import Peer, Port
from tests.session.socks import Scene, door
from tests.session.stage import EVERYTHING, rule
from tests.wires import some_turns, until

from portway.config.schema import Rule
from portway.protocols.ftp.errand import Errand
from portway.protocols.http.settings import HttpSettings
from portway.units import Seconds

DOOR = HttpSettings(ports=("*",))
IMPATIENT = HttpSettings(ports=("*",), stall=Seconds(1.0))
LOGIN = (
    ("USER anonymous", "331 Password."),
    ("PASS portway@", "230 In."),
)
ABOUT = (
    ("TYPE I", "200 Binary."),
    ("SIZE f", "213 6"),
    ("MDTM f", "213 20240501103000"),
)


class Server:
    """An FTP server in hand: *control* is its dialogue, *port* where data come to."""

    def __init__(self, scene: Scene, control: Peer) -> None:
        self.scene, self.control = scene, control
        self.port = Port()
        scene.open.append(self.port)

    async def answers(self, *turns: tuple[str, str]) -> None:
        """Expect each command, and give its reply."""
        for command, answer in turns:
            assert (await self.control.line()).decode("latin-1") == command
            await self.says(answer)

    async def says(self, answer: str) -> None:
        await self.control.say(answer.encode("latin-1") + b"\r\n")

    async def data(self, command: str) -> Peer:
        """Agree on data for *command*, and begin; return their connection."""
        await self.answers(("EPSV", f"229 Here (|||{self.port.number}|)"))
        peer = await self.port.accept()
        self.scene.open.append(peer)
        await self.answers((command, "150 Coming."))
        return peer


@asynccontextmanager
async def asked(
    what: bytes,
    *,
    rules: tuple[Rule, ...] = (EVERYTHING,),
    settings: HttpSettings = DOOR,
) -> AsyncIterator[tuple[Scene, Peer, Server]]:
    """Let a client ask for *what*, a request with ``{at}`` for its server's URL."""
    async with door(protocol="http", settings=settings, rules=rules) as scene:
        at = b"ftp://here.test:%d" % scene.port.number
        client = await scene.arrive(what.replace(b"{at}", at))
        server = Server(scene, await scene.called())
        await server.says("220 Ready.")
        await server.answers(*LOGIN)
        yield scene, client, server
        client.close()
        await scene.over()


OK = b"HTTP/1.1 200 OK"
GET = b"GET {at}/f HTTP/1.1\r\nHost: x\r\n\r\n"
LIST = b"GET {at}/ HTTP/1.1\r\nHost: x\r\n\r\n"


async def is_cut(client: Peer, whole: bytes) -> None:
    """Expect an answer that is seen to miss something of *whole*."""
    data, how = await client.the_rest()
    assert how == "reset"
    assert not data.endswith(whole)


async def test_a_server_that_stands_still_behind_the_last_byte() -> None:
    async with asked(GET, settings=IMPATIENT) as (scene, client, server):
        await server.answers(*ABOUT)
        data = await server.data("RETR f")
        await data.say(b"abcdef")
        await is_cut(client, b"abcdef")
    assert scene.records[-1].outcome.value == "cut"


async def test_a_dialogue_that_breaks_off_amid_the_data() -> None:
    async with asked(GET) as (_scene, client, server):
        await server.answers(*ABOUT)
        data = await server.data("RETR f")
        await data.say(b"abc")
        server.control.close()
        await is_cut(client, b"abcdef")


async def test_a_no_amid_data_that_stand_still() -> None:
    async with asked(GET) as (_scene, client, server):
        await server.answers(*ABOUT)
        data = await server.data("RETR f")
        await data.say(b"abc")
        assert await client.line() == OK
        await server.says("426 Broken.")
        await is_cut(client, b"abcdef")


@pytest.mark.parametrize("reply", ["426 Broken.", "451 No more.", "421 Bye."])
async def test_data_that_end_while_the_server_says_no(reply: str) -> None:
    async with asked(GET) as (_scene, client, server):
        await server.answers(*ABOUT)
        data = await server.data("RETR f")
        await data.say(b"abcdef")
        assert await client.line() == OK
        data.end()
        await server.says(reply)
        await is_cut(client, b"abcdef")


async def test_a_listing_without_its_end() -> None:
    async with asked(LIST) as (_scene, client, server):
        await server.answers(("TYPE A", "200 Text."), ("FEAT", "500 What?"))
        data = await server.data("LIST")
        await data.say(b"-rw-r--r-- 1 a b 3 Jan  1  2024 f\r\n")
        assert await client.line() == OK
        data.end()
        await server.says("426 Broken.")
        await is_cut(client, b"0\r\n\r\n")


async def test_a_server_that_names_mlst_alone() -> None:
    # RFC 3659, section 7.8: that one line speaks for both
    async with asked(LIST) as (_scene, client, server):
        features = "211-Features:\r\n MLST type*;size*;\r\n211 End"
        await server.answers(("TYPE A", "200 Text."), ("FEAT", features))
        data = await server.data("MLSD")
        await data.say(b"type=file;size=3; f\r\n")
        data.end()
        await server.says("226 Done.")
        lines = []
        while line := await client.line():
            lines.append(line)
        assert lines[0] == OK
        body = b""
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += await client.hear()
        assert b'href="./f"' in body


async def test_a_name_with_a_blank_is_the_same_to_the_rules() -> None:
    denied = rule("deny", do="read", to=("here.test/a/secret plan*",))
    where = "GET ftp://here.test:{}/a/secret%20plan%2etxt HTTP/1.1\r\nHost: x\r\n\r\n"
    async with door(
        protocol="http", settings=DOOR, rules=(denied, EVERYTHING)
    ) as scene:
        text = where.format(scene.port.number).encode()
        client = await scene.arrive(text)
        assert await client.line() == b"HTTP/1.1 403 Forbidden"
        client.close()
        await scene.over()
    assert scene.records[0].path == "/a/secret plan.txt"


async def test_a_connection_that_says_more_than_it_is_asked_is_not_kept() -> None:
    async with asked(GET) as (scene, client, server):
        await server.answers(*ABOUT)
        data = await server.data("RETR f")
        await data.say(b"abcdef")
        data.end()
        await server.control.say(b"226 Done.\r\n421 And bye.\r\n")
        while line := await client.line():
            assert line
        assert await client.hear()
        _, how = await server.control.the_rest()
        assert how in {"eof", "reset"}
        assert len(scene.services.idle) == 0


async def test_an_upload_that_its_client_breaks_off() -> None:
    put = b"PUT {at}/f HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
    async with asked(put) as (scene, client, server):
        await server.answers(("TYPE I", "200 Binary."), ("SIZE f", "550 No."))
        await server.answers(("FEAT", "500 What?"))
        data = await server.data("STOR f")
        assert await data.hear() == b"abc"
        client.reset()
        _, how = await data.the_rest()
        assert how == "reset"
        rest, _ = await server.control.the_rest()
        assert rest in {b"", b"ABOR\r\n"}
    assert scene.records[-1].outcome.value == "cut"


async def test_an_upload_that_finds_no_room() -> None:
    put = b"PUT {at}/f HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
    async with asked(put) as (_scene, client, server):
        await server.answers(("TYPE I", "200 Binary."), ("SIZE f", "550 No."))
        await server.answers(("FEAT", "500 What?"))
        data = await server.data("STOR f")
        assert await data.hear() == b"abc"
        await server.says("552 Disk full.")
        await some_turns()
        await client.say(b"def")
        assert await client.line() == b"HTTP/1.1 507 Insufficient Storage"


async def test_rules_see_where_the_login_leads() -> None:
    denied = rule("deny", do="read", to="here.test/home/joe/secret")
    get = b"GET {at}/secret HTTP/1.1\r\nHost: x\r\n\r\n"
    async with asked(get, rules=(denied, EVERYTHING)) as (scene, client, server):
        await server.answers(("PWD", '257 "/home/joe" is where you are.'))
        assert await client.line() == b"HTTP/1.1 403 Forbidden"
    assert scene.records[-1].outcome.value == "refused"
    assert scene.records[-1].verdict == "deny"


async def test_words_that_come_while_the_connection_is_put_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = Errand._stop_reading
    async with asked(GET) as (scene, client, server):

        async def and_then_it_speaks(errand: Errand) -> None:
            await stop(errand)
            await server.says("421 Bye.")
            await until(lambda: not errand.station.upstream.stream.is_quiet())

        monkeypatch.setattr(Errand, "_stop_reading", and_then_it_speaks)
        await server.answers(*ABOUT)
        data = await server.data("RETR f")
        await data.say(b"abcdef")
        data.end()
        await server.says("226 Done.")
        assert await client.line() == OK
        _, how = await server.control.the_rest()
        assert how in {"eof", "reset"}
        assert len(scene.services.idle) == 0
