"""A gateway's FTP door between a client and a server that a script plays.

A script has two columns: what the client says (``>``) and gets (``<``) stands at the
left, what the server gets (``>``) and says (``<``) far to the right. Beside these, a
side ``ended`` (it sees our end), saw us ``reset``, ``closes``, ``breaks`` (with a
reset), or is ``silent``; ``called`` at the right is one more connection.

Not here: what a test says and expects. Invariant: when the stage is left, nothing of
what was on it is open, and each exchange has left one record.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from msgspec import structs
from tests.fds import nothing_left_open
from tests.session.peers import Ended, Peer, Port, call
from tests.wires import listener, port_of

from portway.admission import Admission
from portway.config.schema import Group, Limits, Listener, Login, Mode, Rule
from portway.errors import Refused, UpstreamError
from portway.ledger.live import Live
from portway.model import Credentials, Endpoint, IPAddress, Outcome, Reason, Record
from portway.net.doors import Doors
from portway.net.linger import close_lingering
from portway.net.listen import prepare
from portway.policy.compile import compile_rules
from portway.policy.groups import compile_groups
from portway.policy.routes import Farms, farms_of
from portway.protocols.ftp import captured
from portway.protocols.ftp.protocol import PROTOCOL
from portway.protocols.ftp.settings import FtpSettings, Upstream
from portway.protocols.registry import HANDSHAKES
from portway.relay.limiter import Limiter
from portway.relay.pipes import Pipes
from portway.services import Current, Door, Services
from portway.sessions import Entrance, Sessions
from portway.users.directory import UNKNOWN, Directory, Verification, Verified

COLUMN = 12  # blanks before what belongs to the server


class Accounts:
    """An account store; a password of None stands for a store that is down."""

    def __init__(self, accounts: dict[str, str | None]) -> None:
        self._accounts = accounts

    async def verify(self, credentials: Credentials) -> Verified:
        if credentials.user not in self._accounts:
            return UNKNOWN
        password = self._accounts[credentials.user]
        if password is None:
            raise Refused(Reason.LOGIN_UNAVAILABLE)
        if password != credentials.password:
            return Verified(Verification.WRONG, source="stage")
        return Verified(Verification.OK, credentials.user, source="stage")

    async def knows(self, user: str) -> bool:
        return user in self._accounts

    def forget(self, user: str) -> None:
        del self._accounts[user]

    async def renewed(self, verified: Verified) -> Verified | None:
        return verified if verified.user in self._accounts else None

    def close(self) -> None:
        return


class Names:
    """A resolver; ``down.test`` stands for one that does not answer."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        if host == "down.test":
            raise UpstreamError(Reason.RESOLVER, "down.test: no answer")
        if host not in self._names:
            try:
                return (ip_address(host),)
            except ValueError:
                raise UpstreamError(Reason.NAME, f"{host}: unknown") from None
        return (ip_address(self._names[host]),)


