"""From the first word to a server: what is answered, kept, replayed, and refused."""

import pytest
from tests.session.stage import EVERYTHING, rule, stage

from portway.config.schema import Rule

HELLO = "< 220 edge FTP proxy ready.\n"
LONG = " " * 24
KEPT = f"""
{HELLO}
> USER u
< 331 Send password.
> PASS p
< 230 Login OK. Proceed.
> SITE {{at}}
{LONG}< 220 Welcome
< 220 Welcome
"""
REPLAYED = f"""
{LONG}> USER u
{LONG}< 331 Password please
{LONG}> PASS p
{LONG}< 230 In
"""


def test_nothing() -> None:
    """The scripts above have their two columns."""
    assert all(row[:1] in {"", "<", ">", " "} for row in KEPT.splitlines())


# The classic dialogues.


@pytest.mark.parametrize("verb", ["site", "open"])
@pytest.mark.parametrize("password", ["PASS", "PASS a@b", "PASS secret"])
async def test_classic_login_before_the_server(verb: str, password: str) -> None:
    sent = password if password != "PASS" else "PASS anonymous@"
    async with stage() as scene:
        await scene.play(f"""
{HELLO}
> USER
< 331 Send password.
> {password}
< 230 Login OK. Proceed.
> {verb} {{at}}
{LONG}< 220 ftp.x.com greets you
< 220 ftp.x.com greets you
{LONG}> USER anonymous
{LONG}< 331 Password please
{LONG}> {sent}
{LONG}< 230 In
> PWD
{LONG}> PWD
{LONG}< 257 "/"
< 257 "/"
""")


async def test_classic_user_after_login() -> None:
    async with stage() as scene:
        await scene.play(f"""
{HELLO}
> USER
< 331 Send password.
> PASS secret
< 230 Login OK. Proceed.
> USER anonymous@{{at}}
{LONG}< 220 Welcome
{LONG}> USER anonymous
{LONG}< 331 Password please
{LONG}> PASS secret
{LONG}< 230 In
< 230-Welcome
< 230 In
""")


async def test_classic_kept_password_outlives_a_failed_try() -> None:
    async with stage() as scene:
        await scene.play(f"""
{HELLO}
> USER
< 331 Send password.
> PASS secret
< 230 Login OK. Proceed.
> USER anonymous@nowhere.test
< 530 Cannot resolve host nowhere.test.
> USER anonymous@{{at}}
{LONG}< 220 Welcome
{LONG}> USER anonymous
{LONG}< 331 Password please
{LONG}> PASS secret
{LONG}< 230 In
< 230-Welcome
< 230 In
""")


async def test_a_named_kept_login_is_forgotten_by_user_at_host() -> None:
    async with stage() as scene:
        await scene.play(f"""
{HELLO}
> USER bob
< 331 Send password.
> PASS secret
< 230 Login OK. Proceed.
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password please
< 331-Welcome
< 331 Password please
""")


async def test_nobody_at_host() -> None:
    async with stage() as scene:
        await scene.play(f"""
{HELLO}
> USER @{{at}}
< 331 Send password.
> PASS
{LONG}< 220 Welcome
< 230-Welcome
< 230 Login OK. Proceed.
> SYST
{LONG}> USER anonymous
{LONG}< 331 Password please
{LONG}> PASS anonymous@
{LONG}< 230 In
{LONG}> SYST
{LONG}< 215 UNIX
< 215 UNIX
""")


# Replay.


async def test_replay_after_silence() -> None:
    async with stage() as scene:
        await scene.play(KEPT + REPLAYED)
        await scene.play("> USER u\n< 331 Send password.\n")
        await scene.play(f"""
> PASS p
< 230 Login OK. Proceed.
> NOOP
{LONG}> NOOP
{LONG}< 200 ok
< 200 ok
""")


async def test_replay_refused_by_command() -> None:
    async with stage() as scene:
        await scene.play(f"""{KEPT}
> PWD
{LONG}> USER u
{LONG}< 530 Not you
< 530 Not you
> PWD
{LONG}> PWD
{LONG}< 530 Log in
< 530 Log in
> USER v
{LONG}> USER v
{LONG}< 331 Go on
< 331 Go on
""")


async def test_replay_refused_after_silence_is_told_once() -> None:
    async with stage() as scene:
        await scene.play(f"""{KEPT}
{LONG}> USER u
{LONG}< 331 Go on
{LONG}> PASS p
{LONG}< 530 Not you
> PWD
< 530 Not you
> PWD
{LONG}> PWD
{LONG}< 530 Log in
< 530 Log in
""")


