"""The composition root: what a gateway is made of, its start, reload and end.

Not here: anything that one of its parts can do. Invariant: what a reload brings is
built whole before it is swapped in, and whatever fails leaves the old as it was.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from portway import __version__
from portway.administration import SIGNAL, Administration
from portway.admission import Admission, possible
from portway.authorities import Authorities
from portway.config.schema import Configuration
from portway.control import Answer, Call, Control, ControlError, Status
from portway.errors import ConfigurationError, Problem
from portway.health import Health
from portway.ledger.choice import store_of
from portway.ledger.files import LogFiles
from portway.ledger.live import Live
from portway.ledger.retention import retention_of
from portway.ledger.writer import Writer
from portway.listeners import Listeners
from portway.model import Endpoint
from portway.net.doors import Doors
from portway.net.idle import Idle
from portway.net.linger import close_lingering
from portway.net.pinned import Pinned
from portway.net.resolve import SystemResolver
from portway.net.systemd import notify, take_sockets
from portway.prepare import Prepared, prepare
from portway.privileges import become, keep_no_cores
from portway.protocols.registry import HANDSHAKES
from portway.relay.counters import NAME as QUOTAS
from portway.relay.counters import Counters
from portway.relay.limiter import Limiter
from portway.relay.pipes import Pipes
from portway.services import Current, Services
from portway.sessions import Sessions
from portway.users.roster import account_names
from portway.users.sources import Directories
from portway.users.turnstile import Turnstile
from portway.watch import Watch

YOUNG = 20_000  # new objects between two rounds of the collector
WRITE_OUT_TIME = 5.0  # seconds for the ledger's last records
KEPT = "the configuration that runs was kept"

log = logging.getLogger(__name__)


def serve(path: Path | None, loop: str = "auto") -> int:
    """Run a gateway until it is told to stop; return the exit code.

    *path* None is the embedded default. *loop* is auto, asyncio or uvloop. Raises
    ConfigurationError; OSError for what the system refuses.
    """
    keep_no_cores()
    prepared = prepare(path, accounts=account_names)
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        return runner.run(Gateway(path, prepared).run())


def loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop; uvloop is optional."""
    if loop == "asyncio":
        return None
    # libuv would batch the changes to its epoll by io_uring, at a call each: more than
    # they cost by themselves
    os.environ.setdefault("UV_USE_IO_URING", "0")
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
        self._reloading = asyncio.Lock()
        self._admission = Admission(possible(configuration.limits))
        self._resolver = SystemResolver()
        self._pipes = Pipes()
        self._idle = Idle()
        self._pinned = Pinned()
        clock = time.time  # noqa: TID251 - this is where clocks come from
        self._limiter = Limiter(
            clock,
            zone=zone_of(configuration),
            store=Counters(self._state / QUOTAS, clock),
        )
        self._directories = Directories(self._state, clock)
        self._authorities = Authorities(self._state, clock)
        self._turnstile = Turnstile()
        self._writer = Writer(
            store_of(configuration.ledger, self._state),
            log_files(configuration),
            retention=retention_of(configuration.ledger),
            clock=time.time,  # noqa: TID251 - this is where clocks come from
        )
        self._live = Live(self._writer)
        self._current = Current(self._services(prepared, Doors()))
        self._health = Health(self._resolver)
        self._watch = Watch(self._current, prepared, self._reloading)
        self._listeners = Listeners(take_sockets(os.environ))
        self._sessions: Sessions | None = None
        self._administration: Administration | None = None
        self._since = clock()

    def _services(self, prepared: Prepared, doors: Doors) -> Services:
        configuration = prepared.configuration
        intercepts = prepared.rules.intercepts
        return Services(
            rules=prepared.rules,
            directory=self._directories.of(configuration.logins),
            turnstile=self._turnstile,
            sink=self._writer,
            live=self._live,
            resolver=self._resolver,
            pipes=self._pipes,
            limiter=self._limiter,
            doors=doors,
            clock=time.time,  # noqa: TID251 - this is where clocks come from
            handshakes=HANDSHAKES,
            farms=prepared.farms,
            idle=self._idle,
            contact=configuration.gateway.contact,
            places=places_of(configuration),
            authority=self._authorities.of(configuration) if intercepts else None,
            ca=configuration.ca,
            pinned=self._pinned,
        )

    async def run(self) -> int:
        """Run until a signal says stop."""
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            control = Control(self._answer)
            await control.listen(self._state)
        except OSError as error:
            if isinstance(error, ControlError):
                raise
            raise OSError(error.errno, error.strerror, str(self._state)) from error
        try:
            self._writer.open()
            self._limiter.start()
            await self._serve()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await control.close()
            await self._close()
        return 0

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            runs = (self._live.run(), self._watch.run(), self._health.run())
            minders = [tasks.create_task(run) for run in runs]
            self._sessions = sessions = Sessions(self._current, self._admission, tasks)
            self._administration = administration = Administration(
                self._current,
                sessions,
                reload=self._reload,
                status=self._status,
                doors=lambda: [door for _, door in self._listeners.doors()],
            )
            try:
                self._open(self._watch.prepared, self._current.services, sessions)
                self._ready(
                    lambda: tasks.create_task(self._reload_by_signal(administration))
                )
                await self._stopping.wait()
                await self._drain(sessions)
            finally:
                await sessions.cut()
                self._listeners.close()
                for task in minders:
                    task.cancel()

    def _ready(self, reload: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, reload)
        self._lay_down_root()
        self._writer.start()
        for endpoint, door in self._listeners.doors():
            say(f"{door.protocol} listens on {endpoint} (listen.{door.listener})")
        # What lives as long as the gateway need not be looked at again and again, and
        # sessions make few cycles: their objects go when they end.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, 20, 50)
        say("ready")
        notify("READY=1", os.environ)

    def _lay_down_root(self) -> None:
        """Go on as `gateway.user`, if root has started us. Raises OSError."""
        user = self._configuration.gateway.user
        if os.geteuid() != 0:
            return
        if user:
            become(user, self._state)
        elif not self._listeners.only_loopback:
            cure = "name a user to go on as: gateway.user"
            log.warning("gateway.root", extra={"cure": cure})

    def _open(self, prepared: Prepared, services: Services, sessions: Sessions) -> None:
        """Open what *prepared* listens on and swap *services* in, or neither.

        Raises ConfigurationError.
        """

        def swap(doors: Doors) -> None:
            known = self._current.services.farms
            for name in services.farms.keys() & known.keys():
                services.farms[name].inherit(known[name])
            self._current.services = replace(services, doors=doors)
            self._directories.settle()
            configuration, contexts = prepared.configuration, prepared.contexts
            self._health.mind(configuration, contexts, services.farms)

        self._listeners.open(prepared.configuration, prepared.contexts, sessions, swap)

    # Reload.

    async def _answer(self, call: Call) -> Answer:
        if self._administration is None:
            text = "the gateway is about to start; ask again"
            return Answer(done=False, lines=(text,), fault="refused")
        return await self._administration.answer(call)

    def _status(self) -> Status:
        configuration = self._configuration
        return Status(
            name=configuration.gateway.name,
            version=__version__,
            pid=os.getpid(),
            since=self._since,
            configuration=configuration.path,
            listeners=tuple(
                f"{door.listener} {door.protocol} {at}"
                for at, door in self._listeners.doors()
            ),
            rules=len(configuration.rules),
            sessions=len(self._sessions or ()),
            exchanges=len(self._live),
            waiting=self._writer.pending,
            draining=self._stopping.is_set(),
        )

    async def _reload_by_signal(self, administration: Administration) -> None:
        self._writer.reopen()
        try:
            answer = await administration.take_anew(SIGNAL)
        except Exception:  # a fault of ours must not end what runs
            log.exception("gateway.reload")
            return
        for line in answer.lines:
            log.log(
                logging.INFO if answer.done else logging.ERROR,
                "gateway.reload",
                extra={"text": line},
            )

    async def _reload(self) -> Answer:
        """Take the configuration anew, whole or not at all."""
        async with self._reloading:
            now = time.monotonic_ns() // 1000
            notify(f"RELOADING=1\nMONOTONIC_USEC={now}", os.environ)
            try:
                # long lists take long to read, and clients do not wait for that
                prepared = await asyncio.to_thread(self._watch.prepare, self._path)
                lines = self._take_anew(prepared)
            except ConfigurationError as error:
                lines = (*map(str, error.problems), KEPT)
                return Answer(done=False, lines=lines, fault="refused")
            finally:
                notify("READY=1", os.environ)
        return Answer(done=True, lines=lines)

    def _take_anew(self, prepared: Prepared) -> tuple[str, ...]:
        configuration = prepared.configuration
        ledger, known = configuration.ledger, self._configuration.ledger
        moved = {
            "gateway.state": Path(configuration.gateway.state) != self._state,
            "gateway.user": configuration.gateway.user
            != self._configuration.gateway.user,
            "ledger.store": ledger.store != known.store,
            "ledger.password": ledger.password != known.password,
        }
        text = "cannot change while the gateway runs; restart it"
        fixed = [Problem(configuration.path, key, text) for key in moved if moved[key]]
        if fixed:
            raise ConfigurationError(tuple(fixed))
        if self._sessions is None or self._stopping.is_set():
            return ("the gateway is about to stop",)
        services = self._services(prepared, self._current.services.doors)
        self._open(prepared, services, self._sessions)
        self._configuration = configuration
        self._watch.prepared = prepared
        limits = {rule.name: rule.limits for rule in prepared.rules.rules}
        self._limiter.change(zone_of(configuration), limits)
        self._admission.limits = possible(configuration.limits)
        self._writer.change(
            log_files(configuration), retention=retention_of(configuration.ledger)
        )
        return (f"{len(self._listeners)} listeners, {len(configuration.rules)} rules",)

    # The end.

    def _stop(self) -> None:
        """A first signal drains, a second one ends at once."""
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()

    async def _drain(self, sessions: Sessions) -> None:
        notify("STOPPING=1", os.environ)
        self._listeners.close()
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
        self._idle.close()
        self._listeners.close_given()
        await asyncio.to_thread(self._writer.close, WRITE_OUT_TIME)
        await asyncio.to_thread(self._limiter.close)
        self._directories.close()
        self._resolver.close()
        self._pipes.close()


def places_of(configuration: Configuration) -> dict[str, tuple[Endpoint, ...]]:
    """Return where clients find each protocol, as it is configured."""
    found: dict[str, tuple[Endpoint, ...]] = {}
    for listener in configuration.listeners:
        if listener.mode == "forward":
            known = found.get(listener.protocol, ())
            found[listener.protocol] = (*known, *listener.address)
    return found


def say(line: str) -> None:
    """Print a line of the start at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def log_files(configuration: Configuration) -> LogFiles:
    """Return the log files that *configuration* names."""
    return LogFiles(configuration.ledger.file, zone_of(configuration))


def zone_of(configuration: Configuration) -> ZoneInfo | None:
    """Return the gateway's time zone, None for the system's."""
    zone = configuration.gateway.timezone
    return ZoneInfo(zone) if zone else None
