"""Looks after the files of named lists while the gateway runs.

Not here: reading them (listfiles.py), and the configuration, which is taken anew only
when somebody says so. Invariant: a list that cannot be taken leaves the one that was in
use, and is told of once, until its file changes again.
"""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from portway.errors import Problem
from portway.prepare import Prepared, prepare, renew
from portway.services import Current
from portway.users.roster import account_names

EVERY = 2.0  # seconds between two looks; a file must rest for as long
PAUSE = 0.001  # seconds of rest in reading, for clients to go on meanwhile

log = logging.getLogger(__name__)


class Watch:
    """Puts changed lists into the services of *current*.

    *prepared* is what they were made of; whoever swaps others in, holding *reloading*,
    puts theirs here.
    """

    def __init__(
        self, current: Current, prepared: Prepared, reloading: asyncio.Lock
    ) -> None:
        self.prepared = prepared
        self._current = current
        self._reloading = reloading

    def prepare(self, path: Path | None) -> Prepared:
        """Read a configuration; of its lists only those that have changed."""
        return prepare(path, accounts=account_names, files=self.prepared.files)

    async def run(self) -> None:
        """Look again and again."""
        self.prepared.files.pause = PAUSE
        while True:
            await asyncio.sleep(EVERY)
            async with self._reloading:
                try:
                    await self.look()
                except Exception:  # a fault of ours must not end what runs
                    log.exception("list.failed")

    async def look(self) -> None:
        """Take those lists whose files have changed, and rest."""
        lists = self.prepared.configuration.lists
        self.prepared.files.keep(lists)
        if not lists:
            return
        changed = await asyncio.to_thread(self.prepared.files.changed, lists)
        if not changed:
            return
        names = [file.name for file in changed]
        fresh, problems = await asyncio.to_thread(renew, self.prepared)
        self._tell(names, fresh, problems)
        if fresh is not self.prepared:
            self.prepared = fresh
            services = self._current.services
            self._current.services = replace(services, rules=fresh.rules)

    def _tell(
        self, names: Collection[str], fresh: Prepared, problems: tuple[Problem, ...]
    ) -> None:
        known = [f"list.{name}" for name in self.prepared.lists if name not in names]
        for problem in problems:
            if problem.key.removesuffix(".path") in known:  # it was told before
                continue
            log.error("list.refused", extra={"text": str(problem)})
        for name in names:
            found = fresh.lists[name]
            if found is self.prepared.lists.get(name):
                log.error("list.kept", extra={"list": name, "entries": len(found)})
                continue
            counts = {
                "list": name,
                "domains": len(found.domains),
                "networks": found.ranges.networks,
                "left_out": found.bad_lines,
            }
            log.info("list.taken", extra=counts)
