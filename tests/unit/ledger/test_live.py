from dataclasses import dataclass, field

from portway.ledger import live
from portway.ledger.live import Live
from portway.model import Outcome, Record
from portway.relay.meter import Meter


class Clock:
    now = 0.0


@dataclass(eq=False)
class Exchange:
    """What an exchange is to `Live`, with a clock of the test's."""

    clock: Clock
    name: str
    up: Meter = field(default_factory=Meter)
    down: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.start = self.clock.now

    @property
    def age(self) -> float:
        return self.clock.now - self.start

    def record(self) -> Record:
        return Record(
            id=self.name, time=0.0, outcome=Outcome.OPEN, bytes_up=self.up.bytes
        )


class Sink:
    def __init__(self) -> None:
        self.taken: list[Record] = []

    async def ready(self) -> None:
        return

    def take(self, record: Record) -> None:
        self.taken.append(record)

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.taken]


def test_only_what_lasts_gets_a_start_row() -> None:
    clock, sink = Clock(), Sink()
    all_of_them = Live(sink, after=1.0)
    short, long = Exchange(clock, "short"), Exchange(clock, "long")
    all_of_them.add(short)
    all_of_them.add(long)
    clock.now = 0.9
    all_of_them.tick()
    all_of_them.discard(short)
    assert sink.ids == []
    clock.now = 1.0
    all_of_them.tick()
    all_of_them.tick()
    assert sink.ids == ["long"]
    assert sink.taken[0].outcome is Outcome.OPEN


def test_a_row_is_refreshed_only_when_bytes_moved() -> None:
    clock, sink = Clock(), Sink()
    all_of_them = Live(sink, after=1.0, every=10.0)
    still, moving = Exchange(clock, "still"), Exchange(clock, "moving")
    all_of_them.add(still)
    all_of_them.add(moving)
    for second in range(1, 32):
        clock.now = float(second)
        moving.up.moved(5)
        all_of_them.tick()
    assert sink.ids == ["still", "moving", "moving", "moving", "moving"]
    assert sink.taken[-1].bytes_up == 155


def test_what_was_discarded_gets_no_row_any_more() -> None:
    clock, sink = Clock(), Sink()
    all_of_them = Live(sink, after=1.0, every=10.0)
    exchange = Exchange(clock, "gone")
    all_of_them.add(exchange)
    clock.now = 1.0
    all_of_them.tick()
    exchange.up.moved(5)
    all_of_them.discard(exchange)
    all_of_them.discard(exchange)
    clock.now = 100.0
    all_of_them.tick()
    assert sink.ids == ["gone"]
    assert len(all_of_them) == 0


def test_all_are_there_to_be_shown_the_oldest_first() -> None:
    clock, sink = Clock(), Sink()
    all_of_them = Live(sink, after=1.0)
    first = Exchange(clock, "first")
    all_of_them.add(first)
    clock.now = 2.0
    all_of_them.tick()
    second = Exchange(clock, "second")
    all_of_them.add(second)
    assert list(all_of_them) == [first, second]
    assert len(all_of_them) == 2


def test_a_crowd_is_dealt_with_in_parts() -> None:
    clock, sink = Clock(), Sink()
    all_of_them = Live(sink, after=1.0)
    for number in range(live.AT_ONCE + 5):
        all_of_them.add(Exchange(clock, str(number)))
    clock.now = 1.0
    assert all_of_them.tick()
    assert len(sink.taken) == live.AT_ONCE
    assert not all_of_them.tick()
    assert len(sink.taken) == live.AT_ONCE + 5
