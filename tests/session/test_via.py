"""A server reached through another proxy, which says here what the test lets it say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from tests.session.peers import Peer, Port, call
from tests.session.stage import Stage, rule, stage

from portway.config.schema import Rule
from portway.config.secret import Secret
from portway.protocols.ftp.settings import Upstream
from portway.units import Seconds

SERVER = "127.0.0.2"  # where ftp.test is
FTP = b"\0\x15"
TARGET = b"\1" + ip_address(SERVER).packed
NAMED = b"\3\x08ftp.test"
HELLO = (b"\5\1\0", b"\5\0")
DONE = b"\5\0\0\1" + bytes(6)
CONNECT, BIND = b"\5\1\0", b"\5\2\0"
CONTENT = b"through two doors\r\n" * 1000


@dataclass(slots=True)
class Chained:
    scene: Stage
    parent: Port

    async def proxy(self, *script: tuple[bytes, bytes]) -> Peer:
        """Take a connection; hear and say each pair."""
        peer = await self.parent.accept()
        self.scene.keep(peer)
        for heard, said in script:
            await expect(peer, heard)
            await peer.say(said)
        return peer

    async def arrive(self, *script: tuple[bytes, bytes]) -> None:
        """Let the client name its server, and the proxy take it there."""
        await self.scene.client.line()
        await self.scene.client.say(b"USER joe@ftp.test\r\n")
        self.scene.server = await self.proxy(*script)
        await self.scene.play("""
                    < 220 Hello
                    > USER joe
                    < 331 Password
< 331-Hello
< 331 Password
> PASS x
                    > PASS x
                    < 230 In
< 230 In
""")


async def expect(peer: Peer, wanted: bytes) -> None:
    heard = b""
    while len(heard) < len(wanted):
        more = await peer.hear(len(wanted) - len(heard))
        assert wanted.startswith(heard + more), heard + more
        heard += more


@asynccontextmanager
async def chained(
    scheme: str,
    query: str = "",
    *,
    password: str = "",
    seconds: float = 5.0,
    rules: tuple[Rule, ...] = (rule(name="everything"),),
) -> AsyncIterator[Chained]:
    parent = Port()
    user = "fu@" if password else ""
    upstream = Upstream(
        via=f"{scheme}://{user}127.0.0.1:{parent.number}{query}",
        via_password=Secret(password) if password else None,
        connect_timeout=Seconds(seconds),
    )
    try:
        async with stage(server=SERVER, upstream=upstream, rules=rules) as scene:
            if scheme == "ftp":
                scene.keep(scene.port)
                scene.port = parent
            yield Chained(scene, parent)
    finally:
        parent.close()


async def test_both_connections_are_asked_of_socks_5() -> None:
    async with chained("socks5") as way:
        scene = way.scene
        await way.arrive(HELLO, (CONNECT + TARGET + FTP, DONE))
        await scene.play("""
> PASV
                    > PASV
                    < 227 Here (127,0,0,2,78,32)
""")
        port = int.from_bytes(bytes(map(int, (await passive(scene))[-2:])), "big")
        mine = await scene.call("127.0.0.1", port)
        await scene.client.say(b"RETR f\r\n")
        data = await way.proxy(HELLO, (CONNECT + TARGET + b"\x4e\x20", DONE))
        await scene.play("""
                    > RETR f
                    < 150 Here
< 150 Here
""")
        await data.say(CONTENT)
        data.close()
        assert await mine.the_rest() == (CONTENT, "eof")
        await scene.play("""
                    < 226 Done
< 226 Done
""")
    visit, transfer = sorted(scene.records, key=lambda record: record.seq)
    assert visit.address == SERVER
    assert visit.facts == {"via": f"socks5://127.0.0.1:{way.parent.number}"}
    assert transfer.facts["via"] == visit.facts["via"]
    assert transfer.bytes_down == len(CONTENT)


async def passive(scene: Stage) -> list[str]:
    line = (await scene.client.line()).decode()
    assert line.startswith("227 "), line
    return line.partition("(")[2].rstrip(").").split(",")


BOUND = b"\5\0\0\1" + ip_address("203.0.113.66").packed + b"\x13\x88"


async def active(way: Chained) -> tuple[Peer, Port]:
    """Bring a PORT about through BIND; return the proxy, and the client's port."""
    scene = way.scene
    await way.arrive(HELLO, (CONNECT + TARGET + FTP, DONE))
    mine = scene.listen("127.0.0.1")
    await scene.client.say(b"PORT " + mine.as_port.encode() + b"\r\n")
    bound = await way.proxy(HELLO, (BIND + TARGET + FTP, BOUND))
    await scene.play("""
                    > PORT 203,0,113,66,19,136
                    < 200 Ok
< 200 PORT command successful.
> RETR f
                    > RETR f
                    < 150 Here
""")
    return bound, mine


