"""TLS with the server, in clear with the client: what is agreed on, and what breaks."""

import datetime as dt
import logging
import ssl
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from tests.certificates import Certificates, issue
from tests.session.moving import Legs, agree
from tests.session.peers import Ended, Peer
from tests.session.secure import SecurePeer, inside, server_goes_inside
from tests.session.stage import Stage, stage

from portway.protocols.ftp import servertls
from portway.protocols.ftp.settings import Upstream

LONG = " " * 24
PAYLOAD = bytes(range(256)) * 1024
GREETED = f"""
< 220 edge FTP proxy ready.
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> AUTH TLS
"""
LOGIN = f"""
{LONG}> USER u
{LONG}< 331 Password
< 331-Welcome
< 331 Password
> PASS p
{LONG}> PASS p
{LONG}< 230-In
{LONG}< 230 Really
silent
{LONG}> PBSZ 0
{LONG}< 200 PBSZ=0
{LONG}> PROT P
silent
{LONG}< 200 Private
< 230-In
< 230 Really
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.protocols.ftp.mover.REPLY_AFTER_FAILURE", 0.1)
    monkeypatch.setattr("portway.protocols.ftp.upstream.SECOND_REPLY", 0.1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"), "ftp.test", "127.0.0.1")


@pytest.fixture
def secured(certificates: Certificates) -> Callable[..., Upstream]:
    """Make an `Upstream` that trusts the authority of the tests."""

    def make(tls: str = "required", **keys: object) -> Upstream:
        return Upstream(tls=tls, ca=certificates.ca, **keys)  # type: ignore[arg-type]

    return make


async def come_inside(scene: Stage, context: ssl.SSLContext) -> None:
    """Play the login, the server's side going on inside TLS."""
    await scene.play(GREETED + f"{LONG}< 234 Go ahead")
    await server_goes_inside(scene, context)
    await scene.play(LOGIN)


async def begin(
    scene: Stage, command: str, context: ssl.SSLContext, verb: str = "PASV"
) -> tuple[Peer, SecurePeer]:
    """Bring a transfer to where both legs are up, the server's inside TLS."""
    legs: Legs = await agree(scene, verb)
    await scene.play(f"> {command}\n{LONG}> {command}")
    control = scene.server
    assert isinstance(control, SecurePeer)
    server = await inside(await legs.at_server(), context)
    await scene.play(f"{LONG}< 150 Opening")
    client = await legs.at_client()
    await scene.play("< 150 Opening")
    return client, server


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("verb", ["PASV", "PORT", "EPSV", "EPRT"])
async def test_data_resume_the_session_of_the_control(
    version: ssl.TLSVersion,
    verb: str,
    certificates: Certificates,
    secured: Callable[..., Upstream],
) -> None:
    context = certificates.accepting()
    context.minimum_version = context.maximum_version = version
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, context)
        for command in ("RETR f", "STOR f", "LIST", "RETR g"):
            client, server = await begin(scene, command, context, verb)
            assert server.tls.session_reused
            up = command == "STOR f"
            source, sink = (client, server) if up else (server, client)
            await source.say(PAYLOAD)
            source.end()
            assert await sink.the_rest() == (PAYLOAD, "eof")
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
            sink.close()
        await scene.play(f"> QUIT\n{LONG}> QUIT\n{LONG}< 221 Bye\n< 221 Bye\nended")
    assert [record.outcome for record in scene.records] == ["ok"] * 5
    name = {ssl.TLSVersion.TLSv1_2: "TLSv1.2 ", ssl.TLSVersion.TLSv1_3: "TLSv1.3 "}
    for record in scene.records:
        assert record.facts["tls_server"].startswith(name[version])
        assert "verified" not in record.facts
    transfers = scene.records[:-1]
    assert [one.facts["tls_server_resumed"] for one in transfers] == ["true"] * 4


