"""Portway itself, with its policy and its ledger on.

Not here: anything it is made of; it is a process like the rivals. Invariant: its
configuration differs between scenarios only in the door's protocol, the number of
rules, of domains in a list that the first of them names, and in what it is told of the
server's side.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from bench.peers.peer import Peer
from bench.processes import LOOPBACK, Command

FILE = "portway.toml"
LIST = "domains.txt"
PROGRAM = Path(sys.executable).with_name("portway")


def _rules(count: int) -> str:
    """Return *count* rules; only the last one matches what the sessions do."""
    denied = [
        f'[[rules]]\nname = "no {number}"\nwho = ["*"]\n'
        f'to = ["host{number}.example.net"]\nthen = "deny"\n'
        for number in range(count - 1)
    ]
    last = '[[rules]]\nname = "all"\nwho = ["127.0.0.1"]\nto = ["*", "inside"]\n'
    return "\n".join([*denied, last + 'then = "allow"\n'])


def _list(folder: Path, domains: int | None) -> str:
    """Return a list of so many *domains*, none of which a session names; and its rule.

    None is no list at all.
    """
    if domains is None:
        return ""
    lines = (f"host{n}.site{n % 1000}.example.net\n" for n in range(domains))
    with (folder / LIST).open("w", encoding="ascii") as file:
        file.writelines(lines)
    return f"""[list.domains]
path = "{LIST}"

[[rules]]
name = "no listed domain"
to = ["@domains"]
then = "deny"
"""


def command(
    folder: Path,
    port: int,
    rules: int = 10,
    domains: int | None = None,
    *,
    protocol: str = "ftp",
    upstream: str = "",
) -> Command:
    """Write a configuration with so many *rules*, and return what to start.

    *upstream* are the keys of the server's side.
    """
    ports = 'ports = ["*"]' if protocol == "http" else ""
    configuration = folder / FILE
    configuration.write_text(
        f"""[gateway]
state = "{state(folder)}"

[listen.bench]
protocol = "{protocol}"
address = "{LOOPBACK}:{port}"
{ports}
[listen.bench.upstream]
{upstream}
{_list(folder, domains)}
{_rules(rules)}""",
        encoding="utf-8",
    )
    hello = b"220" if protocol == "ftp" else b""
    return Command((str(PROGRAM), "serve", "-c", str(configuration)), hello=hello)


def state(folder: Path) -> Path:
    """Return the state directory of the Portway that runs in *folder*."""
    return folder / "state"


def version() -> str:
    """Return the version; empty if there is no Portway that can serve."""
    try:
        words = [str(PROGRAM), "serve", "--help"]
        subprocess.run(words, check=True, capture_output=True)
        return importlib.metadata.version("portway")
    except (OSError, subprocess.CalledProcessError):
        return ""


PORTWAY = Peer("Portway", command, version, idle=5000)
