"""The gateway under test: a process of its own, as its users start it.

Not here: what is asked of it. Invariant: it is reached by its doors, its command line
and its files only, never by its code.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.integration.network import Place
from tests.integration.process import Process, eventually, run

PORTWAY = str(Path(sys.executable).with_name("portway"))
SETTLE = 8.0  # seconds until what a session held must be gone

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Held:
    """What a process has open, by kind."""

    sockets: int
    pipes: int
    others: int


class Gateway:
    """A running ``portway serve`` in *place*, configured by *text*.

    The text may say ``{state}``, the folder of its ledger, and ``{records}``, a file
    that gets each record as a JSON line. *before* is put before its command, which is
    *program* with its arguments.
    """

    def __init__(
        self,
        place: Place,
        folder: Path,
        text: str,
        *,
        before: tuple[str, ...] = (),
        program: tuple[str, ...] = (PORTWAY,),
        users: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.state = folder / "state"
        self.file = folder / "records.json"
        self.configuration = folder / "portway.toml"
        self.write(text)
        for name, password in (users or {}).items():
            self.portway("user", "add", name, given=f"{password}\n")
        command = place.command(
            *before, *program, "serve", "-c", str(self.configuration)
        )
        self._command = command
        self._log = folder / "output"
        self.process = Process(command, self._log)
        self._wait_until_ready()
        self._seen = 0

    def write(self, text: str) -> None:
        """Write the configuration; a running gateway has to be told."""
        where = {"{state}": self.state, "{records}": self.file}
        for word, path in where.items():
            text = text.replace(word, str(path))
        self.configuration.write_text(text)

    def portway(self, *words: str, given: str = "") -> str:
        """Return what ``portway WORDS -c FILE`` prints. It must succeed."""
        command = [PORTWAY, *words, "-c", str(self.configuration)]
        status, output = run(self.place.command(*command), given=given)
        assert status == 0, f"portway {' '.join(words)}: {output}"
        return output

    def start_again(self) -> None:
        """Start it once more, after it ended."""
        self._log.write_text("")
        self.process = Process(self._command, self._log)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        def ready() -> bool:
            status = self.process.status
            assert status is None, f"it ended with {status}:\n{self.process.output}"
            return "ready" in self.process.output.splitlines()

        eventually(ready, "the line that says ready", 10)

    @property
    def output(self) -> str:
        return self.process.output

    @property
    def held(self) -> Held:
        """What it has open now."""
        kinds = {"socket": 0, "pipe": 0}
        others = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                kind = str(entry.readlink()).split(":")[0]
            except FileNotFoundError:
                continue
            if kind in kinds:
                kinds[kind] += 1
            else:
                others += 1
        return Held(kinds["socket"], kinds["pipe"], others)

    def lets_go(self, before: Held) -> None:
        """Wait until it has no more sockets open than *before*."""

        def gone() -> bool:
            return self.held.sockets <= before.sockets

        try:
            eventually(gone, "its sockets are closed", SETTLE)
        except AssertionError as error:
            msg = f"before {before}, now {self.held}"
            raise AssertionError(msg) from error

    @contextlib.contextmanager
    def watched(self, sessions: int = 1) -> Iterator[list[Record]]:
        """Give a list that holds, at the end, the records of what went on inside.

        That is when so many *sessions* have their record, and all that they held is
        let go.
        """
        self.fresh()
        before = self.held
        records: list[Record] = []
        yield records

        def complete(found: list[Record]) -> bool:
            connects = [record for record in found if record["action"] == "connect"]
            return len(connects) >= sessions

        records += self.wait_for(complete, 15)
        self.lets_go(before)

    def records(self) -> list[Record]:
        """Every record so far, of what has ended, in the order in which they ended."""
        if not self.file.exists():
            return []
        whole = self.file.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def fresh(self) -> list[Record]:
        """The records since this was called last."""
        records = self.records()
        fresh, self._seen = records[self._seen :], len(records)
        return fresh

    def wait_for(
        self, wanted: Callable[[list[Record]], bool], seconds: float = 5.0
    ) -> list[Record]:
        """Wait until the fresh records are as *wanted*; return and forget them."""
        seen = self._seen

        def there() -> bool:
            return wanted(self.records()[seen:])

        try:
            eventually(there, "the records", seconds)
        except AssertionError as error:
            shown = "\n".join(map(str, self.records()[seen:]))
            msg = (
                f"{error}; there are\n{shown}\nand the log says\n{self.output[-4000:]}"
            )
            raise AssertionError(msg) from error
        return self.fresh()

    def stop(self) -> None:
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