@pytest.mark.parametrize("different", ["user", "password"])
async def test_another_login_after_a_replay(different: str) -> None:
    async with stage() as scene:
        await scene.play(f"{KEPT}{REPLAYED}")
        if different == "user":
            await scene.play(f"""
> USER v
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER v
{LONG}< 331 Password please
< 331 Password please
""")
        else:
            await scene.play(f"""
> USER u
< 331 Send password.
> PASS q
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password please
{LONG}> PASS q
{LONG}< 230 In
< 230 In
""")
    assert [record.method for record in scene.records] == ["CONNECT", "CONNECT"]


async def test_user_before_the_replay_cancels_it() -> None:
    async with stage() as scene:
        await scene.play(f"""{KEPT}
> USER v
{LONG}> USER v
{LONG}< 331 Password please
< 331 Password please
{LONG}silent
""")


async def test_a_replayed_user_that_needs_no_password() -> None:
    async with stage() as scene:
        await scene.play(f"""{KEPT}
> TYPE I
{LONG}> USER u
{LONG}< 230 In at once
{LONG}> TYPE I
{LONG}< 200 ok
< 200 ok
""")


async def test_rein_before_the_replay() -> None:
    async with stage() as scene:
        await scene.play(f"""{KEPT}
> REIN
{LONG}> QUIT
{LONG}< 221 Bye
< 220 Ready for a new user.
> PWD
< 530 Name the server first: USER user@host, SITE host or OPEN host.
""")


# Re-targeting.

IN = f"""
{HELLO}
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password please
< 331-Welcome
< 331 Password please
> PASS p
{LONG}> PASS p
{LONG}< 230 In
< 230 In
"""


async def test_the_same_server_again_is_the_same_connection() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> USER v@{{at}}
{LONG}> USER v
{LONG}< 331 Password please
< 331 Password please
> PASS q
{LONG}> PASS q
{LONG}< 530 No
< 530 No
""")


@pytest.mark.parametrize("words", ["USER v@other.test", "OPEN other.test"])
async def test_another_server(words: str) -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> {words}:{{port}}
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}ended
{LONG}called
{LONG}< 220 Other
""")
        if words.startswith("USER"):
            await scene.play(f"{LONG}> USER v\n{LONG}< 331 Go\n< 331-Other\n< 331 Go")
        else:
            await scene.play("< 220 Other")
    assert [r.host for r in scene.records] == ["ftp.test", "other.test"]


async def test_a_server_that_does_not_say_goodbye_is_left_after_a_second() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> OPEN other.test:{{port}}
{LONG}> QUIT
{LONG}called
{LONG}< 220 Other
< 220 Other
""")


async def test_a_plain_name_goes_to_the_server_and_site_too() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> USER v
{LONG}> USER v
{LONG}< 530 No
< 530 No
> SITE HELP
{LONG}> SITE HELP
{LONG}< 214 none
< 214 none
""")


async def test_after_open_an_at_is_part_of_the_name() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> OPEN {{at}}
{LONG}< 220 Welcome
< 220 Welcome
> USER v@elsewhere
{LONG}> USER v@elsewhere
{LONG}< 230 In
< 230 In
> USER w@elsewhere
{LONG}> USER w@elsewhere
{LONG}< 230 In
< 230 In
""")


async def test_rein() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> REIN
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}ended
< 220 Ready for a new user.
> SYST
< 215 UNIX Type: L8
""")


# The server's greeting, and its answers to the login.


@pytest.mark.parametrize("code", ["230", "232", "200"])
async def test_any_success_of_user_is_230(code: str) -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< {code} You need no password
< 230-Welcome
< 230 You need no password
""")
    assert scene.records[0].status == "230"


async def test_a_greeting_of_many_lines() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}}
{LONG}< 220-Welcome
{LONG}< 220-to this
{LONG}<  place
{LONG}< 220 Enjoy
{LONG}> USER u
{LONG}< 331-Give
{LONG}< 331 password
< 331-Welcome
<  220-to this
<   place
<  220 Enjoy
< 331-Give
< 331 password
""")


ANONYMOUS = [
    ("anonymous", "me@example.org", "me@example.org"),
    ("FTP", "x" * 1000, "x" * 256),
    ("ftp", "", None),
    ("joe", "s3cret", None),
]


