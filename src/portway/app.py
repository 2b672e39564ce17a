"""The composition root: what a gateway is made of, its start, reload and end.

Not here: anything that one of its parts can do. Invariant: what a reload brings is
built whole before it is swapped in, and whatever fails leaves the old as it was.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from portway.admission import Admission, possible
from portway.config.schema import Configuration, Listener
from portway.control import Answer, ControlError, Request, listen
from portway.errors import ConfigurationError, Problem
from portway.ledger.files import LogFiles
from portway.ledger.live import Live
from portway.ledger.store import NAME as LEDGER
from portway.ledger.store import SqliteStore
from portway.ledger.writer import Writer
from portway.model import Endpoint
from portway.net.doors import Doors
from portway.net.linger import close_lingering
from portway.net.listen import bind
from portway.net.resolve import SystemResolver
from portway.net.stream import address_of, endpoint_of
from portway.net.systemd import notify, take_sockets
from portway.prepare import Prepared, prepare
from portway.protocols.registry import PROTOCOLS
from portway.relay.pipes import Pipes
from portway.services import Current, Door, Services
from portway.sessions import Entrance, Sessions
from portway.users.local import NAME as ACCOUNTS
from portway.users.local import LocalAccounts

YOUNG = 20_000  # new objects between two rounds of the collector
WRITE_OUT_TIME = 5.0  # seconds for the ledger's last records

log = logging.getLogger(__name__)


def serve(path: Path | None, loop: str = "auto") -> int:
    """Run a gateway until it is told to stop; return the exit code.

    *path* None is the embedded default. *loop* is auto, asyncio or uvloop. Raises
    ConfigurationError; OSError for what the system refuses.
    """
    prepared = prepare(path)
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        return runner.run(Gateway(path, prepared).run())


def loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop; uvloop is optional."""
    if loop == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:
        if loop == "uvloop":
            raise OSError("uvloop is not installed; use --loop asyncio") from None
        return None
    return uvloop.new_event_loop


