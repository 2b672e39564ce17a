import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address, ip_network

import pytest
from tests.session.stage import rule
from tests.unit.gating import ALL, HERE, OUTSIDE, Ground, Names, ground
from tests.wires import Wire, listener, port_of

from portway.config.amounts import Count
from portway.config.schema import Limit
from portway.datalegs import connect_data, listen_for_data
from portway.errors import PeerError, Refused, UpstreamError
from portway.exchange import Exchange
from portway.model import (
    Action,
    Endpoint,
    Outcome,
    Period,
    Quota,
    Reason,
    Record,
    Side,
)
from portway.net.doors import Doors
from portway.services import DataPorts


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with closing(listener()) as sock:
        yield sock


async def connected(place: Ground, server: socket.socket) -> Exchange:
    """Return an exchange whose address is the server's."""
    at = Endpoint("127.0.0.1", port_of(server))
    exchange = await place.gate.begin(Action.CONNECT, at, method="CONNECT")
    (await exchange.connect()).close()
    return exchange


def only(place: Ground) -> Record:
    (record,) = place.shelf.records
    return record


async def test_a_name_that_no_rule_allows_is_never_resolved() -> None:
    with ground(rule(to="other.test")) as place:
        with pytest.raises(Refused) as caught:
            await place.gate.begin(Action.CONNECT, Endpoint("ftp.test", 21))
        assert caught.value.reason is Reason.DEFAULT
        assert place.names.asked == []
        assert only(place).outcome is Outcome.REFUSED
        assert only(place).verdict == "deny"


async def test_the_rule_that_refuses_is_named_and_its_words_kept() -> None:
    closed = rule("deny", name="closed", because="Not today.")
    with ground(closed, ALL) as place:
        with pytest.raises(Refused, match=r"Not today\.") as caught:
            await place.gate.begin(Action.CONNECT, Endpoint("ftp.test", 21))
        assert caught.value.because == "Not today."
        record = only(place)
        assert (record.rule, record.rule_at) == ("closed", "test:1")
        assert (record.reason, record.because) == ("rule", "Not today.")


async def test_what_is_dialled_is_what_was_resolved_once(
    server: socket.socket,
) -> None:
    names = Names(ftp=("127.0.0.1",))
    with ground(names=names) as place:
        at = Endpoint("ftp.test", port_of(server))
        async with place.gate.open(Action.CONNECT, at, method="CONNECT") as exchange:
            stream = await exchange.connect()
            assert exchange.access.address == HERE
            assert names.asked == ["ftp.test"]
            stream.close()
        record = only(place)
        assert record.outcome is Outcome.OK
        assert (record.host, record.address) == ("ftp.test", "127.0.0.1")
        assert record.source == "127.0.0.1"
        assert record.url == f"ftp://ftp.test:{at.port}"


async def test_of_a_names_addresses_only_those_allowed_are_dialled(
    server: socket.socket,
) -> None:
    """A name that also points inside does not lead there."""
    names = Names(ftp=("127.0.0.2", "127.0.0.1"), rebound=("127.0.0.2",))
    deny = rule("deny", name="not two", to="127.0.0.2")
    with ground(deny, ALL, names=names) as place:
        at = Endpoint("ftp.test", port_of(server))
        async with place.gate.open(Action.CONNECT, at) as exchange:
            stream = await exchange.connect()
            assert stream.peer_address == HERE
            assert exchange.verdict.rule == "all"
            stream.close()
        with pytest.raises(Refused) as caught:
            await place.gate.begin(Action.CONNECT, Endpoint("rebound.test", 21))
        assert caught.value.reason is Reason.RULE


async def test_a_name_that_leads_inside_is_refused_when_it_is_dialled() -> None:
    names = Names(trap=("127.0.0.1", "10.0.0.1", "169.254.169.254"))
    with ground(rule(to="*"), names=names) as place:
        with pytest.raises(Refused) as caught:
            async with place.gate.open(
                Action.CONNECT, Endpoint("trap.test", 21)
            ) as exchange:
                await exchange.connect()
        assert caught.value.reason is Reason.INSIDE
        record = only(place)
        assert (record.outcome, record.reason) == (Outcome.REFUSED, "inside")
        assert record.verdict == "deny"