@pytest.mark.parametrize(("user", "password", "address"), ANONYMOUS)
@pytest.mark.parametrize("way", ["driven", "spoken", "replayed"])
async def test_records_know_the_address_of_anonymous_clients_and_no_password(
    user: str, password: str, address: str | None, way: str
) -> None:
    told = password if password or way == "driven" else "anonymous@"
    said = f" {password}" if password else ""
    heard = f" {told}" if told else ""
    at_server = f"""
{LONG}> USER {user}
{LONG}< 331 go
{LONG}> PASS{heard}
{LONG}< 230 In
"""
    before = {
        "driven": f"> USER {user}@{{at}}\n{LONG}< 220 Hi\n{LONG}> USER {user}\n"
        f"{LONG}< 331 go\n< 331-Hi\n< 331 go\n> PASS{said}\n{LONG}> PASS{heard}\n"
        f"{LONG}< 230 In\n< 230 In",
        "spoken": f"> USER {user}\n< 331 ...\n> PASS{said}\n< 230 ...\n> ACCT {{at}}\n"
        f"{LONG}< 220 Hi{at_server}< 230-Hi\n< 230 In",
        "replayed": f"> USER {user}\n< 331 ...\n> PASS{said}\n< 230 ...\n"
        f"> OPEN {{at}}\n{LONG}< 220 Hi\n< 220 Hi\n> NOOP{at_server}"
        f"{LONG}> NOOP\n{LONG}< 200 ok\n"
        "< 200 ok",
    }[way]
    if way == "spoken" and not password:
        before = before.replace(f"PASS{heard}", "PASS")
    if way == "replayed" and not password and address is None:
        address = "anonymous@"
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        await scene.play(before)
        await scene.play(f"> DELE x\n{LONG}> DELE x\n{LONG}< 250 ok\n< 250 ok")
    for record in scene.records:
        assert record.facts.get("anonymous") == address
        assert "s3cret" not in repr(record)


async def test_332_goes_on_with_acct() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 332 Account please
< 332-Welcome
< 332 Account please
> ACCT a
{LONG}> ACCT a
{LONG}< 230 In
< 230 In
""")


async def test_a_hidden_greeting() -> None:
    async with stage(greeting="hide") as scene:
        await scene.play(f"""{HELLO}
> OPEN {{at}}
{LONG}< 220-Welcome
{LONG}< 220 Enjoy
< 220 Enjoy
> OPEN {{at}}
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 One
< 220 One
""")


@pytest.mark.parametrize("password", [False, True])
async def test_a_refused_login_is_passed_bare(password: bool) -> None:
    script = f"""{HELLO}
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
"""
    if password:
        script += f"""
{LONG}< 331 Go
< 331-Welcome
< 331 Go
> PASS wrong
{LONG}> PASS wrong
"""
    async with stage() as scene:
        await scene.play(f"""{script}
{LONG}< 530 Login incorrect.
< 530 Login incorrect.
> USER u
{LONG}> USER u
{LONG}< 331 Go
< 331 Go
""")
    (record,) = scene.records
    assert (record.outcome, record.status, record.side) == ("failed", "530", "server")


@pytest.mark.parametrize("verb", ["USER u@{at}", "SITE {at}", "OPEN {at}"])
@pytest.mark.parametrize(
    ("greeting", "answer"),
    [
        ("421 Come back later", "421 Come back later"),
        ("450 Not now", "421 Not now"),
        ("500 Never", "530 Never"),
        ("554-No\r\n554 Go away", "530 Go away"),
    ],
)
async def test_a_server_that_refuses(verb: str, greeting: str, answer: str) -> None:
    async with stage() as scene:
        await scene.play(f"{HELLO}> {verb}\n{LONG}called")
        assert scene.server is not None
        await scene.server.say(greeting.encode() + b"\r\n")
        await scene.play(f"< {answer}")
        if answer.startswith("421"):
            await scene.play("ended")
        else:
            await scene.play(f"{LONG}ended\n> SYST\n< 215 UNIX Type: L8")
    (record,) = scene.records
    assert (record.outcome, record.status) == ("failed", greeting[:3])


async def test_120_is_waited_out() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> OPEN {{at}}
{LONG}< 120 In a minute
{LONG}< 220 Now
< 220 Now
""")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"SSH-2.0-OpenSSH\r\n" * 16, "421 Host ftp.test does not speak FTP."),
        (b"x" * 8193, "421 Host ftp.test does not speak FTP."),
        (None, "421 Host ftp.test did not greet."),
        (b"", "421 Host ftp.test did not greet."),
    ],
)
async def test_no_ftp_server(
    said: bytes | None, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.protocols.ftp.upstream.GREETING_TIME", 0.05)
    async with stage() as scene:
        await scene.play(f"{HELLO}> OPEN {{at}}\n{LONG}called")
        assert scene.server is not None
        if said is not None:
            await scene.server.say(said)
            if not said:
                scene.server.close()
        await scene.play(f"< {answer}\nended")
    (record,) = scene.records
    assert (record.outcome, record.side) == ("failed", "server")


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("nowhere.test", "530 Cannot resolve host nowhere.test."),
        (
            "down.test",
            "421 Cannot reach host down.test: the name server does not answer.",
        ),
        ("127.0.0.1:1", "421 Cannot reach host 127.0.0.1: connection refused."),
        ("h:0", "501 Bad host name or port."),
        ("h:70000", "501 Bad host name or port."),
        ("2130706433", "501 Bad host name or port."),
        ("a b c", "501 Bad host name or port."),
    ],
)
async def test_a_server_that_cannot_be_reached(host: str, answer: str) -> None:
    for words in (f"USER u@{host}", f"OPEN {host}"):
        if host == "a b c" and words.startswith("USER"):
            words += " d"  # noqa: PLW2901
        async with stage() as scene:
            await scene.play(f"{HELLO}> {words}\n< {answer}")
            if answer.startswith("421"):
                await scene.play("ended")
            else:
                await scene.play("> NOOP\n< 200 OK.")


