"""P2 and P3: short sessions, eight clients at once, our own fast server behind.

Not here: sessions that last (idle.py). Invariant: what counts is the proxy's CPU time a
session; how many a second there were says more about clients and server.
"""

from bench.bench import CLIENTS, Bench, say
from bench.client import login_and_fetch, login_only
from bench.load import Task
from bench.peers.portway import PORTWAY
from bench.peers.rivals import SQUID, THREE
from bench.peers.servers import load_server
from bench.processes import Running
from bench.results import Report, Samples, Target, ratio

COST = "CPU ms"
SPEED = "sessions/s"


def _measure(bench: Bench, title: str, task: Task) -> Report:
    report = Report(title, (COST, SPEED))
    samples = Samples()
    with (
        load_server(bench.new_folder()) as server,
        bench.all_running(report, bench.peers) as peers,
    ):

        def measure(name: str, running: Running) -> None:
            say(f"{name}: {CLIENTS} clients, {bench.seconds:g} s")
            cost, speed = bench.session_cost(running, task, server.port)
            samples.add(name, COST, cost)
            samples.add(name, SPEED, speed)

        bench.in_turns(report, peers, measure)
    for peer in bench.peers:
        figures = (samples.get(peer.name, COST), samples.get(peer.name, SPEED))
        if any(figures):
            report.rows.append((peer.name, figures))
    report.targets = _targets(samples, task)
    return report


def _targets(samples: Samples, task: Task) -> list[Target]:
    number, what, bound = "P2", "login", 1.0
    if task is login_and_fetch:
        number, what, bound = "P3", "login and download", 0.8
    ours = samples.get(PORTWAY.name, COST)
    squid = ratio(ours, samples.get(SQUID.name, COST))
    three = ratio(ours, samples.get(THREE.name, COST))
    return [
        Target(
            number,
            f"{what} CPU, of Squid's",
            squid,
            bound,
            why="Portway or Squid is not there",
        ),
        Target(
            number,
            f"{what} CPU, of 3proxy's (an aim)",
            three,
            1.0,
            why="no THREEPROXY is given",
        ),
    ]


def measure_logins(bench: Bench) -> Report:
    """P2: log in and leave."""
    return _measure(bench, "P2  FTP sessions, login only", login_only)


def measure_fetches(bench: Bench) -> Report:
    """P3: log in, download 10 KiB, leave."""
    title = "P3  FTP sessions, login and 10 KiB download"
    return _measure(bench, title, login_and_fetch)
