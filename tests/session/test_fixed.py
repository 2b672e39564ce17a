"""Doors that lead to a server by themselves, before USER or at it.

The doors are transparent ones; where a client was going is the stage's word for it.
"""

import pytest
from tests.certificates import Certificates, issue
from tests.session.secure import SecurePeer, server_goes_inside
from tests.session.stage import EVERYTHING, Stage, rule, stage

from portway.config.schema import Mode
from portway.model import Reason
from portway.protocols.ftp.settings import Upstream

LONG = " " * 24
ACCOUNTS: dict[str, str | None] = {"fu": "fp-word"}
GREETED = f"""
{LONG}called
{LONG}< 220-The server
{LONG}<  has two lines
{LONG}< 220 Welcome
< 220-The server
<  has two lines
< 220 Welcome
"""
HELLO = "< 220 edge FTP proxy ready.\n"
IN = f"""
> USER u
{LONG}> USER u
{LONG}< 331 Password please
< 331 Password please
> PASS p
{LONG}> PASS p
{LONG}< 230 In
< 230 In
"""


async def test_the_server_greets_before_the_client_has_said_a_word() -> None:
    async with stage(mode="transparent") as scene:
        await scene.play(GREETED + IN)
        await scene.play(f"""
> FEAT
{LONG}> FEAT
{LONG}< 502 What?
< 211-Features:
<  EPRT
<  EPSV
< 211 End
> QUIT
{LONG}> QUIT
{LONG}< 221 Bye
< 221 Bye
""")
        await scene.over()
    (record,) = scene.records
    assert (record.mode, record.method, record.server_login) == (
        "transparent",
        "CONNECT",
        "u",
    )
    assert (record.host, record.port) == ("127.0.0.1", scene.port.number)


@pytest.mark.parametrize("user", ["u@h", "@h", "u@fu@h", "a:b@h", "u@h 2121", "u@"])
async def test_an_at_is_part_of_the_name(user: str) -> None:
    async with stage(mode="transparent") as scene:
        await scene.play(f"""{GREETED}
> USER {user}
{LONG}> USER {user}
{LONG}< 331 Password please
< 331 Password please
> SITE other.test
{LONG}> SITE other.test
{LONG}< 500 What?
< 500 What?
""")


async def test_what_is_said_before_the_login_is_relayed() -> None:
    async with stage(mode="transparent") as scene:
        await scene.play(f"""{GREETED}
> SYST
{LONG}> SYST
{LONG}< 215 Their own
< 215 Their own
> ACCT x
{LONG}> ACCT x
{LONG}< 503 Later
< 503 Later
> PASS p
{LONG}> PASS p
{LONG}< 503 USER first
< 503 USER first
""")


async def test_hidden_greeting() -> None:
    async with stage(mode="transparent", greeting="hide") as scene:
        await scene.play(f"""
{LONG}called
{LONG}< 220-The server
{LONG}< 220 Welcome
< 220 Welcome
""")


async def test_the_policy_is_asked_at_once() -> None:
    no = rule("deny", because="Not there.")
    async with stage(mode="transparent", rules=(no,)) as scene:
        await scene.play("< 530 Denied: Not there.\nended")
        await scene.over()
    assert scene.server is None
    (record,) = scene.records
    assert record.reason == Reason.RULE


@pytest.mark.parametrize("code", ["421", "530"])
async def test_a_server_that_greets_with_a_refusal(code: str) -> None:
    async with stage(mode="transparent") as scene:
        await scene.play(f"""
{LONG}called
{LONG}< {code} Go away
< {code} Go away
ended
""")
        await scene.over()
    assert [one.outcome for one in scene.records] == ["failed"]


async def test_nobody_is_there() -> None:
    async with stage(mode="transparent") as scene:
        scene.port.close()
        scene.client.close()
        await scene.arrive()
        await scene.play(
            "< 421 Cannot reach host 127.0.0.1: connection refused.\nended"
        )


async def test_a_way_to_ourselves_is_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(mode="transparent") as scene:
        monkeypatch.setattr(
            "portway.protocols.ftp.captured.original_destination", lambda _: scene.door
        )
        await scene.arrive()
        await scene.play("< 421 That address is this proxy itself.\nended")
        await scene.over()
    assert Reason.LOOP in [record.reason for record in scene.records]


async def test_the_server_goes_before_it_greets() -> None:
    async with stage(mode="transparent") as scene:
        await scene.play(f"""
{LONG}called
{LONG}closes
< 421 Host 127.0.0.1 did not greet.
ended
""")


