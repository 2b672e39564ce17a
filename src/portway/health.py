"""Which servers of reverse doors live: each is asked, again and again.

Not here: how a server is asked, which its protocol says, and who gets which
(net.balance). Invariant: what is found is kept across a reload, and nothing that a
server does, or a fault of ours, ends the asking.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from portway.config.reverse import Health as Settings
from portway.config.reverse import ReverseSettings
from portway.config.schema import Configuration
from portway.errors import PortwayError
from portway.net.balance import Farm, Server
from portway.net.contexts import TlsContexts
from portway.net.resolve import Resolver
from portway.policy.routes import Farms
from portway.protocol import Probe
from portway.protocols.registry import PROTOCOLS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patient:
    """A server that is asked, and how."""

    listener: str
    farm: Farm
    server: Server
    settings: Settings
    probe: Probe


class Health:
    """Asks the servers of all doors that say so."""

    __slots__ = ("_changed", "_patients", "_resolver")

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._patients: tuple[Patient, ...] = ()
        self._changed = asyncio.Event()

    def mind(
        self,
        configuration: Configuration,
        contexts: Mapping[str, TlsContexts],
        farms: Mapping[str, Farms],
    ) -> None:
        """Ask the servers of *farms* from now on, and no others."""
        self._patients = tuple(self._found(configuration, contexts, farms))
        self._changed.set()

    def _found(
        self,
        configuration: Configuration,
        contexts: Mapping[str, TlsContexts],
        farms: Mapping[str, Farms],
    ) -> Iterator[Patient]:
        for listener in configuration.listeners:
            settings, there = listener.settings, farms.get(listener.name)
            make = PROTOCOLS[listener.protocol].probe
            if there is None or make is None:
                continue
            if isinstance(settings, ReverseSettings) and settings.health is not None:
                probe = make(listener, contexts[listener.name], self._resolver)
                farm = there.whole
                for server in farm.servers:
                    yield Patient(listener.name, farm, server, settings.health, probe)

    async def run(self) -> None:
        """Ask them, until cancelled."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(_ask(one)) for one in self._patients]
                await self._changed.wait()
                for task in asking:
                    task.cancel()


async def _ask(patient: Patient) -> None:
    while True:
        try:
            note(patient, await _fault(patient))
        except Exception:  # a fault of ours must not end what runs
            log.exception("farm.probe_failed")
        await asyncio.sleep(patient.settings.every)


async def _fault(patient: Patient) -> str:
    """Return what is wrong with the server; nothing if it lives."""
    try:
        async with asyncio.timeout(patient.settings.timeout):
            await patient.probe(patient.server.at)
    except PortwayError as error:
        return error.text
    except TimeoutError:
        return "no answer in time"
    return ""


def note(patient: Patient, fault: str) -> None:
    """Take note of a probe, and log what changed by it."""
    wanted, server = patient.settings, patient.server
    changed = patient.farm.probed(
        server, well=not fault, fall=wanted.fall, rise=wanted.rise
    )
    if not changed:
        return
    extra = {"listener": patient.listener, "server": str(server.at)}
    if fault:
        log.warning("farm.server_down", extra={**extra, "error": fault})
    else:
        log.info("farm.server_up", extra=extra)
