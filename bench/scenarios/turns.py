"""P6 and P8: GETs over connections that are kept, and SOCKS connections that are not.

Eight clients at once, our own fast server behind. Not here: bulk (tunnel.py).
Invariant: what counts is the proxy's CPU time a turn; how many a second there were says
more about clients and server.
"""

from collections.abc import Callable

from bench.bench import CLIENTS, Bench, say
from bench.load import Visit, anew
from bench.peers.doors import DANTE, TINY, http_peers, socks_peers
from bench.peers.peer import Peer
from bench.peers.portway import PORTWAY
from bench.peers.rivals import SQUID, THREE
from bench.peers.servers import origin
from bench.processes import Running
from bench.results import Report, Samples, Target, ratio
from bench.tunnel import once
from bench.web import get_once, getting

COST, PACE = "CPU µs", "a second"


def _measure(
    bench: Bench,
    report: Report,
    peers: tuple[Peer, ...],
    visit_of: Callable[[str], Visit],
    server: int,
) -> Samples:
    """Fill the rows of *report*; return the figures.

    *visit_of* tells how the proxy of a name is visited.
    """
    samples = Samples()

    def measure(name: str, running: Running) -> None:
        say(f"{name}: {CLIENTS} clients, {bench.seconds:g} s")
        cost, pace = bench.turn_cost(running, visit_of(name), str(server))
        samples.add(name, COST, cost * 1e6)
        samples.add(name, PACE, pace)

    with bench.all_running(report, peers) as running:
        bench.in_turns(report, running, measure)
    for peer in peers:
        figures = (samples.get(peer.name, COST), samples.get(peer.name, PACE))
        if any(figures):
            report.rows.append((peer.name, figures))
    return samples


def _target(
    number: str, what: str, samples: Samples, rival: str, bound: float
) -> Target:
    figure = ratio(samples.get(PORTWAY.name, COST), samples.get(rival, COST))
    why = f"Portway or {rival} is not there"
    return Target(number, f"{what} CPU, of {rival}'s", figure, bound, why=why)


def _getting(name: str) -> Visit:
    return anew(get_once) if name == TINY.name else getting


def measure_gets(bench: Bench) -> Report:
    """P6: GET 1 KiB, again and again over one connection a client."""
    report = Report("P6  HTTP, keep-alive GET of 1 KiB", (COST, PACE))
    with origin(bench.new_folder()) as server:
        peers = bench.among(http_peers(server.port))
        samples = _measure(bench, report, peers, _getting, server.port)
    report.targets = [_target("P6", "request", samples, SQUID.name, 0.5)]
    report.notes.append(
        "HAProxy is a reverse proxy here; tinyproxy keeps no connection."
    )
    return report


def measure_socks(bench: Bench) -> Report:
    """P8: connect by SOCKS 5, exchange one word, leave."""
    report = Report("P8  SOCKS 5, connect and one exchange", (COST, PACE))
    with origin(bench.new_folder()) as server:
        peers = bench.among(socks_peers())
        samples = _measure(bench, report, peers, lambda _: anew(once), server.port)
    report.targets = [
        _target("P8", "connection", samples, THREE.name, 1.0),
        _target("P8", "connection", samples, DANTE.name, 0.5),
    ]
    return report
