"""The control channel: whatever is said there, in whatever order and shape."""

import asyncio

import pytest
from tests.session.stage import Stage, stage

from portway.protocols.ftp.settings import Upstream

HELLO = "< 220 edge FTP proxy ready.\n"
LONG = " " * 24
IN = f"""
{HELLO}
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
"""


async def both(scene: Stage, said: bytes, heard: bytes) -> None:
    """The server says *said*, and the client gets *heard*."""
    assert scene.server is not None
    await scene.server.say(said)
    for line in heard.split(b"\r\n")[:-1]:
        assert await scene.client.line() == line


# Replies.


@pytest.mark.parametrize(
    "reply",
    [
        b"211-a\r\n 211 b\r\n211 c\r\n",
        b"211-a\r\n212 not yet\r\n\r\nx\r\n211-again\r\n211 c\r\n",
        b"211-" + b"x" * 8000 + b"\r\n" + b"y\r\n" * 5000 + b"211 end\r\n",
        b"211\r\n",
        b"211 \xff\xfe\x80\r\n",
    ],
)
async def test_replies_of_odd_shape_pass_as_they_are(reply: bytes) -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> HELP\n{LONG}> HELP")
        await both(scene, reply, reply)


async def test_replies_are_cleaned_and_cut() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> HELP\n{LONG}> HELP")
        said = b"214-a\rb\0c\r\n214 " + b"x" * 9000 + b"\r\n"
        await both(scene, said, b"214-a b c\r\n214 " + b"x" * 8186 + b"\r\n")


async def test_a_reply_is_streamed_before_it_ends() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> STAT x
{LONG}> STAT x
{LONG}< 211-one
< 211-one
{LONG}< two
< two
{LONG}< 211 three
< 211 three
""")


async def test_junk_and_replies_that_nobody_asked_for_are_dropped() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
{LONG}< 226 once more
{LONG}< what
silent
> NOOP
{LONG}> NOOP
{LONG}< 200 ok
< 200 ok
""")


async def test_sixteen_lines_of_junk_are_no_server() -> None:
    async with stage() as scene:
        await scene.play(IN)
        assert scene.server is not None
        await scene.server.say(b"junk\r\n" * 16)
        await scene.play(
            f"< 421 Server does not speak FTP any more.\nended\n{LONG}ended"
        )


async def test_a_held_reply_that_does_not_end() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> FEAT\n{LONG}> FEAT")
        assert scene.server is not None
        await scene.server.say(b"211-x\r\n" + b" y\r\n" * 20000)
        await scene.play("< 421 Server does not speak FTP any more.\nended")


# Order.


async def test_sixteen_commands_go_ahead_and_replies_keep_their_order() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await scene.client.say(b"".join(b"SIZE %d\r\n" % n for n in range(20)))
        for number in range(16):
            await scene.play(f"{LONG}> SIZE {number}")
        await scene.play(f"{LONG}silent\n{LONG}< 213 0\n< 213 0\n{LONG}> SIZE 16")
        for number in range(1, 20):
            await scene.play(f"{LONG}< 213 {number}\n< 213 {number}")


async def test_local_answers_take_their_turn() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> PWD
> AUTH TLS
> SIZE x
> LPSV
> NOOP
{LONG}> PWD
{LONG}> SIZE x
{LONG}> NOOP
{LONG}< 257 "/"
< 257 "/"
< 502 AUTH is not available.
{LONG}< 213 1
< 213 1
< 502 Not available through this proxy.
{LONG}< 200 ok
< 200 ok
""")


@pytest.mark.parametrize("barrier", ["REST 5", "FEAT", "XYZZY", "PASV", "MODE S"])
async def test_a_barrier_waits_and_nothing_passes_it(barrier: str) -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> PWD
> {barrier}
> NOOP
{LONG}> PWD
{LONG}silent
{LONG}< 257 "/"
< 257 "/"
{LONG}> {barrier}
{LONG}silent
{LONG}< 450 no
""")
        if barrier == "FEAT":
            await scene.play("< 211-Features:\n<  EPRT\n<  EPSV\n< 211 End")
        else:
            await scene.play("< 450 no")
        await scene.play(f"{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok")


