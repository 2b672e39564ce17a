"""How long a new configuration takes over a million recorded requests.

The ledger is written by the real store: a thousand clients with users, five hundred
hosts, every path its own, over seven days. Three configurations are asked: ten rules;
ten thousand; and two hundred with schedules and paths, for which no two requests are
the same question.

Not here: rivals; none has such a thing. Invariant: the program is run as an
administrator runs it, from its start to its end, and must have judged every request.
"""

import json
import random
import subprocess
import time
from pathlib import Path

from bench.bench import Bench, say
from bench.load import LoadError
from bench.peers.portway import PROGRAM
from bench.results import Report, Samples, Target
from portway.ledger.ids import new_id
from portway.ledger.store import NAME, SqliteStore
from portway.model import Outcome, Record

RECORDS = 1_000_000
QUICK_RECORDS = 50_000
BOUND = 30.0  # seconds for a million
SPAN = 7 * 86400.0 - 600
BATCH = 1000
VERBS = (("RETR", "read"), ("STOR", "write"), ("LIST", "list"), ("DELE", "delete"))
SECONDS, PACE = "seconds", "a second"
TIMES = "Mon-Fri 08:00-12:00, 13:00-16:00"

HEAD = """\
[gateway]
state = "{state}"
timezone = "Europe/Paris"

[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:2121"

"""
ALL = '[[rules]]\nname = "all"\nwho = ["10.0.0.0/8"]\nthen = "allow"\n'


def plain(count: int) -> str:
    """Return *count* rules that read neither paths nor the time."""
    denied = (
        f'[[rules]]\nname = "no {n}"\nto = ["host{n * 7}.example.net"]\nthen = "deny"\n'
        for n in range(count - 1)
    )
    return "\n".join([*denied, ALL])


def hard(count: int) -> str:
    """Return *count* rules of which each reads a path and the time."""
    denied = (
        f'[[rules]]\nname = "no {n}"\nto = ["host{n}.example.net/in/*.zip"]\n'
        f'when = "{TIMES}"\nthen = "deny"\n'
        for n in range(count - 1)
    )
    return "\n".join([*denied, ALL])


RULES = {
    "10 rules": plain(10),
    "10,000 rules": plain(10_000),
    "200 rules, paths, times": hard(200),
}


def measure(bench: Bench) -> Report:
    """Write the ledger, then take turns between the configurations."""
    report = Report("Replay", (SECONDS, PACE))
    samples = Samples()
    count = QUICK_RECORDS if bench.quick else RECORDS
    folder = bench.new_folder()
    say(f"writing {count} records")
    fill(folder / NAME, count)
    for _ in range(bench.rounds):
        for name, rules in RULES.items():
            say(name)
            seconds = _replay(folder, rules, count)
            samples.add(name, SECONDS, seconds)
            samples.add(name, PACE, count / seconds)
    for name in RULES:
        figures = samples.get(name, SECONDS), samples.get(name, PACE)
        report.rows.append((f"{count:,} records, {name}", figures))
        figure = None if bench.quick else figures[0]
        why = "a quick run replays fewer"
        report.targets.append(
            Target("-", f"replay, {name}", figure, BOUND, "s", why=why)
        )
    return report


def fill(path: Path, count: int) -> None:
    """Write *count* records of the last seven days."""
    chance = random.Random(7)
    store = SqliteStore(path)
    store.open()
    start = time.time() - SPAN
    for done in range(0, count, BATCH):
        rows = [
            _record(chance, start + SPAN * number / count, number)
            for number in range(done, min(done + BATCH, count))
        ]
        store.write(rows)
    store.close()


def _record(chance: random.Random, at: float, number: int) -> Record:
    client, host = chance.randrange(1000), chance.randrange(500)
    method, action = VERBS[number % len(VERBS)]
    name, path = (
        f"host{host}.example.net",
        f"/in/{number}.{chance.choice(('zip', 'tar'))}",
    )
    return Record(
        id=new_id(at),
        time=at,
        duration=0.2,
        session=f"{number // 20:026}",
        seq=number % 20 + 1,
        protocol="ftp",
        listener="ftp",
        mode="forward",
        client=f"10.0.{client >> 8}.{client & 255}",
        client_port=40_000,
        user=f"user{client}",
        by="password",
        method=method,
        action=action,
        url=f"ftp://{name}{path}",
        host=name,
        port=21,
        path=path,
        address=f"203.0.113.{host & 255}",
        verdict="allow",
        rule="all",
        rule_at="portway.toml:12",
        outcome=Outcome.OK,
        status="226",
        bytes_down=10_000,
        server_login="joe",
        facts={"client_data": "PASV", "server_data": "PASV", "type": "binary"},
    )


def _replay(state: Path, rules: str, count: int) -> float:
    """Return the seconds that a replay took. Raises LoadError."""
    configuration = state / "new.toml"
    text = HEAD.replace("{state}", str(state)) + rules
    configuration.write_text(text, encoding="utf-8")
    command = [str(PROGRAM), "replay", "-c", str(configuration), "--since", "8d"]
    began = time.monotonic()
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.monotonic() - began
    judged = ended.stdout.partition(" requests")[0].replace(",", "")
    if ended.returncode or json.loads(judged or "0") != count:
        raise LoadError(f"replay: {ended.stderr.strip() or ended.stdout[:200]}")
    return seconds