class Shelf:
    """A sink that keeps the records; start rows are passed over."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def ready(self) -> None:
        return

    def take(self, record: Record) -> None:
        if record.outcome is not Outcome.OPEN:
            self.records.append(record)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def rule(then: str = "allow", **words: object) -> Rule:
    """Return a rule about any server; *words* are its keys, one word for a tuple."""
    words.setdefault("to", ("*", "inside"))
    keys = {
        key: (word,) if key in {"who", "do", "to"} and isinstance(word, str) else word
        for key, word in words.items()
    }
    return Rule(where="test:1", lines={}, then=then, **keys)  # type: ignore[arg-type]


EVERYTHING = rule(name="everything")


class Stage:
    """The gateway under test, with one client and one server."""

    def __init__(
        self,
        services: Services,
        shelf: Shelf,
        clock: Clock,
        sessions: Sessions,
        door: Endpoint,
    ) -> None:
        self.services = services
        self.shelf = shelf
        self.clock = clock
        self.sessions = sessions
        self.door = door
        self.client: Peer = None  # type: ignore[assignment]
        self.port: Port = None  # type: ignore[assignment]
        self.farms: dict[str, Farms] = {}  # of a reverse door
        self.server: Peer | None = None
        self._open: list[Peer | Port] = []
        self._past: list[str] = []

    # What there is.

    def keep(self, thing: "Peer | Port") -> None:
        """Close *thing* when the stage is left."""
        self._open.append(thing)

    async def arrive(self) -> Peer:
        """Let another client connect; it is the one that the script is about."""
        self.client = await call(self.door.host, self.door.port)
        self.keep(self.client)
        return self.client

    async def called(self) -> Peer:
        """Wait for the gateway to call the server."""
        self.server = await self.port.accept()
        self.keep(self.server)
        return self.server

    def listen(self, host: str) -> Port:
        port = Port(host)
        self.keep(port)
        return port

    async def call(self, host: str, port: int, source: str = "") -> Peer:
        peer = await call(host, port, source)
        self.keep(peer)
        return peer

    @property
    def records(self) -> list[Record]:
        return self.shelf.records

    @property
    def methods(self) -> list[tuple[str, str]]:
        """Each record's method and outcome."""
        return [(record.method, record.outcome.value) for record in self.records]

    async def over(self) -> None:
        """Wait until no session is left."""
        async with asyncio.timeout(12):
            while len(self.sessions):
                await asyncio.sleep(0.001)

    # Scripts.

    async def play(self, script: str) -> None:
        """Do and expect what *script* says, line after line."""
        rows = [row for row in script.splitlines() if row.strip()]
        indented = min(len(row) - len(row.lstrip()) for row in rows)
        at_left = indented if indented <= COLUMN else 0
        for row in rows:
            await self._step(self._filled(row[at_left:]))

    def _filled(self, row: str) -> str:
        row = row.replace("{at}", f"ftp.test:{self.port.number}")
        return row.replace("{port}", str(self.port.number))

    async def _step(self, row: str) -> None:
        at_server = row[0].isspace()
        mark, _, text = row.lstrip().partition(" ")
        if at_server and (self.server is None or mark == "called"):
            try:
                await self.called()
            except TimeoutError:
                self._fail(row, "nobody called the server")
            if mark == "called":
                self._past.append(row)
                return
        peer = self.server if at_server else self.client
        assert peer is not None
        says = "<" if at_server else ">"
        if mark in {"<", ">"} and mark == says:
            await peer.say(bytes_of(text) + b"\r\n")
        elif mark in {"<", ">"}:
            await self._expect(peer, text, row)
        else:
            await self._event(peer, mark, row)
        self._past.append(row)

    async def _expect(self, peer: Peer, text: str, row: str) -> None:
        try:
            heard = (await peer.line()).decode("latin-1")
        except Ended as ended:
            self._fail(row, f"the end ({ended.how})")
        except TimeoutError:
            self._fail(row, "nothing")
        else:
            expected = bytes_of(text).decode("latin-1")
            pattern = re.escape(expected).replace(r"\.\.\.", ".*")
            if not re.fullmatch(pattern, heard, re.DOTALL):
                self._fail(row, heard)

    async def _event(self, peer: Peer, event: str, row: str) -> None:
        if event == "closes":
            peer.close()
        elif event == "breaks":
            peer.reset()
        elif event == "silent":
            if not await peer.silent():
                self._fail(row, repr(peer._held))
        elif event in {"ended", "reset"}:
            rest, how = await peer.the_rest()
            wanted = {"ended": "eof", "reset": "reset"}[event]
            if rest or how != wanted:
                self._fail(row, f"{rest!r}, then {how}")
        else:
            msg = f"no such event: {event}"
            raise ValueError(msg)

    def _fail(self, row: str, got: str) -> None:
        past = "\n".join(f"    {line}" for line in self._past)
        msg = f"\n{past}\n  - {row}\n  + {' ' * (len(row) - len(row.lstrip()))}{got}"
        raise AssertionError(msg)

    def close(self) -> None:
        for thing in self._open:
            thing.close()


def bytes_of(text: str) -> bytes:
    """Return a script's words: Latin-1, so that any byte can be written."""
    return text.encode("latin-1")


