"""Closing behind the last byte: read and drop what still comes, then close.

A close over bytes that nobody read resets the connection, and the peer could lose what
was sent to it last (RFC 1122, section 4.2.2.13).

Not here: sending that last byte, and the end behind it. Invariant: a stream that
lingers is closed once its peer has ended, its time is up, or `close_lingering` is
called, whichever comes first; no task waits for it.
"""

import asyncio

from portway.net.stream import SocketStream

# Sockets are the process's, whoever made them: the one state that a module keeps.
_lingering: set["_Lingerer"] = set()


def linger(stream: SocketStream, seconds: float, *, reset: bool = False) -> None:
    """Take *stream* over, close it when its peer has ended, in *seconds* at most.

    For after `send_eof`. With *reset* it is aborted instead.
    """
    if not stream.closed:
        _Lingerer(stream, seconds, reset=reset)


def close_lingering() -> None:
    """Close all streams that linger. For the end of the process, and of a test."""
    for lingerer in list(_lingering):
        lingerer.end()


class _Lingerer:
    __slots__ = ("_reset", "_stream", "_timer")

    def __init__(self, stream: SocketStream, seconds: float, *, reset: bool) -> None:
        self._stream = stream
        self._reset = reset
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self.end)
        _lingering.add(self)
        stream.drop(self.end)

    def end(self) -> None:
        _lingering.discard(self)
        self._timer.cancel()
        if self._reset:
            self._stream.abort()
        else:
            self._stream.close()
