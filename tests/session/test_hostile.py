"""What once let a peer past the rules, or kept others waiting: each stays mended."""

import asyncio

import pytest
from tests.session.moving import IN, LONG, agree, begin, move
from tests.session.peers import Peer
from tests.session.stage import EVERYTHING, rule, stage

SECRET = (rule("deny", name="secret", to=("ftp.test/secret/**",)), EVERYTHING)
HOME = f"""
< 220 edge FTP proxy ready.
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
{LONG}> PWD
{LONG}< 257 "/"
"""


@pytest.mark.parametrize(
    "command",
    [
        "DELE ~/secret/f",
        "MKD ~root/x",
        "RNFR  /secret/f",
        "DELE /pub/f ",
        "STAT -x/../secret",
        "STAT  /secret",
        "STAT /sec*",
        "STAT -R /",
        "MLST ~",
        "MDTM 20260101000000 ~/secret/f",
        "MFMT 20260101000000 ~/secret/f",
    ],
)
async def test_a_path_that_servers_read_otherwise_is_refused(command: str) -> None:
    async with stage(rules=SECRET) as scene:
        await scene.play(f"{HOME}> {command}\n< 550 Denied: the path could be ...")
    record = scene.records[0]
    assert (record.outcome, record.reason) == ("refused", "syntax")


async def test_such_a_path_is_the_servers_business_where_no_rule_reads_paths() -> None:
    async with stage() as scene:
        await scene.play(
            f"{IN}> DELE ~/f\n{LONG}> DELE ~/f\n{LONG}< 250 gone\n< 250 gone"
        )


async def test_a_day_alone_sets_a_time_too() -> None:
    async with stage(rules=(rule("deny", do="manage"), EVERYTHING)) as scene:
        await scene.play(f"{IN}> MDTM 20200101 /in/t1\n< 550 Denied by policy.")


@pytest.mark.parametrize("command", ["FEAT", "PASV", "EPSV", "PORT 1,2,3,4,5,6"])
async def test_a_rule_may_name_any_command_of_a_session(command: str) -> None:
    verb = command.split(maxsplit=1)[0]
    async with stage(rules=(rule("deny", do=f"ftp:{verb}"), EVERYTHING)) as scene:
        await scene.play(f"{IN}> {command}\n< 550 Denied by policy.")


async def test_replies_without_end_that_nobody_waits_for_end_the_session() -> None:
    async with stage() as scene:
        await scene.play(IN)
        assert scene.server is not None
        await scene.server.say(b"226 x\r\n" * 100)
        await scene.play("< 421 Server does not speak FTP any more.\nended")


async def test_a_farewell_without_end_has_one() -> None:
    async with stage() as scene:
        await scene.play(IN)
        assert scene.server is not None
        sending = asyncio.ensure_future(
            scene.server.say(b"421-bye\r\n" + b"and more\r\n" * 20_000)
        )
        heard, _ = await scene.client.the_rest()
        sending.cancel()
        await asyncio.wait({sending})
        assert heard.startswith(b"421-bye\r\n")
        assert heard.endswith(b"\r\n421 \r\n")
        assert len(heard) < 70_000


async def test_many_commands_at_once_let_others_have_their_turn() -> None:
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        await scene.client.say(b"NOOP\r\n" * 2000)
        for _ in range(2000):
            assert await scene.client.line() == b"200 OK."
        counting.cancel()
        assert turns > 2000 / 32


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b" \r\n", b"\0\r\n", b"\x80\r\n"])
async def test_lines_without_end_of_which_none_is_a_command(line: bytes) -> None:
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.\n> NOOP\n< 200 OK.")
        await scene.client.say(line * 64 + b"NOOP\r\n" + line * 65)
        for _ in range(64):
            assert (await scene.client.line())[:2] == b"50"
        await scene.play("< 200 OK.")
        for _ in range(64):
            assert (await scene.client.line())[:2] == b"50"
        await scene.play("< 421 Lines came in, and no command among them.\nended")


@pytest.mark.timeout(90)  # megabytes, line by line
async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """Nothing piles up in between, whoever sends: the kernel's buffers are all."""
    async with stage() as scene:
        await scene.play(f"{IN}> HELP\n{LONG}> HELP")
        assert scene.server is not None
        sent = await as_much_as_goes(scene.server, b"214-Help\r\n", b" line\r\n" * 9000)
        assert sent < 32 << 20
        rest = asyncio.ensure_future(scene.client.the_rest())
        await scene.server.say(b"\r\n214 End\r\n")
        scene.server.close()
        heard, _ = await rest
        assert heard.endswith(b"214 End\r\n421 Server closed the connection.\r\n")
        assert len(heard) > sent


@pytest.mark.timeout(90)
async def test_a_client_that_only_asks_is_waited_for_and_then_left() -> None:
    async with stage(idle=0.5) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        sent = await as_much_as_goes(scene.client, b"", b"HELP\r\n" * 9000)
        assert sent < 32 << 20
        await scene.over()


async def as_much_as_goes(peer: Peer, first: bytes, piece: bytes) -> int:
    """Send *piece* again and again until nobody takes more; return how much went."""
    await peer.say(first)
    loop = asyncio.get_running_loop()
    sent = 0
    try:
        while True:
            rest = memoryview(piece)
            while rest:
                try:
                    count = peer.sock.send(rest)
                except BlockingIOError:
                    async with asyncio.timeout(0.3):
                        await writable(peer, loop)
                    continue
                sent += count
                rest = rest[count:]
            await asyncio.sleep(0)
    except (TimeoutError, ConnectionError):
        return sent


async def writable(peer: Peer, loop: asyncio.AbstractEventLoop) -> None:
    ready = asyncio.Event()
    loop.add_writer(peer.sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(peer.sock)


@pytest.mark.parametrize("first", ["control", "data"])
async def test_a_client_killed_in_an_upload_leaves_no_whole_file(first: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        await scene.play(f"> STOR f\n{LONG}> STOR f\n{LONG}< 150 Go\n< 150 Go")
        server, client = await legs.at_server(), await legs.at_client()
        await client.say(b"half of it")
        assert await server.hear() == b"half of it"
        ends = (scene.client, client)  # closed in the order of their numbers
        for end in ends if first == "control" else reversed(ends):
            end.close()
        rest, how = await server.the_rest()
        assert (rest, how) == (b"", "reset")
        await scene.over()
    assert scene.methods[0] == ("STOR", "cut")


@pytest.mark.parametrize("size", [0, 20_000])
async def test_its_control_connection_may_end_a_moment_later(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux closes the connections of one who is killed from the last to the first."""
    monkeypatch.setattr("portway.protocols.ftp.mover.MOMENTS", (0.5, 0.5))
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "STOR f")
        await client.say(bytes(size))
        client.close()
        assert await heard(server, size)
        assert await server.silent()
        scene.client.close()
        assert await server.the_rest() == (b"", "reset")
        await scene.over()
    assert scene.methods[0] == ("STOR", "cut" if size else "failed")


async def heard(peer: Peer, size: int) -> bool:
    """Take *size* bytes."""
    while size > 0:
        size -= len(await peer.hear())
    return size == 0


async def test_what_clients_send_at_once_is_not_kept_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portway.protocols.ftp.mover.MOMENTS", (60.0, 60.0))
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "STOR f")
        await move(client, server, b"small")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
