"""The PAM source with real modules, from a folder of services of the test's own."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.accounts.asking import OK, UNKNOWN, WRONG, login, said, why_not
from tests.accounts.servers import PEERS, need
from tests.integration.process import eventually

from portway.config.sources import Pam
from portway.users.asking import SECONDS
from portway.users.pam import PamSource, missing

PWDFILE = PEERS / "pam/lib/x86_64-linux-gnu/security/pam_pwdfile.so"
HASHES = """\
joe:$5$portway$icMEk30G0nSUCi9mB3cTKW1yu9/to.rdc2rVy8/7Ty.
"""

Make = Callable[..., PamSource]


@pytest.fixture
def made(folder: Path) -> Iterator[Make]:
    sources = []

    def make(*lines: str, seconds: float = SECONDS, service: str = "ftp") -> PamSource:
        (folder / "other").write_text("auth required pam_permit.so\n")
        (folder / service).write_text("\n".join(lines) + "\n")
        settings = Pam(service=service, folder=str(folder))
        source = PamSource(settings, seconds=seconds)
        sources.append(source)
        return source

    yield make
    for source in sources:
        source.close()


def found_pwdfile() -> str:
    (found, *_) = [*(PEERS / "pam").rglob("pam_pwdfile.so"), PWDFILE]
    need(found)
    return str(found)


@pytest.fixture
def accounts(made: Make, folder: Path) -> PamSource:
    """The accounts of a file, which PAM keeps by a module of its own."""
    (folder / "accounts").write_text(HASHES)
    return made(
        f"auth required {found_pwdfile()} pwdfile={folder}/accounts",
        "account required pam_permit.so",
    )


def test_debian_has_the_module() -> None:
    found_pwdfile()


async def test_right_and_wrong(accounts: PamSource) -> None:
    assert await said(accounts, "joe") is OK
    assert (await login(accounts, "joe")).user == "joe"
    assert await said(accounts, "joe", "S3CRET") is WRONG
    assert await said(accounts, "joe", "") is WRONG
    assert await said(accounts, "joe", "s3cret\0") is WRONG
    assert await said(accounts, "joe", "s3cret" * 100) is WRONG
    assert await said(accounts, "nobody") in {WRONG, UNKNOWN}
    assert await accounts.knows("joe") is None


@pytest.mark.parametrize(
    "name", ["*", "joe\0", "joe\n", "$(id)", "`id`", "../joe", "x" * 64, "x" * 65, ""]
)
async def test_hostile_names(accounts: PamSource, name: str) -> None:
    assert await said(accounts, name) in {WRONG, UNKNOWN}


async def test_the_account_counts_too(made: Make) -> None:
    source = made("auth required pam_permit.so", "account required pam_deny.so")
    assert await said(source, "joe") is WRONG


async def test_permit_and_deny(made: Make) -> None:
    permit = ["auth required pam_permit.so", "account required pam_permit.so"]
    assert await said(made(*permit), "zoë") is OK
    deny = ["auth required pam_deny.so", "account required pam_permit.so"]
    assert await said(made(*deny, service="shut"), "joe") is WRONG


async def test_the_password_is_what_was_sent(made: Make, folder: Path) -> None:
    """pam_exec gives the password to a program: all of it, and nothing else."""
    program = folder / "look"
    program.write_text(
        f"#!/bin/sh\ncat >{folder}/password; echo noise; echo $PAM_USER >&2\n"
    )
    program.chmod(0o755)
    exec_line = f"auth required pam_exec.so expose_authtok quiet {program}"
    source = made(exec_line, "account required pam_permit.so")
    assert await said(source, "joe", "p\xe4ss '\"$x\udcff") is OK
    seen = (folder / "password").read_bytes().rstrip(b"\0")
    assert seen == b"p\xc3\xa4ss '\"$x\xff"


@pytest.mark.parametrize(
    "line",
    [
        "auth required pam_no_such_module.so",
    ],
)
async def test_a_broken_service_is_no_wrong_password(made: Make, line: str) -> None:
    source = made(line, "account required pam_permit.so")
    assert "ftp answers with error" in await why_not(source)


async def test_a_module_that_hangs_is_killed(made: Make, folder: Path) -> None:
    program = folder / "hang"
    program.write_text(f"#!/bin/sh\necho $$ >{folder}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    source = made(
        f"auth required pam_exec.so {program}",
        "account required pam_permit.so",
        seconds=1,
    )
    begin = time.monotonic()
    assert "killed" in await why_not(source)
    assert time.monotonic() - begin < 10  # it would sleep for a minute
    number = int((folder / "pid").read_text())

    def gone() -> bool:
        return not runs(number)

    await asyncio.to_thread(eventually, gone, "what the module started is gone")


def runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def test_a_module_that_kills_its_process(made: Make, folder: Path) -> None:
    program = folder / "kill"
    program.write_text("#!/bin/sh\nkill -SEGV $PPID; sleep 5\n")
    program.chmod(0o755)
    source = made(
        f"auth required pam_exec.so {program}", "account required pam_permit.so"
    )
    assert "without an answer" in await why_not(source)


async def test_many_at_once_leave_nothing(accounts: PamSource) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    found = await asyncio.gather(*(said(accounts, "joe") for _ in range(8)))
    assert found == [OK] * 8
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    assert not [child for child in children() if not runs(child)]  # no zombies
    assert not [child for child in children() if "pam_helper" in command_of(child)]


def children() -> list[int]:
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in found.split()]


def command_of(number: int) -> str:
    return Path(f"/proc/{number}/cmdline").read_text()


async def test_a_service_that_is_missing_is_named(folder: Path) -> None:
    """PAM would take the service ``other``, which may let everyone in."""
    settings = Pam(service="ftp", folder=str(folder))
    assert f"no {folder}/ftp" in missing(settings)
    assert "/etc/pam.d/no-such" in missing(Pam(service="no-such"))
    (folder / "ftp").write_text("# auth\n\naccount required pam_permit.so\n")
    assert "no line for auth" in missing(settings)
    (folder / "ftp").write_text("-auth required pam_deny.so\n")
    assert "no line for account" in missing(settings)
    (folder / "ftp").write_text("@include common\n")
    assert missing(settings) == ""
