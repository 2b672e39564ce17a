"""Every dialect in which a client names its server, with the exact replies."""

import pytest
from tests.session.stage import stage

from portway.config.schema import Login

ACCOUNTS: dict[str, str | None] = {"fu": "fp"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.users.guessing.DELAYS", (0.01,))


SERVER_ASKED = """
                        < 220 Welcome
                        > USER u
                        < 331 Password please
                        > PASS p
                        < 230 Server says hello
"""
RELAYED = """
                        > USER u
                        < 331 Password please
< 331 Password please
> PASS p
                        > PASS p
                        < 230 Server says hello
< 230 Server says hello
"""
SPOKEN = f"""
{SERVER_ASKED}
< 230-Welcome
< 230 Server says hello
"""
PROXY_LOGIN = """
> USER fu
< 331 Send password.
> PASS fp
< 230 Login OK. Proceed.
"""
AFTER = """
> PWD
                        > PWD
                        < 257 "/"
< 257 "/"
> QUIT
                        > QUIT
                        < 221 Bye
< 221 Bye
ended
                        ended
"""
USER_AT_HOST = """
> USER u@{at}
                        < 220 Welcome
                        > USER u
                        < 331 Password please
< 331-Welcome
< 331 Password please
> PASS p
                        > PASS p
                        < 230 Server says hello
< 230 Server says hello
"""
SITE = f"""
> SITE {{at}}
                        < 220 Welcome
< 220 Welcome
> USER u
{RELAYED}
"""
OPEN = SITE.replace("SITE", "OPEN")

DIALECTS = {
    "A": USER_AT_HOST,
    "B": PROXY_LOGIN + USER_AT_HOST,
    "C": SITE,
    "C with login": PROXY_LOGIN + SITE,
    "D": OPEN,
    "D with login": PROXY_LOGIN + OPEN,
    "D1": f"""
> OPEN {{at}}
< 220 Noted. Log in to the proxy.
> USER fu
< 331 Send password.
> PASS fp
                        < 220 Welcome
< 230-Welcome
< 230 Login OK. Proceed.
> USER u
{RELAYED}
""",
    "D2": f"""
> USER u
< 331 Send password.
> PASS p
< 230 Login OK. Proceed.
> ACCT {{at}}
{SPOKEN}
""",
    "E": f"""
> USER fu@{{at}}
< 331 Send password.
> PASS fp
                        < 220 Welcome
< 230-Welcome
< 230 Login OK. Proceed.
> USER u
{RELAYED}
""",
    "F": f"""
> USER u@fu@{{at}}
< 331 Send password.
> PASS p@fp
{SPOKEN}
""",
    "G": f"""
> USER u@{{at}} fu
< 331 Send password.
> PASS p
< 332 Send ACCT.
> ACCT fp
{SPOKEN}
""",
    "I": USER_AT_HOST.replace("{at}", "ftp.test {port}"),
    "J": f"""
> USER u@{{at}}
< 331 Send password.
> PASS p
< 230 Held: send AUTH and RESP.
> AUTH fu
< 331 Send RESP.
> RESP fp
{SPOKEN}
""",
    "J1": f"""
> USER u@{{at}}
< 331 Send password.
> PASS p
< 230 Held: send AUTH and RESP.
> SITE AUTHENTICATE fu
< 331 Send RESP.
> SITE RESPONSE fp
{SPOKEN}
""",
    "L": f"""
> USER fu:u@{{at}}
< 331 Send password.
> PASS fp:p
{SPOKEN}
""",
    "L with proxy password": f"""
> USER fu:fp:u@{{at}}
< 331 Send password.
> PASS p
{SPOKEN}
""",
    "L with both passwords": f"""
> USER fu:fp:u:p@{{at}}
< 331 Send password.
> PASS x
{SPOKEN}
""",
}
WHERE: dict[str, tuple[Login, ...]] = {
    "A": ("none", "optional"),
    "B": ("optional", "required"),
    "C": ("none", "optional"),
    "C with login": ("optional", "required"),
    "D": ("none", "optional"),
    "D with login": ("optional", "required"),
    "D1": ("required",),
    "D2": ("none", "optional"),
    "E": ("required", "optional"),
    "F": ("optional", "required"),
    "G": ("optional", "required"),
    "I": ("none", "optional"),
    "J": ("required",),
    "J1": ("required",),
    "L": ("optional", "required"),
    "L with proxy password": ("optional", "required"),
    "L with both passwords": ("optional", "required"),
}
BY_HAND = {
    "E": ("proxyuser@host", "user@host"),
    "J": ("resp",),
    "J1": ("resp",),
    "L": ("colon", "user@host"),
    "L with proxy password": ("colon", "user@host"),
    "L with both passwords": ("colon", "user@host"),
}
CELLS = [(name, login) for name, logins in WHERE.items() for login in logins]


@pytest.mark.parametrize(("name", "login"), CELLS)
async def test_dialect(name: str, login: Login) -> None:
    methods = BY_HAND.get(name)
    async with stage(login=login, accounts=ACCOUNTS, methods=methods) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        await scene.play(DIALECTS[name])
        await scene.play(AFTER)
    (record,) = scene.records
    assert (record.method, record.outcome, record.status) == ("CONNECT", "ok", "230")
    assert record.server_login == "u"
    proxied = name not in {"A", "C", "D", "D2", "I"}
    assert record.user == ("fu" if proxied else "")
    assert "fp" not in repr(record)


WRONG = {
    "B": "> USER fu\n< 331 Send password.\n> PASS no\n",
    "E": "> USER fu@{at}\n< 331 Send password.\n> PASS no\n",
    "F": "> USER u@fu@{at}\n< 331 Send password.\n> PASS p@no\n",
    "G": "> USER u@{at} fu\n< 331 Send password.\n> PASS p\n< 332 Send ACCT.\n"
    "> ACCT no\n",
    "J": "> USER u@{at}\n< 331 Send password.\n> PASS p\n"
    "< 230 Held: send AUTH and RESP.\n> AUTH fu\n< 331 Send RESP.\n> RESP no\n",
    "L": "> USER fu:u@{at}\n< 331 Send password.\n> PASS no:p\n",
}
REFUSED = "< 530 Proxy login refused.\n"


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_proxy_password(name: str) -> None:
    methods = BY_HAND.get(name)
    async with stage(login="required", accounts=ACCOUNTS, methods=methods) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        for _ in range(2):
            await scene.play(WRONG[name] + REFUSED)
        await scene.play(WRONG[name] + "< 421 Three logins refused.\nended")
        assert await scene.port.nobody_comes()
    assert scene.methods == [("LOGIN", "refused")] * 3
    assert {record.reason for record in scene.records} == {"login-wrong"}


@pytest.mark.parametrize("name", ["B", "F", "G", "L"])
async def test_unknown_proxy_user(name: str) -> None:
    script = WRONG[name].replace("fu", "nobody")
    methods = BY_HAND.get(name)
    if name == "F":
        methods = ("joined",)  # resp would hold whatever nobody else takes
    async with stage(login="required", accounts=ACCOUNTS, methods=methods) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        await scene.play(script + REFUSED + "> QUIT\n< 221 Goodbye.\nended")
    assert scene.methods == [("LOGIN", "refused")]


async def test_a_right_login_makes_up_for_wrong_ones() -> None:
    async with stage(login="required", accounts=ACCOUNTS) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        for _ in range(3):
            await scene.play(WRONG["B"] + REFUSED)
            await scene.play(WRONG["B"] + REFUSED)
            await scene.play(PROXY_LOGIN + "> REIN\n< 220 Ready for a new user.\n")


async def test_an_account_that_a_later_reading_fits_leaves_no_refusal() -> None:
    """``u@x@h``: x is no account, and the login is held for AUTH."""
    async with stage(login="required", accounts=ACCOUNTS) as scene:
        await scene.play("""
            < 220 edge FTP proxy ready.
            > USER u@x@{at}
            < 331 Send password.
            > PASS p@q
            < 230 Held: send AUTH and RESP.
            """)
    assert scene.records == []


async def test_the_account_store_is_down() -> None:
    async with stage(login="required", accounts={"fu": None}) as scene:
        await scene.play("""
            < 220 edge FTP proxy ready.
            > USER fu
            < 331 Send password.
            > PASS fp
            < 421 The proxy cannot check logins now.
            ended
            """)


async def test_a_name_that_is_no_account_is_a_server_login_where_optional() -> None:
    async with stage(login="optional", accounts=ACCOUNTS) as scene:
        await scene.play("""
            < 220 edge FTP proxy ready.
            > USER u@x@{at}
            < 331 Send password.
            > PASS p@q
                                < 220 Welcome
                                > USER u@x
                                < 331 Password please
                                > PASS p@q
                                < 230 Server says hello
            < 230-Welcome
            < 230 Server says hello
            """)
    (record,) = scene.records
    assert record.user == ""


async def test_a_proxy_login_that_came_joined_does_not_stand() -> None:
    async with stage(login="optional", accounts=ACCOUNTS) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        await scene.play(DIALECTS["F"])
        await scene.play("""
            > USER v@other.test:{port}
                                > QUIT
                                < 221 Bye
                                called
                                < 220 Other
                                > USER v
                                < 230 In
            < 230-Other
            < 230 In
            """)
    assert [record.user for record in scene.records] == ["fu", ""]


@pytest.mark.parametrize("words", ["> USER u@{at}", "> LIST", "> ACCT x", "> SITE x"])
async def test_required(words: str) -> None:
    answers = {
        "> USER u@{at}": "530 Log in to the proxy first.",
        "> SITE x": "220 Noted. Log in to the proxy.",
        "> ACCT x": "503 Send USER first.",
        "> LIST": "530 Name the server first: USER user@host, SITE host or OPEN host.",
    }
    methods = ("joined", "site", "user@host")
    async with stage(login="required", accounts=ACCOUNTS, methods=methods) as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        await scene.play(f"{words}\n< {answers[words]}")


async def test_only_auth_goes_on_while_a_login_is_held() -> None:
    async with stage(login="required", accounts=ACCOUNTS) as scene:
        await scene.play("""
            < 220 edge FTP proxy ready.
            > USER u@{at}
            < 331 Send password.
            > PASS p
            < 230 Held: send AUTH and RESP.
            > PASS p
            < 530 Send AUTH and RESP first.
            > OPEN {at}
            < 530 Send AUTH and RESP first.
            > SITE CHMOD x
            < 530 Send AUTH and RESP first.
            > ACCT x
            < 530 Send AUTH and RESP first.
            > PWD
            < 530 Send AUTH and RESP first.
            > RESP fp
            < 530 Send AUTH and RESP first.
            > AUTH TLS
            < 502 AUTH is not available.
            > NOOP
            < 200 OK.
            > USER fu
            < 331 Send password.
            > PASS fp
            < 230 Login OK. Proceed.
            """)
