import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest
from tests.session.stage import Accounts, rule
from tests.unit.gating import ALL, HERE, Ground, ground
from tests.wires import listener, port_of, some_turns

from portway.errors import PeerError, Refused
from portway.gate import Gate
from portway.model import NOBODY, Action, Credentials, Endpoint, Outcome, Reason, Side
from portway.net.doors import Doors
from portway.services import DataPorts, Door
from portway.users.directory import Verification, Verified

SERVER = Endpoint("203.0.113.5", 21)


async def test_a_block_is_one_exchange_and_leaves_one_record() -> None:
    with ground() as place:
        async with place.gate.open(Action.READ, SERVER, method="RETR") as exchange:
            assert list(place.live) == [exchange]
            assert place.shelf.records == []
        (record,) = place.shelf.records
        assert record.outcome is Outcome.OK
        assert (record.client, record.client_port) == (
            "127.0.0.1",
            place.wire.stream.peer.port,
        )
        assert (record.listener, record.protocol, record.seq) == ("ftp", "ftp", 1)
        assert record.session == place.gate.visitor.session


async def test_what_breaks_a_block_off_is_recorded_and_goes_on() -> None:
    with ground() as place:
        for error in (PeerError(Side.SERVER, "gone"), asyncio.CancelledError()):
            with pytest.raises(type(error)):
                async with place.gate.open(Action.READ, SERVER):
                    raise error
        outcomes = [record.outcome for record in place.shelf.records]
        assert outcomes == [Outcome.FAILED, Outcome.FAILED]
        assert [record.seq for record in place.shelf.records] == [1, 2]


async def test_a_refused_exchange_is_never_among_the_living() -> None:
    with ground(rule("deny")) as place:
        with pytest.raises(Refused):
            await place.gate.begin(Action.READ, SERVER)
        assert len(place.live) == 0
        assert len(place.shelf.records) == 1


async def test_a_full_ledger_makes_new_requests_wait_and_loses_none() -> None:
    with ground() as place:
        room = asyncio.Event()

        async def ready() -> None:
            await room.wait()

        place.shelf.ready = ready  # type: ignore[method-assign]
        asking = asyncio.ensure_future(place.gate.begin(Action.READ, SERVER))
        await some_turns()
        assert not asking.done()
        room.set()
        (await asking).close()
        assert len(place.shelf.records) == 1


async def test_an_exchange_within_another_is_about_its_server() -> None:
    with ground() as place:
        outer = await place.gate.begin(Action.CONNECT, SERVER, method="CONNECT")
        outer.server_login = "joe"
        inner = await place.gate.begin(
            Action.READ, within=outer, method="RETR", resource="/f"
        )
        assert inner.target == outer.target
        inner.close()
        outer.close()
        record = place.shelf.records[0]
        assert (record.host, record.path, record.server_login) == (
            "203.0.113.5",
            "/f",
            "joe",
        )


# Logins.


