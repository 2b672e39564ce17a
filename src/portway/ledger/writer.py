"""The thread that writes the ledger down.

Not here: the store's own ways. Invariant: a finished record leaves the queue only when
the store has it; while the store fails they wait here, and new requests before them.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from portway.ledger.bounds import clean
from portway.ledger.files import LogFiles
from portway.ledger.retention import Retention
from portway.ledger.sink import Sink
from portway.ledger.store import LedgerError, Store
from portway.model import Outcome, Record

QUEUE = 65_536  # records: 6 s at 10,000 a second
BATCH = 1000  # records in a transaction
PACE = 0.25  # seconds in which records gather for one
LONGEST_PAUSE = 5.0  # seconds between two attempts at a store that fails
TEND_EVERY = 60.0

log = logging.getLogger(__name__)


class Writer:
    """A sink whose records a thread of its own writes to *store*, then to *files*.

    *retention* is what the store is to forget, by *clock*, which gives seconds since
    the epoch. `take` and `ready` are for the threads of event loops.
    """

    def __init__(
        self,
        store: Store,
        files: LogFiles,
        *,
        retention: Retention,
        clock: Callable[[], float],
        queue: int = QUEUE,
    ) -> None:
        self._store = store
        self._files = files
        self._next_files: LogFiles | None = None
        self._retention = retention
        self._clock = clock
        self._most = queue
        self._queue: deque[Record] = deque()
        self._hand: list[Record] = []  # taken from the queue, not yet in the store
        self._asleep = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._give_up_at = 0.0
        self._tend_at = 0.0
        self._pause = PACE
        self._waiting: set[asyncio.Future[None]] = set()
        self._waiting_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self.failure = ""

    def open(self) -> None:
        """Open the store. Raises LedgerError."""
        self._files.write(self._store.open())

    def start(self) -> None:
        """Begin to write: with a thread that has the rights of the one that calls."""
        self._thread.start()

    # For the loops.

    def take(self, record: Record) -> None:
        """Queue *record*; see `Sink`."""
        queue = self._queue
        if record.outcome is Outcome.OPEN and len(queue) * 2 > self._most:
            return
        queue.append(record)
        if self._asleep:
            self._wake.set()

    async def ready(self) -> None:
        """Wait while the queue is full."""
        while len(self._queue) >= self._most:
            await self._room()

    async def _room(self) -> None:
        room = asyncio.get_running_loop().create_future()
        with self._waiting_lock:
            self._waiting.add(room)
        try:
            # the thread may have passed by before it could see us
            if len(self._queue) >= self._most:
                await room
        finally:
            with self._waiting_lock:
                self._waiting.discard(room)

    @property
    def pending(self) -> int:
        """How many records are not in the store yet."""
        return len(self._queue) + len(self._hand)

    def change(self, files: LogFiles, *, retention: Retention) -> None:
        """Go on with other *files* and another *retention*, after a reload."""
        self._retention = retention
        self._next_files = files

    def reopen(self) -> None:
        """Open the log files anew, as after they were renamed."""
        self._files.reopen()

    def close(self, seconds: float = 5.0) -> int:
        """Write what is queued, for at most *seconds*; return how many were not.

        Blocks. Nothing may be taken any more.
        """
        self._give_up_at = time.monotonic() + seconds
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds + 2 * PACE)
        left = self.pending
        if left:
            log.error("ledger.unwritten", extra={"records": left})
        return left

    # For the thread.

    def _run(self) -> None:
        while not self._closing.is_set():
            self._sleep()
            self._round()
        while self.pending and time.monotonic() < self._give_up_at:
            self._round()
            if self.pending:
                time.sleep(min(PACE, max(self._give_up_at - time.monotonic(), 0)))
        self._files.close()
        self._store.close()

    def _sleep(self) -> None:
        """Wait until there is something to do, and then for more of it to come."""
        if self.failure:
            self._closing.wait(self._pause)
            return
        self._asleep = True
        if not self._queue:  # what comes from now on wakes us
            self._wake.wait(max(self._tend_at - time.monotonic(), 0))
        self._asleep = False
        self._wake.clear()
        self._closing.wait(PACE)

    def _round(self) -> None:
        try:
            while self._hand or self._queue:
                self._write_batch()
            self._tend()
        except LedgerError as error:
            self._failed(str(error))
        except Exception:  # a fault of ours must not end the thread
            log.exception("ledger.fault")
            self._failed("a fault of the gateway's own")
        else:
            self._works()

    def _write_batch(self) -> None:
        if not self._hand:
            most = min(BATCH, len(self._queue))
            self._hand = [self._queue.popleft() for _ in range(most)]
            self._hand = [clean(record) for record in self._hand]
        self._store.write(self._hand)
        written, self._hand = self._hand, []
        self._works()
        self._let_in()
        following, self._next_files = self._next_files, None
        if following is not None:
            self._files.close()
            self._files = following
        self._files.write(written)

    def _let_in(self) -> None:
        """Wake those who wait for room, if there is some."""
        if not self._waiting or len(self._queue) >= self._most:
            return
        with self._waiting_lock:
            waiting = list(self._waiting)
        for room in waiting:
            try:
                room.get_loop().call_soon_threadsafe(release, room)
            except RuntimeError:  # its loop is closed, and nobody waits any more
                continue

    def _tend(self) -> None:
        if time.monotonic() < self._tend_at:
            return
        try:
            more = self._store.tend(self._retention, self._clock())
        except LedgerError as error:  # records that stay too long stop nobody
            log.warning("ledger.untended", extra={"error": str(error)})
            more = False
        self._tend_at = time.monotonic() + (0 if more else TEND_EVERY)

    def _failed(self, text: str) -> None:
        if not self.failure:
            log.error("ledger.failing", extra={"error": text})
            self._pause = PACE
        self.failure = text
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _works(self) -> None:
        if self.failure:
            log.warning("ledger.works", extra={"records": self.pending})
        self.failure = ""


def release(room: asyncio.Future[None]) -> None:
    """Let go whoever waits, if it still does."""
    if not room.done():
        room.set_result(None)


if TYPE_CHECKING:
    _: type[Sink] = Writer
