"""P12: what the rules take to decide, with ten of them and with ten thousand.

Only the last rule matches what is asked; those before it are for other people, other
servers or other times. Asked is about a server outside, at an address that is known.

Not here: listed domains (growth.py), and what else a request costs. Invariant: the same
question is asked of all, in turns, and all give the same answer.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

from msgspec.structs import replace as replace_keys

from bench.bench import Bench, say
from bench.results import Report, Samples, Target, ratio
from portway.config import schema
from portway.model import Access, Action
from portway.policy.compile import compile_rules
from portway.policy.rules import Ruleset
from portway.protocols.registry import METHODS

# Ten thousand rules are 1250 bytes a set, some of which are joined: 1 or 2 µs, which a
# session of a millisecond does not feel; what it does feel, growth.py says.
FLAT = 1.3
COUNTS = (10, 1000, 10_000)
NOW = 1795428000.0  # 2026-11-23 10:00 UTC, a Monday
ASKED = 2000  # decisions at a time
ROUNDS = 7
GROUPS = 100
CPU = "CPU µs"

ACCESS = Access(
    protocol="ftp",
    client=ip_address("10.200.0.7"),
    user="alice",
    action=Action.READ,
    method="RETR",
    host="ftp.example.org",
    port=21,
    address=ip_address("203.0.113.7"),
    path="/pub/some/file.txt",
)

Words = dict[str, tuple[str, ...]]


def _plain(n: int) -> Words:
    """Return a rule about an address, and one about a server, in turns."""
    if n % 2:
        return {"who": (f"10.{n >> 8 & 63}.{n & 255}.0/24",), "do": ("read", "list")}
    return {"to": (f"ftp{n}.example.net/in/**", f"ftp{n}.example.net")}


def _grouped(n: int) -> Words:
    """Return a rule about a group, and now and then a MAC address or a user."""
    mac = f"mac:02:00:00:00:{n >> 8 & 255:02x}:{n & 255:02x}"
    return {"who": (f"group:g{n % GROUPS}", mac, f"user:u{n}")}


def _timed(n: int) -> Words:
    """Return a rule that holds at other times; schools have some dozens of them."""
    return {"when": (f"Sat {n % 24:02}:00-{n % 24:02}:{n % 30 + 10}",)}


KINDS: dict[str, Callable[[int], Words]] = {
    "addresses and servers": _plain,
    "groups and MACs": _grouped,
    "times": _timed,
}


def rules_of(kind: Callable[[int], Words], count: int) -> Ruleset:
    """Return *count* rules, of which the last one matches ACCESS."""
    rules = [
        replace_keys(
            schema.Rule(where="", lines={}, name=f"no {n}", then="deny"), **kind(n)
        )
        for n in range(count - 1)
    ]
    last = schema.Rule(where="", lines={}, name="all", then="allow")
    groups = tuple(
        schema.Group(
            name=f"g{n}",
            where="",
            members=(f"user:m{n}", f"10.{100 + n}.0.0/16"),
            lines=("", ""),
        )
        for n in range(GROUPS)
    )
    compiled, problems = compile_rules(
        (*rules, last), timezone="Europe/Paris", protocols=METHODS, groups=groups
    )
    if problems:
        raise ValueError(str(problems[0]))
    return compiled


def cost(rules: Ruleset, access: Access) -> float:
    """Return CPU microseconds a decision."""
    if rules.decide(access, NOW).rule != "all":
        raise ValueError("another rule decided")
    began = time.thread_time()
    for _ in range(ASKED):
        rules.decide(access, NOW)
    return (time.thread_time() - began) * 1e6 / ASKED


def measure(bench: Bench) -> Report:
    """Measure each kind of rules at each size; a quick run does no less."""
    del bench
    report = Report("P12  decision (Portway)", (CPU,))
    samples = Samples()
    access = replace(
        ACCESS, groups=frozenset({"other", "pupils"}), mac="02:ff:00:00:00:01"
    )
    for name, kind in KINDS.items():
        say(f"deciding by {name}")
        found = {count: rules_of(kind, count) for count in COUNTS}
        for _ in range(ROUNDS):
            for count, rules in found.items():
                samples.add(f"{name}, {count}", CPU, cost(rules, access))
    rows = [f"{name}, {count}" for name in KINDS for count in COUNTS]
    report.rows = [(row, (samples.get(row, CPU),)) for row in rows]
    for name in KINDS:
        few, many = f"{name}, {COUNTS[0]}", f"{name}, {COUNTS[-1]}"
        grown = ratio(samples.get(many, CPU), samples.get(few, CPU))
        report.targets.append(
            Target(
                "P12",
                f"decision CPU, {COUNTS[-1]} to {COUNTS[0]} ({name})",
                grown,
                FLAT,
            )
        )
    return report