@pytest.mark.parametrize("code", [500, 502, 504])
@pytest.mark.parametrize("agreed", [234, 334])
async def test_an_old_server_knows_auth_ssl(
    code: int, agreed: int, certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await scene.play(
            GREETED
            + f"{LONG}< {code} What\n{LONG}> AUTH SSL\n{LONG}< {agreed} All right"
        )
        await server_goes_inside(scene, certificates.accepting())
        await scene.play(LOGIN)


async def test_a_login_spoken_for_the_client(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(
        upstream=secured(), login="required", accounts={"fu": "fp"}
    ) as scene:
        await scene.play(f"""
< 220 edge FTP proxy ready.
> USER u@fu@{{at}}
< 331 ...
> PASS p@fp
{LONG}< 220 Welcome
{LONG}> AUTH TLS
{LONG}< 234 Go ahead
""")
        await server_goes_inside(scene, certificates.accepting())
        await scene.play(f"""
{LONG}> USER u
{LONG}< 331 Password
{LONG}> PASS p
{LONG}< 230 In
{LONG}> PBSZ 0
{LONG}< 200 PBSZ=0
{LONG}> PROT P
silent
{LONG}< 200 Private
< 230-Welcome
< 230 In
""")


async def test_implicit(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured("implicit")) as scene:
        await scene.play("< 220 edge FTP proxy ready.\n> USER u@{at}")
        await scene.called()
        await server_goes_inside(scene, certificates.accepting())
        await scene.play(f"{LONG}< 220 Welcome")
        await scene.play(LOGIN)


def test_implicit_servers_have_a_port_of_their_own() -> None:
    assert Upstream(tls="implicit").default_port == 990
    assert Upstream(tls="required").default_port == 21


@pytest.mark.parametrize("reply", ["502 Unknown", "534 No", "530 Log in first"])
async def test_required_and_not_to_be_had(
    reply: str, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await scene.play(GREETED + f"{LONG}< {reply}")
        if reply.startswith("502"):
            await scene.play(f"{LONG}> AUTH SSL\n{LONG}< {reply}")
        await scene.play(f"< 530 Host ftp.test offers no TLS.\n{LONG}ended")
        await scene.play("> NOOP\n< 200 OK.")
    (record,) = scene.records
    assert (record.outcome, record.reason, record.side) == ("failed", "tls", "server")
    assert record.error == "offers no TLS"


async def test_try_goes_on_in_clear_and_says_so(
    secured: Callable[..., Upstream], caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(upstream=secured("try")) as scene:
        with caplog.at_level(logging.WARNING):
            await scene.play(
                GREETED
                + f"""
{LONG}< 500 What
{LONG}> AUTH SSL
{LONG}< 500 What
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
"""
            )
        assert "ftp.tls_refused" in caplog.messages
    assert scene.records[0].facts["tls_server"] == "clear"


async def test_try_is_not_put_off_by_what_may_pass(
    secured: Callable[..., Upstream],
) -> None:
    async with stage(upstream=secured("try")) as scene:
        await scene.play(GREETED + f"{LONG}< 431 Not now")
        await scene.play(f"< 530 Host ftp.test offers no TLS.\n{LONG}ended")


async def test_a_server_that_says_421_to_auth(secured: Callable[..., Upstream]) -> None:
    async with stage(upstream=secured("try")) as scene:
        await scene.play(GREETED + f"{LONG}< 421 Enough\n< 421 Enough\nended")


@pytest.mark.parametrize("tls", ["try", "required", "implicit"])
async def test_a_handshake_that_fails_never_ends_in_clear(
    tls: str, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured(tls)) as scene:
        if tls == "implicit":
            await scene.play("< 220 edge FTP proxy ready.\n> USER u@{at}")
            await scene.called()
        else:
            await scene.play(GREETED + f"{LONG}< 234 Go ahead")
        assert scene.server is not None
        assert (await scene.server.hear())[:1] == b"\x16"
        await scene.server.say(b"220 I speak in clear\r\n" * 8)
        await scene.play("< 530 Host ftp.test: TLS: wrong version number.")
        with suppress(Ended):
            while True:  # a ClientHello, and nothing else
                assert b"USER" not in await scene.server.hear()
        await scene.play("> NOOP\n< 200 OK.")
    assert (scene.records[0].outcome, scene.records[0].reason) == ("failed", "tls")


@pytest.mark.parametrize("more", ["230 In", "no reply at all", "2"])
async def test_words_in_clear_behind_the_upgrade(
    more: str, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await scene.play(GREETED)
        assert scene.server is not None
        end = b"" if more == "2" else b"\r\n"
        await scene.server.say(b"234 Go ahead\r\n" + more.encode() + end)
        await scene.play("< 530 Host ftp.test: it said more behind its reply to AUTH.")
    assert (scene.records[0].outcome, scene.records[0].reason) == ("failed", "tls")


async def test_a_handshake_that_stalls(
    secured: Callable[..., Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servertls, "HANDSHAKE_TIME", 0.05)
    async with stage(upstream=secured()) as scene:
        await scene.play(GREETED + f"{LONG}< 234 Go ahead")
        await scene.play("< 530 Host ftp.test: the TLS handshake took too long.")
    assert scene.records[0].reason == "tls"


async def test_a_client_that_goes_while_hands_are_shaken(
    secured: Callable[..., Upstream],
) -> None:
    async with stage(upstream=secured()) as scene:
        await scene.play(GREETED + f"{LONG}< 234 Go ahead")
        assert scene.server is not None
        assert (await scene.server.hear())[:1] == b"\x16"
        scene.client.close()
        await scene.over()
    assert scene.records[0].side == "client"


# Certificates.


def yesterday(folder: Path) -> tuple[str, str, str]:
    """Return the files of a certificate that has expired: authority, it, its key."""
    authority = trustme.CA()
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    leaf = authority.issue_cert("ftp.test", not_after=then)
    return written(folder, authority, leaf)


def written(
    folder: Path, authority: trustme.CA, leaf: trustme.LeafCert
) -> tuple[str, str, str]:
    paths = [folder / name for name in ("ca.pem", "certificate.pem", "key.pem")]
    authority.cert_pem.write_to_path(str(paths[0]))
    leaf.cert_chain_pems[0].write_to_path(str(paths[1]))
    leaf.private_key_pem.write_to_path(str(paths[2]))
    return str(paths[0]), str(paths[1]), str(paths[2])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("expired", "its certificate has expired"),
        ("name", "its certificate is for another name"),
        ("untrusted", "its certificate comes from an authority that is not trusted"),
        ("itself", "its certificate is signed by itself, and not one that is trusted"),
    ],
)
@pytest.mark.parametrize("tls", ["try", "required"])
async def test_a_certificate_that_is_not_good(
    what: str, words: str, tls: str, tmp_path: Path
) -> None:
    good = issue(tmp_path / "good", "ftp.test")
    ca, certificate, key = good.ca, good.certificate, good.key
    if what == "expired":
        ca, certificate, key = yesterday(tmp_path)
    elif what == "name":
        other = issue(tmp_path / "other", "other.test")
        ca, certificate, key = other.ca, other.certificate, other.key
    elif what == "untrusted":
        ca = issue(tmp_path / "other", "ftp.test").ca
    else:
        certificate, key = by_itself(tmp_path)
    context = Certificates(ca, certificate, key).accepting()
    upstream = Upstream(tls=tls, ca=ca)  # type: ignore[arg-type]
    async with stage(upstream=upstream) as scene:
        await scene.play(GREETED + f"{LONG}< 234 Go ahead")
        assert scene.server is not None
        with suppress(ssl.SSLError, Ended):
            secure = await inside(scene.server, context)
            await secure.hear()
        await scene.play(f"< 530 Host ftp.test: {words}.")
        await scene.play("> NOOP\n< 200 OK.")
    (record,) = scene.records
    assert (record.outcome, record.reason, record.error) == ("failed", "tls", words)


def by_itself(folder: Path) -> tuple[str, str]:
    """Return an authority's own certificate, and its key, as if it were a server's."""
    authority = trustme.CA()
    certificate, key = folder / "itself.pem", folder / "itself-key.pem"
    authority.cert_pem.write_to_path(str(certificate))
    authority.private_key_pem.write_to_path(str(key))
    return str(certificate), str(key)


async def test_a_certificate_that_nobody_checks(tmp_path: Path) -> None:
    other = issue(tmp_path, "other.test")
    async with stage(upstream=Upstream(tls="required", verify=False)) as scene:
        await come_inside(scene, other.accepting())
    assert scene.records[0].facts["verified"] == "false"


async def test_the_name_that_is_checked_can_be_given(tmp_path: Path) -> None:
    other = issue(tmp_path, "other.test")
    upstream = Upstream(tls="required", ca=other.ca, tls_name="other.test")
    async with stage(upstream=upstream) as scene:
        await come_inside(scene, other.accepting())


@pytest.mark.parametrize(
    ("place", "sent"), [("ftp.test", "ftp.test"), ("127.0.0.1", None)]
)
async def test_the_name_as_it_was_typed(
    place: str,
    sent: str | None,
    certificates: Certificates,
    secured: Callable[..., Upstream],
) -> None:
    names: list[str | None] = []
    context = certificates.accepting()
    context.sni_callback = lambda _, name, __: names.append(name)
    async with stage(upstream=secured()) as scene:
        await scene.play(
            GREETED.replace("{at}", f"{place}:{{port}}") + f"{LONG}< 234 Go ahead"
        )
        await server_goes_inside(scene, context)
        await scene.play(LOGIN)
    assert names == [sent]


async def test_a_certificate_of_ours(
    certificates: Certificates, secured: Callable[..., Upstream], tmp_path: Path
) -> None:
    ours = issue(tmp_path, "gateway.test")
    context = certificates.accepting()
    context.load_verify_locations(ours.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    upstream = secured(certificate=ours.certificate, key=ours.key)
    async with stage(upstream=upstream) as scene:
        await come_inside(scene, context)
        assert isinstance(scene.server, SecurePeer)
        assert scene.server.tls.getpeercert()


def of_version_1(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make *context* that of a server which has never heard of anything newer."""
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    return context


async def test_an_old_version_of_tls(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = of_version_1(certificates.accepting())
    async with stage(upstream=secured(tls_min="1.0")) as scene:
        await come_inside(scene, context)
        _, server = await begin(scene, "LIST", context)
        assert server.tls.session_reused
        server.end()
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.records[0].facts["tls_server"].startswith("TLSv1 ")


async def test_an_old_version_of_tls_that_nobody_wants(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = of_version_1(certificates.accepting())
    async with stage(upstream=secured()) as scene:
        await scene.play(GREETED + f"{LONG}< 234 Go ahead")
        with pytest.raises(ssl.SSLError):
            await server_goes_inside(scene, context)
        await scene.play("< 530 Host ftp.test: TLS: ... protocol version.")


# The protection of data.

IN = f"""
{LONG}> USER u
{LONG}< 230 In
silent
{LONG}> PBSZ 0
{LONG}< 200 PBSZ=0
"""


@pytest.mark.parametrize("tls", ["required", "implicit"])
async def test_data_that_the_server_does_not_protect(
    tls: str, certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured(tls)) as scene:
        await greet(scene, tls, certificates.accepting())
        await scene.play(
            IN
            + f"""
{LONG}> PROT P
{LONG}< 536 Not here
< 530 Host ftp.test does not protect data: 536 Not here
ended
"""
        )
    (record,) = scene.records
    assert (record.outcome, record.reason) == ("failed", "tls")


async def greet(scene: Stage, tls: str, context: ssl.SSLContext) -> None:
    if tls == "implicit":
        await scene.play("< 220 edge FTP proxy ready.\n> USER u@{at}")
        await scene.called()
        await server_goes_inside(scene, context)
        await scene.play(f"{LONG}< 220 Welcome")
    else:
        await scene.play(GREETED + f"{LONG}< 234 Go ahead")
        await server_goes_inside(scene, context)


async def in_clear(scene: Stage) -> None:
    """Fetch a file whose data are in clear on both sides."""
    legs = await agree(scene, "PASV")
    await scene.play(f"> RETR f\n{LONG}> RETR f")
    server = await legs.at_server()
    await scene.play(f"{LONG}< 150 Opening\n< 150 Opening")
    client = await legs.at_client()
    await server.say(b"data")
    server.end()
    assert await client.the_rest() == (b"data", "eof")
    await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_try_takes_a_server_that_protects_no_data(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured("try")) as scene:
        await greet(scene, "try", certificates.accepting())
        await scene.play(
            IN
            + f"""
{LONG}> PROT P
{LONG}< 536 Not here
{LONG}> PROT C
{LONG}< 200 Clear
< 230-Welcome
< 230 In
"""
        )
        await in_clear(scene)
    assert scene.records[-1].facts["tls_server"] == "control only"
    assert "tls_server" not in scene.records[0].facts


@pytest.mark.parametrize("prot", ["clear", "client"])
async def test_data_in_clear_on_purpose(
    prot: str, certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured(prot=prot)) as scene:
        await greet(scene, "required", certificates.accepting())
        await scene.play(
            IN + f"{LONG}> PROT C\n{LONG}< 200 Clear\n< 230-Welcome\n< 230 In"
        )
        await in_clear(scene)


async def test_data_before_any_login_are_not_in_clear(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = certificates.accepting()
    async with stage(upstream=secured()) as scene:
        await greet(scene, "required", context)
        await scene.play(f"{LONG}> USER u\n{LONG}< 331 Password")
        await scene.play("< 331-Welcome\n< 331 Password")
        client, server = await begin(scene, "STOR f", context)
        await client.say(b"whole")
        client.end()
        assert await server.the_rest() == (b"whole", "eof")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


# How data end.


@pytest.mark.parametrize("eof", ["strict", "lenient", "auto"])
async def test_data_that_were_cut_inside_tls(
    eof: str, certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = certificates.accepting()
    async with stage(upstream=secured(tls_eof=eof)) as scene:
        await come_inside(scene, context)
        client, server = await begin(scene, "RETR f", context)
        await server.say(b"half")
        server.cut()
        if eof == "strict":
            assert await client.the_rest() == (b"half", "reset")
            await scene.play(f"{LONG}< 226 Done")
            await scene.play("< 426 The server's data were cut off inside TLS.")
        else:
            assert await client.the_rest() == (b"half", "eof")
            await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    record = scene.records[0]
    if eof == "strict":
        assert (record.outcome, record.reason, record.side) == ("cut", "tls", "server")
    else:
        assert record.outcome == "ok"
        assert record.facts["tls_server_end"] == "missing"


async def test_who_has_signed_one_end_has_to_sign_the_next(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = certificates.accepting()
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, context)
        client, server = await begin(scene, "RETR f", context)
        await server.say(b"whole")
        server.end()
        assert await client.the_rest() == (b"whole", "eof")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        client, server = await begin(scene, "RETR f", context)
        await server.say(b"half")
        server.cut()
        assert await client.the_rest() == (b"half", "reset")
        await scene.play(f"{LONG}< 226 Done")
        await scene.play("< 426 The server's data were cut off inside TLS.")
    assert [record.outcome for record in scene.records] == ["ok", "cut", "ok"]


async def test_a_server_that_dies_in_the_middle(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    """All its connections end alike, and nothing says that its data were whole."""
    context = certificates.accepting()
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, context)
        client, server = await begin(scene, "RETR f", context)
        await server.say(b"half")
        assert await client.hear() == b"half"
        assert scene.server is not None
        scene.server.close()
        server.close()
        assert await client.the_rest() == (b"", "reset")
        await scene.play("< 426 ...\n< 421 Server closed the connection.\nended")
    assert scene.records[0].outcome == "cut"


async def test_the_end_that_a_server_signs_is_answered(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = certificates.accepting()
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, context)
        client, server = await begin(scene, "RETR f", context)
        server.sign_off()  # and waits for ours before it closes
        assert await server.the_rest() == (b"", "eof")
        server.close()
        assert await client.the_rest() == (b"", "eof")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")


async def test_a_client_that_breaks_an_upload_off(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = certificates.accepting()
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, context)
        client, server = await begin(scene, "STOR f", context)
        await client.say(b"half")
        assert await server.hear() == b"half"
        client.reset()
        assert await server.the_rest() == (b"", "reset")
        await scene.play(f"{LONG}< 226 Done\n< 426 Your data connection broke.")


# What goes wrong on data connections.


async def test_a_server_that_breaks_off_behind_its_150(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, certificates.accepting())
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Opening")
        await scene.play("< 150 Opening")
        (await legs.at_server()).reset()
        await scene.play(f"""
{LONG}> ABOR
< 425 No TLS on the server's data connection: ...
{LONG}< 426 No
{LONG}< 226 Aborted
> NOOP
{LONG}> NOOP
{LONG}< 200 OK
< 200 OK
""")
    record = scene.records[0]
    assert (record.method, record.outcome, record.reason) == ("RETR", "failed", "tls")


async def test_data_with_another_certificate(
    certificates: Certificates, secured: Callable[..., Upstream], tmp_path: Path
) -> None:
    """Whoever has the data port must be who has the control connection."""
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, certificates.accepting())
        legs = await agree(scene, "PASV")
        await scene.play(f"> STOR f\n{LONG}> STOR f\n{LONG}< 150 Go")
        await scene.play("< 150 Go")
        stranger = issue(tmp_path, "ftp.test").accepting()
        with suppress(ssl.SSLError, Ended):
            secure = await inside(await legs.at_server(), stranger)
            await secure.hear()
        await scene.play(f"{LONG}< 426 Broken\n< 426 Broken")
    record = scene.records[0]
    assert (record.outcome, record.reason) == ("failed", "tls")


@pytest.mark.parametrize("code", [425, 522])
async def test_a_server_that_wants_its_session_resumed(
    code: int, certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, certificates.accepting())
        legs = await agree(scene, "PASV")
        await scene.play(f"> RETR f\n{LONG}> RETR f")
        server = await inside(await legs.at_server(), certificates.accepting())
        assert not server.tls.session_reused
        await scene.play(f"{LONG}< 150 Opening")
        await scene.play("< 150 Opening")
        await legs.at_client()
        await scene.play(f"{LONG}< {code} Resume it\n< {code} Resume it")
    record = scene.records[0]
    assert (record.reason, record.error) == ("tls", servertls.NOT_RESUMED)
    assert record.facts["tls_server_resumed"] == "false"


# The dialogue inside.


async def test_abor_is_no_urgent_one(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    context = certificates.accepting()
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, context)
        client, server = await begin(scene, "RETR f", context)
        await server.say(b"half")
        assert await client.hear() == b"half"
        await scene.play(f"""
> ABOR
{LONG}> ABOR
{LONG}< 426 Broken off
{LONG}< 226 Aborted
< 426 Broken off
< 226 Aborted
""")


async def test_features_are_those_of_the_client_side(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, certificates.accepting())
        await scene.play(f"""
> FEAT
{LONG}> FEAT
{LONG}< 211-Features
{LONG}<  AUTH TLS
{LONG}<  PBSZ
{LONG}<  PROT
{LONG}<  SIZE
{LONG}< 211 End
< 211-Features:
<  SIZE
<  EPRT
<  EPSV
< 211 End
""")


async def test_a_dialogue_that_ends_without_a_signature(
    certificates: Certificates, secured: Callable[..., Upstream]
) -> None:
    async with stage(upstream=secured()) as scene:
        await come_inside(scene, certificates.accepting())
        assert scene.server is not None
        scene.server.close()
        await scene.play("< 421 Server closed the connection.\nended")
