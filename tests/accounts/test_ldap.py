"""The LDAP source against a real slapd."""

import asyncio
import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.accounts.asking import OK, UNKNOWN, WRONG, login, said, why_not
from tests.accounts.servers import (
    BASE,
    READER,
    READER_PASSWORD,
    Slapd,
    free_port,
)
from tests.certificates import issue

from portway.config.secret import Secret
from portway.config.sources import Ldap
from portway.users import ldap_messages as messages
from portway.users.asking import SECONDS
from portway.users.ber import element, number
from portway.users.ldap import LdapSource

Make = Callable[..., LdapSource]


@pytest.fixture
def made(slapd: Slapd) -> Iterator[Make]:
    sources = []

    def make(seconds: float = SECONDS, **words: object) -> LdapSource:
        known: dict[str, object] = {
            "servers": (slapd.encrypted,),
            "base": BASE,
            "bind_dn": READER,
            "bind_password": Secret(READER_PASSWORD),
            "ca": slapd.tls.ca,
        }
        if words.get("bind_dn") == "":
            words["bind_password"] = None
        source = LdapSource(Ldap(**{**known, **words}), seconds=seconds)  # type: ignore[arg-type]
        sources.append(source)
        return source

    yield make
    for source in sources:
        source.close()


async def test_right_wrong_unknown(made: Make) -> None:
    source = made()
    assert await said(source, "joe") is OK
    assert await said(source, "joe", "S3CRET") is WRONG
    assert await said(source, "nobody") is UNKNOWN
    assert await source.knows("joe")
    assert not await source.knows("nobody")


async def test_a_name_is_as_the_directory_spells_it(made: Make) -> None:
    """Else a rule about user:joe would not hold for JOE, whom the directory takes."""
    assert (await login(made(), "JOE")).user == "joe"


async def test_utf8(made: Make) -> None:
    source = made()
    found = await login(source, "zoe\u0308", "pässword")
    assert found.user == "zo\xeb"
    assert await said(source, "zoë", "password") is WRONG


@pytest.mark.parametrize("user", ["locked", "nopass"])
async def test_an_account_that_may_not(made: Make, user: str) -> None:
    assert await said(made(), user) is WRONG


async def test_an_empty_password_is_no_login(made: Make) -> None:
    """This slapd takes it for a bind as nobody, and says yes."""
    source = made()
    assert await said(source, "joe", "") is WRONG
    assert await said(source, "nobody", "") is UNKNOWN


async def test_odd_signs_in_a_password(made: Make) -> None:
    source, password = made(), "a*b(c)\\d"
    assert await said(source, "star", password) is OK
    assert await said(source, "star", password + "\0") is WRONG
    assert await said(source, "star", password + "\udcff") is WRONG


