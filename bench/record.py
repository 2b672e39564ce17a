"""What a record costs the thread that serves: ``python -m bench.record FILE SECONDS``.

FILE is a configuration. Real exchanges are asked for and closed at a pace of 100,000 a
minute, with the real rules, and the real writer at work beside them. Printed is one
JSON object: CPU microseconds of the loop's thread to decide, and to leave the record.

Not here: any protocol, so that nothing but decision and record is counted. Invariant:
every record that was taken is written before the figures are printed.
"""

import asyncio
import json
import sys
import time
from ipaddress import ip_address
from pathlib import Path

from portway.app import loop_factory
from portway.exchange import Exchange
from portway.ledger.files import LogFiles
from portway.ledger.live import Live
from portway.ledger.retention import Retention
from portway.ledger.store import NAME, SqliteStore
from portway.ledger.writer import Writer
from portway.model import Access, Action, Endpoint, Outcome
from portway.net.doors import Doors
from portway.net.resolve import SystemResolver
from portway.prepare import prepare
from portway.relay.limiter import Limiter
from portway.relay.pipes import Pipes
from portway.services import Door, Services, Visitor
from portway.users.local import LocalAccounts

A_MINUTE = 100_000
BATCH = 20  # at once, as they come from several sessions
PAUSE = 60 * BATCH / A_MINUTE
CLIENT = ip_address("127.0.0.1")
ACCESS = Access(
    protocol="ftp",
    client=CLIENT,
    user="",
    action=Action.DELETE,
    method="DELE",
    host="127.0.0.1",
    port=21,
    address=CLIENT,
    path="/pub/some/file.txt",
)
VISITOR = Visitor(
    Door("ftp", "ftp", 21, "forward"), Endpoint("127.0.0.1", 40000), "0" * 26
)


async def _measure(services: Services, seconds: float) -> dict[str, float]:
    """Return CPU microseconds to open and to close an exchange."""
    deciding = leaving = 0.0
    count = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.thread_time()
        exchanges = []
        for _ in range(BATCH):
            count += 1
            exchange = Exchange(services, VISITOR, ACCESS, number=count)
            await services.sink.ready()
            await exchange.judge()
            services.live.add(exchange)
            exchanges.append(exchange)
        decided = time.thread_time()
        for exchange in exchanges:
            exchange.end(Outcome.OK, status="250")
            exchange.close()
        left = time.thread_time()
        deciding += decided - began
        leaving += left - decided
        await asyncio.sleep(PAUSE)
    return {"decide": deciding * 1e6 / count, "record": leaving * 1e6 / count}


def main(path: Path, seconds: float) -> int:
    """Measure, and print the figures."""
    prepared = prepare(path)
    state = Path(prepared.configuration.gateway.state)
    state.mkdir(parents=True, exist_ok=True)
    writer = Writer(
        SqliteStore(state / NAME),
        LogFiles((), None),
        retention=Retention(86400.0),
        clock=time.time,
    )
    services = Services(
        rules=prepared.rules,
        directory=LocalAccounts(state / "accounts", time.time),
        sink=writer,
        live=Live(writer),
        resolver=SystemResolver(),
        pipes=Pipes(),
        limiter=Limiter(time.time),
        doors=Doors(()),
        clock=time.time,
    )
    writer.open()
    writer.start()
    with asyncio.Runner(loop_factory=loop_factory("auto")) as runner:
        figures = runner.run(_measure(services, seconds))
    lost = writer.close()
    print(json.dumps(figures))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
