"""The sockets that clients come in by, opened and closed as a configuration says.

Not here: the clients (sessions.py). Invariant: of what a configuration listens on, all
is open or nothing is changed; a socket that two of them name is never closed between.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping

from portway.config.schema import Configuration, Listener
from portway.errors import ConfigurationError, Problem
from portway.model import Endpoint
from portway.net.capture import RightLackingError, take_any_address
from portway.net.contexts import TlsContexts
from portway.net.doors import Doors
from portway.net.ends import address_of, endpoint_of
from portway.net.listen import bind
from portway.protocols.registry import PROTOCOLS
from portway.services import Door
from portway.sessions import Entrance, Sessions


class Listeners:
    """All listening sockets of a gateway; *given* are those that systemd opened."""

    __slots__ = ("_bindings", "_entrances", "_given", "_sockets", "_tasks")

    def __init__(self, given: dict[Endpoint, socket.socket]) -> None:
        self._given = given
        self._tasks: dict[Endpoint, asyncio.Task[None]] = {}
        self._entrances: dict[Endpoint, Entrance] = {}
        self._sockets: dict[Endpoint, socket.socket] = {}  # which the tasks close
        # what was configured (a name, any port), and what it came to
        self._bindings: dict[Endpoint, tuple[Endpoint, ...]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def doors(self) -> Iterator[tuple[Endpoint, Door]]:
        """Yield where each is, and what it is called."""
        for endpoint, entrance in self._entrances.items():
            yield endpoint, entrance.door

    @property
    def only_loopback(self) -> bool:
        """Whether nobody else than this machine can reach one."""
        return all(address_of(one).is_loopback for one in self._entrances)

    def open(
        self,
        configuration: Configuration,
        contexts: Mapping[str, TlsContexts],
        sessions: Sessions,
        swap: Callable[[Doors], None],
    ) -> None:
        """Open what *configuration* listens on.

        *contexts* has those of each listener by its name.
        *swap* is called once all of it is bound, before anybody comes in. Listeners
        that it does not name are closed; those that stay get what it says of them.
        Raises ConfigurationError, and then nothing is changed.
        """
        wanted, fresh = self._bound(configuration)
        swap(Doors((address_of(at), at.port) for at in wanted))
        for endpoint in [at for at in self._tasks if at not in wanted]:
            self._tasks.pop(endpoint).cancel()
            del self._entrances[endpoint], self._sockets[endpoint]
        for endpoint, listener in wanted.items():
            entrance = make_entrance(
                configuration.gateway.name, listener, contexts[listener.name], endpoint
            )
            if endpoint in fresh:
                self._entrances[endpoint] = entrance
                self._sockets[endpoint] = fresh[endpoint]
                task = sessions.listen(fresh[endpoint], entrance)
                self._tasks[endpoint] = task
            else:
                there = self._entrances[endpoint]
                there.door, there.handler = entrance.door, entrance.handler
                there.too_many = entrance.too_many
                there.balancers = entrance.balancers

    def _bound(
        self, configuration: Configuration
    ) -> tuple[dict[Endpoint, Listener], dict[Endpoint, socket.socket]]:
        """Bind what is not bound yet; all of it, or nothing is left open."""
        wanted: dict[Endpoint, Listener] = {}
        fresh: dict[Endpoint, socket.socket] = {}
        problems = []
        for listener in configuration.listeners:
            for endpoint in listener.address:
                try:
                    found = self._bind(endpoint, captures=listener.settings.captures)
                except RightLackingError as error:
                    problems.append(
                        Problem(listener.where, "capture", str(error.strerror))
                    )
                    continue
                except OSError as error:
                    text = f"{endpoint}: {error.strerror or error}"
                    problems.append(Problem(listener.where, "address", text))
                    continue
                wanted.update(dict.fromkeys(found, listener))
                fresh.update({at: sock for at, sock in found.items() if sock})
        if problems:
            for sock in fresh.values():
                sock.close()
            raise ConfigurationError(tuple(problems))
        return wanted, fresh

    def _bind(
        self, endpoint: Endpoint, *, captures: bool
    ) -> dict[Endpoint, socket.socket | None]:
        """Return the sockets for *endpoint*; None for one that is listened on."""
        known = self._bindings.get(endpoint, ())
        if known and all(at in self._tasks for at in known):
            for at in known if captures else ():
                take_any_address(self._sockets[at])
            return dict.fromkeys(known)
        if endpoint in self._given:
            if captures:
                take_any_address(self._given[endpoint])
            self._bindings[endpoint] = (endpoint,)
            return {endpoint: self._given.pop(endpoint)}
        sockets = bind(endpoint, captures=captures)
        found = {endpoint_of(sock.getsockname()): sock for sock in sockets}
        self._bindings[endpoint] = tuple(found)
        return dict(found)

    def close(self) -> None:
        """Close all that were opened."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def close_given(self) -> None:
        """Close what systemd opened and no configuration has named."""
        for sock in self._given.values():
            sock.close()


def make_entrance(
    name: str, listener: Listener, contexts: TlsContexts, at: Endpoint
) -> Entrance:
    """Return what the clients of *listener* get *at* one place; *name* is ours."""
    protocol = PROTOCOLS[listener.protocol]
    return Entrance(
        Door(
            listener.name,
            protocol.name,
            protocol.port,
            listener.mode,
            captures=listener.settings.captures,
            login=listener.login,
            at=at,
        ),
        protocol.handler(name, listener, contexts),
        protocol.too_many(name),
        listener.settings.balancers,
    )
