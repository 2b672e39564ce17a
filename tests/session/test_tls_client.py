"""TLS with the client, in clear with the server: what is agreed on, and what breaks."""

import asyncio
import ssl
import subprocess
from dataclasses import dataclass

import pytest
from tests.certificates import Certificates, issue
from tests.session.moving import Legs, agree
from tests.session.peers import Ended, Peer
from tests.session.secure import SecurePeer
from tests.session.stage import EVERYTHING, Stage, rule, stage

from portway.errors import Refused
from portway.model import Reason

LONG = " " * 24
HELLO = "< 220 edge FTP proxy ready.\n"
PAYLOAD = bytes(range(256)) * 1024
AUTH = HELLO + "> AUTH TLS\n< 234 AUTH TLS accepted.\n"
PRIVATE = "> PBSZ 0\n< 200 PBSZ=0\n> PROT P\n< 200 PROT accepted.\n"
LOGIN = f"""
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password
< 331-Welcome
< 331 Password
> PASS p
{LONG}> PASS p
{LONG}< 230 In
< 230 In
"""
QUIT = f"> QUIT\n{LONG}> QUIT\n{LONG}< 221 Bye\n< 221 Bye\nended"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.mover.REPLY_AFTER_FAILURE", 0.1)
    monkeypatch.setattr("portway.protocols.ftp.upstream.SECOND_REPLY", 0.1)


@dataclass(frozen=True, slots=True)
class Made:
    """Certificates of the gateway, and of a client, by one authority each."""

    gateway: Certificates
    client: Certificates

    def door(self, tls: str = "explicit", **settings: object) -> dict[str, object]:
        """Return the keys of a door with TLS."""
        files = {"certificate": self.gateway.certificate, "key": self.gateway.key}
        return {"tls": tls, **files, **settings}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("certificates")
    return Made(issue(folder / "gateway"), issue(folder / "client", "client.test"))


@pytest.fixture
def context(made: Made) -> ssl.SSLContext:
    return made.gateway.connecting()