@pytest.mark.parametrize("user", ["v", "@h", "v@h"])
async def test_rein_and_the_same_server_again(user: str) -> None:
    async with stage(mode="transparent") as scene:
        await scene.play(GREETED + IN)
        await scene.play(f"""
> REIN
{LONG}> QUIT
{LONG}< 221 Bye
< 220 Ready for a new user.
> PWD
< 530 Log in with USER and PASS.
> USER {user}
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER {user}
{LONG}< 331 Password please
< 331-Welcome
< 331 Password please
""")


# A login to the gateway first: H, and what is joined.


async def test_double_login() -> None:
    kind = {"mode": "transparent", "login": "required"}
    async with stage(accounts=ACCOUNTS, **kind) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> PWD
< 530 Log in with USER and PASS.
> USER fu
< 331 Send password.
> PASS fp-word
{LONG}called
{LONG}< 220 Welcome
< 230-Welcome
< 230 Login OK. Proceed.
{IN}""")
        await scene.play("> QUIT")
        await scene.over()
    assert {record.user for record in scene.records} == {"fu"}
    assert [record.server_login for record in scene.records] == ["u"]


async def test_double_login_with_a_wrong_password() -> None:
    kind = {"mode": "transparent", "login": "required"}
    async with stage(accounts=ACCOUNTS, **kind) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> USER fu
< 331 Send password.
> PASS wrong
< 530 Proxy login refused.
> USER who@is.this
< 331 Send password.
> PASS x
< 530 Proxy login refused.
""")
    assert scene.server is None


async def test_the_server_comes_back_after_it_was_away() -> None:
    kind = {"mode": "transparent", "login": "required"}
    no = rule("deny", who="user:fu", because="Later.", when=("Mon-Sun 00:00-00:01",))
    rules = (no, EVERYTHING)
    async with stage(accounts=ACCOUNTS, rules=rules, **kind) as scene:  # type: ignore[arg-type]
        now = scene.clock.now
        scene.clock.now -= now % 86400
        await scene.play(f"""{HELLO}
> USER fu
< 331 Send password.
> PASS fp-word
< 530 Denied: Later.
""")
        scene.clock.now = now
        await scene.play(f"""
> USER u
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password please
< 331-Welcome
< 331 Password please
""")


async def test_joined_without_a_host() -> None:
    settings = {"login": "required", "methods": ("joined",), "accounts": ACCOUNTS}
    async with stage(mode="transparent", **settings) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{HELLO}
> USER u@fu
< 331 Send password.
> PASS p@fp-word
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password please
{LONG}> PASS p
{LONG}< 230 In
< 230-Welcome
< 230 In
""")


# Methods that were listed on purpose.


async def test_another_server_may_be_named_where_that_is_offered() -> None:
    async with stage(mode="transparent", methods=("user@host", "site")) as scene:
        await scene.play(f"""{HELLO}
> USER u@{{at}}
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password please
< 331-Welcome
< 331 Password please
""")
        assert scene.records == []


async def test_who_names_no_server_gets_the_one_it_came_for() -> None:
    async with stage(mode="transparent", methods=("user@host",)) as scene:
        await scene.play(f"""{HELLO}
> NOOP
< 200 OK.
> USER u
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
> USER v@other.test
{LONG}> USER v@other.test
{LONG}< 530 Once is enough
< 530 Once is enough
""")


# TLS on either side of a server that has greeted already.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


def shown_to_clients(made: Certificates, tls: str) -> dict[str, object]:
    return {"tls": tls, "certificate": made.certificate, "key": made.key}


async def go_inside(scene: Stage, made: Certificates) -> None:
    secure = SecurePeer(scene.client, made.connecting(), server_hostname="127.0.0.1")
    await secure.shake_hands()
    scene.client = secure


async def test_tls_behind_the_greeting_is_ours(made: Certificates) -> None:
    door = shown_to_clients(made, "required")
    async with stage(mode="transparent", **door) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{GREETED}
> USER u
< 530 TLS is required: send AUTH TLS first.
> AUTH TLS
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, made)
        await scene.play(f"> PBSZ 0\n< 200 PBSZ=0\n{LONG}silent" + IN)


async def test_tls_in_the_middle_of_a_login_begins_anew(made: Certificates) -> None:
    door = shown_to_clients(made, "explicit")
    async with stage(mode="transparent", **door) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{GREETED}
> USER u
{LONG}> USER u
{LONG}< 331 Password please
< 331 Password please
> AUTH TLS
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Again
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, made)
        await scene.play(IN)


BARRED = (
    "USER u",
    "HOST other.test",
    "XAUT u secret",
    "PASS secret",
    "ACCT secret",
    "SITE other.test",
    "OPEN other.test",
    "PORT 127,0,0,1,9,9",
    "EPSV",
    "CWD /x",
    "PWD",
    "TYPE I",
    "REST 7",
    "RETR f",
    "CLNT me",
    "LANG en",
    "STAT",
    "NONSENSE",
)


@pytest.mark.parametrize("mode", ["transparent", "reverse"])
async def test_nothing_goes_to_a_server_before_the_tls_that_is_required(
    mode: Mode, made: Certificates
) -> None:
    tls = shown_to_clients(made, "required")
    async with stage(mode=mode, **tls) as scene:  # type: ignore[arg-type]
        await scene.play(GREETED)
        for line in BARRED:
            await scene.play(f"> {line}\n< 530 TLS is required: send AUTH TLS first.")
        await scene.play("""