@pytest.mark.parametrize("host", ["10.0.0.1", "::ffff:10.0.0.1"])
async def test_an_address_mapped_into_ipv6_is_judged_as_what_it_is(host: str) -> None:
    net = rule("deny", name="ten", to="10.0.0.0/8")
    with ground(net, ALL) as place:
        with pytest.raises(Refused):
            await place.gate.begin(Action.CONNECT, Endpoint(host, 21))
        assert only(place).rule == "ten"


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_our_own_door_is_a_loop_whatever_the_rules_say(host: str) -> None:
    with ground(doors=Doors([(HERE, 2121)])) as place:
        with pytest.raises(Refused) as caught:
            await place.gate.begin(Action.CONNECT, Endpoint(host, 2121))
        assert caught.value.reason is Reason.LOOP
        assert only(place).reason == "loop"


async def test_a_name_without_address_fails_and_is_recorded() -> None:
    net = rule("deny", to="10.0.0.0/8")
    with ground(net, ALL) as place:
        with pytest.raises(UpstreamError):
            await place.gate.begin(Action.CONNECT, Endpoint("none.test", 21))
        record = only(place)
        assert (record.outcome, record.reason) == (Outcome.FAILED, "name")
        assert record.side == "server"


async def test_a_server_that_refuses_is_the_servers_failure() -> None:
    with closing(listener()) as gone:
        port = port_of(gone)
    with ground() as place:
        with pytest.raises(UpstreamError):
            async with place.gate.open(
                Action.CONNECT, Endpoint("127.0.0.1", port)
            ) as exchange:
                await exchange.connect()
        record = only(place)
        assert (record.outcome, record.reason) == (Outcome.FAILED, "refused")
        assert record.verdict == "allow"


# Data.


async def test_data_goes_to_the_server_but_never_to_our_doors(
    server: socket.socket,
) -> None:
    with closing(listener()) as data:
        doors = Doors([(HERE, 2121)])
        with ground(doors=doors) as place:
            exchange = await connected(place, server)
            at = Endpoint("127.0.0.1", port_of(data))
            (await connect_data(exchange, at)).close()
            mapped = Endpoint("::ffff:127.0.0.1", port_of(data))
            (await connect_data(exchange, mapped)).close()
            with pytest.raises(Refused) as caught:
                await connect_data(exchange, Endpoint("127.0.0.1", 2121))
            assert caught.value.reason is Reason.LOOP
            with pytest.raises(Refused) as caught:
                await connect_data(exchange, Endpoint("a.name", 2122))
            assert caught.value.reason is Reason.SYNTAX
            exchange.close()


async def test_data_at_another_address_is_judged_first(server: socket.socket) -> None:
    deny = rule("deny", to="127.0.0.2")
    with ground(deny, ALL) as place:
        exchange = await connected(place, server)
        with pytest.raises(Refused) as caught:
            await connect_data(exchange, Endpoint("127.0.0.2", 2122))
        assert caught.value.reason is Reason.RULE
        exchange.close()
    with ground() as place, closing(listener("127.0.0.2")) as data:
        exchange = await connected(place, server)
        (await connect_data(exchange, Endpoint("127.0.0.2", port_of(data)))).close()
        exchange.close()


async def test_a_data_port_admits_the_server_and_the_named_networks(
    server: socket.socket,
) -> None:
    peers = DataPorts(peers=(ip_network("127.0.0.8/32"),))
    with ground() as place:
        exchange = await connected(place, server)
        for source in ("127.0.0.1", "127.0.0.8"):
            port = listen_for_data(exchange, HERE, peers)
            with closing(
                socket.create_connection(
                    ("127.0.0.1", port.endpoint.port), source_address=(source, 0)
                )
            ):
                stream = await port.accept()
                assert stream.side is Side.SERVER
                stream.close()
        port = listen_for_data(exchange, HERE, peers)
        with closing(
            socket.create_connection(
                ("127.0.0.1", port.endpoint.port), source_address=("127.0.0.7", 0)
            )
        ) as stranger:
            await asyncio.to_thread(stranger.settimeout, 5)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(stranger.recv, 1)
        port.close()
        exchange.close()