# What is rewritten or answered here.


async def test_feat() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> FEAT
{LONG}> FEAT
{LONG}< 211-Extensions:
{LONG}<  MDTM
{LONG}<  AUTH TLS
{LONG}<  PBSZ
{LONG}<  PROT
{LONG}<  MODE Z
{LONG}<  MLST size*;type*;
{LONG}<  EPSV
{LONG}<  CPSV
{LONG}<  REST STREAM
{LONG}< 211 End
< 211-Features:
<  MDTM
<  MLST size*;type*;
<  REST STREAM
<  EPRT
<  EPSV
< 211 End
""")


async def test_mode_and_what_is_not_passed() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> MODE S
{LONG}> MODE S
{LONG}< 200 ok
< 200 ok
> MODE Z
< 504 Only MODE S is available.
> MODE b
< 504 Only MODE S is available.
> PROT C
< 503 TLS is not active.
> CCC
< 534 CCC is not allowed here.
> EPRT |1|
< 501 Bad data address.
> RETR x
< 425 Send PASV, EPSV, PORT or EPRT first.
> ABOR
{LONG}> ABOR
{LONG}< 225 none
< 225 none
> XYZZY a  b\x80
{LONG}> XYZZY a  b\x80
{LONG}< 202 well
< 202 well
""")


# Lines.


async def test_telnet() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await scene.client.say(b"\xff\xfb\x01\xff\xfd\x03")
        assert await scene.client.hear() == b"\xff\xfe\x01\xff\xfc\x03"
        await scene.client.say(b"\xff\xf1NO\xff\xf9OP\r\n")
        await scene.play(f"{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok")
        await scene.client.say(b"CWD \xff\xff\xffa\r\n")
        await scene.play(f"{LONG}> CWD \xff\xff\xffa\n{LONG}< 250 ok\n< 250 ok")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"CWD a\0b\r\n", "501 Control characters refused."),
        (b"CWD a\rb\r\n", "501 Control characters refused."),
        (b"CWD " + b"a" * 8189 + b"\r\n", "500 Line too long."),
        (b"\r\n", "500 No command."),
        (b"\x80\r\n", "500 No command."),
    ],
)
async def test_bad_lines_are_refused_and_the_session_goes_on(
    line: bytes, answer: str
) -> None:
    async with stage() as scene:
        await scene.play(HELLO)
        await scene.client.say(line)
        await scene.play(f"< {answer}\n{IN.replace(HELLO, '')}")
        await scene.client.say(line)
        await scene.play(f"< {answer}\n{LONG}silent")


async def test_the_longest_line_passes() -> None:
    path = "a" * 8188
    async with stage() as scene:
        await scene.play(f"""{IN}
> CWD {path}
{LONG}> CWD {path}
{LONG}< 250 ok
< 250 ok
""")


async def test_a_line_feed_alone_ends_a_line() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await scene.client.say(b"CWD a b \nNOOP\n")
        await scene.play(f"{LONG}> CWD a b \n{LONG}> NOOP")


async def test_64_kib_without_a_line_end() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await scene.client.say(b"x" * 65537)
        await scene.play(f"< 421 Line too long.\nended\n{LONG}ended")


# The end.

