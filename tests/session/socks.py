"""A SOCKS door under test, whose clients and servers are sockets driven by hand.

Not here: what a test says and expects. Invariant: when the door is left, nothing of
what was there is open, and each exchange has left one record.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address

from tests.fds import nothing_left_open
from tests.session.peers import PATIENCE, Peer, Port, call, soon
from tests.session.stage import (
    EVERYTHING,
    Accounts,
    Clock,
    Names,
    Shelf,
    check_records,
)
from tests.wires import listener, port_of

from portway.admission import Admission
from portway.config.schema import (
    Limits,
    Listener,
    Login,
    Mode,
    ProtocolSettings,
    Rule,
)
from portway.ledger.live import Live
from portway.model import Endpoint, Record
from portway.net.doors import Doors
from portway.net.linger import close_lingering
from portway.net.listen import prepare
from portway.policy.compile import compile_rules
from portway.policy.routes import Farms
from portway.protocols.registry import HANDSHAKES, METHODS, PROTOCOLS
from portway.protocols.socks.settings import SocksSettings, Upstream
from portway.relay.limiter import Limiter
from portway.relay.pipes import Pipes
from portway.services import Current, Door, Services
from portway.sessions import Entrance, Sessions

HELLO = b"\5\1\0"  # SOCKS 5, no login
NOWHERE = b"\0\1\0\0\0\0\0\0"  # in a reply that says no


class Udp:
    """A UDP socket of a client, or of a server."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind((host, 0))
        self.host, self.port = host, port_of(self.sock)

    def say(self, data: bytes, port: int, host: str = "127.0.0.1") -> None:
        self.sock.sendto(data, (host, port))

    async def hear(self, seconds: float = PATIENCE) -> tuple[bytes, int]:
        """Return what comes next, and from which port."""
        loop = asyncio.get_running_loop()  # uvloop has no `sock_recvfrom`
        ready = asyncio.Event()
        loop.add_reader(self.sock, ready.set)
        try:
            await soon(ready.wait(), seconds)
        finally:
            loop.remove_reader(self.sock)
        data, name = self.sock.recvfrom(65536)
        return data, name[1]

    async def silent(self, seconds: float = 0.1) -> bool:
        try:
            await self.hear(seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self.sock.close()


class Scene:
    """The gateway, and what is open around it."""

    def __init__(
        self, services: Services, shelf: Shelf, sessions: Sessions, door: Endpoint
    ) -> None:
        self.services, self.shelf, self.sessions = services, shelf, sessions
        self.door = door
        self.port = Port()
        self.open: list[Peer | Port | Udp] = [self.port]

    async def arrive(self, words: bytes = b"", source: str = "") -> Peer:
        client = await call(self.door.host, self.door.port, source)
        self.open.append(client)
        if words:
            await client.say(words)
        return client

    async def called(self) -> Peer:
        server = await self.port.accept()
        self.open.append(server)
        return server

    async def call(self, host: str, port: int) -> Peer:
        peer = await call(host, port)
        self.open.append(peer)
        return peer

    def udp(self, host: str = "127.0.0.1") -> Udp:
        made = Udp(host)
        self.open.append(made)
        return made

    @property
    def records(self) -> list[Record]:
        return self.shelf.records

    @property
    def told(self) -> list[tuple[str, str, str, str]]:
        """Each record's method, outcome, reason and status."""
        return [(r.method, r.outcome.value, r.reason, r.status) for r in self.records]

    async def over(self) -> None:
        """Wait until no session is left."""
        async with asyncio.timeout(6):
            while len(self.sessions):
                await asyncio.sleep(0.001)

    def close(self) -> None:
        for thing in self.open:
            thing.close()


async def heard(peer: Peer | Udp, count: int) -> bytes:
    """Return the next *count* bytes of a connection."""
    assert isinstance(peer, Peer)
    data = b""
    while len(data) < count:
        data += await peer.hear(count - len(data))
    return data


def to_port(port: int, command: int = 1, host: str = "127.0.0.1") -> bytes:
    """Return a request of SOCKS 5 for an IPv4 address."""
    packed = ip_address(host).packed
    return bytes((5, command, 0, 1)) + packed + port.to_bytes(2)


def to_name(name: str, port: int, command: int = 1) -> bytes:
    head = bytes((5, command, 0, 3, len(name)))
    return head + name.encode() + port.to_bytes(2)


@asynccontextmanager
async def door(
    *,
    protocol: str = "socks",
    login: Login = "none",
    rules: tuple[Rule, ...] = (EVERYTHING,),
    accounts: dict[str, str | None] | None = None,
    names: dict[str, str] | None = None,
    settings: ProtocolSettings | None = None,
    upstream: Upstream | None = None,
    places: Mapping[str, tuple[Endpoint, ...]] | None = None,
    host: str = "127.0.0.1",
    mode: Mode = "forward",
    farms: Mapping[str, Farms] | None = None,
    **keys: object,
) -> AsyncIterator[Scene]:
    """Open a door; ``here.test`` is where `Scene.port` is."""
    ruleset, problems = compile_rules(rules, timezone="UTC", protocols=METHODS)
    assert not problems
    shelf, clock, pipes = Shelf(), Clock(), Pipes()
    with nothing_left_open():
        sock = listener(host, 64)
        prepare(sock)
        endpoint = Endpoint(host, port_of(sock))
        services = Services(
            rules=ruleset,
            directory=Accounts(accounts or {}),
            sink=shelf,
            live=Live(shelf),
            resolver=Names({"here.test": "127.0.0.1", **(names or {})}),
            pipes=pipes,
            limiter=Limiter(clock),
            doors=Doors([(ip_address(host), endpoint.port)]),
            clock=clock,
            handshakes=HANDSHAKES,
            places=places or {},
            farms=farms or {},
        )
        chosen = settings or SocksSettings(
            upstream=upstream or Upstream(),
            **keys,  # type: ignore[arg-type]
        )
        table = Listener(
            name="door",
            where="test:1",
            protocol=protocol,
            address=(endpoint,),
            login=login,
            mode=mode,
            settings=chosen,
        )
        assert not [*chosen.problems(table)]
        known = PROTOCOLS[protocol]
        contexts, wrong = known.contexts(table)
        assert not wrong
        entrance = Entrance(
            Door("door", protocol, known.port, mode, login=login, at=endpoint),
            known.handler("edge", table, contexts),
            known.too_many("edge"),
            chosen.balancers,
        )
        tasks_before = asyncio.all_tasks()
        try:
            async with asyncio.TaskGroup() as tasks:
                sessions = Sessions(Current(services), Admission(Limits()), tasks)
                listening = sessions.listen(sock, entrance)
                scene = Scene(services, shelf, sessions, endpoint)
                try:
                    yield scene
                finally:
                    scene.close()
                    try:
                        await scene.over()
                    finally:
                        await sessions.cut()
                        listening.cancel()
        finally:
            close_lingering()
            services.idle.close()
            pipes.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks_before
        assert pipes.total == 0
        assert not list(services.live)
        check_records(shelf.records)