class Gateway:
    """One running gateway."""

    def __init__(self, path: Path | None, prepared: Prepared) -> None:
        self._path = path
        self._configuration = configuration = prepared.configuration
        self._state = Path(configuration.gateway.state)
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._admission = Admission(possible(configuration.limits))
        self._resolver = SystemResolver()
        self._pipes = Pipes()
        self._directory = LocalAccounts(self._state / ACCOUNTS)
        self._writer = Writer(
            SqliteStore(self._state / LEDGER),
            log_files(configuration),
            keep=configuration.ledger.keep,
            clock=time.time,  # noqa: TID251 - this is where clocks come from
        )
        self._live = Live(self._writer)
        self._current = Current(self._services(prepared, Doors()))
        self._sockets: dict[Endpoint, asyncio.Task[None]] = {}
        self._entrances: dict[Endpoint, Entrance] = {}
        # what was configured (a name, any port), and what it came to
        self._bindings: dict[Endpoint, tuple[Endpoint, ...]] = {}
        self._given = take_sockets(os.environ)
        self._sessions: Sessions | None = None

    def _services(self, prepared: Prepared, doors: Doors) -> Services:
        return Services(
            rules=prepared.rules,
            directory=self._directory,
            sink=self._writer,
            live=self._live,
            resolver=self._resolver,
            pipes=self._pipes,
            doors=doors,
            clock=time.time,  # noqa: TID251 - this is where clocks come from
        )

    async def run(self) -> int:
        """Run until a signal says stop."""
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            control = await listen(self._state, self._answer)
        except OSError as error:
            if isinstance(error, ControlError):
                raise
            raise OSError(error.errno, error.strerror, str(self._state)) from error
        try:
            self._writer.start()
            await self._serve()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            control.close()
            await self._close()
        return 0

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            rows = tasks.create_task(self._live.run())
            sessions = Sessions(self._current, self._admission, tasks)
            self._sessions = sessions
            try:
                self._open(self._configuration, self._current.services, sessions)
                self._ready()
                await self._stopping.wait()
                await self._drain(sessions)
            finally:
                await sessions.cut()
                self._close_listeners()
                rows.cancel()

    def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)
        if os.geteuid() == 0 and not self._only_loopback:
            log.warning("gateway.root", extra={"cure": "run it as a user of its own"})
        for endpoint, entrance in self._entrances.items():
            door = entrance.door
            say(f"{door.protocol} listens on {endpoint} (listen.{door.listener})")
        # What lives as long as the gateway need not be looked at again and again, and
        # sessions make few cycles: their objects go when they end.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, 20, 50)
        say("ready")
        notify("READY=1", os.environ)

    @property
    def _only_loopback(self) -> bool:
        return all(address_of(one).is_loopback for one in self._entrances)

    # Listeners.

    def _open(
        self, configuration: Configuration, services: Services, sessions: Sessions
    ) -> None:
        """Open what *configuration* listens on and swap *services* in, or neither.

        Raises ConfigurationError. Listeners that it does not name are closed; those
        that stay get what it says of them.
        """
        wanted, fresh = self._bound(configuration)
        doors = Doors((address_of(at), at.port) for at in wanted)
        self._current.services = with_doors(services, doors)
        for endpoint in [at for at in self._sockets if at not in wanted]:
            self._sockets.pop(endpoint).cancel()
            del self._entrances[endpoint]
        for endpoint, listener in wanted.items():
            entrance = make_entrance(configuration.gateway.name, listener)
            if endpoint in fresh:
                self._entrances[endpoint] = entrance
                task = sessions.listen(fresh[endpoint], entrance)
                self._sockets[endpoint] = task
            else:
                there = self._entrances[endpoint]
                there.door, there.handler = entrance.door, entrance.handler
                there.too_many = entrance.too_many

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
                    found = self._bind(endpoint)
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

    def _bind(self, endpoint: Endpoint) -> dict[Endpoint, socket.socket | None]:
        """Return the sockets for *endpoint*; None for one that is listened on."""
        known = self._bindings.get(endpoint, ())
        if known and all(at in self._sockets for at in known):
            return dict.fromkeys(known)
        if endpoint in self._given:
            self._bindings[endpoint] = (endpoint,)
            return {endpoint: self._given.pop(endpoint)}
        found = {endpoint_of(sock.getsockname()): sock for sock in bind(endpoint)}
        self._bindings[endpoint] = tuple(found)
        return dict(found)

    def _close_listeners(self) -> None:
        for task in self._sockets.values():
            task.cancel()
        self._sockets.clear()

    # Reload.

    async def _answer(self, request: Request) -> Answer:
        if request.command == "reload":
            return self._reload()
        return Answer(done=False, lines=(f"no such command: {request.command}",))

    def _reload_by_signal(self) -> None:
        self._writer.reopen()
        answer = self._reload()
        for line in answer.lines:
            log.log(
                logging.INFO if answer.done else logging.ERROR,
                "gateway.reload",
                extra={"text": line},
            )

    def _reload(self) -> Answer:
        """Take the configuration anew, whole or not at all."""
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", os.environ)
        try:
            lines = self._take_anew()
        except ConfigurationError as error:
            kept = "the configuration that runs was kept"
            return Answer(done=False, lines=(*map(str, error.problems), kept))
        finally:
            notify("READY=1", os.environ)
        return Answer(done=True, lines=lines)

    def _take_anew(self) -> tuple[str, ...]:
        prepared = prepare(self._path)
        configuration = prepared.configuration
        if Path(configuration.gateway.state) != self._state:
            text = "cannot change while the gateway runs; restart it"
            raise ConfigurationError(
                (Problem(configuration.path, "gateway.state", text),)
            )
        if self._sessions is None or self._stopping.is_set():
            return ("the gateway is about to stop",)
        services = self._services(prepared, self._current.services.doors)
        self._open(configuration, services, self._sessions)
        self._configuration = configuration
        self._admission.limits = possible(configuration.limits)
        self._writer.change(log_files(configuration), keep=configuration.ledger.keep)
        return (f"{len(self._sockets)} listeners, {len(configuration.rules)} rules",)

    # The end.

    def _stop(self) -> None:
        """A first signal drains, a second one ends at once."""
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()

    async def _drain(self, sessions: Sessions) -> None:
        notify("STOPPING=1", os.environ)
        self._close_listeners()
        log.info("gateway.draining", extra={"sessions": len(sessions)})
        draining = asyncio.get_running_loop().create_task(
            sessions.drain(self._configuration.gateway.drain)
        )
        at_once = asyncio.get_running_loop().create_task(self._at_once.wait())
        await asyncio.wait({draining, at_once}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        at_once.cancel()
        await asyncio.wait({draining, at_once})

    async def _close(self) -> None:
        close_lingering()
        for sock in self._given.values():
            sock.close()
        await asyncio.to_thread(self._writer.close, WRITE_OUT_TIME)
        self._directory.close()
        self._resolver.close()
        self._pipes.close()


def say(line: str) -> None:
    """Print a line of the start at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def make_entrance(name: str, listener: Listener) -> Entrance:
    """Return what the clients of *listener* get; *name* is the gateway's."""
    protocol = PROTOCOLS[listener.protocol]
    return Entrance(
        Door(listener.name, protocol.name, protocol.port, listener.mode),
        protocol.handler(name, listener),
        protocol.too_many(name),
    )


def log_files(configuration: Configuration) -> LogFiles:
    """Return the log files that *configuration* names."""
    zone = configuration.gateway.timezone
    return LogFiles(configuration.ledger.file, ZoneInfo(zone) if zone else None)


def with_doors(services: Services, doors: Doors) -> Services:
    """Return *services* that know their own *doors*."""
    return Services(
        rules=services.rules,
        directory=services.directory,
        sink=services.sink,
        live=services.live,
        resolver=services.resolver,
        pipes=services.pipes,
        doors=doors,
        clock=services.clock,
    )
