"""What every measured proxy is to the scenarios.

Not here: any proxy. Invariant: a peer's configuration allows one login to one server
and logs what it does, as its package does by default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.peers.install import FOLDER
from bench.processes import Command

BY = " by "


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy to measure.

    *command*, given an empty folder and a port, writes the configuration and returns
    what to start. *version* returns the version, or the empty string if the proxy is
    not there. *idle* is how many idle sessions are opened to weigh one.
    """

    name: str
    command: Callable[[Path, int], Command]
    version: Callable[[], str]
    idle: int

    @property
    def program(self) -> str:
        """The name without its door: ``Squid`` of ``Squid by CONNECT``."""
        return self.name.partition(BY)[0]


def binary(name: str, path: str) -> Path:
    """Return where the unpacked package *name* has *path*."""
    return FOLDER / name / path


def libraries(name: str) -> dict[str, str]:
    """Return the environment in which *name*'s programs find their libraries."""
    home = FOLDER / name
    folders = [*home.glob("usr/lib/*-linux-gnu"), *home.glob("lib/*-linux-gnu")]
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
