"""The kernel pipes and copy buffers that payloads go through, shared by all.

A pipe is borrowed when bytes are ready and given back when it is drained, so that
ten thousand idle connections hold none.

Not here: moving bytes. Invariant: an idle pipe is empty, and the memory of all pipes
together stays under a bound: beyond 64 MiB of pipes the kernel gives an ordinary user
only two pages for a new one.
"""

import fcntl
import os
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
SMALL, LARGE = 64 * KIB, MIB  # the kernel's size for a new pipe; what bulk wants
GROWTH = 48 * MIB  # all pipes together; then no pipe grows
MOST = 60 * MIB  # then there are no more, and payload is copied
BUFFER = 256 * KIB
LENT_BUFFERS = 256
IDLE_SMALL, IDLE_LARGE, IDLE_BUFFERS = 64, 16, 8  # kept for the next

_LARGEST = Path("/proc/sys/fs/pipe-max-size")


class Pipe:
    """A kernel pipe; *size* is what its buffer takes of the bound."""

    __slots__ = ("reader", "size", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.size = SMALL

    def grow(self, size: int) -> bool:
        """Make room for *size* bytes. False: the system says no, which is normal."""
        try:
            self.size = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close both ends, and lose what is inside."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """Pools of pipes and of copy buffers."""

    __slots__ = (
        "_buffers",
        "_closed",
        "_growth",
        "_large",
        "_large_size",
        "_lent",
        "_most",
        "_small",
        "total",
    )

    def __init__(self, growth: int = GROWTH, most: int = MOST) -> None:
        self._growth = growth
        self._most = most
        self._large_size = _largest()
        self._small: list[Pipe] = []
        self._large: list[Pipe] = []
        self._buffers: list[memoryview] = []
        self._lent = 0
        self._closed = False
        self.total = 0  # bytes that the pipes, lent or idle, may hold

    def borrow(self, *, large: bool = False) -> Pipe | None:
        """Return an empty pipe, a *large* one if it can be had; None: copy instead."""
        if large and self._large:
            return self._large.pop()
        pipe = self._small.pop() if self._small else self._new()
        if pipe is None:
            return self._large.pop() if self._large else None
        if large and self.total - SMALL + self._large_size <= self._growth:
            self._grow(pipe)
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take back *pipe*, which is empty."""
        pool, most = (
            (self._small, IDLE_SMALL)
            if pipe.size <= SMALL
            else (self._large, IDLE_LARGE)
        )
        if len(pool) < most and not self._closed:
            pool.append(pipe)
        else:
            self.discard(pipe)

    def discard(self, pipe: Pipe) -> None:
        """Close *pipe*, with whatever is inside."""
        self.total -= pipe.size
        pipe.close()

    def _new(self) -> Pipe | None:
        if self.total + SMALL > self._most or self._closed:
            return None
        try:
            pipe = Pipe()
        except OSError:  # no descriptors: copying needs none
            return None
        self.total += pipe.size
        return pipe

    def _grow(self, pipe: Pipe) -> None:
        before = pipe.size
        if pipe.grow(self._large_size):
            self.total += pipe.size - before
        else:
            self._growth = self.total  # others use up what the system grants

    def borrow_buffer(self) -> memoryview | None:
        """Return a large buffer to copy through; None: too many are lent."""
        if self._lent == LENT_BUFFERS:
            return None
        self._lent += 1
        return self._buffers.pop() if self._buffers else memoryview(bytearray(BUFFER))

    def give_back_buffer(self, buffer: memoryview) -> None:
        """Take back *buffer*."""
        self._lent -= 1
        if len(self._buffers) < IDLE_BUFFERS and not self._closed:
            self._buffers.append(buffer)

    def close(self) -> None:
        """Close all idle pipes; those that are lent are closed as they come back."""
        self._closed = True
        for pipe in (*self._small, *self._large):
            self.discard(pipe)
        self._small.clear()
        self._large.clear()
        self._buffers.clear()


def _largest() -> int:
    """Return the size of a large pipe here: what the system allows, up to 1 MiB."""
    try:
        return min(LARGE, int(_LARGEST.read_text()))
    except (OSError, ValueError):
        return SMALL