> PBSZ 0
< 503 TLS is not active.
> PROT P
< 503 TLS is not active.
> SYST
< 215 UNIX Type: L8
> NOOP
< 200 OK.
> OPTS UTF8 ON
< 200 UTF8 noted.
> HELP
< 214-...
< 214 End.
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
        await go_inside(scene, made)
        await scene.play(IN)  # on the same connection: nothing was said there
        await scene.play(f"> SYST\n{LONG}> SYST\n{LONG}< 215 Theirs\n< 215 Theirs")


@pytest.mark.parametrize(("verb", "answer"), [("QUIT", "221 Goodbye."), ("REIN", "")])
async def test_who_leaves_before_the_tls_that_is_required(
    verb: str, answer: str, made: Certificates
) -> None:
    tls = shown_to_clients(made, "required")
    async with stage(mode="transparent", **tls) as scene:  # type: ignore[arg-type]
        await scene.play(GREETED)
        if answer:
            await scene.play(f"> {verb}\n< {answer}\nended")
            return
        await scene.play(f"""
> REIN
{LONG}> QUIT
{LONG}< 221 Bye
< 220 Ready for a new user.
> USER u
< 530 TLS is required: send AUTH TLS first.
> PASS p
< 530 TLS is required: send AUTH TLS first.
""")


@pytest.mark.parametrize("mode", ["transparent", "reverse"])
@pytest.mark.parametrize(
    "line", ["HOST other.test", "CWD /x", "PASS p", "ACCT a", "XAUT u p", "REST 7"]
)
async def test_what_a_server_heard_in_clear_is_left_with_it(
    mode: Mode, line: str, made: Certificates
) -> None:
    tls = shown_to_clients(made, "explicit")
    async with stage(mode=mode, **tls) as scene:  # type: ignore[arg-type]
        await scene.play(f"""{GREETED}
> {line}
{LONG}> {line}
{LONG}< 500 What?
< 500 What?
> AUTH TLS
{LONG}> QUIT
{LONG}< 221 Bye
{LONG}called
{LONG}< 220 Another
< 234 AUTH TLS accepted.
""")
        await go_inside(scene, made)
        await scene.play(IN)


async def test_a_server_that_heard_nothing_stays(made: Certificates) -> None:
    tls = shown_to_clients(made, "explicit")
    async with stage(mode="transparent", **tls) as scene:  # type: ignore[arg-type]
        await scene.play(GREETED + "> AUTH TLS\n< 234 AUTH TLS accepted.")
        await go_inside(scene, made)
        await scene.play(IN)
    assert len(scene.records) == 1


async def test_tls_from_the_first_byte(made: Certificates) -> None:
    door = shown_to_clients(made, "implicit")
    async with stage(mode="transparent", **door) as scene:  # type: ignore[arg-type]
        await go_inside(scene, made)
        await scene.play(GREETED + IN)


async def test_tls_with_the_server_that_was_called(made: Certificates) -> None:
    upstream = Upstream(tls="required", ca=made.ca)
    async with stage(mode="transparent", upstream=upstream) as scene:
        await scene.play(f"""
{LONG}called
{LONG}< 220 Welcome
{LONG}> AUTH TLS
{LONG}< 234 Go ahead
""")
        await server_goes_inside(scene, made.accepting())
        await scene.play(f"""
< 220 Welcome
> USER u
{LONG}> USER u
{LONG}< 331 Password please
< 331 Password please
""")


async def test_a_server_without_the_tls_that_is_required(made: Certificates) -> None:
    upstream = Upstream(tls="required", ca=made.ca)
    async with stage(mode="transparent", upstream=upstream) as scene:
        await scene.play(f"""
{LONG}called
{LONG}< 220 Welcome
{LONG}> AUTH TLS
{LONG}< 500 What?
{LONG}> AUTH SSL
{LONG}< 500 What?
< 530 Host 127.0.0.1 offers no TLS.
ended
""")
