"""What a gate stands on, for tests: real rules, and simple things for all else."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from tests.session.stage import Accounts, Clock, Shelf, rule
from tests.wires import Wire

from portway.config.schema import Rule
from portway.errors import UpstreamError
from portway.gate import Gate
from portway.ledger.live import Live
from portway.model import IPAddress, Reason
from portway.net.doors import Doors
from portway.policy.compile import compile_rules
from portway.protocols.ftp.protocol import PROTOCOL
from portway.protocols.registry import HANDSHAKES
from portway.relay.limiter import Limiter
from portway.relay.pipes import Pipes
from portway.services import Current, Door, Services

HERE = ip_address("127.0.0.1")
OUTSIDE = ip_address("203.0.113.5")
ALL = rule(name="all")
DOOR = Door("ftp", "ftp", 21, "forward")


class Names:
    """A resolver that counts how often it is asked."""

    def __init__(self, **names: tuple[str, ...]) -> None:
        self._names = names
        self.asked: list[str] = []

    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        self.asked.append(host)
        name = host.removesuffix(".test")
        if name not in self._names:
            raise UpstreamError(Reason.NAME, f"{host}: unknown")
        return tuple(ip_address(text) for text in self._names[name])


class Ground:
    """A gate, the client's connection it belongs to, and what it left."""

    def __init__(self, *rules: Rule, names: Names, doors: Doors) -> None:
        self.shelf, self.clock, self.names = Shelf(), Clock(), names
        self.pipes = Pipes()
        self.limiter = Limiter(self.clock)
        self.accounts = Accounts({"alice": "right", "down": None})
        self.live = Live(self.shelf)
        self.current = Current(self.services(*rules, doors=doors))
        self.wire = Wire()
        self.gate = Gate(self.current, DOOR, self.wire.stream, HERE)

    def services(self, *rules: Rule, doors: Doors) -> Services:
        compiled, problems = compile_rules(
            rules, timezone="UTC", protocols={"ftp": PROTOCOL.methods}
        )
        assert not problems
        return Services(
            rules=compiled,
            directory=self.accounts,
            sink=self.shelf,
            live=self.live,
            resolver=self.names,
            pipes=self.pipes,
            limiter=self.limiter,
            doors=doors,
            clock=self.clock,
            handshakes=HANDSHAKES,
        )

    def close(self) -> None:
        self.gate.close()
        self.wire.stream.close()
        self.wire.peer.close()
        self.pipes.close()
        assert len(self.live) == 0


@contextmanager
def ground(
    *rules: Rule, names: Names | None = None, doors: Doors | None = None
) -> Iterator[Ground]:
    made = Ground(*(rules or (ALL,)), names=names or Names(), doors=doors or Doors())
    try:
        yield made
    finally:
        made.close()