async def test_a_login_names_the_user_of_all_that_follows() -> None:
    with ground(rule(name="hers", who="user:alice")) as place:
        with pytest.raises(Refused):
            await place.gate.begin(Action.READ, SERVER)
        right = Credentials("alice", "right")
        assert await place.gate.login(right) is Verification.OK
        (await place.gate.begin(Action.READ, SERVER)).close()
        record = place.shelf.records[-1]
        assert (record.user, record.by, record.rule) == ("alice", "password", "hers")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong login is answered after a tenth of a second."""
    monkeypatch.setattr("portway.users.guessing.DELAYS", (0.1,))


@pytest.mark.usefixtures("short")
async def test_a_wrong_login_is_recorded_without_its_password() -> None:
    with ground() as place:
        wrong = Credentials("alice", "hunter2")
        assert await place.gate.login(wrong) is Verification.WRONG
        assert place.gate.identity == NOBODY
        (record,) = place.shelf.records
        assert (record.outcome, record.reason) == (Outcome.REFUSED, "login-wrong")
        assert (record.method, record.user, record.facts["claimed"]) == (
            "LOGIN",
            "",
            "alice",
        )
        assert "hunter2" not in repr(record)


async def test_an_unknown_name_leaves_no_record_as_it_may_be_a_servers() -> None:
    with ground() as place:
        stranger = Credentials("joe", "x")
        assert await place.gate.login(stranger) is Verification.UNKNOWN
        assert place.shelf.records == []
        assert await place.gate.knows("alice")
        assert not await place.gate.knows("joe")


async def test_a_store_that_is_down_is_neither_right_nor_wrong() -> None:
    with ground() as place:
        with pytest.raises(Refused) as caught:
            await place.gate.login(Credentials("down", "x"))
        assert caught.value.reason is Reason.LOGIN_UNAVAILABLE
        assert place.gate.identity == NOBODY
        (record,) = place.shelf.records
        assert (record.reason, record.facts["claimed"]) == ("login-unavailable", "down")


class Slow(Accounts):
    """An account store that takes its time."""

    def __init__(self) -> None:
        super().__init__({"alice": "right", "down": None})
        self.asked = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def verify(self, credentials: Credentials) -> Verified:
        self.asked.set()
        await self.goes_on.wait()
        return await super().verify(credentials)


@asynccontextmanager
async def leaving(place: Ground, user: str) -> AsyncIterator[asyncio.Task[object]]:
    """Go away, and again, while the login of *user* is checked."""
    directory = Slow()
    place.current.services = replace(place.current.services, directory=directory)
    login = asyncio.ensure_future(place.gate.login(Credentials(user, "x")))
    await directory.asked.wait()
    for _ in range(2):
        login.cancel()
        await some_turns()
    assert not login.done()
    yield login
    directory.goes_on.set()
    await asyncio.wait({login})
    assert login.cancelled()


@pytest.mark.parametrize(
    ("user", "reason"), [("alice", "login-wrong"), ("down", "login-unavailable")]
)
async def test_who_goes_away_while_a_login_is_checked_has_tried(
    user: str, reason: str
) -> None:
    with ground() as place:
        async with leaving(place, user):
            assert place.shelf.records == []
        (record,) = place.shelf.records
        assert (record.reason, record.facts["claimed"]) == (reason, user)
        guesses = place.current.services.turnstile._guesses
        assert guesses.suspected(HERE, asyncio.get_running_loop().time()) == (
            user == "alice"
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("need", ["optional", "required"])
async def test_an_unknown_name_has_tried_where_it_can_be_no_servers(need: str) -> None:
    with ground() as place:
        door = Door("ftp", "ftp", 21, "forward", login=need)
        place.gate = Gate(place.current, door, place.wire.stream, HERE)
        async with leaving(place, "joe"):
            pass
        found = [record.facts["claimed"] for record in place.shelf.records]
        assert found == (["joe"] if need == "required" else [])


async def test_who_goes_away_keeps_the_turn_until_the_check_is_over() -> None:
    with ground() as place:
        async with leaving(place, "alice"):
            right = place.gate.login(Credentials("alice", "right"))
            following = asyncio.ensure_future(right)
            await some_turns()
            (line,) = place.current.services.turnstile._lines.values()
            assert line.length == 2
            following.cancel()
            await asyncio.wait({following})
            assert line.length == 1


@pytest.mark.usefixtures("short")
async def test_a_name_that_is_no_account_is_refused_like_a_wrong_password() -> None:
    with ground() as place:
        begun = asyncio.get_running_loop().time()
        await place.gate.refuse_unknown("joe")
        assert asyncio.get_running_loop().time() - begun > 0.09
        (record,) = place.shelf.records
        assert (record.reason, record.facts["claimed"]) == ("login-wrong", "joe")


async def test_a_login_that_counts_no_more_opens_nothing() -> None:
    with ground() as place:
        await place.gate.login(Credentials("alice", "right"))
        assert await place.gate.renew()
        place.accounts.forget("alice")
        assert not await place.gate.renew()
        with pytest.raises(Refused) as caught:
            await place.gate.begin(Action.READ, SERVER)
        assert caught.value.reason is Reason.LOGIN
        found = [(one.reason, one.facts["claimed"]) for one in place.shelf.records]
        assert found == [("login", "alice")] * 2
        place.gate.log_out()
        (await place.gate.begin(Action.READ, SERVER)).close()
        assert place.shelf.records[-1].user == ""


# Waiting, idling, draining.


async def test_a_client_that_says_nothing_is_idle() -> None:
    with ground() as place:
        with pytest.raises(PeerError) as caught:
            await place.gate.wait_for(place.wire.stream.receive(), 0.02)
        assert (caught.value.reason, caught.value.side) == (Reason.IDLE, Side.CLIENT)


async def test_a_client_that_speaks_in_time_is_not() -> None:
    with ground() as place:
        await place.wire.say(b"x")
        heard = await place.gate.wait_for(place.wire.stream.receive(), 0.01)
        assert heard == b"x"
        await asyncio.sleep(0.3)  # nobody waits: the clock stands
        await place.wire.say(b"y")
        assert await place.gate.wait_for(place.wire.stream.receive(), None) == b"y"


async def test_a_drain_ends_a_session_in_which_nothing_moves() -> None:
    with ground() as place:
        waiting = asyncio.ensure_future(
            place.gate.wait_for(place.wire.stream.receive(), 30)
        )
        await some_turns()
        place.gate.drain()
        with pytest.raises(Refused) as caught:
            await waiting
        assert caught.value.reason is Reason.DRAIN


async def test_a_drain_lets_what_moves_end_first() -> None:
    with ground() as place:
        outer = await place.gate.begin(Action.CONNECT, SERVER)
        moving = await place.gate.begin(Action.READ, within=outer)
        waiting = asyncio.ensure_future(
            place.gate.wait_for(place.wire.stream.receive(), None)
        )
        await some_turns()
        place.gate.drain()
        await some_turns()
        assert not waiting.done()
        moving.close()
        with pytest.raises(Refused):
            await waiting
        outer.close()


async def test_a_session_that_waits_again_while_draining_ends() -> None:
    with ground() as place:
        place.gate.drain()
        await some_turns(1)
        with pytest.raises(Refused):
            await place.gate.wait_for(place.wire.stream.receive(), None)


# The client's data.


async def test_a_data_port_is_on_the_address_that_the_client_reached() -> None:
    with ground() as place:
        port = place.gate.listen(DataPorts())
        assert port.endpoint.host == "127.0.0.1"
        at = (port.endpoint.host, port.endpoint.port)
        with closing(socket.create_connection(at)):
            stream = await port.accept()
            assert stream.side is Side.CLIENT
            stream.close()


async def test_a_data_port_resets_who_is_not_the_client() -> None:
    with ground() as place:
        port = place.gate.listen(DataPorts())
        at = (port.endpoint.host, port.endpoint.port)
        with (
            closing(
                socket.create_connection(at, source_address=("127.0.0.9", 0))
            ) as stranger,
            pytest.raises(ConnectionResetError),
        ):
            await asyncio.to_thread(stranger.recv, 1)
        port.close()


async def test_a_call_back_goes_to_the_client_from_where_it_reached_us() -> None:
    with ground() as place, closing(listener()) as data:
        stream = await place.gate.call_back(port_of(data))
        assert stream.side is Side.CLIENT
        assert stream.peer_address == HERE
        assert stream.local_address == place.wire.stream.local_address
        stream.close()


async def test_a_call_back_that_is_refused_is_the_clients_failure() -> None:
    with closing(listener()) as data:
        port = port_of(data)
    with ground() as place:
        with pytest.raises(PeerError) as caught:
            await place.gate.call_back(port)
        assert (caught.value.side, caught.value.reason) == (Side.CLIENT, Reason.REFUSED)


async def test_a_call_back_never_reaches_our_own_door() -> None:
    with closing(listener()) as door:
        doors = Doors([(HERE, port_of(door))])
        with ground(ALL, doors=doors) as place:
            with pytest.raises(Refused) as caught:
                await place.gate.call_back(port_of(door))
            assert caught.value.reason is Reason.LOOP
