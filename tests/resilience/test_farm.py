"""A farm of real servers behind one door: one dies under load, all die, one returns."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ftplib import FTP, all_errors
from pathlib import Path

import pytest
from tests.integration.gateway import Record
from tests.integration.nanoftpd import NanoFtpd, says
from tests.integration.process import eventually
from tests.resilience.running import (
    ADDRESS,
    HOME,
    MIB,
    RULES,
    Running,
    Served,
    configuration,
    free_port,
)

Start = Callable[..., Running]

SERVERS = 3
CLIENTS = 12
SECONDS = 7.5  # of load; the server dies after a third of it
CONTENT = bytes(range(256)) * (48 * MIB // 256)  # more than buffers on the way hold
BLOCK = 262144
PAUSE = 0.01  # seconds that a client needs for a block
HASH = hashlib.sha256(CONTENT).hexdigest()


def farm(*ports: int, more: str = "", health: str = "", port: int = 0) -> str:
    servers = json.dumps([f"{ADDRESS}:{one}" for one in ports])
    table = f"[listen.ftp.health]\n{health}" if health else ""
    return configuration(
        listen=f'mode = "reverse"\nservers = {servers}\n{more}',
        rules=f"{table}\n{RULES}",
        port=port,
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[list[Served]]:
    """Real servers, each with the same files."""
    made = []
    try:
        for number in range(SERVERS):
            made.append(Served(tmp_path / f"server{number}"))
            (made[-1].folder / "big").write_bytes(CONTENT)
        yield made
    finally:
        for one in made:
            one.stop()


@dataclass
class Tally:
    """What clients saw, together."""

    whole: int = 0
    broken: int = 0
    turned_away: list[str] = field(default_factory=list)
    damaged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def load(port: int, tally: Tally, until: float) -> None:
    """Log in, move a file, leave, again and again."""
    while time.monotonic() < until:
        client = FTP(timeout=10)
        try:
            client.connect(ADDRESS, port)
        except all_errors as error:
            with tally.lock:
                tally.turned_away.append(str(error))
            client.close()
            continue
        try:
            client.login("joe", "s3cret")
            found = hashlib.sha256()

            def take(block: bytes, found: "hashlib._Hash" = found) -> None:
                found.update(block)
                time.sleep(PAUSE)

            client.retrbinary("RETR big", take, BLOCK)
        except all_errors:
            with tally.lock:
                tally.broken += 1
        else:
            with tally.lock:
                tally.whole += 1
                tally.damaged += found.hexdigest() != HASH
            with suppress(*all_errors):
                client.quit()
        finally:
            client.close()


@pytest.mark.timeout(60)
def test_one_dies_under_load_and_nothing_is_lost_but_its_own_transfers(
    start: Start, loop: str, served: list[Served]
) -> None:
    gateway = start(farm(*(one.port for one in served)), loop=loop)
    before = gateway.held
    dead, tally = served[0].port, Tally()
    until = time.monotonic() + SECONDS
    clients = [
        threading.Thread(target=load, args=(gateway.port, tally, until))
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    time.sleep(SECONDS / 3)
    served[0].process.kill()
    for client in clients:
        client.join()
    gateway.lets_go(before)
    records = gateway.wait_for(lambda found: len(moved_whole(found)) >= tally.whole)
    lost = [one for one in records if one["outcome"] not in {"ok", "refused"}]
    assert tally.turned_away == []  # the next server was there for each
    assert tally.damaged == 0
    assert {one["port"] for one in lost} == {dead}
    assert (
        1 < tally.broken <= CLIENTS // 2
    )  # who was on it when it died, and no one else
    began = Counter(one["port"] for one in records if one["method"] == "CONNECT")
    assert len(began) == SERVERS
    assert "farm.server_out" in gateway.output
    print(  # noqa: T201 - the figures
        f"\n{loop}: {CLIENTS} clients, {SERVERS} servers, one killed: "
        f"{tally.whole} transfers whole, {tally.broken} broken, "
        f"{len(tally.turned_away)} turned away; sessions by server {dict(began)}; "
        f"records that failed {len(lost)}, all of the server that died"
    )


def moved_whole(records: list[Record]) -> list[Record]:
    return [one for one in records if (one["method"], one["outcome"]) == ("RETR", "ok")]


def states(gateway: Running) -> dict[int, str]:
    lines = gateway.portway("sessions", "--servers", "--json").splitlines()
    return {one["port"]: one["state"] for one in map(json.loads, lines)}


def test_health_finds_out_by_itself_and_a_reload_keeps_it(start: Start) -> None:
    health = 'every = "1s"\nfall = 1\nrise = 1'
    number = free_port()
    with ExitStack() as stack:
        good = stack.enter_context(NanoFtpd(HOME, ADDRESS, 0))
        bad = stack.enter_context(NanoFtpd(HOME, ADDRESS, 0))
        bad.scripts[""] = says("421 Full up")
        text = farm(good.port, bad.port, health=health, port=number)
        gateway = start(text)
        gateway.says("farm.server_down")
        assert states(gateway) == {good.port: "up", bad.port: "down"}
        gateway.write(text.replace('every = "1s"', 'every = "60s"'))
        gateway.portway("reload")
        assert states(gateway)[bad.port] == "down"
        for _ in range(4):
            with gateway.client() as client:
                client.login("joe")
        assert all("USER" not in line for line in bad.verbs)
        bad.scripts.clear()
        gateway.write(text)
        gateway.portway("reload")
        gateway.says("farm.server_up")
        assert states(gateway) == {good.port: "up", bad.port: "up"}
        shown = gateway.portway("sessions", "--servers").splitlines()
        assert shown[0].split() == ["LISTENER", "SERVER", "STATE", "SESSIONS"]
        assert len(shown) == 3
        assert good.failures == bad.failures == []


def test_a_session_is_counted_where_it_is_and_lives_through_a_reload(
    start: Start,
) -> None:
    number = free_port()
    with NanoFtpd(HOME, ADDRESS, 0) as one, NanoFtpd(HOME, ADDRESS, 0) as other:
        text = farm(one.port, other.port, port=number)
        gateway = start(text)
        with gateway.client() as first, gateway.client() as second:
            first.login("joe")
            second.login("joe")
            assert one.sessions == other.sessions == 1  # the least busy each time
            gateway.write(farm(one.port, port=number))
            gateway.portway("reload")
            first.expect("NOOP", 200)
            second.expect("NOOP", 200)
            lines = gateway.portway("sessions", "--servers", "--json").splitlines()
            [known] = map(json.loads, lines)
            assert (known["port"], known["sessions"]) == (one.port, 1)

        def none() -> bool:
            lines = gateway.portway("sessions", "--servers", "--json").splitlines()
            return '"sessions":0' in lines[0].replace(" ", "")

        eventually(none, "the session is counted out")


def test_all_are_down(start: Start) -> None:
    gateway = start(farm(free_port(), free_port()))
    for _ in range(3):
        with gateway.raw() as client:
            client.settimeout(5)
            assert client.recv(100) == b"421 No server is available.\r\n"
            assert client.recv(100) == b""
    found = gateway.wait_for(lambda records: len(records) >= 4)
    assert [one["outcome"] for one in found] == ["failed"] * 4
    assert states(gateway) == dict.fromkeys(states(gateway), "out")


def test_a_door_to_the_outside_is_no_open_proxy(start: Start) -> None:
    """Everyone may come, since nobody may choose where to go."""
    number = free_port()
    with NanoFtpd(HOME, ADDRESS, 0) as server:
        rules = RULES.replace('who = ["127.0.0.0/8", "::1"]', 'who = ["*"]')
        text = farm(server.port).replace(RULES, rules)
        gateway = start(text.replace(f'"{ADDRESS}:0"', f'"0.0.0.0:{number}"'))
        with HOME.connect(ADDRESS, number) as client:
            assert client.recv(100) == b"220 nano ready\r\n"
        text = text.replace('mode = "reverse"', 'mode = "reverse"\nmethods = ["site"]')
        gateway.write(text.replace(f'"{ADDRESS}:0"', f'"0.0.0.0:{number}"'))
        with pytest.raises(AssertionError, match="open proxy"):
            gateway.portway("check")
