"""A network of the measurement's own, whose ports closed connections do not use up.

A connection that was closed keeps its ports for a minute (TIME-WAIT: RFC 9293, section
3.6.1). Thousands a second, on one machine, leave none: proxies are refused, and the
kernel searches long for a free port, in all their names.

Not here: what is measured. Invariant: nothing outside of the process, and of what it
starts, is changed.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_NEW_NETWORK = 0x40000000  # linux/sched.h
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
_NAME = struct.Struct("16sH14x")
_SYSCTL = Path("/proc/sys/net/ipv4")
SETTINGS = {"tcp_max_tw_buckets": "1000", "ip_local_port_range": "10240 65535"}


def enter() -> None:
    """Go into a network that has loopback alone. Raises OSError; root may.

    For a process of one thread, before it opens a socket.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        asked = fcntl.ioctl(sock, _GET_FLAGS, _NAME.pack(b"lo", 0))
        flags: int = _NAME.unpack(asked)[1]
        fcntl.ioctl(sock, _SET_FLAGS, _NAME.pack(b"lo", flags | _UP))
    for name, value in SETTINGS.items():
        (_SYSCTL / name).write_text(value)
