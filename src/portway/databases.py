"""What the gateway's SQLite files have in common: private, damaged, set aside.

Not here: what stands in them. Invariant: no byte of a damaged file is deleted or
changed; it keeps its place in the folder under a name that says what it is.
"""

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

SUFFIXES = ("", "-wal", "-shm")
PRIVATE = 0o600


def is_damage(error: BaseException) -> bool:
    """Say whether *error* means that the file itself is not what it should be."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def make_private(path: Path) -> None:
    """Make *path* for its owner alone, if it is not there. Raises OSError.

    Made by root, it becomes that of the folder's owner, whom the gateway runs as.
    """
    with contextlib.suppress(FileExistsError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, PRIVATE)
        try:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)


def keep_private(path: Path) -> None:
    """Take *path*, and what belongs to it, from all but its owner, if they have it."""
    for suffix in SUFFIXES:
        one = Path(f"{path}{suffix}")
        with contextlib.suppress(OSError):  # not there; or not ours, then not our fault
            if one.stat().st_mode & 0o077:
                one.chmod(PRIVATE)


def read_only(path: Path) -> sqlite3.Connection:
    """Open *path* for reading. Raises sqlite3.Error."""
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def set_aside(path: Path) -> Path:
    """Rename the file *path* and what belongs to it; return the new name.

    Raises OSError; then nothing but its companions may have been renamed.
    """
    kept = free_name(path)
    for suffix in reversed(SUFFIXES):  # the file itself goes last
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
    return kept


def free_name(path: Path) -> Path:
    """Return a name beside *path* that says when it was found damaged."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = path.with_name(f"{path.name}.corrupt-{moment}")
    turn = 1
    while any(os.path.lexists(f"{kept}{suffix}") for suffix in SUFFIXES):
        turn += 1
        kept = path.with_name(f"{path.name}.corrupt-{moment}-{turn}")
    return kept
