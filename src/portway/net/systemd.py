"""What systemd gives a service, and wants to know of it.

sd_listen_fds(3) and sd_notify(3), without the library. Not here: what is done with the
sockets. Invariant: without systemd nothing happens.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

from portway.model import Endpoint
from portway.net.ends import endpoint_of
from portway.net.listen import prepare

FIRST = 3  # the number of the first descriptor that is handed over


def take_sockets(
    environment: MutableMapping[str, str], first: int = FIRST
) -> dict[Endpoint, socket.socket]:
    """Return the listening TCP sockets that were handed to this process, by address.

    The variables that tell of them are removed, so that no child takes them too.
    """
    count = environment.pop("LISTEN_FDS", "0")
    process = environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdigit():
        return {}
    found = {}
    for number in range(first, first + int(count)):
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        if sock.type != socket.SOCK_STREAM or sock.family == socket.AF_UNIX:
            sock.close()
            continue
        prepare(sock)
        found[endpoint_of(sock.getsockname())] = sock
    return found


def notify(words: str, environment: MutableMapping[str, str]) -> None:
    """Tell systemd ``READY=1``, ``STOPPING=1`` or the like, if it listens."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    if path[0] == "@":  # the abstract namespace
        path = "\0" + path[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.sendto(words.encode(), path)
