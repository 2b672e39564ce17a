"""P12: costs that must not grow with open sessions, rules, or listed domains.

Not here: what one decision costs. Invariant: the sizes are compared in the same run,
taking turns.
"""

import contextlib
import time
from collections.abc import Mapping
from functools import partial

from bench.bench import CLIENTS, Bench, say, target_user
from bench.client import login_and_fetch
from bench.load import idle_sessions
from bench.peers import portway
from bench.peers.peer import Peer
from bench.peers.portway import PORTWAY
from bench.peers.servers import load_server
from bench.processes import Running
from bench.results import Report, Samples, Target, ratio

FLAT = 1.15  # two measurements of the same thing differ by as much on a busy machine
COST, EACH, START = "CPU ms/session", "KiB/session", "start s"
MEMORY = "MiB at rest"
OPEN = (10, 1000, 5000)
QUICK_OPEN = (10, 500)
RULES = (10, 10_000)
DOMAINS = (0, 1_000_000)
LIST_MIB = 16.0  # for a million domains: twice what they take


def measure(bench: Bench) -> Report:
    """Measure growth in open sessions, then in rules, then in listed domains."""
    report = Report("P12  growth (Portway)", (COST, EACH, START, MEMORY))
    samples = Samples()
    sizes = QUICK_OPEN if bench.quick else OPEN
    with load_server(bench.new_folder()) as server:
        names = _sessions(bench, samples, sizes, server.port)
        names += _rules(bench, samples, server.port)
        names += _domains(bench, samples, server.port)
    for name in names:
        figures = tuple(samples.get(name, kind) for kind in report.columns)
        report.rows.append((name, figures))
    *sessions, few, many, none, listed = names
    first, middle, last = sessions[0], sessions[-2], sessions[-1]
    cost = ratio(samples.get(last, COST), samples.get(first, COST))
    weight = ratio(samples.get(last, EACH), samples.get(middle, EACH))
    rules = ratio(samples.get(many, COST), samples.get(few, COST))
    report.targets = [
        Target("P12", f"session CPU, {last} to {first}", cost, FLAT),
        Target(
            "P12",
            f"session memory, {last} to {middle}",
            None if bench.quick else weight,
            FLAT,
            why="a quick run opens too few to weigh one",
        ),
        Target("P12", f"session CPU, {many} to {few}", rules, FLAT),
        Target(
            "P12",
            f"session CPU, {listed} to {none}",
            ratio(samples.get(listed, COST), samples.get(none, COST)),
            FLAT,
        ),
        Target(
            "P12",
            f"MiB, {listed} more than {none}",
            _more(samples.get(listed, MEMORY), samples.get(none, MEMORY)),
            LIST_MIB,
        ),
    ]
    return report


def _sessions(
    bench: Bench, samples: Samples, sizes: tuple[int, ...], server: int
) -> list[str]:
    """Measure with so many sessions open; return the names of the rows."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Running] = {}
        for size in sizes:
            say(f"opening {size} sessions")
            running = stack.enter_context(bench.running(PORTWAY))
            base = running.memory()
            opening = idle_sessions(
                running.port, target_user(server), size, room=CLIENTS
            )
            held = stack.enter_context(opening)
            time.sleep(0.3)  # what a login leaves behind goes in the next turns
            name = f"{held} open"
            found[name] = running
            if held:
                samples.add(name, EACH, (running.memory() - base) / held / 1024)
        _take_turns(bench, samples, found, server)
    return list(found)


def _rules(bench: Bench, samples: Samples, server: int) -> list[str]:
    """Measure with so many rules before the one that matches."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Running] = {}
        for count in RULES:
            say(f"starting with {count} rules")
            command = partial(portway.command, rules=count)
            peer = Peer(PORTWAY.name, command, PORTWAY.version, 0)
            running = stack.enter_context(bench.running(peer))
            found[f"{count} rules"] = running
            samples.add(f"{count} rules", START, running.start_seconds)
        _take_turns(bench, samples, found, server)
    return list(found)


def _domains(bench: Bench, samples: Samples, server: int) -> list[str]:
    """Measure with so many domains in a list that a rule denies."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Running] = {}
        for count in DOMAINS:
            say(f"starting with {count} listed domains")
            command = partial(portway.command, domains=count)
            peer = Peer(PORTWAY.name, command, PORTWAY.version, 0)
            running = stack.enter_context(bench.running(peer))
            name = f"{count} domains"
            found[name] = running
            samples.add(name, START, running.start_seconds)
            samples.add(name, MEMORY, running.memory() / (1 << 20))
        _take_turns(bench, samples, found, server)
    return list(found)


def _more(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _take_turns(
    bench: Bench, samples: Samples, found: Mapping[str, Running], server: int
) -> None:
    for _ in range(bench.rounds):
        for name, running in found.items():
            say(f"Portway, {name}: {bench.seconds:g} s")
            cost, _speed = bench.session_cost(running, login_and_fetch, server)
            samples.add(name, COST, cost)