@pytest.mark.parametrize("up", [True, False])
async def test_a_transfer_is_counted_in_its_direction(
    server: socket.socket, up: bool
) -> None:
    with ground() as place, Wire() as client, Wire(Side.SERVER) as far:
        exchange = await connected(place, server)
        near, other = (client, far) if up else (far, client)
        await near.say(b"payload")
        near.end()
        moved = await exchange.transfer(near.stream, other.stream, up=up)
        assert moved == 7
        exchange.close()
        record = only(place)
        assert (record.bytes_up, record.bytes_down) == ((7, 0) if up else (0, 7))


async def test_a_relay_counts_both_directions(server: socket.socket) -> None:
    with ground() as place, Wire() as client, Wire(Side.SERVER) as far:
        exchange = await connected(place, server)
        await client.say(b"up")
        await far.say(b"down!")
        client.end()
        far.end()
        await exchange.relay(client.stream, far.stream)
        assert await far.hear_all() == b"up"
        assert await client.hear_all() == b"down!"
        exchange.close()
        assert (only(place).bytes_up, only(place).bytes_down) == (2, 5)


# The record.


async def test_only_the_first_close_leaves_a_record(server: socket.socket) -> None:
    with ground() as place:
        exchange = await connected(place, server)
        exchange.note(type="binary")
        exchange.note(more="x")
        exchange.end(Outcome.FAILED, status="550", side=Side.SERVER)
        assert exchange.record().outcome is Outcome.OPEN
        exchange.close(PeerError(Side.CLIENT, "too late to matter"))
        exchange.close()
        record = only(place)
        assert (record.outcome, record.status, record.side) == (
            Outcome.FAILED,
            "550",
            "server",
        )
        assert record.error == ""
        assert record.facts == {"type": "binary", "more": "x"}
        assert record.id == exchange.id


@pytest.mark.parametrize(
    ("error", "moved", "outcome", "side"),
    [
        (PeerError(Side.CLIENT, "gone"), 0, Outcome.FAILED, "client"),
        (PeerError(Side.CLIENT, "gone"), 9, Outcome.CUT, "client"),
        (Refused(Reason.DRAIN), 0, Outcome.REFUSED, ""),
        (Refused(Reason.DRAIN), 9, Outcome.CUT, "gateway"),
        (asyncio.CancelledError(), 9, Outcome.CUT, "gateway"),
        (RuntimeError("secret: hunter2"), 0, Outcome.FAILED, "gateway"),
    ],
)
async def test_an_exchange_that_breaks_off_says_who_and_after_what(
    server: socket.socket, error: BaseException, moved: int, outcome: Outcome, side: str
) -> None:
    with ground() as place:
        exchange = await connected(place, server)
        exchange.down.moved(moved)
        exchange.close(error)
        record = only(place)
        assert (record.outcome, record.side) == (outcome, side)
        assert "hunter2" not in repr(record)
        if isinstance(error, Refused):
            assert record.reason == "drain"


@pytest.mark.parametrize(
    ("at", "path", "url"),
    [
        (Endpoint("ftp.test", 21), "/a b/ü#?.txt", "ftp://ftp.test/a%20b/%C3%BC%23%3F"),
        (Endpoint("2001:db8::1", 21), "/", "ftp://[2001:db8::1]/"),
        (Endpoint("2001:db8::1", 2121), "", "ftp://[2001:db8::1]:2121"),
        (Endpoint("ftp.test", 21), "/a\r\nb", "ftp://ftp.test/a%0D%0Ab"),
    ],
)
async def test_a_url_is_one_line_and_names_no_default_port(
    at: Endpoint, path: str, url: str
) -> None:
    with ground() as place:
        exchange = await place.gate.begin(Action.READ, at, method="RETR", resource=path)
        exchange.close()
        assert only(place).url.startswith(url)


async def test_an_exchange_keeps_its_services_over_a_reload(
    server: socket.socket,
) -> None:
    with ground() as place:
        first = await connected(place, server)
        services = place.gate.services
        place.current.services = place.services(rule("deny"), doors=Doors())
        assert first.services is services
        first.allow_also(Action.READ)
        with pytest.raises(Refused):
            await place.gate.begin(Action.READ, within=first, method="RETR")
        first.close()


