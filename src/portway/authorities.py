"""The authority of interception that a gateway has, kept from one reload to the next.

Not here: what an authority is (net.authority), and when one is needed. Invariant: the
library for certificates is loaded by those alone who intercept.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from portway.config.schema import Configuration
from portway.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from portway.net.authority import Authority


class Authorities:
    """What is in the folder *state*; *clock* gives seconds since the epoch."""

    __slots__ = ("_clock", "_known", "_state")

    def __init__(self, state: Path, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._known: Authority | None = None

    def of(self, configuration: Configuration) -> "Authority":
        """Return the one of *configuration*, made if need be.

        Raises ConfigurationError.
        """
        permitted = configuration.ca.permitted
        known = self._known
        if known is None or sorted(known.permitted) != sorted(permitted):
            self._known = known = self._open(configuration)
        return known

    def _open(self, configuration: Configuration) -> "Authority":
        # slow to load: see above
        from portway.net.authority import open_authority  # noqa: PLC0415

        name, permitted = configuration.gateway.name, configuration.ca.permitted
        try:
            return open_authority(self._state, name, permitted, self._clock())
        except ValueError as error:
            problem = Problem(configuration.path, "ca", str(error))
        except OSError as error:
            text = f"{error.filename or self._state}: {error.strerror}"
            problem = Problem(configuration.path, "ca", text)
        raise ConfigurationError((problem,))
