"""ABOR: one reply, two, none, in halves, and what the client is told in each case."""

import pytest
from tests.session.moving import IN, LONG, agree, begin, move
from tests.session.peers import Peer
from tests.session.stage import Stage, stage

URGENT = "\xff\xf4\xff\xf2ABOR"
AGAIN = f"silent\n> NOOP\n{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.mover.DRAIN", 0.1)
    monkeypatch.setattr("portway.protocols.ftp.mover.REPLY_AFTER_FAILURE", 0.1)
    monkeypatch.setattr("portway.protocols.ftp.upstream.SECOND_REPLY", 0.1)


async def abort(scene: Stage) -> Peer:
    """Let the client abort a download; return the server, which has the ABOR."""
    await scene.play(IN)
    client, server = await begin(scene, "RETR f")
    await server.say(b"data")
    assert await client.hear() == b"data"
    await scene.play(f"> ABOR\n{LONG}> {URGENT}")
    assert await client.the_rest() == (b"", "reset")
    assert scene.server is not None
    return scene.server


async def test_an_abor_that_the_server_swallows() -> None:
    async with stage() as scene:
        await abort(scene)
        await scene.play(f"""
{LONG}< 426 Broken off
< 426 Broken off
{LONG}> NOOP
silent
{LONG}< 200 Zzz
< 226 ABOR came behind the end of the transfer.
""")
        await scene.play(AGAIN)
    assert scene.methods[0] == ("RETR", "cut")


async def test_a_reply_of_many_lines_to_the_noop() -> None:
    async with stage() as scene:
        await abort(scene)
        await scene.play(f"""
{LONG}< 226 Done
< 226 Done
{LONG}> NOOP
{LONG}< 200-Still
{LONG}< 200 here
< 226 ABOR came behind the end of the transfer.
""")
        await scene.play(AGAIN)


async def test_an_abor_that_is_answered_late() -> None:
    async with stage() as scene:
        await abort(scene)
        await scene.play(f"""
{LONG}< 426 Broken off
< 426 Broken off
{LONG}> NOOP
{LONG}< 226 Closed
{LONG}< 200 ok
< 226 Closed
""")
        await scene.play(AGAIN)


async def test_an_answer_that_comes_after_that_to_the_noop_is_passed_over() -> None:
    async with stage() as scene:
        await abort(scene)
        await scene.play(f"""
{LONG}< 226 Done
< 226 Done
{LONG}> NOOP
{LONG}< 200 ok
< 226 ABOR came ...
{LONG}< 225 At last
""")
        await scene.play(AGAIN)


async def test_an_abor_of_ours_that_the_server_swallows() -> None:
    async with stage(stall=0.1) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await server.say(b"data")
        assert await client.hear() == b"data"
        await scene.play(f"""
{LONG}> {URGENT}
< 426 The data stood ...
{LONG}< 426 Broken off
{LONG}> NOOP
{LONG}< 200 ok
""")
        await scene.play(AGAIN)


async def test_an_abor_without_a_transfer_is_the_servers_business() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> ABOR\n{LONG}> ABOR\n{LONG}< 225 None\n< 225 None")


async def test_an_abor_before_any_data() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await agree(scene, "PASV")
        await scene.play(f"> STOR f\n{LONG}> STOR f\n> ABOR\n{LONG}> {URGENT}")
        await scene.play(f"{LONG}< 425 No\n< 425 No\n{LONG}> NOOP\n{LONG}< 200 ok")
        await scene.play(f"< 226 ABOR came ...\n{AGAIN}")


async def test_an_abor_behind_the_data_has_no_need_of_telnet() -> None:
    """Pure-FTPd swallows a line that begins with Telnet's signs."""
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await move(server, client, b"data")
        await scene.play(f"> ABOR\n{LONG}> ABOR\n{LONG}< 226 Done\n< 226 Done")
        await scene.play(f"{LONG}< 226 ABOR done\n< 226 ABOR done\n{AGAIN}")
    assert scene.methods[0] == ("RETR", "ok")


async def test_an_abor_behind_the_servers_226_has_no_need_of_telnet() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await server.say(b"data")
        assert await client.hear() == b"data"
        await scene.play(f"{LONG}< 226 Done\nsilent\n> ABOR\n{LONG}> ABOR\n< 226 Done")
        await scene.play(f"{LONG}< 226 ABOR done\n< 226 ABOR done\n{AGAIN}")
    assert scene.methods[0] == ("RETR", "cut")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.upstream.SECOND_REPLY", 0.4)


@pytest.mark.usefixtures("patient")
async def test_halves_within_the_time_are_two_replies() -> None:
    async with stage() as scene:
        server = await abort(scene)
        for part in (b"226 ABOR heard\r\n", b"22", b"5 None\r\n"):
            await scene.play("silent")
            await server.say(part)
        await scene.play(f"< 226 ABOR heard\n< 225 None\n{AGAIN}")


@pytest.mark.parametrize("cut", [12, 40])
async def test_one_reply_of_many_lines_is_one(cut: int) -> None:
    text = b"226-ABOR heard\r\n and more of it\r\n226 Closed\r\n"
    async with stage() as scene:
        server = await abort(scene)
        await server.say(text[:cut])
        await server.say(text[cut:])
        await scene.play("""
< 426 Transfer aborted.
< 226-ABOR heard
<  and more of it
< 226 Closed
""")
        await scene.play(AGAIN)


async def test_many_lines_without_end_are_not_held() -> None:
    async with stage() as scene:
        server = await abort(scene)
        await server.say(b"226-ABOR heard\r\n" + b" more\r\n" * 5000)
        await scene.play("< 426 Transfer aborted.\n< 226-ABOR heard")
        for _ in range(5000):
            assert await scene.client.line() == b" more"
        await scene.play(f"{LONG}< 226 Closed\n< 226 Closed\n{AGAIN}")