HOSTILE = [
    "*",
    "j*",
    "joe*",
    "*)(uid=*",
    "joe)(uid=*))(|(uid=*",
    "*)(objectClass=*",
    "joe\\2a",
    "\\6aoe",
    "joe\0",
    "joe\r\n",
    "joe\udc80",
    "uid=joe",
    "joe,ou=people",
    "{user}",
    "x" * 64,
    "x" * 65,
    "x" * 100_000,
    "é" * 32,
    "",
    " joe",
    "joe ",
    "\u202ejoe",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
async def test_hostile_names_are_nobody(made: Make, name: str) -> None:
    source = made()
    assert await said(source, name) is UNKNOWN
    assert not await source.knows(name)


async def test_groups(made: Make) -> None:
    assert (await login(made(), "joe")).groups == {"staff"}
    searched = made(group_base=f"ou=groups,{BASE}", groups="")
    assert (await login(searched, "joe")).groups == {"Night shift"}
    both = made(group_base=f"ou=groups,{BASE}")
    assert (await login(both, "joe")).groups == {"Night shift", "staff"}
    assert (await login(both, "star", "a*b(c)\\d")).groups == {"clerks"}


async def test_starttls(made: Make, slapd: Slapd) -> None:
    assert await said(made(servers=(slapd.clear,)), "joe") is OK


async def test_in_clear_if_it_is_written(made: Make, slapd: Slapd) -> None:
    assert await said(made(servers=(slapd.clear,), tls="off"), "joe") is OK


@pytest.mark.parametrize("start", [False, True])
async def test_the_certificate_is_checked(
    made: Make, slapd: Slapd, folder: Path, *, start: bool
) -> None:
    servers = (slapd.clear if start else slapd.encrypted,)
    stranger = issue(folder / "stranger", "127.0.0.1")
    assert "certificate" in await why_not(made(servers=servers, ca=stranger.ca))
    # another name of the same machine, which is not in the certificate
    other = (servers[0].replace("127.0.0.1", "localhost"),)
    assert "certificate" in await why_not(made(servers=other))


async def test_a_wrong_bind_dn_is_not_a_wrong_password(made: Make) -> None:
    source = made(bind_password=Secret("forgotten"))
    why = await why_not(source)
    assert "bind_dn was answered with invalid credentials" in why
    assert "forgotten" not in why


async def test_a_wrong_base(made: Make) -> None:
    assert "no such object" in await why_not(made(base="dc=example,dc=net"))


async def test_several_of_a_name(made: Make) -> None:
    source = made(filter="(employeeNumber={user})")
    assert "several" in await why_not(source, "7")


async def test_a_name_that_is_no_account(made: Make) -> None:
    """Who has no such attribute has no name that a rule could be about."""
    assert "employeeNumber" in await why_not(made(name="employeeNumber"))


async def test_the_filter_is_all_of_it(made: Make) -> None:
    source = made(filter="(&(objectClass=inetOrgPerson)(uid={user})(!(uid=star)))")
    assert await said(source, "joe") is OK
    assert await said(source, "star", "a*b(c)\\d") is UNKNOWN
    ruled = made(filter="(uid:caseIgnoreMatch:={user})")
    assert await said(ruled, "JOE") is OK
    part = made(filter="(&(uid={user})(sn=j*e))")
    assert await said(part, "joe") is OK


async def test_a_reference_elsewhere_is_not_followed(made: Make) -> None:
    """The tree has one, to a port where nobody listens."""
    assert await said(made(), "joe") is OK
    assert "referral" in await why_not(made(base=f"ou=elsewhere,{BASE}"))


async def test_the_next_server(made: Make, slapd: Slapd) -> None:
    dead = f"ldaps://127.0.0.1:{free_port()}"
    source = made(servers=(dead, slapd.encrypted))
    for _ in range(2):
        assert await said(source, "joe") is OK
    assert "Connection refused" in await why_not(made(servers=(dead,)))


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """Give the port of a server that takes connections, and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


async def test_a_server_that_says_nothing(made: Make, slapd: Slapd) -> None:
    with deaf() as port:
        silent = f"ldaps://127.0.0.1:{port}"
        source = made(servers=(silent, slapd.encrypted), seconds=1)
        async with asyncio.timeout(10):
            assert await said(source, "joe") is OK
            assert "in time" in await why_not(made(servers=(silent,), seconds=0.5))


async def test_a_server_that_hangs_up_in_the_middle(made: Make, slapd: Slapd) -> None:
    """It passes on what slapd says, but ends when the password comes."""
    port = hanging_up_after(2, slapd.clear_port)
    source = made(servers=(f"ldap://127.0.0.1:{port}",), tls="off")
    assert "hung up" in await why_not(source)
    assert await said(made(), "joe") is OK


def hanging_up_after(questions: int, port: int) -> int:
    """Return the port of one that passes so many questions on to the server at *port*.

    At the next one it hangs up.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def relay() -> None:
        with (
            listener,
            listener.accept()[0] as client,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            asked = 0
            while asked <= questions:
                ready, _, _ = select.select([client, server], [], [], 5)
                if server in ready:
                    client.sendall(server.recv(65536))
                if client in ready:
                    asked += 1
                    question = client.recv(65536)
                    if asked <= questions:
                        server.sendall(question)

    threading.Thread(target=relay, daemon=True).start()
    return int(listener.getsockname()[1])


async def test_down_and_back(made: Make, folder: Path) -> None:
    own = Slapd(folder, issue(folder / "tls", "127.0.0.1"))
    own.fill()
    own.start()
    source = made(servers=(own.encrypted,), ca=own.tls.ca)
    try:
        assert await said(source, "joe") is OK
        own.stop()
        assert "Connection refused" in await why_not(source)
        own.start()
        assert await said(source, "joe") is OK
    finally:
        own.stop()


async def test_a_server_that_answers_nonsense(made: Make) -> None:
    for answer in (
        b"\x30\x80",
        b"\x30\x84\x7f\xff\xff\xff",
        b"HTTP/1.0 400\r\n\r\n",
        b"\x30\x05\x02\x01\x01\x61\x00",
    ):
        port = saying(answer)
        source = made(servers=(f"ldap://127.0.0.1:{port}",), tls="off")
        assert await why_not(source)


async def test_bytes_behind_the_answer_to_starttls(made: Make) -> None:
    yes = bytes.fromhex("300c02010178070a010004000400")
    source = made(servers=(f"ldap://127.0.0.1:{saying(yes + b'0')}",))
    assert "in clear" in await why_not(source)


def saying(*answers: bytes) -> int:
    """Return the port of a server that says just this, one answer a question."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            for answer in answers:
                client.recv(65536)
                client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def answering_a_login(code: int) -> int:
    """Return the port of a directory with joe, whose bind gets the result *code*."""
    name = element(0x30, element(4, b"uid"), element(0x31, element(4, b"joe")))
    entry = element(messages.ENTRY, element(4, b"uid=joe"), element(0x30, name))
    found = messages.wrapped(1, entry) + result(1, messages.DONE, 0)
    return saying(found, result(2, messages.BOUND, code))


def result(serial: int, tag: int, code: int) -> bytes:
    empty = element(4)
    return messages.wrapped(serial, element(tag, number(code, 0x0A), empty, empty))


@pytest.mark.parametrize("code", [19, 32, 48, 49, 53])
async def test_what_is_about_the_login(made: Make, code: int) -> None:
    """Servers say so of accounts that are locked, off, or have no password."""
    port = answering_a_login(code)
    source = made(servers=(f"ldap://127.0.0.1:{port}",), tls="off", bind_dn="")
    assert await said(source, "joe") is WRONG


@pytest.mark.parametrize("code", [1, 2, 8, 10, 13, 50, 51, 52, 80])
async def test_what_is_about_the_server(made: Make, code: int) -> None:
    port = answering_a_login(code)
    source = made(servers=(f"ldap://127.0.0.1:{port}",), tls="off", bind_dn="")
    assert "was answered with" in await why_not(source)


async def test_many_at_once(made: Make) -> None:
    source = made()
    names = ["joe", "nobody", "locked"] * 10
    found = await asyncio.gather(*(said(source, name) for name in names))
    assert found == [OK, UNKNOWN, WRONG] * 10
