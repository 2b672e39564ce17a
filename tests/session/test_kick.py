"""A session that is ended from outside, in whatever state it is."""

import asyncio
from dataclasses import replace
from typing import NoReturn

import msgspec
import pytest
from tests.session.moving import IN, LONG, begin
from tests.session.stage import EVERYTHING, Shelf, Stage, rule, stage
from tests.unit.gating import ALL, HERE, Names, ground

from portway.administration import Administration
from portway.admission import Admission
from portway.config.schema import Limits, Rule
from portway.control import Answer, Call, Item, LiveSession, Request, Status
from portway.errors import PortwayError, Refused
from portway.gate import Gate
from portway.model import (
    Access,
    Action,
    Endpoint,
    IPAddress,
    Limit,
    Outcome,
    Period,
    Quota,
    Reason,
    Verdict,
)
from portway.policy.compile import compile_rules
from portway.protocols.ftp.protocol import PROTOCOL
from portway.services import Current, Door
from portway.sessions import Sessions

SERVER = Endpoint("203.0.113.5", 21)
KICKED = "< 421 Ended by the administrator.\nended"
NO_STORES = rule("deny", name="no stores", do="ftp:STOR", because="Closed now.")


class Desk:
    """The administration of a stage, asked without a socket."""

    def __init__(self, scene: Stage, *rules: Rule, door: Door | None = None) -> None:
        self.items: list[LiveSession] = []
        self.shelf = Shelf()
        compiled, problems = compile_rules(
            rules or (EVERYTHING,),
            timezone="UTC",
            protocols={"ftp": PROTOCOL.methods},
        )[:2]
        assert not problems
        services = replace(scene.services, rules=compiled, sink=self.shelf)
        self._of = Administration(
            Current(services),
            scene.sessions,
            reload=self._reload,
            status=self._status,
            doors=lambda: [door or Door("door", "ftp", 21, "forward")],
        )

    async def _reload(self) -> Answer:
        return Answer(done=True, lines=("taken",))

    def _status(self) -> Status:
        raise NotImplementedError

    async def ask(self, command: str, **arguments: str | bool) -> Answer:
        async def keep(line: bytes) -> None:
            item = msgspec.json.decode(line, type=Item).item
            self.items.append(msgspec.json.decode(item, type=LiveSession))

        return await self._of.answer(Call(Request(command, arguments), 1000, keep))

    async def session(self) -> LiveSession:
        """Return the only session."""
        self.items.clear()
        assert (await self.ask("sessions")).done
        [found] = self.items
        return found

    async def kick(self) -> None:
        answer = await self.ask("kick", id=(await self.session()).id)
        assert answer.done, answer


def ends(scene: Stage) -> list[tuple[str, str, str, str]]:
    return [
        (one.method, one.outcome.value, one.ended_by, one.reason)
        for one in scene.records
    ]


def admin(here: Desk) -> tuple[str, str, str, str]:
    """Return what the one record of the administrator says."""
    [found] = here.shelf.records
    uid = found.facts["uid"]
    return found.method, found.action, found.url.partition("/")[0], uid


async def test_before_a_server_is_named() -> None:
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.\n> USER joe\n< 331 ...")
        here = Desk(scene)
        await here.kick()
        await scene.play(KICKED)
    assert ends(scene) == []
    assert admin(here) == ("ADMIN", "manage", "control:kick", "1000")


async def test_before_the_greeting_is_read() -> None:
    async with stage() as scene:
        here = Desk(scene)
        while not len(scene.sessions):
            await asyncio.sleep(0)
        await here.kick()  # it may not even have begun
        await scene.over()
        _, how = await scene.client.the_rest()
        assert how == "eof"


async def test_while_the_gateway_waits_for_the_servers_greeting() -> None:
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.\n> USER u@{at}")
        await scene.called()
        here = Desk(scene)
        found = await here.session()
        assert (found.method, found.host) == ("CONNECT", "ftp.test")
        await here.kick()
        await scene.play(KICKED)
        await scene.play(f"{LONG}reset")
    assert ends(scene) == [("CONNECT", "cut", "admin", "admin")]


async def test_logging_in() -> None:
    async with stage() as scene:
        await scene.play(f"""
< 220 edge FTP proxy ready.
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 331 Password
< 331-Welcome
< 331 Password
> PASS secret
{LONG}> PASS secret
""")
        await Desk(scene).kick()
        await scene.play(f"{KICKED}\n{LONG}ended")
    assert ends(scene) == [("CONNECT", "cut", "admin", "admin")]


async def test_idle() -> None:
    async with stage() as scene:
        await scene.play(IN)
        here = Desk(scene)
        found = await here.session()
        assert (found.method, found.host, found.rule) == ("", "ftp.test", "everything")
        await here.kick()
        await scene.play(f"{KICKED}\n{LONG}ended")
    assert ends(scene) == [("CONNECT", "cut", "admin", "admin")]


