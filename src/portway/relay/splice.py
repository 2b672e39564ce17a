"""Move bytes between two sockets by way of a kernel pipe.

Not here: TLS, inspection, and the choice to splice at all (pump.py). Invariant: the
pipe is empty whenever we read the source, so EAGAIN can only mean the socket.
"""

import os
from collections.abc import Callable

from portway.net.stream import SocketStream
from portway.relay.pipes import Pipe

FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


def fill(source: SocketStream, pipe: Pipe, want: int) -> int | None:
    """Move up to *want* bytes that are ready into *pipe*, which is empty.

    How many fit has no fixed relation to the pipe's size. Returns their number; 0 at
    what may be the source's end, None if nothing seems ready: an urgent byte looks
    like either, and a reset that was told before like an end. Raises PeerError, the
    source's.
    """
    try:
        return os.splice(source.fileno(), pipe.writer, want, flags=FLAGS)
    except BlockingIOError:
        return None
    except OSError as error:
        raise source.failed(error) from error


async def drain(
    pipe: Pipe, sink: SocketStream, count: int, went: Callable[[int], None]
) -> None:
    """Move the *count* bytes that *pipe* holds out to *sink*.

    *went* is told what went, as it goes. Raises PeerError, the sink's.
    """
    while True:
        try:
            moved = os.splice(pipe.reader, sink.fileno(), count, flags=FLAGS)
        except BlockingIOError:
            await sink.writable()
            continue
        except OSError as error:
            raise sink.failed(error) from error
        went(moved)
        count -= moved
        if not count:
            return
