"""What a client says behind an FTP parent: the parent hears no name of a server in it.

The parent is a script. It would be told of a name by any line that it hears, so the
tests look at what it hears.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.session.peers import Port
from tests.session.stage import Stage, stage

from portway.config.schema import Mode
from portway.config.secret import Secret
from portway.protocols.ftp.settings import Upstream

LONG = " " * 24
SERVER = "127.0.0.2"
NOT_OFFERED = "< 502 Not available through this proxy."
BAD_USER = "< 530 The next proxy cannot be told of such a user."
LOGGED_IN = "< 530 Logged in already: send REIN, or connect again."
NOT_DUE = "< 503 No account is asked for."
HELLO = f"{LONG}< 220 Parent\n"
GREETED = "< 220 Parent\n"
LOGIN = f"""
{LONG}> USER fu@{SERVER}
{LONG}< 331 Go on
{LONG}> PASS fp
{LONG}< 230 In
"""
# What the parent hears before the client is greeted, and of USER joe.
METHODS = {
    "user@host": ("", f"joe@{SERVER}"),
    "site": (f"{LONG}> SITE {SERVER}\n{HELLO}", "joe"),
    "open": (f"{LONG}> OPEN {SERVER}\n{HELLO}", "joe"),
    "proxyuser@host": (LOGIN, "joe"),
    "joined": ("", f"joe@fu@{SERVER}"),
    "acct": ("", f"joe@{SERVER} fu"),
}
ALONE = ("site", "open", "proxyuser@host", "acct")
NAMING = (
    "SITE other.test",
    "site other.test:2202",
    "SITE",
    "SITE  CHMOD other.test",
    "SITE\tother.test",
    "OPEN other.test",
    "Open\tother.test",
    "PROXY other.test",
    "HOST other.test",
    "XAUT joe secret",
    "CLNT me",
    "HASH f",
)
KNOWN = ("CHMOD 644 f", "chmod 644 f", "UTIME f 20260101000000", "UMASK", "HELP")


@asynccontextmanager
async def behind(
    method: str, mode: Mode = "reverse", **settings: object
) -> AsyncIterator[Stage]:
    """Set a stage whose server is a parent of *method*."""
    parent = Port()
    login = method in {"proxyuser@host", "joined", "acct"}
    via = f"ftp://{'fu@' if login else ''}127.0.0.1:{parent.number}?method={method}"
    upstream = Upstream(via=via, via_password=Secret("fp") if login else None)
    if mode == "reverse":
        settings["servers"] = lambda _: (f"{SERVER}:21",)
    try:
        async with stage(
            server=SERVER,
            mode=mode,
            upstream=upstream,
            **settings,  # type: ignore[arg-type]
        ) as scene:
            scene.keep(scene.port)
            scene.port = parent
            yield scene
    finally:
        parent.close()


async def greeted(scene: Stage, method: str) -> None:
    """Let the parent take the client of a reverse door in."""
    await scene.play(f"{HELLO}{METHODS[method][0]}{GREETED}")


async def come_in(scene: Stage, method: str) -> None:
    """Log in behind the parent."""
    word = METHODS[method][1]
    password = "p@fp" if method == "joined" else "p"
    await scene.play(f"""
> USER joe
{LONG}> USER {word}
{LONG}< 331 Password
< 331 Password
> PASS p
{LONG}> PASS {password}
{LONG}< 230 In
< 230 In
""")


async def refused(scene: Stage, line: str, answer: str) -> None:
    """The client says *line*; the parent must hear nothing, and then a NOOP alone."""
    await scene.play(f"> {line}\n{answer}\n")
    await scene.play(f"> NOOP\n{LONG}> NOOP\n{LONG}< 200 Ok\n< 200 Ok")


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_names_a_server_before_a_login(method: str) -> None:
    async with behind(method) as scene:
        await greeted(scene, method)
        for line in (*NAMING, *(f"SITE {word}" for word in KNOWN)):
            await refused(scene, line, NOT_OFFERED)
        await refused(scene, "ACCT other.test", NOT_DUE)
        await come_in(scene, method)


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_names_a_server_during_a_login(method: str) -> None:
    async with behind(method) as scene:
        await greeted(scene, method)
        word = METHODS[method][1]
        await scene.play(f"""
> USER joe
{LONG}> USER {word}
{LONG}< 530 No
< 530 No
""")
        for line in NAMING:
            await refused(scene, line, NOT_OFFERED)
        await refused(scene, "ACCT other.test", NOT_DUE)
        await come_in(scene, method)  # a refused USER may be followed by another


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_names_a_server_in_a_session(method: str) -> None:
    async with behind(method) as scene:
        await greeted(scene, method)
        await come_in(scene, method)
        for line in NAMING:
            await refused(scene, line, NOT_OFFERED)
        for name in ("joe", "ann", "joe@other.test", "joe@other.test x"):
            await refused(scene, f"USER {name}", LOGGED_IN)
        await refused(scene, "ACCT other.test", NOT_DUE)
        for word in KNOWN:
            await scene.play(f"""
> SITE {word}
{LONG}> SITE {word}
{LONG}< 200 Done
< 200 Done
""")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", ["joe@other.test", "joe other.test", "joe@other.test x", "joe@other.test "]
)
async def test_a_user_that_names_a_server(method: str, name: str) -> None:
    """An @ is harmless where the server's name stands behind it, and no blank does."""
    async with behind(method) as scene:
        await greeted(scene, method)
        if method in ALONE or ("@" in name and " " in name):
            await refused(scene, f"USER {name}", BAD_USER)
            await come_in(scene, method)
            return
        word = METHODS[method][1].removeprefix("joe")
        await scene.play(f"> USER {name}\n{LONG}> USER {name}{word}")


async def test_a_session_that_was_named_by_user() -> None:
    async with behind("user@host", "forward", methods=("user@host",)) as scene:
        await scene.play(f"""
< 220 edge FTP proxy ready.
> HOST ftp.test
< 220 Host noted.
> CLNT me
< 200 Noted.
> OPTS UTF8 ON
< 200 UTF8 noted.
> USER joe@ftp.test
{LONG}called
{HELLO}
{LONG}> USER joe@ftp.test
{LONG}< 331 Password
< 331-Parent
< 331 Password
> PASS p
{LONG}> PASS p
{LONG}< 230 In
< 230 In
{LONG}> OPTS UTF8 ON
{LONG}< 200 Ok
""")
        for line in NAMING:
            await refused(scene, line, NOT_OFFERED)
        await refused(scene, "USER ann@ftp.test", LOGGED_IN)


@pytest.mark.parametrize("method", ["site", "open"])
async def test_a_login_that_was_kept(method: str) -> None:
    async with behind(method, "forward", methods=("site",)) as scene:
        await scene.play(f"""
< 220 edge FTP proxy ready.
> USER joe@other.test
< 331 Send password.
> PASS p
< 230 Login OK. Proceed.
> SITE ftp.test
{LONG}called
{HELLO}
{LONG}> {method.upper()} ftp.test
{LONG}< 220 There
< 220 There
> PWD
{BAD_USER}
""")
        await refused(scene, "USER joe@other.test", BAD_USER)


async def test_an_account_that_is_due() -> None:
    async with behind("user@host") as scene:
        await greeted(scene, "user@host")
        await scene.play(f"""
> USER joe
{LONG}> USER joe@{SERVER}
{LONG}< 332 Account
< 332 Account
> ACCT x
{LONG}> ACCT x
{LONG}< 230 In
< 230 In
""")
        await refused(scene, "ACCT other.test", NOT_DUE)
