"""P7: so many bytes down and up through a tunnel, by CONNECT and by SOCKS 5, in clear.

HAProxy, which takes neither, is measured as a TCP proxy. Not here: FTP (bulk.py).
Invariant: every byte arrived, or the round does not count.
"""

from bench import bytes as raw
from bench.bench import Bench, say
from bench.peers.doors import ways
from bench.peers.peer import BY
from bench.peers.portway import PORTWAY
from bench.peers.servers import byte_server
from bench.processes import Running
from bench.results import Report, Samples, Target, ratio
from bench.tunnel import Shake, straight

NONE = "no proxy"
GIGABYTE = 1e9
COLUMNS = ("down GB/s", "down CPU s/GB", "up GB/s", "up CPU s/GB")
BOUNDS = {"down": 0.4, "up": 0.55}  # as P1
OURS = tuple(f"{PORTWAY.name}{BY}{door}" for door in ("CONNECT", "SOCKS"))


def measure(bench: Bench) -> Report:
    """Measure all ways in turn, round by round."""
    report = Report(f"P7  tunnels, bulk, {bench.size >> 20} MiB", COLUMNS)
    samples = Samples()
    with byte_server(bench.new_folder()) as server:
        found = {way.peer.name: way for way in ways(server.port)}
        peers = bench.among(tuple(way.peer for way in found.values()))
        shakes: dict[str, Shake] = {NONE: straight}
        shakes |= {name: way.shake for name, way in found.items()}

        def measure_one(name: str, running: Running) -> None:
            say(f"{name}: {bench.size >> 20} MiB down, then up")
            for way, word in (("down", raw.DOWN), ("up", raw.UP)):
                before = running.settled_cpu()
                seconds = raw.timed(
                    running.port, word, bench.size, server.port, shakes[name]
                )
                spent = running.settled_cpu() - before
                samples.add(name, f"{way} GB/s", bench.size / GIGABYTE / seconds)
                samples.add(name, f"{way} CPU s/GB", spent / (bench.size / GIGABYTE))

        with bench.all_running(report, peers) as running:
            bench.in_turns(report, {NONE: server, **running}, measure_one)
    for name in (NONE, *(peer.name for peer in peers)):
        figures = tuple(samples.get(name, kind) for kind in COLUMNS)
        if any(figures):
            report.rows.append((name, figures))
    report.targets = [_target(samples, name, way) for name in OURS for way in BOUNDS]
    report.notes.append(
        "The CPU of “no proxy” is the server's: ours, which has its bytes at hand."
    )
    return report


def _target(samples: Samples, name: str, way: str) -> Target:
    kind = f"{way} CPU s/GB"
    others = samples.of_others(kind, NONE, *OURS)
    figure = ratio(samples.get(name, kind), min(others)) if others else None
    what = f"{name.partition(BY)[2]} {way} CPU, of best rival's"
    why = "Portway, or any rival, is not there"
    return Target("P7", what, figure, BOUNDS[way], why=why)
