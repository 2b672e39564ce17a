"""What limits do to a session: what the client hears, and what is recorded."""

import asyncio

import pytest
from tests.session.moving import IN, LONG, agree, begin, move
from tests.session.peers import Peer
from tests.session.stage import Stage, rule, stage
from tests.wires import until

from portway.config.amounts import Count, Pace, Speed
from portway.config.schema import Limit, Rule
from portway.model import Period, Quota
from portway.relay.rates import Rate

SIZE = 100_000
TOLD = "100 kB a day; it is renewed at 00:00."


def limited(*limits: Limit, do: str = "*") -> Rule:
    return rule(name="limited", limit=limits, do=do)


def quota(size: int = SIZE) -> Limit:
    return Limit(quota=(Quota(size, Period.DAY),))


async def flood(peer: Peer, size: int) -> None:
    """Send *size* bytes, or as many as anybody takes."""
    try:
        await peer.say(bytes(size))
        peer.end()
    except ConnectionError:
        pass


@pytest.mark.parametrize("command", ["RETR f", "STOR f", "LIST"])
async def test_a_quota_that_runs_out_cuts_the_transfer(command: str) -> None:
    verb = command.split(maxsplit=1)[0]
    async with stage(rules=(limited(quota()),)) as scene:
        await scene.play(IN)
        client, server = await begin(scene, command)
        source, sink = (client, server) if verb == "STOR" else (server, client)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flood(source, 3 * SIZE))
            got, how = await sink.the_rest()
        assert how == "reset"
        assert len(got) <= SIZE
        await scene.play(f"""
{LONG}< 426 Data connection lost
< 552 Quota used up: {TOLD}
""")
        await agree(scene, "PASV")
        await scene.play(f"""
> RETR g
< 550 Quota used up: {TOLD}
> NOOP
{LONG}> NOOP
""")
    cut, refused = scene.records[:2]
    assert (cut.method, cut.outcome, cut.reason, cut.side) == (
        verb,
        "cut",
        "quota",
        "gateway",
    )
    assert cut.bytes_up + cut.bytes_down == SIZE
    assert (refused.outcome, refused.verdict, refused.reason, refused.rule) == (
        "refused",
        "deny",
        "quota",
        "limited",
    )
    assert refused.because == f"quota used up: {TOLD[:-1]}"


async def test_a_server_that_says_it_is_done_is_not_believed() -> None:
    async with stage(rules=(limited(quota()),)) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "STOR f")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flood(client, 3 * SIZE))
            await server.the_rest()
        await scene.play(f"{LONG}< 226 Thanks\n< 552 Quota used up: {TOLD}")


async def test_what_just_fits_is_whole() -> None:
    async with stage(rules=(limited(quota()),)) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await move(server, client, bytes(SIZE))
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.records[0].outcome == "ok"


async def test_with_a_used_up_quota_no_server_is_reached() -> None:
    async with stage(rules=(limited(quota(1000)),)) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await move(server, client, bytes(1000))
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        await scene.arrive()
        await scene.play("""
< 220 edge FTP proxy ready.
> USER u@{at}
< 530 Quota used up: 1 kB a day; it is renewed at 00:00.
""")
        scene.clock.now += 86_400
        await scene.play(f"""
> USER u@{{at}}
{LONG}called
{LONG}< 220 Welcome
{LONG}> USER u
""")


async def test_one_connection_too_many() -> None:
    async with stage(rules=(limited(Limit(connections=Count(1))),)) as scene:
        await scene.play(IN)
        first = scene.client
        second = await scene.arrive()
        await scene.play("""
< 220 edge FTP proxy ready.
> USER u@{at}
< 421 Too many connections: 1 at once are allowed.
ended
""")
        second.close()
        first.close()
        await until(lambda: len(scene.sessions) == 0)
        scene.server = None
        await scene.arrive()
        await scene.play(IN)
    refused = scene.records[0]
    assert (refused.method, refused.outcome, refused.reason) == (
        "CONNECT",
        "refused",
        "connections",
    )


async def test_one_request_too_many() -> None:
    # the connection is a request too
    async with stage(rules=(limited(Limit(requests=Pace(3))),)) as scene:
        await scene.play(IN)
        await scene.play(f"""
> DELE a
{LONG}> DELE a
{LONG}< 250 ok
< 250 ok
> DELE b
{LONG}> DELE b
{LONG}< 250 ok
< 250 ok
> DELE c
< 450 Too many requests: 3 a minute are allowed.
> NOOP
{LONG}> NOOP
""")
    assert [record.reason for record in scene.records if record.method == "DELE"] == [
        "",
        "",
        "rate",
    ]


async def test_a_slow_transfer_tells_how_long_it_was_held() -> None:
    slow = limited(Limit(rate=Speed(400_000)), do="read")
    async with stage(rules=(slow, rule())) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        await move(server, client, bytes(300_000))
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    record = scene.records[0]
    assert record.outcome == "ok"
    assert 400 <= int(record.facts["limited_ms"]) <= 900
    assert "limited_ms" not in scene.records[1].facts


def drain(scene: Stage) -> None:
    """Let the limit's one rate give nothing for a long time."""
    for account in scene.services.limiter._accounts.values():
        rate = account.both
        assert isinstance(rate, Rate)
        rate._bucket._level = -1e9


async def test_waiting_for_a_limit_is_no_stall_and_abor_ends_it() -> None:
    async with stage(rules=(limited(Limit(rate=Speed(1000))),), stall=0.3) as scene:
        await scene.play(IN)
        client, server = await begin(scene, "RETR f")
        drain(scene)
        await server.say(bytes(50_000))
        assert await client.silent()
        await asyncio.sleep(1)
        await scene.play(f"""
> ABOR
{LONG}> ...ABOR
{LONG}< 426 Broken off
< 426 Broken off
{LONG}< 226 ABOR done
< 226 ABOR done
""")
        _, how = await client.the_rest()
        assert how == "reset"
    assert scene.records[0].error == "aborted by the client"
    assert int(scene.records[0].facts["limited_ms"]) >= 1000