PLACES = {
    "idle": "",
    "in a command": f"> PWD\n{LONG}> PWD\n",
    "behind commands": f"> PWD\n> NOOP\n{LONG}> PWD\n{LONG}> NOOP\n",
    "in a reply": f"> HELP\n{LONG}> HELP\n{LONG}< 214-x\n< 214-x\n",
    "in a held reply": f"> FEAT\n{LONG}> FEAT\n{LONG}< 211-x\n",
    "in the login": f"> USER v\n{LONG}> USER v\n",
    "in a data command": f"> PASV\n{LONG}> PASV\n",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("end", ["closes", "breaks"])
async def test_the_server_goes_away(place: str, end: str) -> None:
    async with stage() as scene:
        await scene.play(IN + PLACES[place])
        await scene.play(f"{LONG}{end}\n< 421 Server closed the connection.\nended")
    assert scene.methods == [("CONNECT", "ok")]


@pytest.mark.parametrize("place", [p for p in PLACES if "reply" not in p])
@pytest.mark.parametrize("text", ["421 Time is up", "421-Time\r\n421 is up"])
async def test_421_is_relayed_once(place: str, text: str) -> None:
    async with stage() as scene:
        await scene.play(IN + PLACES[place])
        assert scene.server is not None
        await scene.server.say(text.encode() + b"\r\n")
        scene.server.close()
        heard, how = await scene.client.the_rest()
        assert (heard, how) == (text.encode() + b"\r\n", "eof")


async def test_the_server_goes_away_before_the_login() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> OPEN {{at}}
{LONG}< 220 Welcome
< 220 Welcome
{LONG}closes
< 421 Server closed the connection.
ended
""")
    (record,) = scene.records
    assert (record.outcome, record.side) == ("failed", "server")


@pytest.mark.parametrize("place", ["", "in the login", "in a command"])
@pytest.mark.parametrize("end", ["closes", "breaks"])
async def test_the_client_goes_away(place: str, end: str) -> None:
    async with stage() as scene:
        await scene.play(IN + PLACES.get(place, ""))
        await scene.play(end)
        await scene.play(f"{LONG}ended")
        await scene.over()
    assert scene.methods == [("CONNECT", "ok")]


async def test_the_client_goes_away_while_we_wait_for_the_greeting() -> None:
    async with stage() as scene:
        await scene.play(f"{HELLO}> OPEN {{at}}\n{LONG}called\ncloses\n{LONG}ended")
        await scene.over()
    (record,) = scene.records
    assert (record.outcome, record.side) == ("failed", "client")


async def test_the_client_goes_away_while_we_dial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = asyncio.Event()

    async def hang(_: object, host: str) -> tuple[()]:
        asked.set()
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr("tests.session.stage.Names.resolve", hang)
    async with stage() as scene:
        await scene.play(f"{HELLO}> OPEN {{at}}")
        await asked.wait()
        await scene.play("closes")
        await scene.over()
    (record,) = scene.records
    assert (record.outcome, record.side) == ("failed", "client")


async def test_quit_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.visit.GOODBYE_TIME", 0.05)
    async with stage() as scene:
        await scene.play(
            f"{IN}> QUIT\n{LONG}> QUIT\n< 221 Goodbye.\nended\n{LONG}ended"
        )


async def test_quit_and_the_server_just_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.visit.GOODBYE_TIME", 0.05)
    async with stage() as scene:
        await scene.play(
            f"{IN}> QUIT\n{LONG}> QUIT\n{LONG}closes\n< 221 Goodbye.\nended"
        )


# Clocks.


async def test_idle() -> None:
    async with stage(idle=0.05) as scene:
        await scene.play(f"{IN}< 421 Idle too long, closing.\nended\n{LONG}ended")


async def test_login_time() -> None:
    async with stage(login_time=0.05) as scene:
        await scene.play(f"{HELLO}< 421 Login took too long.\nended")


async def test_login_time_runs_while_a_server_is_waited_for() -> None:
    async with stage(login_time=0.05) as scene:
        await scene.play(f"""{HELLO}
> OPEN {{at}}
{LONG}called
< 421 Login took too long.
ended
{LONG}ended
""")


async def test_login_time_is_over_with_the_login() -> None:
    async with stage(login_time=0.3) as scene:
        await scene.play(IN)
        assert await scene.client.silent(0.4)


async def test_reply_timeout() -> None:
    async with stage(upstream=Upstream(reply_timeout=0.05)) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{IN}
> PWD
{LONG}> PWD
< 421 Server does not answer.
ended
{LONG}ended
""")


async def test_drain() -> None:
    async with stage() as scene:
        await scene.play(IN)
        await scene.sessions.drain(5)
        await scene.play(f"< 421 edge is closing.\nended\n{LONG}ended")
    assert scene.methods == [("CONNECT", "ok")]


async def test_cut() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> PWD\n{LONG}> PWD")
        await scene.sessions.cut()
        await scene.play(f"< 421 edge is closing.\nended\n{LONG}ended")