async def test_active_data_come_by_bind() -> None:
    async with chained("socks5") as way:
        bound, mine = await active(way)
        await bound.say(b"\5\0\0" + TARGET + b"\0\x14" + CONTENT)
        bound.close()
        data = await mine.accept()
        way.scene.keep(data)
        assert await data.the_rest() == (CONTENT, "eof")
        await way.scene.play("""
< 150 Here
                    < 226 Done
< 226 Done
""")


async def test_a_stranger_who_calls_by_bind_is_sent_away() -> None:
    async with chained("socks5") as way:
        bound, mine = await active(way)
        stranger = b"\1" + ip_address("203.0.113.9").packed
        await bound.say(b"\5\0\0" + stranger + b"\0\x14stolen")
        assert (await bound.the_rest())[0] == b""
        await way.scene.play("""
                    > ...ABOR
                    < 426 No data
                    < 226 Abort
< 425 ...the next proxy: a stranger came to its data port...
""")
        assert await mine.nobody_comes()


async def test_a_proxy_that_does_not_listen_leaves_passive() -> None:
    async with chained("socks5") as way:
        scene = way.scene
        await way.arrive(HELLO, (CONNECT + TARGET + FTP, DONE))
        mine = scene.listen("127.0.0.1")
        await scene.client.say(b"PORT " + mine.as_port.encode() + b"\r\n")
        for _ in ("PORT", "EPRT"):
            await way.proxy(HELLO, (BIND + TARGET + FTP, b"\5\7\0\1" + bytes(6)))
        await scene.play("""
                    > PASV
                    < 227 Here (127,0,0,2,78,32)
< 200 PORT command successful.
""")


async def test_socks_4a_is_given_the_name_and_says_no_address() -> None:
    async with chained("socks4a") as way:
        asked = b"\4\1" + FTP + b"\0\0\0\1\0ftp.test\0"
        await way.arrive((asked, b"\0\x5a" + bytes(6)))
        mine = way.scene.listen("127.0.0.1")
        await way.scene.client.say(b"PORT " + mine.as_port.encode() + b"\r\n")
        await way.scene.play("""
                    > EPSV
                    < 229 Here (|||20000|)
< 200 PORT command successful.
""")
        way.scene.client.close()
    [visit] = way.scene.records
    assert visit.address == ""
    assert visit.facts["resolved_by"] == "parent"


async def test_an_http_proxy_that_refuses_data_is_told() -> None:
    async with chained("http") as way:
        scene = way.scene
        ok = b"HTTP/1.1 200 Ok\r\n\r\n"
        await way.arrive((connect("ftp.test:21"), ok))
        await scene.play("""
> EPSV
                    > EPSV
                    < 229 Here (|||20000|)
< 229 ...
> RETR f
                    > RETR f
""")
        no = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        await way.proxy((connect("ftp.test:20000"), no))
        await scene.play("""
                    > ...ABOR
                    < 426 No data
                    < 226 Abort
< 425 ...the next proxy: it does not allow that (403)...
""")


def connect(at: str) -> bytes:
    return f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"\5\xff", "it wants another login"),
        (b"HTTP/1.1 400 Bad\r\n", "it does not speak SOCKS 5"),
        (b"", "it does not answer in time"),
    ],
)
async def test_what_goes_wrong_with_the_proxy_is_told(said: bytes, words: str) -> None:
    async with chained("socks5", seconds=1.0) as way:
        client = way.scene.client
        await client.line()
        await client.say(b"USER joe@ftp.test\r\n")
        proxy = await way.proxy((HELLO[0], said))
        line = (await client.line()).decode()
        assert line == f"421 Cannot reach host ftp.test by the next proxy: {words}."
        assert (await proxy.the_rest())[0] == b""
    [record] = way.scene.records
    assert (record.reason, record.outcome) == ("via", "failed")
    assert record.error == f"the next proxy 127.0.0.1:{way.parent.number}: {words}"


async def test_a_proxy_that_closes_is_told() -> None:
    async with chained("socks5") as way:
        client = way.scene.client
        await client.line()
        await client.say(b"USER joe@ftp.test\r\n")
        (await way.proxy()).close()
        assert b"by the next proxy: " in await client.line()
    assert way.scene.records[0].reason == "via"


# What rules see.

NETWORK = rule("deny", name="not there", to="127.0.0.0/8")
OUTSIDE = rule(name="outside", to="*")


async def test_only_names_are_judged_where_the_proxy_resolves() -> None:
    async with chained("socks5h", rules=(NETWORK, OUTSIDE)) as way:
        await way.arrive(HELLO, (CONNECT + NAMED + FTP, DONE))
    assert way.scene.records[0].rule == "outside"


@pytest.mark.parametrize(
    ("scheme", "host"),
    [
        ("socks5", SERVER),
        ("socks5", "ftp.test"),
        ("http", SERVER),
        ("http", "localhost"),
        ("http", "nas.local"),
    ],
)
async def test_inside_is_refused_as_far_as_it_shows(scheme: str, host: str) -> None:
    async with chained(scheme, rules=(OUTSIDE,)) as way:
        await way.scene.client.line()
        await way.scene.client.say(f"USER joe@{host}\r\n".encode())
        assert await way.scene.client.line() == b"530 Denied by policy."
        assert await way.parent.nobody_comes()
    assert way.scene.records[0].reason == "inside"


