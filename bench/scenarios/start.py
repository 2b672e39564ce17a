"""P11: the time from starting a proxy to its first 220.

Not here: the first start ever, which compiles Python files. Invariant: each start finds
a new, empty folder.
"""

from bench.bench import FAILURES, Bench, say
from bench.peers.portway import PORTWAY
from bench.results import Report, Samples, Target

SECONDS = "seconds"


def measure(bench: Bench) -> Report:
    """Start each peer several times, in turn."""
    report = Report("P11  start", (SECONDS,))
    samples = Samples()
    starts = 3 if bench.quick else 7
    for attempt in range(starts + 1):
        say(f"start {attempt} of {starts}" if attempt else "a start that warms up")
        for peer in bench.peers:
            try:
                with bench.running(peer) as running:
                    if attempt:
                        samples.add(peer.name, SECONDS, running.start_seconds)
            except FAILURES as error:
                bench.failed(peer.name, report, error)
    for peer in bench.peers:
        if (figure := samples.get(peer.name, SECONDS)) is not None:
            report.rows.append((peer.name, (figure,)))
    figure = samples.get(PORTWAY.name, SECONDS)
    report.targets = [Target("P11", "first answer after", figure, 0.5, "s")]
    return report
