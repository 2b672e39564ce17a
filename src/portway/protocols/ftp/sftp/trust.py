"""What a door trusts, if it has SFTP at all: built when its configuration is read.

Not here: what needs asyncssh, which is loaded for doors that name host keys only.
Invariant: a door that names no host keys needs no asyncssh.
"""

from typing import TYPE_CHECKING

from msgspec import structs

from portway.config.schema import Wrong
from portway.protocols.ftp.settings import Upstream

if TYPE_CHECKING:
    from portway.protocols.ftp.sftp.connection import Trust


def trust_of(upstream: Upstream) -> "Trust | None":
    """Return what a door trusts; None: it has no SFTP.

    Raises OSError or ValueError for files of no use.
    """
    if not upstream.host_keys:
        return None
    try:
        from portway.protocols.ftp.sftp import connection  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = "SFTP needs asyncssh; install portway[sftp]"
        raise ValueError(text) from error
    return connection.trust_of(
        upstream.host_keys,
        pin=upstream.host_key_policy == "pin",
        identity=upstream.ssh_key,
    )


def wrong_files(upstream: Upstream) -> list[Wrong]:
    """Return what is wrong with the files that a door's SFTP needs."""
    key = "host_keys"
    try:
        trust_of(structs.replace(upstream, ssh_key=""))
        key = "ssh_key"
        trust_of(upstream)
    except OSError as error:
        text = (error.strerror or "cannot be read").lower()
        return [Wrong(f"upstream.{key}", f"{getattr(upstream, key)}: {text}")]
    except ValueError as error:
        return [Wrong(f"upstream.{key}", str(error))]
    return []