async def test_waiting_for_a_reply() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> DELE f\n{LONG}> DELE f")
        here = Desk(scene)
        found = await here.session()
        assert (found.method, found.path) == ("DELE", "/f")
        await here.kick()
        await scene.play(f"{KICKED}\n{LONG}ended")
    assert sorted(ends(scene)) == [
        ("CONNECT", "cut", "admin", "admin"),
        ("DELE", "cut", "admin", "admin"),
    ]


@pytest.mark.parametrize("command", ["RETR f", "STOR f"])
async def test_in_a_transfer(command: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        up = command.startswith("STOR")
        source, sink = (client, server) if up else (server, client)
        await source.say(b"x" * 1000)
        assert await sink.hear() == b"x" * 1000
        here = Desk(scene)
        found = await here.session()
        moved = (found.bytes_up, found.bytes_down)
        assert moved == ((1000, 0) if up else (0, 1000))
        await here.kick()
        await scene.play(f"< 426 Transfer aborted.\n{KICKED}\n{LONG}ended")
        assert (await client.the_rest())[1] == "reset"
        assert (await server.the_rest())[1] == "reset"
    assert sorted(ends(scene)) == [
        ("CONNECT", "cut", "admin", "admin"),
        (command[:4], "cut", "admin", "admin"),
    ]
    [transfer] = [one for one in scene.records if one.method == command[:4]]
    assert transfer.bytes_up + transfer.bytes_down == 1000


@pytest.mark.parametrize("verb", ["PASV", "PORT"])
async def test_before_the_data_comes(verb: str) -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f", verb, opening=verb == "PORT")
        await Desk(scene).kick()
        await scene.play(f"< 426 Transfer aborted.\n{KICKED}")
        assert (await client.the_rest())[1] == "reset"
        assert (await server.the_rest())[1] == "reset"
    assert ("RETR", "cut", "admin", "admin") in ends(scene)


async def test_a_client_that_does_not_read_is_ended_too() -> None:
    async with stage() as scene:
        await scene.play(IN)
        scene.client.sock.setblocking(False)
        await scene.client.say(b"HELP\r\n" * 10)
        here = Desk(scene)
        await here.kick()
        async with asyncio.timeout(4):
            await scene.over()


async def test_a_beginning_is_enough_if_it_is_one_sessions() -> None:
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        first = scene.client
        await scene.arrive()
        await scene.play("< 220 edge FTP proxy ready.")
        here = Desk(scene)
        await here.ask("sessions")
        ids = [one.id for one in here.items]
        many = await here.ask("kick", id=ids[0][:3].lower())
        assert (many.done, many.fault) == (False, "argument")
        assert all(any(one in line for line in many.lines) for one in ids)
        none = await here.ask("kick", id="XYZ")
        assert (none.done, none.fault) == (False, "refused")
        assert not (await here.ask("kick", id="")).done
        digits = next(n for n in range(27) if ids[0][:n] != ids[1][:n])
        assert (await here.ask("kick", id=ids[1][:digits].lower())).done
        await scene.play(KICKED)
        assert await first.silent()
    assert [one.outcome for one in here.shelf.records] == [*["failed"] * 3, "ok"]
    assert {one.facts["command"] for one in here.shelf.records} == {"kick"}


async def test_what_is_asked_wrongly() -> None:
    async with stage() as scene:
        here = Desk(scene)
        assert (await here.ask("dance")).fault == "command"
        assert (await here.ask("kick", who="me")).fault == "argument"
        assert (await here.ask("reload", recheck="yes")).fault == "argument"
        assert (await here.ask("kick", id=True)).fault == "argument"


# New rules.


async def test_a_recheck_ends_what_new_rules_refuse() -> None:
    async with stage() as scene:
        await scene.play(IN)
        client, server = await begin(scene, "STOR f")
        here = Desk(scene, NO_STORES, EVERYTHING)
        answer = await here.ask("reload", recheck=True)
        assert answer.lines[-1] == "2 open requests judged anew, 1 sessions ended"
        await scene.play("< 426 Transfer aborted.\n< 421 Denied: Closed now.\nended")
        assert (await client.the_rest())[1] == "reset"
        assert (await server.the_rest())[1] == "reset"
    assert sorted(ends(scene)) == [
        ("CONNECT", "cut", "reload", "rule"),
        ("STOR", "cut", "reload", "rule"),
    ]
    [stored] = [one for one in scene.records if one.method == "STOR"]
    assert (stored.verdict, stored.rule) == ("allow", "everything")
    assert stored.error == "Closed now."
    assert stored.facts["ended_rule"] == "no stores (test:1)"


async def test_a_reload_alone_ends_nothing() -> None:
    async with stage() as scene:
        await scene.play(IN)
        here = Desk(scene, rule("deny", name="nobody"))
        assert (await here.ask("reload")).done
        await scene.play(f"silent\n> NOOP\n{LONG}> NOOP\n{LONG}< 200 ok\n< 200 ok")
    assert admin(here) == ("ADMIN", "manage", "control:reload", "1000")


async def test_a_recheck_leaves_what_is_allowed_still() -> None:
    async with stage() as scene:
        await scene.play(IN)
        here = Desk(scene, NO_STORES, EVERYTHING)
        answer = await here.ask("reload", recheck=True)
        assert answer.lines[-1] == "1 open requests judged anew, 0 sessions ended"
        again = await here.ask("reload", recheck=True)
        assert again.lines[-1].startswith("1 ")  # it goes on under the old rules
        await scene.play(f"> DELE f\n{LONG}> DELE f\n{LONG}< 250 ok\n< 250 ok")


@pytest.mark.parametrize(
    ("door", "words"),
    [
        (Door("another", "ftp", 21, "forward"), "its listener is no more"),
        (Door("door", "ftp", 21, "reverse"), "its listener is no more"),
        (Door("door", "ftp", 21, "forward", at=SERVER), "its listener is no more"),
        (
            Door("door", "ftp", 21, "forward", login="required"),
            "its listener demands a login now",
        ),
    ],
)
async def test_a_recheck_ends_who_would_not_be_let_in_any_more(
    door: Door, words: str
) -> None:
    async with stage() as scene:
        await scene.play(IN)
        answer = await Desk(scene, door=door).ask("reload", recheck=True)
        assert answer.lines[-1].endswith("1 sessions ended")
        await scene.play(f"< 421 ...\nended\n{LONG}ended")
        [record] = scene.records
        assert (record.outcome, record.ended_by) == ("cut", "reload")
        assert record.error == words


async def test_a_recheck_ends_who_has_nothing_open_too() -> None:
    async with stage() as scene:
        await scene.play("< 220 edge FTP proxy ready.")
        gone = Door("another", "ftp", 21, "forward")
        await Desk(scene, door=gone).ask("reload", recheck=True)
        await scene.play(KICKED)


async def test_a_recheck_asks_no_login_of_who_has_one() -> None:
    accounts: dict[str, str | None] = {"alice": "wonder"}
    async with stage(login="optional", accounts=accounts) as scene:
        await scene.play("""
            < 220 edge FTP proxy ready.
            > USER alice
            < 331 Send password.
            > PASS wonder
            < 230 ...
            """)
        door = Door("door", "ftp", 21, "forward", login="required")
        answer = await Desk(scene, door=door).ask("reload", recheck=True)
        assert answer.lines[-1].endswith(" 0 sessions ended")
        await scene.play("silent")


# What no script can time.


async def test_what_comes_after_a_cut_is_not_heard() -> None:
    with ground() as here:
        exchange = await here.gate.begin(Action.READ, SERVER)
        exchange.cut("admin", Refused(Reason.ADMIN))
        exchange.end(Outcome.OK, status="226")
        exchange.close()
        [record] = here.shelf.records
    assert (record.outcome, record.ended_by, record.status) == ("cut", "admin", "")


class Kicked(Names):
    """A resolver amid whose work the session is ended."""

    gate: Gate

    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        self.gate.cut_off("admin", Refused(Reason.ADMIN))
        raise asyncio.CancelledError


async def test_while_a_name_is_looked_up() -> None:
    names = Kicked()
    with ground(rule(to="10.0.0.0/8"), names=names) as here:
        names.gate = here.gate
        with pytest.raises(asyncio.CancelledError):
            await here.gate.begin(Action.CONNECT, Endpoint("ftp.test", 21))
        [record] = here.shelf.records
    assert (record.outcome, record.ended_by) == ("cut", "admin")


async def test_one_that_has_not_begun_is_ended_when_it_does() -> None:
    with ground() as here:
        here.gate.cut_off("admin", Refused(Reason.ADMIN))
        ended: list[PortwayError] = []
        here.gate.on_end(ended.append)
        assert [error.reason for error in ended] == [Reason.ADMIN]


async def test_quotas_are_told() -> None:
    with ground(ALL) as here:
        lines: list[bytes] = []

        async def keep(line: bytes) -> None:
            lines.append(line)

        limit = Limit(quotas=(Quota(1000, Period.DAY),))
        limiter = here.gate.services.limiter
        verdict = Verdict(allowed=True, rule="r", limits=(limit,))
        access = Access("ftp", HERE, "alice", Action.READ, "RETR", "x", 21)
        permit = limiter.admit(verdict, access, "S", None)
        permit.down.moved(10)
        asked = Administration(
            here.current,
            Sessions(here.current, Admission(Limits()), asyncio.TaskGroup()),
            reload=never,
            status=never,
            doors=never,
        )
        answer = await asked.answer(Call(Request("quotas"), 0, keep))
        permit.release()
        assert answer.done
        [line] = lines
        item = msgspec.json.decode(line)["item"]
        assert (item["rule"], item["member"]) == ("r", "user:alice")
        assert (item["used"], item["left"], item["period"]) == (10, 990, "day")


def never() -> NoReturn:
    raise AssertionError