# FTP parents: what they hear.

LOGIN = """
                    > USER fu
                    < 331 Proxy password
                    > PASS fp
                    < 230 Proxy login ok
"""
DIALECTS = {
    "?method=user@host": """
                    > USER joe@ftp.test
                    < 331 Password
< 331-...
< 331 Password
> PASS x
                    > PASS x
                    < 230 In
< 230 In
""",
    "?method=site": """
                    > SITE ftp.test
                    < 220 Server here
                    > USER joe
                    < 331 Password
< 331-Server here
< 331 Password
> PASS x
                    > PASS x
                    < 230 In
< 230 In
""",
}
OPENED = DIALECTS["?method=site"].replace("SITE", "OPEN")
WITH_LOGIN = {
    "": LOGIN + DIALECTS["?method=user@host"],
    "?method=site": LOGIN + DIALECTS["?method=site"],
    "?method=open": LOGIN + OPENED,
    "?method=proxyuser@host": """
                    > USER fu@ftp.test
                    < 331 Proxy password
                    > PASS fp
                    < 230 Proxy login ok
                    > USER joe
                    < 331 Password
< 331-...
< 331 Password
> PASS x
                    > PASS x
                    < 230 In
< 230 In
""",
    "?method=joined": """
                    > USER joe@fu@ftp.test
                    < 331 Password
< 331-...
< 331 Password
> PASS x
                    > PASS x@fp
                    < 230 In
< 230 In
""",
    "?method=acct": """
                    > USER joe@ftp.test fu
                    < 331 Password
< 331-...
< 331 Password
> PASS x
                    > PASS x
                    < 332 Account
                    > ACCT fp
                    < 230 In
< 230 In
""",
}
START = """
< 220 edge...
> USER joe@ftp.test
                    < 220 Proxy here
"""


@pytest.mark.parametrize("query", DIALECTS)
async def test_dialects_without_a_login(query: str) -> None:
    async with chained("ftp", query) as way:
        await way.scene.play(START + DIALECTS[query])


@pytest.mark.parametrize("query", WITH_LOGIN)
async def test_dialects_with_a_login(query: str) -> None:
    async with chained("ftp", query, password="fp") as way:
        await way.scene.play(START + WITH_LOGIN[query])
    assert "fp" not in str(way.scene.records).replace("fp.test", "").replace("ftp", "")


async def test_another_port_is_named() -> None:
    async with chained("ftp") as way:
        await way.scene.play("""
< 220 edge...
> USER joe@ftp.test:2121
                    < 220 Proxy here
                    > USER joe@ftp.test:2121
                    < 530 No
< 530 No
""")


async def test_a_password_that_acct_refuses() -> None:
    async with chained("ftp", "?method=acct", password="fp") as way:
        await way.scene.play(
            START
            + """
                    > USER joe@ftp.test fu
                    < 331 Password
< 331-...
< 331 Password
> PASS x
                    > PASS x
                    < 332 Account
                    > ACCT fp
                    < 530 Wrong account
< 530 Wrong account
> PASS y
                    > PASS y
                    < 530 Wrong password
< 530 Wrong password
"""
        )


async def test_an_ftp_proxy_that_refuses_the_login() -> None:
    async with chained("ftp", password="fp") as way:
        await way.scene.play("""
< 220 edge...
> USER joe@ftp.test
                    < 220 Proxy here
                    > USER fu
                    < 331 Proxy password
                    > PASS fp
                    < 530 No
< 421 ...by the next proxy: it refuses the login: 530 No...
ended
                    ended
""")
    assert way.scene.records[0].reason == "via"


async def test_an_ftp_proxy_that_refuses_the_server() -> None:
    async with chained("ftp", "?method=open") as way:
        await way.scene.play("""
< 220 edge...
> USER joe@ftp.test
                    < 220 Proxy here
                    > OPEN ftp.test
                    < 530 Denied there
< 530 Denied there
                    ended
""")
    [record] = way.scene.records
    assert (record.reason, record.status) == ("via", "530")


async def test_data_go_to_the_ftp_proxy_itself() -> None:
    async with chained("ftp") as way:
        scene = way.scene
        await scene.play(START + DIALECTS["?method=user@host"])
        there = scene.listen("127.0.0.1")
        await scene.play("> EPSV\n                    > EPSV")
        assert scene.server is not None
        await scene.server.say(f"229 (|||{there.number}|)\r\n".encode())
        line = (await scene.client.line()).decode()
        mine = await call("127.0.0.1", int(line.split("|")[3]))
        scene.keep(mine)
        await scene.client.say(b"STOR f\r\n")
        data = await there.accept()
        scene.keep(data)
        await mine.say(CONTENT)
        mine.end()
        await scene.play("""
                    > STOR f
                    < 150 Go
< 150 Go
""")
        assert await data.the_rest() == (CONTENT, "eof")
        data.close()
        await scene.play("""
                    < 226 Done
< 226 Done
""")