async def test_the_same_may_be_asked_for_as_another_action(
    server: socket.socket,
) -> None:
    with ground(rule("deny", name="no reading", do="read"), ALL) as place:
        exchange = await connected(place, server)
        exchange.allow_also(Action.WRITE)
        with pytest.raises(Refused):
            exchange.allow_also(Action.READ)
        exchange.close()
        assert (only(place).verdict, only(place).rule) == ("deny", "no reading")


async def test_no_source_address_of_the_other_family_is_used() -> None:
    with ground() as place:
        exchange = await place.gate.begin(
            Action.CONNECT, Endpoint(str(OUTSIDE), 21), method="CONNECT"
        )
        with pytest.raises(UpstreamError, match="family"):
            await exchange.connect(source=ip_address("::1"))
        exchange.close()


# Limits.


def sessions(most: int) -> tuple[Limit, ...]:
    return (Limit(connections=Count(most)),)


def members(place: Ground) -> dict[str, int]:
    """How many sessions hold an account, by its rule."""
    accounts = place.limiter._accounts.values()
    return {one.key.rule: len(one.sessions) for one in accounts if one.sessions}


async def test_a_limit_is_held_from_the_yes_to_the_record() -> None:
    with ground(rule(name="few", limit=sessions(1))) as place:
        exchange = await place.gate.begin(Action.CONNECT, Endpoint("ftp.test", 21))
        assert members(place) == {"few": 1}
        exchange.close()
        exchange.close()
        assert members(place) == {}


async def test_a_limit_that_refuses_leaves_the_record_of_a_refusal() -> None:
    quota = Limit(quota=(Quota(100, Period.DAY),))
    with ground(rule(name="little", limit=(quota,))) as place:
        at = Endpoint("ftp.test", 21)
        first = await place.gate.begin(Action.CONNECT, at)
        await first.down.leave(100)
        first.down.moved(100)
        with pytest.raises(Refused, match="quota used up: 100 B a day"):
            await place.gate.begin(Action.CONNECT, at)
        refused = only(place)
        assert (refused.verdict, refused.reason, refused.rule) == (
            "deny",
            "quota",
            "little",
        )
        assert refused.because.startswith("quota used up")
        first.close()


async def test_the_address_that_is_reached_decides_whose_limits_hold(
    server: socket.socket,
) -> None:
    """Of two addresses, the first cannot be reached; the second has its own rule."""
    rules = (
        rule(name="one", to="127.0.0.9/32", limit=sessions(5)),
        rule(name="other", to="127.0.0.1/32", limit=sessions(1)),
    )
    names = Names(ftp=("127.0.0.9", "127.0.0.1"))
    with ground(*rules, names=names) as place:
        at = Endpoint("ftp.test", port_of(server))
        exchange = await place.gate.begin(Action.CONNECT, at)
        assert members(place) == {"one": 1}
        (await exchange.connect()).close()
        assert exchange.verdict.rule == "other"
        assert members(place) == {"other": 1}
        another = await place.gate.begin(Action.CONNECT, at)
        (await another.connect()).close()  # the same session
        exchange.close()
        another.close()
        assert members(place) == {}


async def test_as_another_action_the_limits_of_its_rule_hold_too(
    server: socket.socket,
) -> None:
    def quota(size: int) -> tuple[Limit, ...]:
        return (Limit(quota=(Quota(size, Period.DAY),)),)

    reading = rule(name="reading", do="read", limit=quota(100))
    with ground(reading, rule(name="rest", limit=quota(1000))) as place:
        exchange = await connected(place, server)
        exchange.allow_also(Action.WRITE)
        assert members(place) == {"rest": 1}
        exchange.allow_also(Action.READ)
        assert await exchange.up.leave(5000) == 100
        exchange.up.moved(100)
        assert {one.rule: one.used for one in place.limiter.usage()} == {
            "reading": 100,
            "rest": 100,
        }
        exchange.close()
        assert members(place) == {}
