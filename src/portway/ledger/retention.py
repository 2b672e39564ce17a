"""How long the ledger keeps what.

Not here: how a store forgets. Invariant: what is made anonymous stays so: nobody but
the holder of the key can tell whether two names were the same, and nobody at all can
tell from it what the name was.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_network
from pathlib import Path

from msgspec.structs import asdict

from portway.config.schema import Ledger
from portway.model import read_address

KEY_NAME = "anonymise.key"  # in the state folder
KEY_BYTES = 32
PREFIX = "anon-"  # no account's name: such a name is hashed by nobody twice
HASH_BYTES = 8
IPV4_BITS, IPV6_BITS = 24, 48
NAMELESS = frozenset({"", "anonymous", "ftp"})

# Facts that tell who somebody is: to be hashed, and to be left out.
NAMES = frozenset({"claimed"})
TELLING = frozenset({"anonymous", "mac"})


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records are kept, in seconds, and how much room they may take.

    *keep_for* is for single protocols, where shorter than *keep*. *max_size* is bytes
    on the disk, None no bound. After *anonymise* seconds a record names nobody any
    more; None is never.
    """

    keep: float
    keep_for: Mapping[str, float] = field(default_factory=dict)
    max_size: int | None = None
    anonymise: float | None = None


def retention_of(settings: Ledger) -> Retention:
    """Return what *settings* say of it."""
    single = asdict(settings.keep_for) if settings.keep_for else {}
    keep_for = {protocol: time for protocol, time in single.items() if time is not None}
    return Retention(
        settings.keep,
        keep_for,
        max_size=settings.max_size,
        anonymise=settings.anonymise,
    )


def read_key(folder: Path) -> bytes:
    """Return the key of *folder*, made if there is none. Raises OSError."""
    path = folder / KEY_NAME
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) >= KEY_BYTES:
            return key
        # the disk was full, or it was cut: no name was ever hashed with less
        made = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    key = os.urandom(KEY_BYTES)
    with os.fdopen(made, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


@dataclass(frozen=True, slots=True)
class Anonymiser:
    """Makes somebody of the ledger nobody in particular."""

    key: bytes = field(repr=False)

    def user(self, name: str) -> str:
        """Return what stands for *name*: the same for the same one."""
        if name.lower() in NAMELESS or name.startswith(PREFIX):
            return name
        data = name.encode(errors="surrogateescape")
        digest = hashlib.blake2b(data, key=self.key, digest_size=HASH_BYTES)
        return PREFIX + digest.hexdigest()

    def client(self, address: str) -> str:
        """Return the network that *address* is in: a /24, or a /48 of IPv6."""
        known = read_address(address)
        if known is None:
            return ""
        bits = IPV4_BITS if isinstance(known, IPv4Address) else IPV6_BITS
        bare = type(known)(int(known))  # without the zone of a link-local one
        return str(ip_network(f"{bare}/{bits}", strict=False).network_address)

    def facts(self, facts: Mapping[str, str]) -> dict[str, str]:
        """Return *facts* without those that tell who it was."""
        return {
            name: self.user(text) if name in NAMES else text
            for name, text in facts.items()
            if name not in TELLING
        }