async def test_our_own_door_is_no_server() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> USER u@127.0.0.1:{scene.door.port}
< 530 That address is this proxy itself.
""")
    assert scene.records[0].reason == "loop"


BECAUSE = rule("deny", do="connect", to=("ftp.test",), because="Not  on\nSundays.")


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        ((BECAUSE,), "530 Denied: Not on Sundays."),
        ((), "530 Denied by policy."),
        ((rule(to="*"),), "530 Denied by policy."),
    ],
)
async def test_a_server_that_the_policy_denies(
    rules: tuple[Rule, ...], answer: str
) -> None:
    async with stage(rules=rules) as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}}
< {answer}
> OPEN {{at}}
< {answer}
""")
        assert await scene.port.nobody_comes(0.02)
    assert scene.methods == [("CONNECT", "refused")] * 2


# What is said before a server is named.


async def test_local_answers() -> None:
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> feat
< 211-Features:
<  UTF8
<  EPRT
<  EPSV
< 211 End
> SYST
< 215 UNIX Type: L8
> NOOP
< 200 OK.
> STAT
< 211 No server is named.
> HELP
< 214-Name the server in one of these ways:
<  SITE host
<  OPEN host
<  USER user@host
< 214 End.
> LANG
< 200 LANG en.
> LANG fr
< 504 LANG en.
> OPTS MLST x
< 501 Option not known.
> AUTH TLS
< 502 AUTH is not available.
> PBSZ 0
< 503 TLS is not active.
> PROT P
< 503 TLS is not active.
> CCC
< 534 CCC is not allowed here.
> LPRT 1
< 502 Not available through this proxy.
> CPSV
< 502 Not available through this proxy.
> PASS x
< 503 Send USER first.
> RETR x
< 530 Name the server first: USER user@host, SITE host or OPEN host.
> PASV
< 530 Name the server first: USER user@host, SITE host or OPEN host.
> XYZZY
< 530 Name the server first: USER user@host, SITE host or OPEN host.
> QUIT
< 221 Goodbye.
ended
""")


@pytest.mark.parametrize("host", ["ftp.test", "FTP.Test", "www.test"])
async def test_what_the_server_is_told_later(host: str) -> None:
    told = f"{LONG}> HOST {host}\n{LONG}< 500 What?" if host != "www.test" else ""
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> OPTS UTF8 ON
< 200 UTF8 noted.
> CLNT me
< 200 Noted.
> HOST {host}
< 220 Host noted.
> USER u@{{at}}
{LONG}< 220 Welcome
{told}
{LONG}> USER u
{LONG}< 331 Go
< 331-Welcome
< 331 Go
> PASS p
{LONG}> PASS p
{LONG}< 230 In
{LONG}> OPTS UTF8 ON
{LONG}< 501 No
{LONG}> CLNT me
{LONG}< 200 Hi
< 230 In
> PWD
{LONG}> PWD
{LONG}< 257 "/"
< 257 "/"
""")


async def test_an_acct_that_is_not_needed() -> None:
    """A word behind the host is no proxy login where none is asked for."""
    async with stage() as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}} fu
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Go
< 331-Welcome
< 331 Go
> PASS p
{LONG}> PASS p
{LONG}< 230 In
< 230 In
> ACCT fp
< 230 Not needed.
""")


async def test_a_word_is_ignored_for_its_own_login_alone() -> None:
    async with stage(rules=(EVERYTHING,)) as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}} fu
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Go
< 331-Welcome
< 331 Go
> OPEN {{at}}
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Welcome
< 220 Welcome
> USER u
{LONG}> USER u
{LONG}< 332 Account
< 332 Account
> ACCT fp
{LONG}> ACCT fp
{LONG}< 230 In
< 230 In
""")
