"""Data connections: all pairs of legs, and whatever may go wrong with one."""

import asyncio
import contextlib
import resource
from ipaddress import ip_network
from typing import Literal

import pytest
from tests.session.moving import IN, LONG, agree, begin, move, offered
from tests.session.peers import Peer
from tests.session.stage import rule, stage
from tests.wires import listener, port_of

from portway.net.stream import SocketStream
from portway.protocols.ftp.settings import Upstream

PAYLOAD = bytes(range(256)) * 4096
V4, V6 = "127.0.0.1", "::1"
VERBS = ("PASV", "EPSV", "PORT", "EPRT")
Data = Literal["auto", "passive", "active"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    mover = "portway.protocols.ftp.mover."
    monkeypatch.setattr(mover + "REPLY_AFTER_FAILURE", 0.1)
    monkeypatch.setattr(mover + "LATE_LEG", 0.1)
    monkeypatch.setattr(mover + "DRAIN", 0.1)
    monkeypatch.setattr("portway.protocols.ftp.upstream.SECOND_REPLY", 0.1)


def asked(verb: str, server: str, data: Data) -> str:
    """Return what the server is asked for: the table of ftp.md, section 4.1."""
    extended = server == V6 or verb in {"EPSV", "EPRT"}
    active = data == "active" or (data == "auto" and verb in {"PORT", "EPRT"})
    if active:
        return "EPRT" if extended else "PORT"
    return "EPSV" if extended else "PASV"


CELLS = [
    (verb, client, server, data)
    for verb in VERBS
    for client in (V4, V6)
    for server in (V4, V6)
    for data in ("auto", "passive", "active")
    if client == V4 or verb in {"EPSV", "EPRT"}
]


@pytest.mark.parametrize(("verb", "client", "server", "data"), CELLS)
async def test_legs(verb: str, client: str, server: str, data: Data) -> None:
    upstream = Upstream(data=data)
    async with stage(client=client, server=server, upstream=upstream) as scene:
        await scene.play(IN)
        for command in ("RETR f", "STOR f", "LIST"):
            legs = await agree(scene, verb)
            assert legs.server.verb == asked(verb, server, data)
            await scene.play(f"> {command}\n{LONG}> {command}")
            at_server = await legs.at_server()
            await scene.play(f"{LONG}< 150 Opening")
            at_client = await legs.at_client()
            await scene.play("< 150 Opening")
            up = command.startswith("STOR")
            source, sink = (at_client, at_server) if up else (at_server, at_client)
            await move(source, sink, b"" if command == "LIST" else PAYLOAD[:100_000])
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        await scene.play(f"> QUIT\n{LONG}> QUIT\n{LONG}< 221 Bye\n< 221 Bye\nended")
    assert scene.methods == [
        ("RETR", "ok"),
        ("STOR", "ok"),
        ("LIST", "ok"),
        ("CONNECT", "ok"),
    ]
    retr, stor, listing, _ = scene.records
    assert (retr.bytes_down, retr.bytes_up, retr.path) == (100_000, 0, "/f")
    assert (stor.bytes_down, stor.bytes_up) == (0, 100_000)
    assert listing.bytes_down == 0
    facts = {"client_data": verb, "server_data": asked(verb, server, data)}
    assert facts.items() <= dict(retr.facts).items()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("command", ["RETR f", "STOR f", "APPE f", "STOU", "MLSD"])
@pytest.mark.parametrize("size", [0, 1, 1 << 20])
async def test_payload(verb: str, command: str, size: int) -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> REST 7\n{LONG}> REST 7\n{LONG}< 350 ok\n< 350 ok")
        client, server = await begin(scene, command, verb)
        up = command[:4] in {"STOR", "APPE", "STOU"}
        source, sink = (client, server) if up else (server, client)
        await move(source, sink, PAYLOAD[:size])
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.methods[0] == (command[:4], "ok")


async def test_the_final_reply_waits_for_the_last_byte() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await server.say(b"begin")
        await scene.play(f"{LONG}< 226 Done\nsilent")
        assert await client.hear() == b"begin"
        await server.say(b"end")
        server.end()
        assert await client.the_rest() == (b"end", "eof")
        await scene.play("< 226 Done")


async def test_the_end_of_data_before_any_reply() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f", opening=False)
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 150 Opening\n< 150 Opening\nsilent")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_the_first_byte_before_150_calls_the_client() -> None:
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PORT")
        await scene.play(f"> RETR f\n{LONG}> RETR f")
        server = await legs.at_server()
        await server.say(b"data")
        client = await legs.at_client()
        server.end()
        assert await client.the_rest() == (b"data", "eof")
        await scene.play(f"{LONG}< 150 Opening\n{LONG}< 226 Done\n< 150 Opening")
        await scene.play("< 226 Done")


@pytest.mark.parametrize("verb", ["PASV", "PORT"])
@pytest.mark.parametrize("command", ["RETR f", "STOR f", "LIST"])
async def test_the_server_refuses_before_any_byte(verb: str, command: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        await agree(scene, verb)
        await scene.play(f"""
> {command}
{LONG}> {command}
{LONG}< 550 No such thing
< 550 No such thing
> NOOP
{LONG}> NOOP
{LONG}< 200 ok
< 200 ok
""")
    record = scene.records[0]
    assert (record.outcome, record.status, record.side) == ("failed", "550", "server")


@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_the_server_refuses_after_some_bytes(command: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        source, sink = (server, client) if command == "RETR f" else (client, server)
        await source.say(b"data")
        assert await sink.hear() == b"data"
        await scene.play(f"{LONG}< 451 Disk\n< 451 Disk")
        assert await sink.the_rest() == (b"", "reset")
    assert scene.records[0].outcome == "cut"


BROKEN = [
    ("RETR f", "server", "426 The server's data connection broke."),
    ("RETR f", "client", "426 Your data connection broke."),
    ("STOR f", "client", "426 Your data connection broke."),
    ("STOR f", "server", "426 The server's data connection broke."),
]


@pytest.mark.parametrize(("command", "who", "answer"), BROKEN)
@pytest.mark.parametrize("said", ["226 Done", "426 Broken", None])
async def test_a_leg_breaks(
    command: str, who: str, answer: str, said: str | None
) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        down = command == "RETR f"
        source, sink = (server, client) if down else (client, server)
        await source.say(b"data")
        assert await sink.hear() == b"data"
        broken = server if who == "server" else client
        other = client if who == "server" else server
        broken.reset()
        sending = None
        if broken is sink:  # which shows only when more is sent
            sending = asyncio.get_running_loop().create_task(flood(source))
        rest, how = await other.the_rest()
        assert (rest, how) == (b"", "reset")
        if sending is not None:
            await sending
        if said is None:
            await scene.play(f"{LONG}> \xff\xf4\xff\xf2ABOR\n< {answer}")
            await scene.play(f"{LONG}< 426 Aborted\n{LONG}< 226 ABOR done")
        else:
            told = answer if said == "226 Done" else said
            await scene.play(f"{LONG}< {said}\n< {told}")
        await scene.play(f"> NOOP\n{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok")
    assert scene.methods[0] == (command[:4], "cut")
    assert scene.records[0].side == who


async def flood(peer: Peer) -> None:
    """Send until the connection breaks."""
    try:
        while True:
            await peer.say(b"x" * 65536)
    except ConnectionError:
        return


ABORS = {
    "two": (["426 Broken off", "226 ABOR done"], ["426 Broken off", "226 ABOR done"]),
    "one 226": (["226 ABOR done"], ["426 Transfer aborted.", "226 ABOR done"]),
    "one 225": (["225 Gone"], ["426 Transfer aborted.", "225 Gone"]),
    "whole": (["226 Done", "225 None"], ["226 Done", "225 None"]),
}


@pytest.mark.parametrize("urgent", [b"ABOR\r\n", b"\xff\xf4\xff\xf2ABOR\r\n"])
@pytest.mark.parametrize("name", ABORS)
@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_abor(name: str, command: str, urgent: bytes) -> None:
    said, told = ABORS[name]
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        source, sink = (server, client) if command == "RETR f" else (client, server)
        await source.say(b"data")
        assert await sink.hear() == b"data"
        await scene.client.say(urgent)
        await scene.play(f"{LONG}> \xff\xf4\xff\xf2ABOR")
        assert await sink.the_rest() == (b"", "reset")
        for line in said:
            await scene.play(f"{LONG}< {line}")
        for line in told:
            await scene.play(f"< {line}")
        await scene.play(f"silent\n> NOOP\n{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok")
    assert scene.methods[0] == (command[:4], "cut")
    assert scene.records[0].side == "client"


async def test_abor_before_data() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await agree(scene, "PASV")
        await scene.play(f"""
> RETR f
{LONG}> RETR f
> ABOR
{LONG}> \xff\xf4\xff\xf2ABOR
{LONG}< 425 No
{LONG}< 225 ok
< 425 No
< 225 ok
""")


async def test_abor_after_the_data_before_226() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await move(server, client, b"data")
        await scene.play(f"""
> ABOR
{LONG}> ABOR
{LONG}< 226 Done
{LONG}< 225 None
< 226 Done
< 225 None
""")
    assert scene.methods[0] == ("RETR", "ok")


async def test_stat_and_quit_in_a_transfer() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await server.say(b"data")
        assert await client.hear() == b"data"
        await scene.play("""
> STAT
< 211-Status
<  RETR: 4 bytes, ... bytes/s
< 211 End
> NOOP
> STAT
< 211-Status
<  RETR: 4 bytes, ... bytes/s
< 211 End
> QUIT
silent
""")
        await move(server, client, b"")
        await scene.play(f"""
{LONG}< 226 Done
< 226 Done
{LONG}> NOOP
{LONG}< 200 ok
< 200 ok
{LONG}> QUIT
{LONG}< 221 Bye
< 221 Bye
ended
""")


@pytest.mark.parametrize("end", ["closes", "breaks"])
@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_the_client_vanishes(end: str, command: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        await scene.play(f"{end}\n{LONG}ended")
        assert (await client.the_rest())[1] == "reset"
        assert (await server.the_rest())[1] == "reset"
        await scene.over()
    record = scene.records[0]
    assert (record.method, record.outcome, record.side) == (
        command[:4],
        "failed",
        "client",
    )


@pytest.mark.parametrize("end", ["closes", "breaks"])
@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_the_servers_control_is_lost(end: str, command: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        await scene.play(f"""
{LONG}{end}
< 426 Server closed the connection.
< 421 Server closed the connection.
ended
""")
        assert (await client.the_rest())[1] == "reset"
        assert (await server.the_rest())[1] == "reset"


async def test_421_in_a_transfer() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, _ = await begin(scene, "RETR f")
        await scene.play(f"{LONG}< 421 Enough\n< 421 Enough\nended")
        assert (await client.the_rest())[1] == "reset"


async def test_the_server_closes_right_behind_its_226() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await move(server, client, b"data")
        assert scene.server is not None
        await scene.server.say(b"226 Done\r\n")
        scene.server.close()
        await scene.play("< 226 Done\n< 421 Server closed the connection.\nended")
    assert scene.methods == [("RETR", "ok"), ("CONNECT", "ok")]


@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_stall(command: str) -> None:
    async with stage(stall=0.1) as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        source, sink = (server, client) if command == "RETR f" else (client, server)
        await source.say(b"data")
        assert await sink.hear() == b"data"
        assert await sink.the_rest() == (b"", "reset")
        await scene.play(f"{LONG}> \xff\xf4\xff\xf2ABOR\n< 426 The data stood ...")
    assert scene.records[0].reason == "timeout"


async def test_226_without_any_data_connection() -> None:
    upstream = Upstream(data="active")
    async with stage(upstream=upstream) as scene:
        await scene.play(IN)
        await agree(scene, "PASV")
        await scene.play(
            f"> RETR f\n{LONG}> RETR f\n{LONG}< 226 Done\n< 425 No data ..."
        )
        await scene.play(f"> NOOP\n{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok")


@pytest.mark.parametrize("replies", [1, 2])
async def test_the_client_cannot_be_called(replies: int) -> None:
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PORT")
        assert legs.client.port is not None
        legs.client.port.close()
        await scene.play(f"> RETR f\n{LONG}> RETR f")
        await legs.at_server()
        await scene.play(f"""
{LONG}< 150 Opening
< 425 Cannot connect to your data port.
{LONG}> \xff\xf4\xff\xf2ABOR
""")
        if replies == 2:
            await scene.play(f"{LONG}< 426 Aborted")
        await scene.play(f"""
{LONG}< 226 ABOR done
> NOOP
{LONG}> NOOP
{LONG}< 200 ok
< 200 ok
""")
    record = scene.records[0]
    assert (record.outcome, record.side) == ("failed", "client")


async def test_the_server_cannot_be_dialled() -> None:
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        assert legs.server.port is not None
        legs.server.port.close()
        client = await legs.at_client()
        await scene.play(f"""
> RETR f
{LONG}> RETR f
{LONG}> \xff\xf4\xff\xf2ABOR
< 425 No data path to the server: ...
{LONG}< 425 Cannot
{LONG}< 225 ABOR ok
> NOOP
{LONG}> NOOP
{LONG}< 200 ok
< 200 ok
""")
        rest, _ = await client.the_rest()
        assert not rest


async def test_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.mover.LEG_TIME", 0.1)
    async with stage() as scene:
        await scene.play(IN)
        await agree(scene, "PASV")
        await scene.play(f"""
> RETR f
{LONG}> RETR f
{LONG}< 150 Opening
< 150 Opening
< 425 Cannot connect to your data port.
{LONG}> \xff\xf4\xff\xf2ABOR
{LONG}< 426 Aborted
{LONG}< 226 ABOR done
""")


async def test_a_stranger_at_the_data_port() -> None:
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        with contextlib.suppress(ConnectionResetError):  # it may be as quick as that
            stranger = await scene.call(V4, legs.client.number, "127.0.0.9")
            assert (await stranger.the_rest())[1] == "reset"
        client = await legs.at_client()
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi\n< 150 Hi")
        await move(await legs.at_server(), client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_a_server_that_connects_late() -> None:
    async with stage(upstream=Upstream(data="active")) as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        client = await legs.at_client()
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi\n< 150 Hi")
        assert await client.silent()
        await move(await legs.at_server(), client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("PORT 127,0,0,9,200,1", "501 Data address is not yours."),
        ("PORT 127,0,0,1,3,255", "501 Privileged port refused."),
        ("PORT 127,0,0,1,0,0", "501 Bad data address."),
        ("PORT 1,2", "501 Bad data address."),
        ("PORT", "501 Bad data address."),
        ("EPRT |1|127.0.0.9|50000|", "501 Data address is not yours."),
        ("EPRT |1|127.0.0.1|1023|", "501 Privileged port refused."),
        ("EPRT |2|::1|50000|", "522 Network protocol not supported, use (1)."),
        ("EPRT |3|x|50000|", "522 Network protocol not supported, use (1,2)."),
        ("EPRT x", "501 Bad data address."),
        ("EPSV 2", "522 Network protocol not supported, use (1)."),
        ("EPSV x", "501 Bad argument: EPSV takes 1, 2 or ALL."),
    ],
)
async def test_bounce(command: str, answer: str) -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> {command}\n< {answer}\n{LONG}silent\n> RETR f")
        await scene.play("< 425 Send PASV, EPSV, PORT or EPRT first.")


async def test_pasv_over_ipv6() -> None:
    async with stage(client=V6) as scene:
        await scene.play(f"{IN}> PASV\n< 425 Use EPSV on IPv6.\n> EPSV 1\n< 522 ...")


async def test_epsv_all() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> EPSV ALL\n< 200 EPSV ALL accepted.\n{LONG}silent")
        for verb in ("PASV", "PORT 127,0,0,1,200,1", "EPRT |1|127.0.0.1|50000|"):
            await scene.play(f"> {verb}\n< 501 EPSV ALL was sent.")
        client, server = await begin(scene, "RETR f", "EPSV")
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


@pytest.mark.parametrize(
    "shape",
    [
        "227 Entering Passive Mode (10,9,8,7,{p})",
        "227 =127,0,0,1,{p}",
        "227 0 127 , 0,0 ,1, {p} ok",
        "227-Hello\r\n227 Entering (192,168,0,1,{p}).",
    ],
)
async def test_odd_addresses_in_227(shape: str) -> None:
    async with stage() as scene:
        port = scene.listen(V4)
        await scene.play(f"{IN}> PASV\n{LONG}> PASV")
        high, low = divmod(port.number, 256)
        assert scene.server is not None
        await scene.server.say(shape.format(p=f"{high},{low}").encode() + b"\r\n")
        await scene.play(f"< 227 ...\n> RETR f\n{LONG}> RETR f")
        scene.keep(await port.accept())


@pytest.mark.parametrize(
    "answer",
    [
        "500 What?",
        "502 No",
        "227 nothing",
        "227 (127,0,0,1,0,80)",
        "227 (0,0,0,0,200,1)",
    ],
)
async def test_pasv_refused_is_remembered(answer: str) -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> PASV\n{LONG}> PASV\n{LONG}< {answer}\n{LONG}> EPSV")
        await scene.play(f"{LONG}< 229 (|||2000|)\n< 227 ...\n> PASV\n{LONG}> EPSV")
        await scene.play(f"{LONG}< 229 (|||2000|)\n< 227 ...")
        scene.clock.now += 3601
        await scene.play(f"> PASV\n{LONG}> PASV\n{LONG}< 450 Later\n< 450 Later")


async def test_every_way_refused() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> PORT 127,0,0,1,200,1
{LONG}> PORT ...
{LONG}< 500 no
{LONG}> EPRT ...
{LONG}< 500 no
{LONG}> PASV
{LONG}< 500 no
{LONG}> EPSV
{LONG}< 500 never
< 425 No data path to the server: never
""")


@pytest.mark.parametrize("answer", ["530 Log in", "450 Later", "425 Full"])
async def test_what_is_no_refusal_of_the_way_passes(answer: str) -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> EPSV\n{LONG}> EPSV\n{LONG}< {answer}\n< {answer}")


async def test_a_path_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.legs.LIFETIME", 0.05)
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        await asyncio.sleep(0.4)  # deadlines come up to a slot late
        with pytest.raises(ConnectionRefusedError):
            await legs.at_client()
        await scene.play("> RETR f\n< 425 The data port was not used in time.")
        await scene.play("> RETR f\n< 425 Send PASV, EPSV, PORT or EPRT first.")


async def test_a_new_data_command_drops_the_old_path() -> None:
    async with stage() as scene:
        await scene.play(IN)
        old = await agree(scene, "PASV")
        new = await agree(scene, "EPSV")
        with pytest.raises(ConnectionRefusedError):
            await old.at_client()
        await new.at_client()


@pytest.mark.parametrize("up", [False, True])
async def test_an_unknown_verb_that_moves_data(up: bool) -> None:
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        await scene.play(f"> XGET f\n{LONG}> XGET f\n{LONG}< 150 Hi\n< 150 Hi")
        client, server = await legs.at_client(), await legs.at_server()
        source, sink = (client, server) if up else (server, client)
        await source.say(PAYLOAD[:1000])
        source.end()
        got = b""
        while len(got) < 1000:
            got += await sink.hear()
        sink.end()
        assert got == PAYLOAD[:1000]
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.methods[0] == ("XGET", "ok")


async def test_legs_of_an_unknown_verb_are_reset_if_we_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, bool]] = []
    reset_if_lost = SocketStream.reset_if_lost

    def note(stream: SocketStream, on: bool) -> None:
        asked.append((stream.side.value, on))
        reset_if_lost(stream, on)

    monkeypatch.setattr(SocketStream, "reset_if_lost", note)
    async with stage() as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        await scene.play(f"> XGET f\n{LONG}> XGET f\n{LONG}< 150 Hi\n< 150 Hi")
        client, server = await legs.at_client(), await legs.at_server()
        await server.say(b"data")
        assert await client.hear() == b"data"
        assert set(asked) == {("client", True), ("server", True)}
        server.end()
        client.end()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert asked[2:] == [("client", False), ("server", False)]


async def test_the_address_in_the_reply_is_dialled_where_the_door_says_so() -> None:
    upstream = Upstream(pasv_address="reply")
    async with stage(upstream=upstream) as scene:
        port = scene.listen("127.0.0.5")
        await scene.play(f"{IN}> PASV\n{LONG}> PASV\n{LONG}< 227 ({port.as_port})")
        offered_port = offered(await scene.client.line())
        await scene.play(f"> RETR f\n{LONG}> RETR f")
        server = await port.accept()
        scene.keep(server)
        client = await scene.call(V4, offered_port)
        await scene.play(f"{LONG}< 150 Hi\n< 150 Hi")
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_the_address_in_the_reply_must_be_one_that_the_rules_allow() -> None:
    upstream = Upstream(pasv_address="reply")
    async with stage(upstream=upstream, rules=(rule(to="127.0.0.1"),)) as scene:
        port = scene.listen("127.0.0.5")
        await scene.play(f"{IN}> PASV\n{LONG}> PASV\n{LONG}< 227 ({port.as_port})")
        await scene.play(f"< 227 ...\n> RETR f\n{LONG}> RETR f")
        assert await port.nobody_comes()
        denied = "425 No data path to the server: denied by policy."
        await scene.play(f"{LONG}> \xff\xf4\xff\xf2ABOR\n< {denied}")


OTHER = ip_network("127.0.0.9/32")


async def test_who_else_may_make_the_clients_data_connection() -> None:
    async with stage(data_peers=(OTHER,)) as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        client = await scene.call(V4, legs.client.number, "127.0.0.9")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi\n< 150 Hi")
        await move(await legs.at_server(), client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


@pytest.mark.parametrize("admitted", [True, False])
async def test_who_else_may_make_the_servers_data_connection(admitted: bool) -> None:
    upstream = Upstream(data="active", data_peers=(OTHER,) if admitted else ())
    async with stage(upstream=upstream) as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        client = await legs.at_client()
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi\n< 150 Hi")
        if admitted:
            server = await scene.call(V4, legs.server.number, "127.0.0.9")
        else:
            with contextlib.suppress(ConnectionResetError):  # as quick as that
                stranger = await scene.call(V4, legs.server.number, "127.0.0.9")
                assert await stranger.the_rest() == (b"", "reset")
            server = await legs.at_server()
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_the_port_that_clients_are_dialled_from() -> None:
    with listener() as free:
        port = port_of(free)
    async with stage(active_port=port) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f", "PORT")
        assert client.sock.getpeername() == (V4, port)
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_without_descriptors_for_a_leg_it_is_the_gateways_fault() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with stage() as scene:
        await scene.play(IN)
        await agree(scene, "PASV")
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            await scene.play(f"""
> RETR f
{LONG}> RETR f
{LONG}> \xff\xf4\xff\xf2ABOR
< 425 No data connection to spare now.
""")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await scene.play(f"{LONG}< 425 Cannot\n{LONG}< 225 ABOR ok")
    record = scene.records[0]
    assert (record.outcome, record.side) == ("failed", "gateway")
    assert record.reason == "busy"


@pytest.mark.parametrize("in_time", [True, False])
async def test_drain_in_a_transfer(in_time: bool) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await server.say(b"data")
        assert await client.hear() == b"data"
        drain = scene.sessions.drain(5 if in_time else 0.1)
        draining = asyncio.get_running_loop().create_task(drain)
        if in_time:
            assert await client.silent()
            await move(server, client, b" and more")
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        else:
            assert await client.the_rest() == (b"", "reset")
            assert await server.the_rest() == (b"", "reset")
        await scene.play(f"< 421 edge is closing.\nended\n{LONG}ended")
        await draining
    assert scene.methods[0] == ("RETR", "ok" if in_time else "cut")


async def test_no_free_port() -> None:
    with listener() as taken:
        ports = range(port_of(taken), port_of(taken) + 1)
        async with stage(data_ports=ports) as scene:
            await scene.play(f"""{IN}
> EPSV
{LONG}> EPSV
{LONG}< 229 (|||2000|)
< 425 No data port is free.
""")