async def inside(
    peer: Peer, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> SecurePeer:
    """Let *peer* go on inside TLS, as the client of it."""
    secure = SecurePeer(peer, context, server_hostname="127.0.0.1", session=session)
    await secure.shake_hands()
    return secure


async def go_inside(scene: Stage, context: ssl.SSLContext) -> SecurePeer:
    """Let the client of *scene* go on inside TLS."""
    scene.client = secure = await inside(scene.client, context)
    return secure


async def come_in(scene: Stage, context: ssl.SSLContext) -> SecurePeer:
    """Log in inside TLS, with private data."""
    await scene.play(AUTH)
    secure = await go_inside(scene, context)
    await scene.play(PRIVATE + LOGIN)
    return secure


async def begin(
    scene: Stage,
    command: str,
    context: ssl.SSLContext,
    verb: str = "PASV",
    *,
    resume: bool = False,
) -> tuple[SecurePeer, Peer]:
    """Bring a transfer to where both legs are up, the client's inside TLS."""
    legs: Legs = await agree(scene, verb)
    await scene.play(f"> {command}\n{LONG}> {command}")
    server = await legs.at_server()
    await scene.play(f"{LONG}< 150 Opening")
    client = await legs.at_client()
    await scene.play("< 150 Opening")
    control = scene.client
    assert isinstance(control, SecurePeer)
    session = control.tls.session if resume else None
    return await inside(client, context, session), server


# Payload.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("verb", ["PASV", "PORT", "EPSV", "EPRT"])
@pytest.mark.parametrize("reuse", ["off", "session"])
async def test_data_inside_tls_both_ways_one_after_another(
    version: ssl.TLSVersion,
    verb: str,
    reuse: str,
    made: Made,
    context: ssl.SSLContext,
) -> None:
    context.minimum_version = context.maximum_version = version
    minimum = "1.3" if version is ssl.TLSVersion.TLSv1_3 else "1.2"
    settings = made.door(tls_reuse=reuse, tls_min=minimum)
    async with stage(**settings) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        for command in ("RETR f", "STOR f", "LIST", "STOR empty"):
            resume = reuse == "session"
            client, server = await begin(scene, command, context, verb, resume=resume)
            assert client.tls.session_reused is resume
            up = command.startswith("STOR")
            payload = b"" if command == "STOR empty" else PAYLOAD
            source, sink = (client, server) if up else (server, client)
            await source.say(payload)
            source.end()
            assert await sink.the_rest() == (payload, "eof")
            sink.close()
            if up:
                assert await source.the_rest() == (b"", "eof")  # signed as well
                source.close()
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        await scene.play(QUIT)
    assert [record.outcome for record in scene.records] == ["ok"] * 5
    name = {ssl.TLSVersion.TLSv1_2: "TLSv1.2 ", ssl.TLSVersion.TLSv1_3: "TLSv1.3 "}
    for record in scene.records:
        assert record.facts["tls_client"].startswith(name[version])
    resumed = [record.facts.get("tls_client_resumed") for record in scene.records]
    assert resumed == [*["true" if reuse == "session" else None] * 4, None]


async def test_data_that_resume_no_session_are_refused_where_they_must(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door(tls_reuse="session")) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Go\n< 150 Go")
        server, client = await legs.at_server(), await legs.at_client()
        with pytest.raises((Ended, ssl.SSLError)):
            await (await inside(client, context)).hear()
        assert (await server.the_rest())[0] == b""
        await scene.play(f"""
{LONG}< 426 Broken
< 522 Your data connection did not resume the TLS session.
> NOOP
{LONG}> NOOP
{LONG}< 200 OK
< 200 OK
""")
    record = next(record for record in scene.records if record.method == "RETR")
    assert (record.outcome, record.reason, record.side) == ("failed", "tls", "client")


async def test_prot_says_whether_data_are_inside(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        await scene.play("> PROT C\n< 200 PROT accepted.")
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f")
        server = await legs.at_server()
        client = await legs.at_client()
        await scene.play(f"{LONG}< 150 Opening\n< 150 Opening")
        await server.say(b"in clear")
        server.end()
        assert await client.the_rest() == (b"in clear", "eof")
        client.close()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        await scene.play("> PROT P\n< 200 PROT accepted.")
        secure, server = await begin(scene, "RETR g", context)
        await server.say(b"in private")
        server.end()
        assert await secure.the_rest() == (b"in private", "eof")
        secure.close()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


@pytest.mark.parametrize(
    ("mechanism", "private"),
    [("TLS", False), ("tls-c", False), ("SSL", True), ("TLS-P", True)],
)
async def test_mechanisms(
    mechanism: str, private: bool, made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        word = mechanism.upper()
        await scene.play(f"{HELLO}> AUTH {mechanism}\n< 234 AUTH {word} accepted.")
        await go_inside(scene, context)
        await scene.play(LOGIN)
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Go\n< 150 Go")
        server, client = await legs.at_server(), await legs.at_client()
        if private:
            client = await inside(client, context)
        await server.say(b"payload")
        server.end()
        assert await client.the_rest() == (b"payload", "eof")
        client.close()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


# What breaks.


@pytest.mark.parametrize("eof", ["strict", "auto"])
async def test_an_upload_that_is_cut_never_looks_whole(
    eof: str, made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door(tls_eof=eof)) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        if eof == "auto":  # it has shown that it knows how to end
            client, server = await begin(scene, "STOR whole", context)
            await client.say(b"x")
            client.end()
            assert await server.the_rest() == (b"x", "eof")
            server.close()
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        client, server = await begin(scene, "STOR f", context)
        await client.say(PAYLOAD)
        client.cut()
        _, how = await server.the_rest()
        assert how == "reset"
        await scene.play(f"{LONG}< 226 Done\n< 426 Your data connection broke.")
    record = next(record for record in scene.records if record.path.endswith("f"))
    assert (record.outcome, record.side) == ("cut", "client")


@pytest.mark.parametrize("eof", ["lenient", "auto"])
async def test_an_end_without_a_signature_is_taken_and_recorded(
    eof: str, made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door(tls_eof=eof)) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        for name in ("f", "g"):
            client, server = await begin(scene, f"STOR {name}", context)
            await client.say(PAYLOAD)
            client.cut()
            assert await server.the_rest() == (PAYLOAD, "eof")
            server.close()
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    facts = [one.facts.get("tls_client_end") for one in scene.records]
    assert sorted(map(str, facts)) == ["None", "missing", "missing"]


@pytest.mark.parametrize("eof", ["strict", "lenient", "auto"])
async def test_an_upload_that_is_reset_is_cut_for_the_lenient_as_well(
    eof: str, made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door(tls_eof=eof)) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        client, server = await begin(scene, "STOR f", context)
        await client.say(PAYLOAD)
        client.reset()
        _, how = await server.the_rest()
        assert how == "reset"
        await scene.play(f"{LONG}< 226 Done\n< 426 Your data connection broke.")
    record = next(record for record in scene.records if record.method == "STOR")
    assert record.outcome in {"cut", "failed"}


@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_a_data_handshake_that_fails(
    command: str, made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        legs = await agree(scene, "PASV")
        await scene.play(f"> {command}\n{LONG}> {command}\n{LONG}< 150 Go\n< 150 Go")
        server, client = await legs.at_server(), await legs.at_client()
        await client.say(b"GET / HTTP/1.0\r\n\r\n")
        assert await server.the_rest() == (b"", "reset")
        assert (await client.the_rest())[0] == b""
        await scene.play(f"""
{LONG}< 226 Done
< 425 No TLS on your data connection: it sent no TLS.
""")
    record = next(record for record in scene.records if record.method != "CONNECT")
    assert (record.outcome, record.reason) == ("failed", "tls")


@pytest.mark.parametrize("sends", [b"", b"\x16\x03\x01"])
async def test_a_data_handshake_that_stalls(
    sends: bytes,
    made: Made,
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        monkeypatch.setattr("portway.protocols.ftp.protection.HANDSHAKE_TIME", 0.2)
        legs = await agree(scene, "PASV")
        await scene.play(f"> STOR f\n{LONG}> STOR f\n{LONG}< 150 Go\n< 150 Go")
        server, client = await legs.at_server(), await legs.at_client()
        await client.say(sends)
        assert await server.the_rest() == (b"", "reset")
        await scene.play(f"""
{LONG}< 426 Broken
< 425 No TLS on your data connection: the TLS handshake took too long.
""")


async def test_abort_during_a_data_handshake(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Go\n< 150 Go")
        server, client = await legs.at_server(), await legs.at_client()
        await scene.play("> ABOR")
        assert await client.the_rest() == (b"", "reset")
        server.close()
        await scene.play(f"""
{LONG}> ...ABOR
{LONG}< 426 Broken
{LONG}< 226 Aborted
< 426 Broken
< 226 Aborted
""")


@pytest.mark.parametrize("behind", ["NOOP", "X"])
async def test_nothing_may_follow_auth(behind: str, made: Made) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(HELLO)
        line_end = b"\r\n" if behind == "NOOP" else b""
        await scene.client.say(b"AUTH TLS\r\n" + behind.encode() + line_end)
        await scene.play("""
< 421 Nothing may follow AUTH before its reply.
ended
""")


async def test_words_in_clear_in_the_place_of_a_handshake(made: Made) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        await scene.client.say(b"USER injected@ftp.test\r\n")
        rest, _ = await scene.client.the_rest()
        assert rest == b""
    assert not scene.records


async def test_a_handshake_that_stalls_ends(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.protocols.ftp.protection.HANDSHAKE_TIME", 0.2)
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        await scene.client.say(b"\x16\x03\x01\x02")
        rest, _ = await scene.client.the_rest()
        assert rest == b""


async def test_a_plain_client_at_an_implicit_door(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.protocols.ftp.protection.HANDSHAKE_TIME", 0.2)
    async with stage(**made.door("implicit")) as scene:  # type: ignore[arg-type]
        rest, _ = await scene.client.the_rest()  # it waits for a greeting
        assert rest == b""
        await scene.arrive()
        await scene.client.say(b"USER u@ftp.test\r\n")
        rest, _ = await scene.client.the_rest()
        assert rest == b""


async def test_a_client_inside_tls_at_a_door_that_begins_in_clear(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        with pytest.raises(ssl.SSLError):
            await inside(scene.client, context)
        scene.client.close()


@pytest.mark.parametrize(
    ("offered", "taken"),
    [([], None), (["ftp"], "ftp"), (["http/1.1", "ftp"], "ftp"), (["http/1.1"], "")],
)
async def test_alpn(
    offered: list[str], taken: str | None, made: Made, context: ssl.SSLContext
) -> None:
    if offered:
        context.set_alpn_protocols(offered)
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        if taken == "":
            with pytest.raises((Ended, ssl.SSLError)):
                await go_inside(scene, context)
            return
        secure = await go_inside(scene, context)
        assert secure.tls.selected_alpn_protocol() == taken
        await scene.play(PRIVATE)


@pytest.mark.parametrize("shown", [True, False])
async def test_clients_must_show_a_certificate(shown: bool, made: Made) -> None:
    context = made.gateway.connecting()
    if shown:
        context.load_cert_chain(made.client.certificate, made.client.key)
    settings = made.door(client_ca=made.client.ca)
    async with stage(**settings) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        if shown:
            await go_inside(scene, context)
            await scene.play(PRIVATE + LOGIN)
            return
        with pytest.raises((Ended, ssl.SSLError)):
            # in TLS 1.3 a client learns of it with what it reads first
            await (await go_inside(scene, context)).hear()


@pytest.mark.parametrize("minimum", ["1.0", "1.2"])
async def test_old_clients_where_they_are_admitted(minimum: str, made: Made) -> None:
    context = made.gateway.connecting()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    async with stage(**made.door(tls_min=minimum)) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        if minimum == "1.2":
            with pytest.raises((Ended, ssl.SSLError)):
                await go_inside(scene, context)
            return
        await go_inside(scene, context)
        await scene.play(PRIVATE + LOGIN)
        await scene.play(QUIT)
    assert scene.records[0].facts["tls_client"].startswith("TLSv1 ")


# What is said.


async def test_what_is_said_of_protection(made: Made, context: ssl.SSLContext) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> PBSZ 0
< 503 TLS is not active.
> PROT P
< 503 TLS is not active.
> CCC
< 534 CCC is not allowed here.
> AUTH GSSAPI
< 504 AUTH knows TLS only.
> AUTH
< 504 AUTH knows TLS only.
> FEAT
< 211-Features:
<  UTF8
<  EPRT
<  EPSV
<  AUTH TLS
<  PBSZ
<  PROT
< 211 End
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play(f"""
> AUTH TLS
< 503 TLS is active already.
> PROT P
< 503 Send PBSZ first.
> PBSZ x
< 501 PBSZ takes a number.
> PBSZ 8192
< 200 PBSZ=0
> PROT E
< 536 PROT knows C and P only.
> PROT s
< 536 PROT knows C and P only.
> PROT
< 504 PROT knows C and P only.
> PROT c
< 200 PROT accepted.
> CCC
< 534 CCC is not allowed here.
{LOGIN}
> FEAT
{LONG}> FEAT
{LONG}< 211-Its own
{LONG}<  AUTH SSL
{LONG}<  SIZE
{LONG}< 211 End
< 211-Features:
<  SIZE
<  EPRT
<  EPSV
<  AUTH TLS
<  PBSZ
<  PROT
< 211 End
""")


async def test_without_tls_nothing_of_it_is_offered() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> AUTH TLS
< 502 AUTH is not available.
> PBSZ 0
< 503 TLS is not active.
> FEAT
< 211-Features:
<  UTF8
<  EPRT
<  EPSV
< 211 End
""")


async def test_a_door_that_requires_tls(made: Made, context: ssl.SSLContext) -> None:
    async with stage(**made.door("required")) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> USER u@{{at}}
< 530 TLS is required: send AUTH TLS first.
> SITE {{at}}
< 530 TLS is required: send AUTH TLS first.
> OPEN {{at}}
< 530 TLS is required: send AUTH TLS first.
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play(LOGIN)
        await agree(scene, "PASV")
        await scene.play("""
> RETR f
< 521 PROT P is required.
> PBSZ 0
< 200 PBSZ=0
> PROT C
< 534 PROT P is required.
> PROT P
< 200 PROT accepted.
""")
        client, server = await begin(scene, "RETR f", context)
        await server.say(b"x")
        server.end()
        assert await client.the_rest() == (b"x", "eof")
        client.close()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_a_verb_that_turns_out_to_move_data_is_held_to_prot_as_well(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door("required")) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        await go_inside(scene, context)
        await scene.play(LOGIN)
        await agree(scene, "PASV")
        await scene.play(f"""
> XGET f
{LONG}> XGET f
{LONG}< 150 Opening
{LONG}< 226 Done
< 521 PROT P is required.
""")


async def test_an_implicit_door(made: Made, context: ssl.SSLContext) -> None:
    async with stage(**made.door("implicit")) as scene:  # type: ignore[arg-type]
        await go_inside(scene, context)
        await scene.play(HELLO + "> AUTH TLS\n< 503 TLS is active already." + LOGIN)
        client, server = await begin(scene, "RETR f", context)  # private by itself
        await server.say(b"x")
        server.end()
        assert await client.the_rest() == (b"x", "eof")
        client.close()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done" + "\n" + QUIT)


async def test_rein_takes_prot_back_and_stays_inside(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door("required")) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        await scene.play(f"""
> REIN
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}ended
< 220 Ready for a new user.
> PROT P
< 503 Send PBSZ first.
""")
        scene.server = None
        await scene.play(LOGIN)
        await agree(scene, "PASV")
        await scene.play("> RETR f\n< 521 PROT P is required.")


async def test_auth_comes_before_the_login(made: Made) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(HELLO + LOGIN)
        await scene.play("> AUTH TLS\n< 503 AUTH comes before the login.")


# What is forgotten.


async def test_a_login_that_was_kept_in_clear_is_forgotten(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> USER injected
< 331 Send password.
> PASS injected
< 230 Login OK. Proceed.
> CLNT injected
< 200 Noted.
> SITE {{at}}
{LONG}< 220 Welcome
< 220 Welcome
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play(f"""
> USER u
{LONG}> USER u
{LONG}< 331 Password
< 331 Password
> PASS p
{LONG}> PASS p
{LONG}< 230 In
< 230 In
> PWD
{LONG}> PWD
{LONG}< 257 "/"
< 257 "/"
""")


async def test_a_password_that_was_due_in_clear_is_due_no_more(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> USER injected
< 331 Send password.
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play("> PASS p\n< 503 Send USER first." + LOGIN)


async def test_a_login_under_way_starts_anew_on_another_connection(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> USER injected@{{at}}
{LONG}< 220 Welcome
{LONG}> USER injected
{LONG}< 331 Password
< 331-Welcome
< 331 Password
> AUTH TLS
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Welcome again
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play(f"""
> USER u
{LONG}> USER u
{LONG}< 331 Password
< 331 Password
""")


async def test_a_verified_login_and_a_named_server_stay(
    made: Made, context: ssl.SSLContext
) -> None:
    settings = made.door(methods=("open", "proxyuser@host"))
    async with stage(
        login="required",
        accounts={"fu": "fp"},
        **settings,  # type: ignore[arg-type]
    ) as scene:
        await scene.play(f"""{HELLO}
> OPEN {{at}}
< 220 Noted. Log in to the proxy.
> USER fu
< 331 Send password.
> PASS fp
{LONG}< 220 Welcome
< 230-Welcome
< 230 Login OK. Proceed.
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play(f"""
> USER u
{LONG}> USER u
{LONG}< 230 In
< 230 In
""")
    assert scene.records[0].user == "fu"
    assert scene.records[0].facts["tls_client"].startswith("TLSv1.3 ")


# CCC.


@pytest.mark.parametrize("signs", [True, False])
async def test_ccc(signs: bool, made: Made, context: ssl.SSLContext) -> None:
    async with stage(**made.door(ccc=True)) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        secure = await go_inside(scene, context)
        await scene.play("> CCC\n< 503 Log in first.")
        await scene.play(PRIVATE + LOGIN + "> CCC\n< 200 CCC accepted.")
        session = secure.tls.session
        with pytest.raises(Ended):  # its close_notify
            await secure.hear()
        if signs:
            secure.sign_off()
        scene.client = Peer(secure.sock)
        await scene.play(f"> NOOP\n{LONG}> NOOP\n{LONG}< 200 OK\n< 200 OK")
        await scene.play("> PROT C\n< 503 TLS is not active.")
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Go\n< 150 Go")
        server = await legs.at_server()
        client = await inside(await legs.at_client(), context, session)
        await server.say(b"still private")
        server.end()
        assert await client.the_rest() == (b"still private", "eof")
        client.close()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done\n" + QUIT)


async def test_after_ccc_no_login_is_taken_where_tls_is_required(
    made: Made, context: ssl.SSLContext
) -> None:
    settings = made.door("required", ccc=True)
    async with stage(**settings) as scene:  # type: ignore[arg-type]
        secure = await come_in(scene, context)
        await scene.play("> CCC\n< 200 CCC accepted.")
        secure.sign_off()
        with pytest.raises(Ended):
            await secure.hear()
        scene.client = Peer(secure.sock)
        for line in ("USER u", "PASS p", "ACCT a", "HOST other.test"):
            await scene.play(f"> {line}\n< 530 TLS is required: send AUTH TLS first.")
        await scene.play(f"> PWD\n{LONG}> PWD\n{LONG}< 257 Here\n< 257 Here")
        await scene.play(f"""
> REIN
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}ended
< 220 Ready for a new user.
> PWD
< 530 TLS is required: send AUTH TLS first.
""")


async def test_what_was_said_to_a_named_server_in_clear_is_left_with_it(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> OPEN {{at}}
{LONG}< 220 Welcome
< 220 Welcome
> CWD /x
{LONG}> CWD /x
{LONG}< 250 There
< 250 There
> AUTH TLS
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Welcome again
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, context)
        await scene.play(f"> USER u\n{LONG}> USER u\n{LONG}< 230 In\n< 230 In")


async def test_nothing_may_follow_ccc(made: Made, context: ssl.SSLContext) -> None:
    async with stage(**made.door(ccc=True)) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        await scene.client.say(b"CCC\r\nNOOP\r\n")
        await scene.play("< 421 Nothing may follow CCC before its reply.\nended")


# The end.


@pytest.mark.parametrize("how", ["idle", "drain", "kick", "server", "shutdown"])
async def test_a_farewell_goes_inside(
    how: str, made: Made, context: ssl.SSLContext
) -> None:
    settings = made.door(idle=1 if how == "idle" else 60)
    async with stage(**settings) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        gate = next(iter(scene.sessions))
        if how == "drain":
            gate.drain()
        elif how == "kick":
            gate.cut_off("admin", Refused(Reason.ADMIN))
        elif how == "shutdown":
            await scene.sessions.cut()
        elif how == "server":
            await scene.play(f"{LONG}< 421 Going down")
        words = {
            "idle": "421 Idle too long, closing.",
            "drain": "421 edge is closing.",
            "shutdown": "421 edge is closing.",
            "kick": "421 Ended by the administrator.",
            "server": "421 Going down",
        }
        await scene.play(f"< {words[how]}\nended")


@pytest.mark.parametrize("how", ["kick", "shutdown"])
async def test_ended_in_the_middle_of_a_handshake(how: str, made: Made) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        await scene.play(AUTH)
        gate = next(iter(scene.sessions))
        if how == "kick":
            gate.cut_off("admin", Refused(Reason.ADMIN))
        else:
            await scene.sessions.cut()
        rest, _ = await scene.client.the_rest()
        assert rest == b""


async def test_a_client_that_hangs_up_inside_ends_its_session(
    made: Made, context: ssl.SSLContext
) -> None:
    async with stage(**made.door()) as scene:  # type: ignore[arg-type]
        secure = await come_in(scene, context)
        secure.end()
        await scene.play(f"{LONG}ended")


def ask_for_renegotiation(host: str, port: int) -> bytes:
    """Let OpenSSL's own client ask, which Python's cannot; return what it printed."""
    command = ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        try:
            while b"220 edge" not in asking.stdout.readline():
                pass
            asking.stdin.write(b"R\n")
            asking.stdin.flush()
            return asking.stdout.read()
        finally:
            asking.kill()


async def test_a_renegotiation_is_refused(made: Made) -> None:
    async with stage(**made.door("implicit")) as scene:  # type: ignore[arg-type]
        scene.client.close()
        at = scene.door
        said = await asyncio.to_thread(ask_for_renegotiation, at.host, at.port)
        assert b"no renegotiation" in said.lower(), said


# One rule for all of this: nothing of TLS changes what a policy says.


async def test_the_policy_is_asked_as_ever(made: Made, context: ssl.SSLContext) -> None:
    rules = (rule("deny", do="write", because="Nothing new."), EVERYTHING)
    async with stage(rules=rules, **made.door()) as scene:  # type: ignore[arg-type]
        await come_in(scene, context)
        await agree(scene, "PASV")
        await scene.play("> STOR f\n< 550 Denied: Nothing new.")
