"""Which SSH servers are who they say they are: the known_hosts file of a door.

The file has the form that sshd(8) describes under SSH_KNOWN_HOSTS FILE FORMAT. It is
read anew when it has changed. Where the door may pin, the key of a server that is not
in it is written down at the first visit.

Not here: connections. Invariant: a server that has a key in the file is never taken
with another one.
"""

import os
from pathlib import Path

from asyncssh import SSHKey, SSHKnownHosts, import_known_hosts

NEW_FILE = 0o600


class HostKeys:
    """The keys of *path*; None knows no server. With *pin*, new ones are added."""

    __slots__ = ("_hosts", "_path", "_pin", "_seen")

    def __init__(self, path: Path | None, *, pin: bool = False) -> None:
        self._path = path
        self._pin = pin
        self._hosts = import_known_hosts("")
        self._seen: tuple[int, int, int] | None = None  # of the file that was read

    def read(self) -> SSHKnownHosts:
        """Return what the file holds now.

        Raises OSError, and ValueError for a file that cannot be understood; one that
        does not exist yet is empty where the door may write it.
        """
        if self._path is None:
            return self._hosts
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._pin:
                return self._hosts
            raise
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._hosts = import_known_hosts(self._path.read_text(encoding="utf-8"))
            self._seen = seen
        return self._hosts

    def knows(self, host: str, address: str, port: int) -> bool:
        """Whether the file has any key, or authority, for that server."""
        return any(self.read().match(host, address, None if port == 22 else port))

    def may_pin(self, host: str, address: str, port: int) -> bool:
        """Whether the first key that this server shows is to be taken."""
        return (
            self._pin and self._path is not None and not self.knows(host, address, port)
        )

    def pin(self, host: str, port: int, key: SSHKey) -> None:
        """Write down that *key* is the server's. Raises OSError."""
        if self._path is None:
            raise FileNotFoundError("there is no file for host keys")
        name = host if port == 22 else f"[{host}]:{port}"
        line = f"{name} ".encode() + key.export_public_key("openssh").strip() + b"\n"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(self._path, flags, NEW_FILE)
        try:
            size = os.lseek(file, 0, os.SEEK_END)
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line  # somebody edited it by hand
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)
