"""Which sources of accounts there are, and the directory that they make together.

Not here: any source. Invariant: what ``[login]`` names is made here and nowhere else,
and a directory that a reload replaces may still answer who asked it before.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from portway.config.schema import Logins
from portway.users import htpasswd, ldap, pam, radius
from portway.users.accounts import NAME, SOURCE
from portway.users.chain import SECONDS, Chain
from portway.users.directory import Source
from portway.users.local import LocalAccounts

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Ground:
    """What sources stand on: their settings, the state folder, and the time.

    *clock* gives seconds since the epoch.
    """

    logins: Logins
    state: Path
    clock: Callable[[], float]


# The word in ``[login] sources``, and what it makes.
SOURCES: Mapping[str, Callable[[Ground], Source]] = {
    SOURCE: lambda ground: LocalAccounts(ground.state / NAME, ground.clock),
    htpasswd.NAME: lambda ground: htpasswd.HtpasswdSource(
        given(ground.logins.htpasswd)
    ),
    ldap.NAME: lambda ground: ldap.LdapSource(given(ground.logins.ldap)),
    radius.NAME: lambda ground: radius.RadiusSource(given(ground.logins.radius)),
    pam.NAME: lambda ground: pam.PamSource(given(ground.logins.pam)),
}


def given(settings: S | None) -> S:
    """Return the settings of a source; that they are there was checked at load."""
    if settings is None:
        raise ValueError("a source without its table")
    return settings


def open_directory(ground: Ground) -> Chain:
    """Return the directory that ``[login]`` describes. It is to be closed."""
    logins = ground.logins
    return Chain([SOURCES[word](ground) for word in logins.sources], logins.on_failure)


class Directories:
    """The directory that is in use, and the one that a reload may put in its place."""

    def __init__(self, state: Path, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._used: tuple[Logins, Chain] | None = None
        self._next: tuple[Logins, Chain] | None = None

    def of(self, logins: Logins) -> Chain:
        """Return the directory for *logins*: the one in use, if nothing has changed."""
        if self._used is not None and self._used[0] == logins:
            return self._used[1]
        if self._next is not None:
            self._next[1].close()  # of a reload that came to nothing
        chain = open_directory(Ground(logins, self._state, self._clock))
        self._next = logins, chain
        return chain

    def settle(self) -> None:
        """Use what was asked for last; what it replaces is closed a little later."""
        if self._next is None:
            return
        retired, self._used, self._next = self._used, self._next, None
        if retired is not None:
            _, chain = retired
            longest = SECONDS * len(SOURCES) + 1.0
            asyncio.get_running_loop().call_later(longest, chain.close)

    def close(self) -> None:
        """Close what is open."""
        for pair in (self._used, self._next):
            if pair is not None:
                pair[1].close()
