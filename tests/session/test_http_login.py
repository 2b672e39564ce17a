"""Logins to an HTTP door: Basic, with every request."""

from base64 import b64encode

import pytest
from tests.session.peers import Peer
from tests.session.socks import Scene
from tests.session.stage import rule
from tests.session.web import OK, ask, asked, head, reply, web

from portway.protocols.http import login
from portway.users import turnstile

ACCOUNTS: dict[str, str | None] = {"bob": "right", "ann": "büro", "down": None}


def basic(user: str, password: str) -> str:
    pair = b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: Basic {pair}"


async def status(peer: Peer, request: bytes) -> int:
    await peer.say(request)
    return (await reply(peer))[0].status


async def served(scene: Scene, client: Peer, request: bytes) -> None:
    """Let *request* be served on the connection that waits, or a new one."""
    await client.say(request)
    server = await scene.called()
    await head(server)
    await server.say(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    assert (await reply(client))[0].status == 200


async def test_every_request_carries_it_and_the_server_never_sees_it() -> None:
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        client = await scene.arrive(ask(scene))
        told, _ = await reply(client)
        assert told.status == 407
        assert told[b"proxy-authenticate"] == b'Basic realm="edge", charset="UTF-8"'
        assert b"connection" not in told.fields
        await client.say(ask(scene, basic("bob", "right")))
        server = await scene.called()
        assert b"proxy-authorization" not in (await head(server)).fields
        await server.say(OK)
        assert (await reply(client))[0].status == 200
        assert await status(client, ask(scene)) == 407  # it opens nothing else
        client.close()
        await scene.over()
        assert [(r.method, r.user, r.status) for r in scene.records] == [
            ("LOGIN", "", "407"),
            ("GET", "bob", "200"),
            ("LOGIN", "", "407"),
        ]
        assert "right" not in repr(scene.records)


async def test_no_other_user_rides_on_a_login_of_a_connection_s() -> None:
    """NTLM is said once a connection (RFC 4559, section 6); these are three."""
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        bob, ann = basic("bob", "right"), basic("ann", "büro")
        client = await scene.arrive(ask(scene, bob, "Authorization: NTLM abc"))
        his = await scene.called()
        await head(his)
        await his.say(OK)
        assert (await reply(client))[0].status == 200
        await client.say(ask(scene, ann))
        hers = await scene.called()
        await head(hers)
        await hers.say(OK)
        assert (await reply(client))[0].status == 200
        await client.say(ask(scene, bob, path="/again"))
        assert (await head(his)).line.startswith(b"GET /again ")
        await his.say(OK)
        assert (await reply(client))[0].status == 200


async def test_other_users_of_one_connection() -> None:
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        client = await scene.arrive()
        await served(scene, client, ask(scene, basic("bob", "right")))
        await served(scene, client, ask(scene, basic("ann", "büro")))
        await served(scene, client, ask(scene, basic("bob", "right")))
        client.close()
        await scene.over()
        assert [record.user for record in scene.records] == ["bob", "ann", "bob"]


WRONG = {
    "another scheme": "Proxy-Authorization: Digest x",
    "no base64": "Proxy-Authorization: Basic ***",
    "no colon": "Proxy-Authorization: Basic Ym9i",
    "no user": "Proxy-Authorization: Basic OnJpZ2h0",
    "wrong": basic("bob", "wrong"),
    "unknown": basic("eve", "right"),
}


@pytest.mark.parametrize("field", WRONG.values(), ids=WRONG)
async def test_no_login_at_all(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile.Turnstile, "failed", lambda *_: 0.0)
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        client = await scene.arrive()
        assert await status(client, ask(scene, field)) == 407
        assert await scene.port.nobody_comes()


async def test_accounts_that_cannot_be_asked() -> None:
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        client = await scene.arrive(ask(scene, basic("down", "x")))
        told, _ = await reply(client)
        assert (told.status, told[b"retry-after"]) == (503, b"30")


async def test_an_account_that_goes_ends_a_login_that_was_remembered() -> None:
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        client = await scene.arrive()
        await served(scene, client, ask(scene, basic("bob", "right")))
        scene.services.directory.forget("bob")  # type: ignore[attr-defined]
        assert await status(client, ask(scene, basic("bob", "right"))) == 407


async def test_a_pair_is_checked_again_after_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_for: list[str] = []
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        verify = scene.services.directory.verify

        async def counting(credentials: object) -> object:
            asked_for.append(str(credentials))
            return await verify(credentials)  # type: ignore[arg-type]

        monkeypatch.setattr(scene.services.directory, "verify", counting)
        client, other = await scene.arrive(), await scene.arrive()
        request = ask(scene, basic("bob", "right"))
        await served(scene, client, request)
        await served(scene, other, request)
        assert len(asked_for) == 1
        monkeypatch.setattr(login, "KEPT", -1.0)
        another = ask(scene, basic("ann", "büro"))
        await served(scene, client, another)
        await served(scene, client, another)
        assert len(asked_for) == 3


async def test_a_login_that_may_help_is_asked_for() -> None:
    rules = (
        rule(name="staff", who="user:bob", to=("here.test", "inside")),
        rule("deny", name="others"),
    )
    async with web(login="optional", accounts=dict(ACCOUNTS), rules=rules) as scene:
        client = await scene.arrive()
        assert await status(client, ask(scene)) == 407
        await served(scene, client, ask(scene, basic("bob", "right")))
        assert await status(client, ask(scene, basic("ann", "büro"))) == 403
        far = b"GET http://far.test/ HTTP/1.1\r\nHost: far.test\r\n\r\n"
        assert await status(client, far) == 403  # no login would open that
        client.close()
        await scene.over()
        assert [record.status for record in scene.records] == [
            "407",
            "200",
            "403",
            "403",
        ]


async def test_a_tunnels_login_is_that_of_its_requests() -> None:
    async with web(login="required", accounts=dict(ACCOUNTS)) as scene:
        at = f"here.test:{scene.port.number}".encode()
        field = basic("bob", "right").encode()
        client = await scene.arrive(
            b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n" % (at, at, field)
        )
        server = await scene.called()
        assert (await head(client)).status == 200
        await client.say(b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n" % at)
        assert (await head(server)).line == b"GET /a HTTP/1.1"
        await server.say(OK)
        assert (await reply(client))[1] == b"hi"
        client.close()
        await scene.over()
        assert [record.user for record in scene.records] == ["bob", "bob"]


async def test_without_a_login_the_servers_own_goes_on() -> None:
    async with web() as scene:
        request = ask(scene, "Authorization: Basic eDp5", basic("x", "y"))
        _, _, got = await asked(scene, request)
        assert got[b"authorization"] == b"Basic eDp5"
        assert b"proxy-authorization" not in got.fields
