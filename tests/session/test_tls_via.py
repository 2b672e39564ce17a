"""TLS with what stands at the far end: behind a SOCKS proxy, or with an FTP proxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.certificates import Certificates, issue
from tests.session.peers import Port
from tests.session.secure import inside, server_goes_inside
from tests.session.stage import Stage, stage
from tests.session.test_via import CONNECT, DONE, FTP, HELLO, SERVER, TARGET, Chained

from portway.protocols.ftp.settings import Upstream

LONG = " " * 24
IN = f"""
{LONG}< 230 In
{LONG}> PBSZ 0
{LONG}< 200 PBSZ=0
{LONG}> PROT P
{LONG}< 200 Private
"""


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return issue(tmp_path, "ftp.test", "127.0.0.1")


@asynccontextmanager
async def chained(scheme: str, ca: str) -> AsyncIterator[Chained]:
    parent = Port()
    via = f"{scheme}://127.0.0.1:{parent.number}"
    try:
        upstream = Upstream(via=via, tls="required", ca=ca)
        async with stage(server=SERVER, upstream=upstream) as scene:
            yield Chained(scene, parent)
    finally:
        parent.close()


async def whole(scene: Stage, path: str) -> None:
    """The client has been let in, with its greeting before that."""
    await scene.play(f"< 230-{path}\n< 230 In")


async def test_behind_a_socks_proxy(certificates: Certificates) -> None:
    context = certificates.accepting()
    async with chained("socks5", certificates.ca) as way:
        scene = way.scene
        await scene.play("< 220 edge FTP proxy ready.\n> USER joe@ftp.test")
        scene.server = await way.proxy(HELLO, (CONNECT + TARGET + FTP, DONE))
        await scene.play(f"{LONG}< 220 Hello\n{LONG}> AUTH TLS\n{LONG}< 234 Go ahead")
        await server_goes_inside(scene, context)
        await scene.play(f"{LONG}> USER joe" + IN)
        await whole(scene, "Hello")
        await scene.play(f"""
> EPSV
{LONG}> EPSV
{LONG}< 229 Here (|||20000|)
""")
        line = (await scene.client.line()).decode()
        mine = await scene.call("127.0.0.1", int(line.split("|||")[1].rstrip("|)")))
        await scene.client.say(b"RETR f\r\n")
        asked = CONNECT + TARGET + (20000).to_bytes(2, "big")
        data = await inside(await way.proxy(HELLO, (asked, DONE)), context)
        assert data.tls.session_reused
        await scene.play(f"{LONG}> RETR f\n{LONG}< 150 Here\n< 150 Here")
        await data.say(b"whole")
        data.end()
        assert await mine.the_rest() == (b"whole", "eof")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert [record.outcome for record in scene.records] == ["ok", "ok"]


async def test_with_another_ftp_proxy(tmp_path: Path) -> None:
    """It is that proxy which must prove who it is."""
    certificates = issue(tmp_path, "127.0.0.1")
    async with chained("ftp", certificates.ca) as way:
        scene = way.scene
        await scene.play("< 220 edge FTP proxy ready.\n> USER joe@ftp.test")
        scene.server = await way.proxy()
        await scene.play(f"{LONG}< 220 Parent\n{LONG}> AUTH TLS\n{LONG}< 234 Go ahead")
        await server_goes_inside(scene, certificates.accepting())
        await scene.play(f"{LONG}> USER joe@ftp.test" + IN)
        await whole(scene, "Parent")
    assert scene.records[0].facts["tls_server"].startswith("TLSv1.3 ")