@asynccontextmanager
async def stage(
    *,
    login: Login = "none",
    mode: Mode = "forward",
    rules: tuple[Rule, ...] = (EVERYTHING,),
    groups: tuple[Group, ...] = (),
    accounts: dict[str, str | None] | None = None,
    directory: Directory | None = None,
    server: str = "127.0.0.1",
    client: str = "127.0.0.1",
    upstream: Upstream | None = None,
    servers: Callable[["Stage"], Sequence[str]] | None = None,
    **settings: object,
) -> AsyncIterator[Stage]:
    """Set a stage; *server* and *client* are the addresses that they are reached at.

    Names: ``ftp.test`` and ``other.test`` are the server's. A transparent door takes
    each client to be on its way to the server: nobody has to catch it. A reverse one
    has *servers*, or else the server alone.
    """
    ruleset, problems = compile_rules(
        rules, timezone="UTC", protocols={"ftp": PROTOCOL.methods}, groups=groups
    )
    assert not problems
    shelf, clock, pipes = Shelf(), Clock(), Pipes()
    with nothing_left_open():
        sock = listener(client, 64)
        prepare(sock)
        endpoint = Endpoint(client, port_of(sock))
        services = Services(
            rules=ruleset,
            directory=directory or Accounts(accounts or {}),
            sink=shelf,
            live=Live(shelf),
            resolver=Names({"ftp.test": server, "other.test": server}),
            pipes=pipes,
            limiter=Limiter(clock),
            doors=Doors([(ip_address(client), endpoint.port)]),
            clock=clock,
            handshakes=HANDSHAKES,
            farms=(farms := dict[str, Farms]()),
        )
        table = Listener(
            name="door",
            where="test:1",
            protocol="ftp",
            address=(endpoint,),
            login=login,
            mode=mode,
            settings=FtpSettings(
                upstream=upstream or Upstream(),
                **settings,  # type: ignore[arg-type]
            ),
        )
        contexts, wrong = PROTOCOL.contexts(table)
        assert not wrong
        entrance = Entrance(
            Door("door", "ftp", 21, mode),
            PROTOCOL.handler("edge", table, contexts),
            PROTOCOL.too_many("edge"),
            table.settings.balancers,
        )
        tasks_before = asyncio.all_tasks()
        try:
            async with asyncio.TaskGroup() as tasks:
                sessions = Sessions(Current(services), Admission(Limits()), tasks)
                listening = sessions.listen(sock, entrance)
                scene = Stage(services, shelf, clock, sessions, endpoint)
                scene.port = scene.listen(server)
                there = Endpoint(server, scene.port.number)
                if mode == "reverse":
                    words = servers(scene) if servers else [str(there)]
                    farms["door"] = farms_at(table, words, groups)
                    scene.farms = farms
                patch = pytest.MonkeyPatch()
                patch.setattr(captured, "original_destination", lambda _: there)
                await scene.arrive()
                try:
                    yield scene
                finally:
                    patch.undo()
                    scene.close()
                    try:
                        await scene.over()
                    finally:
                        await sessions.cut()
                        listening.cancel()
        finally:
            close_lingering()
            pipes.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks_before
        assert pipes.total == 0
        assert not list(services.live)
        check_records(shelf.records)


def farms_at(table: Listener, words: Sequence[str], groups: tuple[Group, ...]) -> Farms:
    """Return the farms of a reverse door whose usual servers are at *words*."""
    assert isinstance(table.settings, FtpSettings)
    keys = structs.replace(table.settings, servers=tuple(words))
    found, wrong = farms_of(keys, compile_groups(groups, []))
    assert found is not None
    assert not wrong
    return found


def check_records(records: list[Record]) -> None:
    """Each exchange has one record: their numbers within a session have no gap."""
    assert len({record.id for record in records}) == len(records)
    by_session = sorted(records, key=lambda record: (record.session, record.seq))
    for _, group in itertools.groupby(by_session, key=lambda record: record.session):
        numbers = [record.seq for record in group]
        assert numbers == list(range(1, len(numbers) + 1))
