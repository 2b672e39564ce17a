"""Accounts that PAM answers for, each login in a process of its own.

Not here: PAM itself (pam_helper.py), which this process never loads. Invariant: a
process that was started for a login is gone when the login is answered.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from portway.config.sources import Pam
from portway.model import Credentials
from portway.users.asking import SECONDS, Asking, Unavailable, Until
from portway.users.directory import (
    UNKNOWN,
    Source,
    Verification,
    Verified,
    fault,
    normal,
)

NAME = "pam"
PASSWORD = 511  # bytes: PAM_MAX_RESP_SIZE of Linux-PAM is 512 with its end
FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")

# <security/_pam_types.h>: whose answers are about the login, not about PAM.
_RIGHT = 0
_UNKNOWN = 10  # PAM_USER_UNKNOWN
_WRONG = {
    6: "PAM_PERM_DENIED",
    7: "PAM_AUTH_ERR",
    11: "PAM_MAXTRIES",
    12: "PAM_NEW_AUTHTOK_REQD",
    13: "PAM_ACCT_EXPIRED",
    16: "PAM_CRED_UNAVAIL",
    17: "PAM_CRED_EXPIRED",
    19: "PAM_CONV_ERR",  # it asks for more than a password
    27: "PAM_AUTHTOK_EXPIRED",
}


class PamSource:
    """A source of the accounts that a service of PAM knows."""

    name = NAME

    def __init__(self, settings: Pam, *, seconds: float = SECONDS) -> None:
        self._settings = settings
        self._asking = Asking(NAME, at_once=2 * (os.cpu_count() or 1), seconds=seconds)

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*; see `Source`."""
        if fault(credentials.user):
            return UNKNOWN
        password = credentials.password.encode(errors="surrogateescape")
        # C would not see what is behind a NUL, nor PAM what is too long
        if not 0 < len(password) <= PASSWORD or b"\0" in password:
            return Verified(Verification.WRONG, source=NAME)
        return await self._asking.ask(lambda until: self._verify(credentials, until))

    async def knows(self, user: str) -> bool | None:
        """Only a password tells."""
        return False if fault(user) else None

    async def renewed(self, verified: Verified) -> Verified:
        """Return *verified*: only a password tells."""
        return verified

    def close(self) -> None:
        """Let go of the threads."""
        self._asking.close()

    def _verify(self, credentials: Credentials, until: Until) -> Verified:
        asked = {
            "service": self._settings.service,
            "folder": self._settings.folder,
            "user": normal(credentials.user),
            "password": credentials.password,
        }
        code, user = read_answer(_run(json.dumps(asked).encode() + b"\n", until))
        if code == _UNKNOWN:
            return UNKNOWN
        if code in _WRONG:
            return Verified(Verification.WRONG, source=NAME)
        if code != _RIGHT:
            raise Unavailable(f"{self._settings.service} answers with error {code}")
        if wrong := fault(user):
            raise Unavailable(f"its name of the user is none: {wrong}")
        return Verified(Verification.OK, normal(user), source=NAME)


def missing(settings: Pam) -> str:
    """Say in one line what the service lacks; empty: nothing.

    Whatever it lacks, PAM silently takes from the service ``other`` in its place.
    """
    folders = [settings.folder] if settings.folder else FOLDERS
    paths = [Path(folder, settings.service) for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return f"there is no {paths[0]}; write that file"
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    words = {
        line.split()[0].removeprefix("-").lower() for line in lines if line.split()
    }
    for kind in ("auth", "account"):
        if words.isdisjoint({kind, "@include"}):
            return f"{path} has no line for {kind}; write one"
    return ""


def read_answer(line: bytes) -> tuple[int, str]:
    """Return the code and the user's name. Raises Unavailable."""
    try:
        answer = json.loads(line)
        return int(answer["code"]), str(answer["user"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("its process ended without an answer") from error


def _run(question: bytes, until: Until) -> bytes:
    """Return the line that a process of its own answers to *question*."""
    # -P: what lies in the folder we were started in is no part of the program
    command = [sys.executable, "-P", "-m", "portway.users.pam_helper"]
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - the words are ours
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        try:
            return _converse(ours, question, until)
        except (TimeoutError, Unavailable) as error:
            _kill_below(process.pid)
            raise Unavailable("no answer in time; its process was killed") from error
        except OSError as error:
            raise Unavailable("its process ended without an answer") from error
        finally:
            # with all that a module has started, even if it has answered
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _kill_below(number: int) -> None:
    """Kill all that the process *number* has started, and what that has, in turn.

    Modules put programs into sessions of their own, where no signal to a group gets.
    """
    os.kill(number, signal.SIGSTOP)  # it starts nothing more
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = entry.read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.parent.name)] = int(words[1])
    below = {number}
    while more := {one for one, parent in parents.items() if parent in below} - below:
        below |= more
    for one in below - {number}:
        with contextlib.suppress(OSError):  # it is gone, or is not ours to kill
            os.kill(one, signal.SIGKILL)


def _converse(sock: socket.socket, question: bytes, until: Until) -> bytes:
    sock.settimeout(until.left())
    sock.sendall(question)
    line = b""
    while not line.endswith(b"\n"):
        sock.settimeout(until.left())
        more = sock.recv(8192)
        if not more:
            break
        line += more
    return line


if TYPE_CHECKING:
    _: type[Source] = PamSource
