"""Which of several servers gets the next session.

Not here: dialling, and probing whether a server lives; who does tells us what came of
it. Invariant: a server that is down gets nobody, and who is sticky to a server that
lives stays with it whatever becomes of the others.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from portway.model import Endpoint

Balance = Literal["round-robin", "least-sessions", "random", "source", "user"]

DOWN_TIME = 30.0  # seconds without sessions, for a server that failed one


@dataclass(slots=True)
class Server:
    """One of a farm's. *sessions* are those that it has now.

    *up* is what probes have found, *failures* and *successes* how many of them in a
    row; *down_until* is when a server that failed a session may have the next.
    """

    at: Endpoint
    sessions: int = 0
    up: bool = True
    failures: int = 0
    successes: int = 0
    down_until: float = 0.0

    def lives(self, now: float) -> bool:
        """Say whether it may get a session at *now*, in seconds of any one clock."""
        return self.up and now >= self.down_until

    def state(self, now: float) -> str:
        """Return how it is, in a word: down, as probes say, or out for a while."""
        if not self.up:
            return "down"
        return "up" if self.lives(now) else "out"


class Farm:
    """Servers that are as good as each other, and their state."""

    def __init__(self, servers: Sequence[Endpoint], balance: Balance) -> None:
        self.servers = tuple(Server(at) for at in servers)
        self.balance = balance
        self._turn = 0

    def share(self, known: dict[Endpoint, Server]) -> None:
        """Take over what is *known* of the same servers, and add the others to it."""
        self.servers = tuple(known.setdefault(one.at, one) for one in self.servers)

    def order(self, key: str, now: float) -> list[Server]:
        """Return the servers that live, the one to try first at the beginning.

        *key* is whom the session is for: a user's name, or an address.
        """
        living = [server for server in self.servers if server.lives(now)]
        match self.balance:
            case "round-robin":
                self._turn += 1
                start = self._turn % len(living) if living else 0
                return living[start:] + living[:start]
            case "least-sessions":
                random.shuffle(living)  # among equals
                return sorted(living, key=_sessions)
            case "random":
                random.shuffle(living)
                return sorted(living[:2], key=_sessions) + living[2:]
            case "source" | "user":
                return sorted(living, key=lambda server: _weight(server, key))

    def failed(self, server: Server, now: float) -> None:
        """Take note that *server* failed a session before it had begun."""
        server.down_until = now + DOWN_TIME

    def probed(self, server: Server, *, well: bool, fall: int, rise: int) -> bool:
        """Take note of a probe; return whether *server* went up or down by it.

        It goes down after *fall* probes in a row that failed, and up after *rise*
        that did not.
        """
        server.failures = 0 if well else server.failures + 1
        server.successes = server.successes + 1 if well else 0
        enough = server.successes >= rise if well else server.failures >= fall
        changed = enough and server.up is not well
        if changed:
            server.up = well
        if well and enough:
            server.down_until = 0.0
        return changed


def _sessions(server: Server) -> int:
    return server.sessions


def _weight(server: Server, key: str) -> bytes:
    """Rank *server* for *key*: rendezvous hashing (Thaler and Ravishankar, 1998)."""
    words = f"{server.at}\0{key}".encode(errors="surrogateescape")
    return blake2b(words, digest_size=8).digest()
